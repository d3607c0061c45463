"""From pipe to file: every byte, in order, once, whatever becomes of recorder, job or disk."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import struct
import subprocess
import termios
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import wait_for
from recordings import JOB, OTHER, STAMP, Jobs, closed

from jobworkerd.channel.messages import Opened, OpenFailed, OutputClosed, OutputLimit, OutputPaused
from jobworkerd.recorder.folder import open_files
from jobworkerd.recorder.index import HEADS, RECORD, RECOVERED, Index

_MIB = 1 << 20


def _in_pipe(fd: int) -> int:
    """Bytes that nobody has read yet."""
    return int(struct.unpack("i", fcntl.ioctl(fd, termios.FIONREAD, b"\0" * 4))[0])


def test_both_streams_arrive_byte_for_byte_and_indexed(make_job: Jobs, tmp_path: Path) -> None:
    """Random bytes from two writers at once, more than any pipe holds; then one OutputClosed says how many."""
    job = make_job(tmp_path)
    assert job.open() == Opened(JOB)
    sent = (os.urandom(5 * _MIB + 17), os.urandom(3 * _MIB + 1))
    for writer in [job.writing(stream, data) for stream, data in enumerate(sent)]:
        writer.join()
    job.end()
    assert job.next() == closed(JOB, len(sent[0]), len(sent[1]))
    assert (job.content(0), job.content(1)) == sent
    assert job.covered() == (len(sent[0]), len(sent[1]))


def test_a_job_that_writes_nothing_has_empty_files(make_job: Jobs, tmp_path: Path) -> None:
    """Also where it closed its output long before its end."""
    job = make_job(tmp_path)
    job.open()
    job.shut(0)
    job.end()
    assert job.next() == closed(JOB, 0, 0)
    assert (job.content(0), job.content(1), job.records()) == (b"", b"", [])


def test_an_empty_job_is_closed_although_a_write_end_is_open(make_job: Jobs, tmp_path: Path) -> None:
    """What was written before is recorded, what comes later is not, and the final close reaches the writer."""
    job = make_job(tmp_path)
    job.open()
    job.write(0, b"all of it")
    job.write(1, b"!")
    job.end()
    assert job.next() == closed(JOB, 9, 1)
    job.write(0, b" and more")
    assert _in_pipe(job.ends[0]) == 9
    job.close()
    with pytest.raises(BrokenPipeError):
        job.write(0, b"x")
    assert (job.content(0), job.content(1), job.covered()) == (b"all of it", b"!", (9, 1))


def _left_by_a_dead_recorder(log_dir: Path) -> None:
    """Of stdout 600 bytes are indexed and 400 are not; of stderr's 50 none is."""
    files = open_files(str(log_dir), f"{JOB}-{STAMP}", resume=False)
    os.write(files.streams[0], b"o" * 1000)
    os.write(files.streams[1], b"e" * 50)
    Index(files.index).add(1, 600)
    files.close()


def test_a_new_recorder_goes_on_at_the_files_sizes(make_job: Jobs, tmp_path: Path) -> None:
    """One recovered record per stream for what was moved and not indexed; then as ever."""
    _left_by_a_dead_recorder(tmp_path)
    job = make_job(tmp_path, resume=True)
    assert job.open() == Opened(JOB)
    assert [record[1:] for record in job.records()] == [
        (1, 0, 0, 600), (1, RECOVERED, 600, 400), (2, RECOVERED, 0, 50),
    ]  # fmt: skip
    job.write(0, b"new")
    job.end()
    assert job.next() == closed(JOB, 1003, 50)
    assert job.content(0) == b"o" * 1000 + b"new"
    assert [record[1:] for record in job.records()][3:] == [(1, 0, 1000, 3)]
    assert job.covered() == (1003, 50)


def test_a_new_recorder_recovers_nothing_that_is_indexed(make_job: Jobs, tmp_path: Path) -> None:
    """A second one right behind it finds all covered."""
    _left_by_a_dead_recorder(tmp_path)
    make_job(tmp_path, resume=True).open()
    job = make_job(tmp_path, resume=True)
    assert job.open() == Opened(JOB)
    assert len(job.records()) == 3
    assert job.covered() == (1000, 50)


