"""Readers that do not read: they cost the worker little, hold up nobody, and a dead one is dropped."""

from __future__ import annotations

import os
import re
import signal
import statistics
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from conftest import Worker, wait_for
from following import MIB, ended, memory
from sizes import SOAK, size
from wire import Wire

from jobworkerd.v1 import jobworker_pb2 as pb

_ESTABLISHED = "01"
_GRANT = """
[[grant]]
identity = "jobworker://ops/other"
role = "viewer"
"""
# Connections of their own (grpc would share one), each with a call that has got its first message and is asked
# for no other: grpc reads on until the flow-control window is full, and answers pings.
_READERS = """
import os, sys, threading
from jobctl import contexts
from jobctl.client import grpc
from jobworkerd.v1 import jobworker_pb2 as pb, jobworker_pb2_grpc
context = contexts.find({}, os.environ)
credentials = grpc.ssl_channel_credentials(context.ca, context.key, context.cert)
kept = []
for _ in range(int(sys.argv[2])):
    options = [("grpc.use_local_subchannel_pool", 1)]
    channel = grpc.secure_channel(context.server, credentials, options)
    call = jobworker_pb2_grpc.JobWorkerStub(channel).StreamOutput(
        pb.StreamOutputRequest(uuid=sys.argv[1], follow=True)
    )
    assert next(call).chunk.offset == 0
    kept.append((channel, call))
print("all", flush=True)
threading.Event().wait()
"""


def _rows() -> list[list[str]]:
    """Of every TCP socket here; grpc's are IPv6 ones, for both."""
    text = Path("/proc/net/tcp").read_text() + Path("/proc/net/tcp6").read_text()
    return [line.split() for line in text.splitlines()]


def _clients(port: int) -> set[str]:
    """The ports of clients, of established connections of whoever listens there, seen from its end."""
    return {
        row[2].rpartition(":")[2]
        for row in _rows()
        if row[1].endswith(f":{port:04X}") and row[3] == _ESTABLISHED
    }


def _port_of(pid: int, server: int) -> str:
    """A client's own port of its connection to that server."""
    links = [os.readlink(path) for path in Path(f"/proc/{pid}/fd").iterdir()]
    (found,) = [row for row in _rows() if f"socket:[{row[9]}]" in links and row[2].endswith(f":{server:04X}")]
    return found[1].rpartition(":")[2]


def _readers(worker: Worker, job: str, count: int) -> subprocess.Popen[str]:
    argv = [worker.argv()[0], "-c", _READERS, job, str(count)]
    return subprocess.Popen(argv, env=worker.environment(), stdout=subprocess.PIPE, text=True)


def _median(call: Callable[[], object], times: int) -> float:
    """Seconds."""
    taken = []
    for _ in range(times):
        begin = time.monotonic()
        call()
        taken.append(time.monotonic() - begin)
    return statistics.median(taken)


def _idle(pid: int) -> Callable[[], bool]:
    """Whether it has used less than a tick of a processor for half a second."""
    seen = (time.monotonic(), -1)

    def is_idle() -> bool:
        nonlocal seen
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        used = int(fields[11]) + int(fields[12])
        if used > seen[1] + 1:
            seen = (time.monotonic(), used)
        return time.monotonic() > seen[0] + 0.5

    return is_idle


@pytest.mark.soak
def test_readers_that_never_read_cost_little_and_hold_up_nobody(idle_worker: Worker) -> None:
    """200 follow 300 MB: 100 in live processes that ask for no second message, 100 in stopped ones.

    The first kind is the worst that a client can do for as long as it likes: it answers pings, so it is never
    dropped. The second is a dead machine: its kernel takes what fits its buffers, and nobody answers.
    """
    worker = idle_worker
    worker.configure(_GRANT)
    worker.start()
    job = worker.job("--", "sh", "-c", "head -c 300000000 /dev/zero; exec sleep 600")
    wait_for(lambda: worker.record(job)["stdout_bytes"] == 300_000_000, 30)
    other = Wire(worker.environment(worker.client("jobworker://ops/other")))

    def query() -> None:
        answer = other.stub.QueryOneProcess(pb.QueryOneProcessRequest(uuid=job), timeout=20)
        assert answer.process_info.state == pb.RUNNING

    assert worker.jobctl("logs", job, text=False).stdout.count(b"\0") == 300_000_000
    without = _median(query, 50)
    api = worker.peer("api")
    before = memory(api)
    readers = [_readers(worker, job, 50) for _ in range(4)]
    with ended(readers):
        for each in readers:
            assert each.stdout is not None
            assert each.stdout.readline() == "all\n"
        for each in readers[:2]:
            each.send_signal(signal.SIGSTOP)
        assert len(_clients(worker.port)) == 200 + 1
        filling = _median(query, 50)
        wait_for(_idle(api), 30)  # every buffer is full
        until = time.monotonic() + size(5, 60)
        largest, slowest = 0, 0.0
        while time.monotonic() < until:
            slowest = max(slowest, _median(query, 50))
            largest = max(largest, memory(api))
        if SOAK:
            assert len(_clients(worker.port)) == 100 + 1  # the dead are gone, and nobody else
    print(
        f"200 readers: the API's memory grew by {(largest - before) / MIB:.1f} MiB; a query took, in the median, "
        f"{without * 1000:.2f} ms without them, {filling * 1000:.2f} ms while their buffers were filled, and then "
        f"at most {slowest * 1000:.2f} ms"
    )
    assert largest - before < 64 * MIB
    assert slowest < 5 * max(without, 0.001)
    wait_for(lambda: len(_clients(worker.port)) == 1)
    other.channel.close()
    assert worker.peer("api") == api
    # That a client went in the middle of a message is nobody's mistake.
    assert not {"bug", "Traceback", "Error"} & set(re.findall(r"\w+", worker.journal.read_text()))


def test_a_dead_follower_is_dropped_within_40_s(worker: Worker) -> None:
    """Also one whose connection is full of what it did not read; a live one that has nothing to read is not."""
    quiet = worker.job("--", "sh", "-c", "echo; exec sleep 600")
    loud = worker.job("--", "sh", "-c", "head -c 50000000 /dev/zero; exec sleep 600")
    wait_for(lambda: worker.record(loud)["stdout_bytes"] == 50_000_000)
    pipe = subprocess.PIPE
    followers = [worker.popen("logs", "-f", job, stdout=pipe, stderr=pipe) for job in (quiet, loud, quiet)]
    with ended(followers):
        for each in followers:
            assert each.stdout is not None
            assert each.stdout.read(1) in b"\n\0"
        ports = [_port_of(each.pid, worker.port) for each in followers]
        assert set(ports) <= _clients(worker.port)
        for each in followers[:2]:
            each.send_signal(signal.SIGSTOP)
        begin = time.monotonic()
        for port, which in zip(ports, ("with nothing to read", "with much to read"), strict=False):
            wait_for(lambda port=port: port not in _clients(worker.port), 40 - (time.monotonic() - begin))
            print(f"a dead follower {which} was gone after {time.monotonic() - begin:.1f} s")
        assert ports[2] in _clients(worker.port)
        # And it gets the end of its job.
        assert worker.jobctl("stop", quiet).returncode == 0
        assert followers[2].communicate(timeout=10) == (b"", b"")
        assert followers[2].returncode == 0
