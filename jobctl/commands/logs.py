"""``jobctl logs``: a job's recorded output, byte for byte."""

from __future__ import annotations

import argparse

from jobctl import values
from jobctl.cli import typed
from jobctl.failure import USAGE, Failure
from jobctl.output import Output, move
from jobctl.session import Session
from jobctl.sinks import Objects, Raw, Sink, Timed
from jobworkerd.v1 import jobworker_pb2 as pb

EXAMPLE = "example: jobctl logs -f backup --tail 20"
_MOST_WINDOW = 4 << 20


def add_options(parser: argparse.ArgumentParser) -> None:
    """The verb's own."""
    parser.add_argument("id", metavar="ID")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--stdout", action="store_true", help="this stream alone")
    which.add_argument("--stderr", action="store_true", help="this stream alone")
    parser.add_argument("-f", "--follow", action="store_true", help="go on until the job's output is complete")
    parser.add_argument(
        "-t", "--timestamps", action="store_true", help="the time of each line, in the order recorded"
    )
    parser.add_argument(
        "--since", type=typed(values.instant), metavar="T", help="recorded since: a time, or an age as 7d"
    )
    parser.add_argument("--tail", type=typed(values.count), metavar="N", help="the last N lines of each stream")
    parser.add_argument(
        "--offset", type=typed(values.count), metavar="BYTES", help="from there on; needs one stream"
    )


def run(session: Session) -> int:
    """The exit code."""
    options = session.options
    request = _request(options)
    if options.tail is not None:
        _seek_to_tail(session, request, options.tail)
    sink: Sink = Raw(session.signals)
    if session.wants_json:
        sink = Objects(session.signals, array=session.format == "json")
    elif options.timestamps:
        sink = Timed(session.signals)
    trailer = Output(session, request, sink).copy()
    if trailer.output_closed and not trailer.output_complete:
        session.say(f"some output of {options.id} was lost")
    return 0


def _request(options: argparse.Namespace) -> pb.StreamOutputRequest:
    wanted = [pb.STDOUT] if options.stdout else [pb.STDERR] if options.stderr else [pb.STDOUT, pb.STDERR]
    if options.offset is not None and len(wanted) != 1:
        raise Failure(
            USAGE, "USAGE", "--offset needs --stdout or --stderr", "jobctl logs ID --stdout --offset BYTES"
        )
    if options.offset is not None and options.tail is not None:
        raise Failure(USAGE, "USAGE", "--offset and --tail exclude each other")
    # Time is per piece, and only in order does each piece come by itself.
    timed = options.timestamps or options.output in ("json", "jsonl")
    request = pb.StreamOutputRequest(uuid=options.id, streams=wanted, follow=options.follow, in_order=timed)
    if options.offset is not None:
        request.stdout_offset = options.offset if options.stdout else 0
        request.stderr_offset = options.offset if options.stderr else 0
    if options.since is not None:
        request.since.FromDatetime(options.since)
    return request


def _seek_to_tail(session: Session, request: pb.StreamOutputRequest, lines: int) -> None:
    """Sets each stream's offset so that ``lines`` lines are left."""
    info = session.client.query(request.uuid).process_info
    request.uuid = info.uuid
    for stream in request.streams:
        output = info.stdout if stream == pb.STDOUT else info.stderr
        offset = _tail_offset(session, info.uuid, stream, output, lines)
        move(request, stream, offset)


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
    move(request, stream, begin)
    data = bytearray()
    for chunk in Output(session, request, None).chunks():
        data += chunk.data
        move(request, stream, begin + len(data))
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