def test_two_jobs_of_one_second_have_each_its_own_folder(make_job: Jobs, tmp_path: Path) -> None:
    """The id is part of the name, and not the stamp alone."""
    jobs = [make_job(tmp_path, JOB), make_job(tmp_path, OTHER)]
    assert [job.open() for job in jobs] == [Opened(JOB), Opened(OTHER)]
    for job, word in zip(jobs, (b"one", b"other"), strict=True):
        job.write(0, word)
        job.end()
        assert job.next() == closed(job.recording.job_id, len(word), 0)
    assert [job.content(0) for job in jobs] == [b"one", b"other"]
    assert sorted(each.name for each in tmp_path.iterdir()) == [f"{JOB}-{STAMP}", f"{OTHER}-{STAMP}"]


def test_a_folder_that_is_there_already_refuses_a_new_job(make_job: Jobs, tmp_path: Path) -> None:
    """Nothing in it is touched, and the job's pipes are let go of."""
    (tmp_path / f"{JOB}-{STAMP}").mkdir()
    (tmp_path / f"{JOB}-{STAMP}/stdout.log").write_bytes(b"another's")
    job = make_job(tmp_path)
    text = f"cannot open output files in {tmp_path}: File exists"
    assert job.open() == OpenFailed(JOB, errno.EEXIST, text)
    assert job.content(0) == b"another's"
    with pytest.raises(BrokenPipeError):
        job.write(0, b"x")


