"""``jobctl logs``: a job's recorded output, byte for byte."""

from __future__ import annotations

import argparse

from jobctl import streams, values
from jobctl.cli import typed
from jobctl.failure import USAGE, Failure
from jobctl.session import Session
from jobworkerd.v1 import jobworker_pb2 as pb

EXAMPLE = "example: jobctl logs backup --stderr --tail 20"
_MOST_WINDOW = 4 << 20


def add_options(parser: argparse.ArgumentParser) -> None:
    """The verb's own."""
    parser.add_argument("id", metavar="ID")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--stdout", action="store_true", help="this stream alone")
    which.add_argument("--stderr", action="store_true", help="this stream alone")
    parser.add_argument("--tail", type=typed(values.count), metavar="N", help="the last N lines of each stream")
    parser.add_argument(
        "--offset", type=typed(values.count), metavar="BYTES", help="from there on; needs one stream"
    )


def run(session: Session) -> int:
    """The exit code."""
    options = session.options
    wanted = [pb.STDOUT] if options.stdout else [pb.STDERR] if options.stderr else [pb.STDOUT, pb.STDERR]
    if options.offset is not None and len(wanted) != 1:
        raise Failure(
            USAGE, "USAGE", "--offset needs --stdout or --stderr", "jobctl logs ID --stdout --offset BYTES"
        )
    if options.offset is not None and options.tail is not None:
        raise Failure(USAGE, "USAGE", "--offset and --tail exclude each other")
    request = pb.StreamOutputRequest(uuid=options.id, streams=wanted)
    if options.offset is not None:
        request.stdout_offset = options.offset if options.stdout else 0
        request.stderr_offset = options.offset if options.stderr else 0
    if options.tail is not None:
        _seek_to_tail(session, request, options.tail)
    copy(session, request)
    return 0


def copy(session: Session, request: pb.StreamOutputRequest) -> None:
    """The job's stdout to stdout and stderr to stderr."""
    targets = {pb.STDOUT: streams.STDOUT, pb.STDERR: streams.STDERR}
    for chunk in session.client.stream(request):
        with session.signals.raising():
            streams.write(targets[chunk.stream], chunk.data)


def _seek_to_tail(session: Session, request: pb.StreamOutputRequest, lines: int) -> None:
    """Sets each stream's offset so that ``lines`` lines are left."""
    info = session.client.query(request.uuid).process_info
    request.uuid = info.uuid
    for stream in request.streams:
        output = info.stdout if stream == pb.STDOUT else info.stderr
        offset = _tail_offset(session, info.uuid, stream, output, lines)
        if stream == pb.STDOUT:
            request.stdout_offset = offset
        else:
            request.stderr_offset = offset


def _tail_offset(session: Session, job: str, stream: pb.Stream, output: pb.OutputInfo, lines: int) -> int:
    """Reads backwards from what is recorded now, a window at a time; what comes meanwhile is shown too."""
    end = output.bytes
    window = 64 * 1024
    last = True
    while end > output.first_offset and lines:
        begin = max(output.first_offset, end - window)
        data = _read(session, job, stream, begin, end)
        if last and data.endswith(b"\n"):
            data = data[:-1]  # it ends the last line, and begins none
        at, lines = _nth_newline_from_end(data, lines)
        if lines == 0:
            return begin + at + 1
        end, last = begin, False
        window = min(window * 4, _MOST_WINDOW)
    return end


def _read(session: Session, job: str, stream: pb.Stream, begin: int, end: int) -> bytes:
    request = pb.StreamOutputRequest(uuid=job, streams=[stream])
    if stream == pb.STDOUT:
        request.stdout_offset = begin
    else:
        request.stderr_offset = begin
    data = bytearray()
    for chunk in session.client.stream(request):
        data += chunk.data
        if begin + len(data) >= end:
            break
    return bytes(data[: end - begin])


def _nth_newline_from_end(data: bytes, lines: int) -> tuple[int, int]:
    """Where it is, and how many are still to be found (then, before this data)."""
    at = len(data)
    while lines:
        at = data.rfind(b"\n", 0, at)
        if at < 0:
            break
        lines -= 1
    return at, lines
