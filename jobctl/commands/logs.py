"""``jobctl logs``: a job's recorded output, byte for byte."""

from __future__ import annotations

import argparse
import os
import sys

from jobctl.cli import typed
from jobctl.failure import USAGE, Failure
from jobctl.session import Session
from jobworkerd.v1 import jobworker_pb2 as pb

EXAMPLE = "example: jobctl logs backup --stderr --tail 20"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The verb's own."""
    parser.add_argument("id", metavar="ID")
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--stdout", action="store_true", help="this stream alone")
    which.add_argument("--stderr", action="store_true", help="this stream alone")
    parser.add_argument("--tail", type=typed(_lines), metavar="N", help="the last N lines of each stream")
    parser.add_argument("--offset", type=typed(_lines), metavar="BYTES", help="from there on; needs one stream")


def run(session: Session) -> int:
    """The exit code."""
    options = session.options
    streams = [pb.STDOUT] if options.stdout else [pb.STDERR] if options.stderr else [pb.STDOUT, pb.STDERR]
    if options.offset is not None and len(streams) != 1:
        raise Failure(
            USAGE, "USAGE", "--offset needs --stdout or --stderr", "jobctl logs ID --stdout --offset BYTES"
        )
    if options.offset is not None and options.tail is not None:
        raise Failure(USAGE, "USAGE", "--offset and --tail exclude each other")
    request = pb.StreamOutputRequest(uuid=options.id, streams=streams)
    if options.offset is not None:
        request.stdout_offset = options.offset if options.stdout else 0
        request.stderr_offset = options.offset if options.stderr else 0
    if options.tail is not None:
        _seek_to_tail(session, request, options.tail)
    copy(session, request)
    return 0


def copy(session: Session, request: pb.StreamOutputRequest) -> None:
    """The job's stdout to stdout and stderr to stderr."""
    targets = {pb.STDOUT: sys.stdout.fileno(), pb.STDERR: sys.stderr.fileno()}
    sys.stdout.flush()
    for response in session.client.stream(request):
        if response.WhichOneof("what") == "chunk":
            _write(targets[response.chunk.stream], response.chunk.data)


def _seek_to_tail(session: Session, request: pb.StreamOutputRequest, lines: int) -> None:
    """Sets each stream's offset so that ``lines`` lines are left, reading backwards from the end."""
    info = session.client.query(request.uuid).process_info
    request.uuid = info.uuid
    for stream in request.streams:
        size = (info.stdout if stream == pb.STDOUT else info.stderr).bytes
        offset = _tail_offset(session, info.uuid, stream, size, lines)
        if stream == pb.STDOUT:
            request.stdout_offset = offset
        else:
            request.stderr_offset = offset


def _tail_offset(session: Session, job: str, stream: pb.Stream, size: int, lines: int) -> int:
    window = 64 * 1024
    while True:
        begin = max(0, size - window)
        data = bytearray()
        request = pb.StreamOutputRequest(uuid=job, streams=[stream])
        if stream == pb.STDOUT:
            request.stdout_offset = begin
        else:
            request.stderr_offset = begin
        for response in session.client.stream(request):
            data += response.chunk.data
        del data[size - begin :]  # what was written meanwhile is not counted
        at = _nth_line_from_end(bytes(data), lines)
        if at is not None:
            return begin + at
        if begin == 0:
            return 0
        window *= 4


def _nth_line_from_end(data: bytes, lines: int) -> int | None:
    """Where the last ``lines`` lines begin; None where the data holds fewer."""
    at = len(data) - 1 if data.endswith(b"\n") else len(data)
    if lines == 0:
        return len(data)
    for _ in range(lines):
        at = data.rfind(b"\n", 0, at)
        if at < 0:
            return None
    return at + 1


def _write(fd: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


def _lines(text: str) -> int:
    if not text.isdigit():
        raise ValueError(f"{text!r} is not a number, 0 or more")
    return int(text)
