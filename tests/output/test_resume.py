"""A follower loses and doubles nothing, whatever happens to its connection, the API or the recorder."""

from __future__ import annotations

import hashlib
import os
import random
import re
import signal
import sys
from pathlib import Path

import pytest
from conftest import Worker, wait_for
from proxy import Proxy
from sizes import size

_WRITER = """
import os, random, sys, time
noise = random.Random(1)
while not os.path.exists(sys.argv[1]):
    for fd in (1, 2):
        os.write(fd, noise.randbytes(noise.randrange(1, 20000)))
    time.sleep(0.01)
"""


def _sum(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.soak
def test_a_follower_is_exact_across_killed_peers_and_cut_connections(worker: Worker) -> None:
    """API and recorder are killed by turns and connections cut; both streams come out byte for byte."""
    proxy = Proxy(worker.port)
    end = worker.folder / "end"
    job = worker.job("--", sys.executable, "-c", _WRITER, str(end))
    out, err = worker.folder / "out", worker.folder / "err"
    with out.open("wb") as stdout, err.open("wb") as stderr:
        follower = worker.popen(
            "-q", "--server", proxy.address, "logs", "-f", job, stdout=stdout, stderr=stderr
        )
    choose = random.Random(2)
    try:
        for number in range(size(40, 1500)):
            before = out.stat().st_size
            wait_for(lambda before=before: out.stat().st_size > before, 20)
            if number % 2:
                wait_for(proxy.cut, 20)
                continue
            role = choose.choice(("api", "recorder"))
            pid = wait_for(lambda role=role: worker.peer(role))
            os.kill(pid, signal.SIGKILL)
            wait_for(lambda role=role, pid=pid: worker.peer(role) not in (0, pid))
        end.touch()
        assert follower.wait(timeout=30) == 0
    finally:
        follower.kill()
        proxy.close()
    record = worker.ended(job)
    assert record["output_complete"] is True
    assert (_sum(out), _sum(err)) == (_sum(Path(record["stdout_path"])), _sum(Path(record["stderr_path"])))
    assert proxy.taken > size(20, 700)


def test_a_lost_connection_is_told_in_one_line(worker: Worker) -> None:
    """However often it is tried again until it is back."""
    end = worker.folder / "end"
    job = worker.job("--", "sh", "-c", f"echo one; until [ -e {end} ]; do sleep 0.1; done; echo two")
    follower = worker.popen("logs", "-f", job, stdout=-1, stderr=-1)
    assert follower.stdout is not None
    assert follower.stdout.readline() == b"one\n"
    assert follower.stderr is not None
    os.kill(worker.peer("api"), signal.SIGKILL)
    line = follower.stderr.readline().decode()
    assert re.fullmatch(r"jobctl: the connection was lost: .*; going on as soon as it is back\n", line)
    end.touch()
    assert follower.communicate(timeout=20) == (b"two\n", b"")


def test_after_its_patience_a_follower_says_what_goes_on_from_there(worker: Worker) -> None:
    """And that does, byte for byte, when the worker is back."""
    proxy = Proxy(worker.port)
    job = worker.job("--", "sh", "-c", "seq 1 1000; exec sleep 600")
    follower = worker.popen(
        "--server", proxy.address, "--reconnect-for", "1s", "logs", "-f", job, "--stdout", stdout=-1, stderr=-1
    )
    expected = "".join(f"{number}\n" for number in range(1, 1001))
    assert follower.stdout is not None
    assert follower.stdout.read(len(expected)).decode() == expected
    proxy.close()
    _, err = follower.communicate(timeout=30)
    assert follower.returncode == 5
    lost, given_up, hint = err.decode().splitlines()
    assert lost.startswith("jobctl: the connection was lost: ")
    assert given_up.endswith(f"; was shown: stdout up to {len(expected)}")
    assert hint == f"try: jobctl logs -f {job} --stdout --offset {len(expected)}"
    assert worker.jobctl("stop", job).returncode == 0
    again = hint.removeprefix("try: jobctl ").split()
    again[-1] = "3885"
    assert worker.jobctl(*again).stdout == expected[3885:]