def test_a_log_directory_that_is_not_there_is_named(make_job: Jobs, tmp_path: Path) -> None:
    """With its path."""
    text = f"cannot open output files in {tmp_path}/none: No such file or directory"
    assert make_job(tmp_path / "none").open() == OpenFailed(JOB, errno.ENOENT, text)


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 1 MiB."""
    if os.geteuid() != 0:
        pytest.skip("mounting a small file system needs root")
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "none", str(tmp_path)], check=True)
    try:
        yield tmp_path
    finally:
        subprocess.run(["umount", "--lazy", str(tmp_path)], check=True)


def _enlarge(disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,size=64m", str(disk)], check=True)


def test_a_full_disk_leaves_the_bytes_in_the_pipe(make_job: Jobs, small_disk: Path) -> None:
    """The writer waits, the pause is said once, and with room all of it arrives, indexed."""
    job = make_job(small_disk)
    job.open()
    sent = os.urandom(4 * _MIB)
    writer = job.writing(0, sent)
    assert job.next() == OutputPaused(JOB, errno.ENOSPC)
    job.retry()  # there is no more room than before
    recorded = len(job.content(0))
    assert 0 < recorded < _MIB
    assert job.content(0) == sent[:recorded]
    wait_for(lambda: _in_pipe(job.ends[0]) == fcntl.fcntl(job.ends[0], fcntl.F_GETPIPE_SZ))
    assert writer.is_alive()
    _enlarge(small_disk)
    job.retry()
    assert job.next() == OutputPaused(JOB, 0)
    writer.join()
    job.end()
    assert job.next() == closed(JOB, len(sent), 0)
    assert job.content(0) == sent
    assert job.covered() == (len(sent), 0)


def test_a_job_that_ends_on_a_full_disk_keeps_its_last_bytes(make_job: Jobs, small_disk: Path) -> None:
    """Its output is not closed before they are in the file, which waits for room."""
    job = make_job(small_disk)
    job.open()
    (small_disk / "filler").write_bytes(b"\0" * (_MIB - 64 * 1024))
    sent = os.urandom(100 * 1024)
    job.write(1, sent)
    assert job.next() == OutputPaused(JOB, errno.ENOSPC)
    job.recording.ended()
    job.retry()
    assert job.said.empty()
    assert 0 < len(job.content(1)) < len(sent)
    _enlarge(small_disk)
    job.retry()
    assert [job.next(), job.next()] == [OutputPaused(JOB, 0), closed(JOB, 0, len(sent))]
    assert (job.content(1), job.covered()) == (sent, (0, len(sent)))


def test_writers_that_never_rest_do_not_hold_the_end_up(make_job: Jobs, small_disk: Path) -> None:
    """After the job's end at most one pipe's worth is taken, and the final close ends those who write."""
    job = make_job(small_disk)
    job.open()
    writers = [subprocess.Popen(["cat", "/dev/zero"], stdout=job.ends[0]) for _ in range(4)]
    try:
        assert job.next() == OutputPaused(JOB, errno.ENOSPC)
        recorded = len(job.content(0))
        _enlarge(small_disk)
        job.recording.ended()
        assert job.next() == OutputPaused(JOB, 0)
        said = job.next()
        assert isinstance(said, OutputClosed)
        assert recorded < said.stdout_bytes <= recorded + fcntl.fcntl(job.ends[0], fcntl.F_GETPIPE_SZ)
        assert job.content(0) == b"\0" * said.stdout_bytes
        assert job.covered() == (said.stdout_bytes, 0)
        job.close()
        assert [writer.wait(timeout=10) for writer in writers] == [-signal.SIGPIPE] * 4
    finally:
        for writer in writers:
            writer.kill()
            writer.wait()


def _fill(disk: Path, leave_pages: int) -> None:
    """All but so many pages."""
    vfs = os.statvfs(disk)
    (disk / "filler").write_bytes(b"\0" * ((vfs.f_bfree - leave_pages) * vfs.f_bsize))
    assert os.statvfs(disk).f_bfree == leave_pages


def test_bytes_without_room_for_their_index_record_get_one_later(make_job: Jobs, small_disk: Path) -> None:
    """The file has room in its page, the index none: a pause as any other, and no byte is moved twice."""
    files = open_files(str(small_disk), f"{JOB}-{STAMP}", resume=False)
    Index(files.index)
    records = b"".join(RECORD.pack(number, 1, 0, number, 1) for number in range(126))
    os.pwrite(files.index, records, HEADS)  # a page, to the last byte
    os.write(files.streams[0], b"." * 126)
    files.close()
    job = make_job(small_disk, resume=True)
    job.open()
    _fill(small_disk, leave_pages=0)
    job.write(0, b"first")
    assert job.next() == OutputPaused(JOB, errno.ENOSPC)
    assert (job.content(0), len(job.records())) == (b"." * 126 + b"first", 126)
    job.write(0, b" second")
    job.recording.ended()
    job.retry()
    assert (job.said.empty(), len(job.records())) == (True, 126)
    _enlarge(small_disk)
    job.retry()
    assert [job.next(), job.next()] == [OutputPaused(JOB, 0), closed(JOB, 138, 0)]
    assert (job.content(0), job.covered()) == (b"." * 126 + b"first second", (138, 0))


def test_a_pause_ends_with_room_also_for_a_stream_that_was_closed_meanwhile(
    make_job: Jobs, small_disk: Path
) -> None:
    """There is nothing more to move, and so nothing to wait for."""
    job = make_job(small_disk)
    job.open()
    _fill(small_disk, leave_pages=0)
    job.write(0, b"first")
    assert job.next() == OutputPaused(JOB, errno.ENOSPC)
    job.shut(0)
    _enlarge(small_disk)
    job.retry()
    job.retry()
    assert job.next() == OutputPaused(JOB, 0)


def test_a_ring_keeps_the_newest_bytes_and_offsets_stay_true(make_job: Jobs, tmp_path: Path) -> None:
    """What it gave up reads as zeros and takes no room; what is said has the first byte kept."""
    job = make_job(tmp_path, max_output=1 << 20)
    job.open()
    data = os.urandom(8 << 20)
    job.writing(0, data).join()
    job.end()
    said = job.next()
    assert isinstance(said, OutputClosed)
    assert (said.stdout_bytes, said.complete) == (len(data), True)
    assert len(data) - (1 << 20) - (128 << 10) - (2 << 20) < said.stdout_first < len(data) - (1 << 19)
    assert job.content(0)[said.stdout_first :] == data[said.stdout_first :]
    assert os.stat(job.folder / "stdout.log").st_blocks * 512 < 4 << 20


def test_beyond_the_limit_the_runner_is_told_once_and_takes_some_last_words(
    make_job: Jobs, tmp_path: Path
) -> None:
    """Then no more, which is not complete; the other stream goes on as ever."""
    job = make_job(tmp_path, max_output=1 << 20, ring=False)
    job.open()
    job.write(0, b"x" * (1 << 20))
    assert job.next() == OutputLimit(JOB)
    os.set_blocking(job.ends[0], False)
    written = 1 << 20

    def is_stuck() -> bool:
        nonlocal written
        try:
            written += os.write(job.ends[0], b"y" * 65536)
        except BlockingIOError:
            return os.stat(job.folder / "stdout.log").st_size > 16 << 20
        return False

    wait_for(is_stuck)
    job.write(1, b"still here")
    job.end()
    said = job.next()
    assert isinstance(said, OutputClosed)
    assert (said.complete, said.stderr_bytes) == (False, 10)
    assert 16 << 20 < said.stdout_bytes < written
    assert job.covered() == (said.stdout_bytes, 10)
