"""Recordings without a runner: real pipes, real files, and the pool of threads that moves between them."""

from __future__ import annotations

import os
import queue
import threading
from pathlib import Path

from conftest import wait_for

from jobworkerd.channel.messages import Message, Open, OpenFailed, OutputClosed
from jobworkerd.journal import Journal
from jobworkerd.recorder.index import HEADS, RECORD
from jobworkerd.recorder.pool import Pool
from jobworkerd.recorder.recording import Budget, Recording

JOB = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11"
OTHER = "b1ffcd00-0d1c-4ab9-8c7e-7ccace491b22"
STAMP = "20261124T024300Z"


def closed(job_id: str, stdout: int, stderr: int) -> OutputClosed:
    """What a recording says when all of a job's output is in its files."""
    return OutputClosed(job_id, stdout, stderr, 0, 0, complete=True)


class Job:
    """What the runner and a job hold: the write ends, and the runner's own read ends."""

    def __init__(
        self,
        pool: Pool,
        log_dir: Path,
        job_id: str = JOB,
        *,
        resume: bool = False,
        max_output: int = 0,
        ring: bool = True,
    ) -> None:
        self.log_dir = log_dir
        self.folder = log_dir / f"{job_id}-{STAMP}"
        pairs = [os.pipe2(os.O_CLOEXEC) for _ in range(2)]
        self.runners: tuple[int, ...] = tuple(read for read, _ in pairs)
        self.ends = [write for _, write in pairs]
        self.said: queue.SimpleQueue[Message] = queue.SimpleQueue()
        pipes = (os.dup(self.runners[0]), os.dup(self.runners[1]))
        self.recording = Recording(
            Open(job_id, STAMP, resume, max_output, ring), pipes, pool, Budget(), self.said.put
        )
        self._pool = pool

    def open(self) -> Message:
        """Opens the files, as the recorder does: in a worker."""
        self._pool.submit(lambda: self.recording.open(str(self.log_dir)))
        said = self.next()
        if isinstance(said, OpenFailed):
            self._close_runners()
        return said

    def next(self) -> Message:
        """The next thing that the recording says."""
        return self.said.get(timeout=20)

    def write(self, stream: int, data: bytes) -> None:
        """All of it, however long the pipe is full."""
        view = memoryview(data)
        while view:
            view = view[os.write(self.ends[stream], view) :]

    def writing(self, stream: int, data: bytes) -> threading.Thread:
        """The same, in a thread of its own."""
        thread = threading.Thread(target=self.write, args=(stream, data))
        thread.start()
        return thread

    def retry(self) -> None:
        """There may be room again; until it has been tried."""
        self.recording.retry()
        wait_for(lambda: not any(stream.retrying for stream in self.recording._streams))

    def end(self) -> None:
        """The job is empty, says the runner."""
        self._pool.submit(self.recording.ended)

    def shut(self, stream: int) -> None:
        """Closes the job's write end."""
        os.close(self.ends[stream])
        self.ends[stream] = -1

    def close(self) -> None:
        """Every read end there is, for good."""
        runners, self.runners = self.runners, ()
        if runners:
            self.recording.close(runners)

    def _close_runners(self) -> None:
        for fd in self.runners:
            os.close(fd)
        self.runners = ()

    def content(self, stream: int) -> bytes:
        """What the file holds."""
        return (self.folder / ("stdout.log", "stderr.log")[stream]).read_bytes()

    def records(self) -> list[tuple[int, int, int, int, int]]:
        """Of the index: time, stream, flags, offset, length."""
        data = (self.folder / "index").read_bytes()[HEADS:]
        assert len(data) % RECORD.size == 0
        return list(RECORD.iter_unpack(data))  # type: ignore[arg-type]

    def covered(self) -> tuple[int, int]:
        """How many bytes of each stream the index has, its records lying end to end from 0."""
        ends = [0, 0]
        for _, stream, _, offset, length in self.records():
            assert offset == ends[stream - 1]
            assert length > 0
            ends[stream - 1] += length
        return ends[0], ends[1]


class Jobs:
    """Makes them, and closes what a test leaves open."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._made: list[Job] = []

    def __call__(
        self, log_dir: Path, job_id: str = JOB, *, resume: bool = False, max_output: int = 0, ring: bool = True
    ) -> Job:
        job = Job(self._pool, log_dir, job_id, resume=resume, max_output=max_output, ring=ring)
        self._made.append(job)
        return job

    def close(self) -> None:
        """Read ends first: what still writes ends with EPIPE."""
        for job in self._made:
            job.close()
            for stream, fd in enumerate(job.ends):
                if fd >= 0:
                    job.shut(stream)


def new_pool(limit: int = 16) -> Pool:
    """A pool whose main thread is the test: it calls ``tick`` itself."""
    before = threading.stack_size()
    try:
        return Pool(limit, lambda: None, Journal("test"))
    finally:
        threading.stack_size(before)
