"""No unary answer comes near the 4 MiB that a grpc client takes, however much there is to tell."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from conftest import Worker, wait_for
from google.protobuf.duration_pb2 import Duration
from wire import Wire, grpc

from jobworkerd.v1 import jobworker_pb2 as pb

_MIB = 1 << 20
_BYTES = 10_000_000
_DEFAULT_TAIL, _MOST_TAIL = 64 * 1024, 256 * 1024
# Each line is its own offset, so a tail says itself where it is from.
_WRITER = f"""
import sys
for fd in (sys.stdout, sys.stderr):
    fd.writelines(f"{{at:9d}}\\n" for at in range(0, {_BYTES}, 10))
    fd.flush()
"""
_STOPPED = f"{_WRITER}\nimport signal\nsignal.pause()\n"


@pytest.fixture
def wire(worker: Worker) -> Iterator[Wire]:
    """With the limits that grpc has by default."""
    wire = Wire(worker.environment())
    yield wire
    wire.channel.close()


def _start(wire: Wire, script: str) -> str:
    return str(
        wire.stub.Start(pb.StartRequest(command="/usr/bin/python3", args=["-c", script]), timeout=20).uuid
    )


def _tails(answer: Any, size: int) -> None:
    """Both are the last ``size`` bytes of the 10 MB, and marked as such."""
    whole = b"".join(b"%9d\n" % at for at in range(0, _BYTES, 10))
    for data, info in ((answer.stdout, answer.stdout_tail), (answer.stderr, answer.stderr_tail)):
        assert (len(data), info.offset, info.truncated) == (size, _BYTES - size, size < _BYTES)
        assert data == whole[_BYTES - size :]
    assert len(answer.stdout) + len(answer.stderr) < _MIB
    assert answer.ByteSize() < _MIB


def test_a_query_returns_the_ends_of_ten_megabytes(wire: Wire) -> None:
    """64 KiB of each stream, or as much as is asked for up to 256 KiB; more is refused."""
    job = _start(wire, _WRITER)
    waited = wire.stub.Wait(pb.WaitRequest(uuid=job, for_output=True), timeout=30)
    assert (waited.ended, waited.process_info.output_closed) == (True, True)
    assert waited.process_info.stdout.bytes == waited.process_info.stderr.bytes == _BYTES
    _tails(wire.stub.QueryOneProcess(pb.QueryOneProcessRequest(uuid=job), timeout=20), _DEFAULT_TAIL)
    for size in (0, 1, _MOST_TAIL):
        _tails(
            wire.stub.QueryOneProcess(pb.QueryOneProcessRequest(uuid=job, tail_bytes=size), timeout=20), size
        )
    with pytest.raises(grpc.RpcError, match="tail_bytes: must be 0 to 262144") as caught:
        wire.stub.QueryOneProcess(pb.QueryOneProcessRequest(uuid=job, tail_bytes=_MOST_TAIL + 1), timeout=20)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_a_stop_returns_the_ends_of_ten_megabytes(wire: Wire) -> None:
    """64 KiB of each stream, with the record and the kill report beside them; again the same once it has ended."""
    job = _start(wire, _STOPPED)

    def written() -> bool:
        info = wire.stub.QueryOneProcess(pb.QueryOneProcessRequest(uuid=job, tail_bytes=0)).process_info
        return bool(info.stdout.bytes == info.stderr.bytes == _BYTES)

    wait_for(written, 20)
    for _ in range(2):
        answer = wire.stub.Stop(pb.StopRequest(uuid=job, grace=Duration(seconds=5)), timeout=20)
        _tails(answer, _DEFAULT_TAIL)
        assert (answer.is_killed, answer.exit_status.signal) == (True, 15)
        assert answer.process_info.state == pb.STOPPED
        assert answer.kill_report.nothing_left


def test_output_that_fits_is_not_marked_as_cut(wire: Wire) -> None:
    """It begins at 0."""
    job = _start(wire, "print('all', end='')")
    wire.stub.Wait(pb.WaitRequest(uuid=job, for_output=True), timeout=30)
    answer = wire.stub.QueryOneProcess(pb.QueryOneProcessRequest(uuid=job), timeout=20)
    assert (answer.stdout, answer.stdout_tail) == (b"all", pb.OutputTail())
    assert (answer.stderr, answer.stderr_tail) == (b"", pb.OutputTail())


def _pages(wire: Wire) -> list[Any]:
    pages, token = [], ""
    while True:
        request = pb.QueryRunningProcessesRequest(page_size=1000, page_token=token)
        pages.append(wire.stub.QueryRunningProcesses(request, timeout=30))
        token = pages[-1].next_page_token
        if not token:
            return pages


def test_three_hundred_long_command_lines_come_in_pages(wire: Wire) -> None:
    """100 KiB each: none is cut short, each is there once, and no page is over 4 MiB though 1,000 jobs were asked for."""
    text = "x" * 100 * 1024
    requests = [pb.StartRequest(command="true", args=[str(number), text]) for number in range(300)]
    ids = [wire.stub.Start(request, timeout=20).uuid for request in requests]
    pages = _pages(wire)
    assert max(page.ByteSize() for page in pages) < 4 * _MIB
    infos = [info for page in pages for info in page.process_table]
    assert sorted(info.uuid for info in infos) == sorted(ids)
    assert [int(info.args[0]) for info in infos] == list(range(299, -1, -1))
    assert {info.args[1] for info in infos} == {text}


@pytest.mark.parametrize(
    ("count", "fields"),
    [
        (25, {"args": [""] * 130_000}),
        (60, {"args": ["\N{GRINNING FACE}" * 32_000]}),
        (600, {"labels": {f"{number:063d}": "v" * 256 for number in range(32)}}),
        (600, {"labels": {f"{number:063d}": "\N{GRINNING FACE}" * 64 for number in range(32)}}),
    ],
    ids=["many-empty-args", "wide-characters", "labels", "wide-labels"],
)
def test_a_page_is_weighed_by_what_it_is_on_the_wire(wire: Wire, count: int, fields: dict[str, Any]) -> None:
    """Not by characters, and not by the command line alone."""
    request = pb.StartRequest(command="no-such-program", **fields)
    for future in [wire.stub.Start.future(request) for _ in range(count)]:
        assert future.exception(30).code() == grpc.StatusCode.FAILED_PRECONDITION
    pages = _pages(wire)
    assert sum(len(page.process_table) for page in pages) == count
    assert max(page.ByteSize() for page in pages) < 2 * _MIB
