"""A worker in a folder of its own, the bare server beside it, and how the measures use both."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from jobworkerd.v1 import jobworker_pb2 as pb
from jobworkerd.v1 import jobworker_pb2_grpc
from tools import dev

from . import bare
from .rounds import Broken


class Place:
    """What a measure gets."""

    def __init__(self, folder: Path, runner: int, context: Path, bare_port: int) -> None:
        self.folder = folder
        self.runner = runner
        self.context = context
        self.bare_port = bare_port
        port = int(context.read_text().partition('server = "')[2].partition('"')[0].rpartition(":")[2])
        self.stub: Any = jobworker_pb2_grpc.JobWorkerStub(bare.connect(context, port))

    def start(self, *argv: str) -> pb.StartResponse:
        """Starts a job, in this folder."""
        request = pb.StartRequest(command=argv[0], args=argv[1:], dir=str(self.folder))
        started: pb.StartResponse = self.stub.Start(request)
        return started

    def wait(self, job: str) -> pb.ProcessInfo:
        """Until all its output is recorded. Broken where it failed."""
        info: pb.ProcessInfo = self.stub.Wait(pb.WaitRequest(uuid=job, for_output=True)).process_info
        if info.exit_status.code or info.exit_status.signal or not info.output_complete:
            raise Broken(f"job {info.command} {list(info.args)}: {info.exit_status}, {info.error}")
        return info

    def jobctl(self, *args: str) -> list[str]:
        """Its argv."""
        return [sys.executable, "-m", "jobctl", "--config", str(self.context), *args]

    def peer(self, role: str) -> int:
        """The pid of "api" or "recorder"."""
        for child in Path(f"/proc/{self.runner}/task/{self.runner}/children").read_text().split():
            if f"jobworkerd.{role}\0".encode() in Path(f"/proc/{child}/cmdline").read_bytes():
                return int(child)
        raise Broken(f"the worker has no {role}")


@contextmanager
def placed(folder: Path) -> Iterator[Place]:
    """Both servers, stopped at the end."""
    context = dev.configure(folder)
    config = folder / "jobworker.toml"
    # A ring, as by default, but one that keeps all.
    config.write_text(config.read_text().replace("[jobs]\n", '[jobs]\nmax_output = "1024GiB"\n'))
    with (folder / "worker.log").open("wb") as log, dev.worker(folder, log.fileno()) as runner:
        serve = [sys.executable, "-m", "bench.bare", "serve", str(folder / "pki")]
        with subprocess.Popen(serve, stdout=subprocess.PIPE) as server:
            try:
                assert server.stdout is not None
                yield Place(folder, runner.pid, context, int(server.stdout.readline()))
            finally:
                server.terminate()


def seconds(argv: list[str], stdout: int = subprocess.DEVNULL) -> float:
    """How long a program runs. Broken where it fails, or complains."""
    begin = time.perf_counter()
    done = subprocess.run(argv, stdin=subprocess.DEVNULL, stdout=stdout, stderr=subprocess.PIPE, check=False)
    elapsed = time.perf_counter() - begin
    if done.returncode or done.stderr:
        raise Broken(
            f"{' '.join(argv[:6])} ended with {done.returncode}: {done.stderr.decode(errors='replace')}"
        )
    return elapsed


def settle() -> None:
    """What was written before goes to the disk now, not under the next measure."""
    os.sync()
