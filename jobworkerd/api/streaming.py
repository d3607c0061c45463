"""StreamOutput: a job's output from any offset, to its end where it is followed, then the trailer."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import Any

from jobworkerd.config import Config
from jobworkerd.v1 import jobworker_pb2 as pb

from . import convert, output
from .access import Write
from .errors import CallError, invalid
from .jobs import Live
from .reading import Gone, Item, Reading
from .recorded import Recorded
from .store import Row
from .watch import Watch

_STREAMS: tuple[int, int] = (pb.STDOUT, pb.STDERR)


class Streaming:
    """One call. ``live`` is None for a job that is settled."""

    def __init__(
        self, request: pb.StreamOutputRequest, row: Row, live: Live | None, config: Config, watch: Watch
    ) -> None:
        self._request = request
        self._row = row
        self._live = live
        self._config = config
        self._watch = watch
        self._woken = asyncio.Event()
        self._offsets = _offsets(request)

    @property
    def row(self) -> Row:
        """As it is by now."""
        return self._live.row if self._live is not None else self._row

    async def run(self, write: Write) -> None:
        """Everything, in order. CallError before the first message."""
        with contextlib.ExitStack() as stack:
            if self._live is not None:
                stack.enter_context(self._live.telling(self._woken))
            files = await self._open()
            if files is not None:
                stack.callback(files.close)
                ends = self._check_offsets(files)
                if self._request.follow and not self.row.output_closed:
                    stack.enter_context(self._watch.on(files.index_path, self._woken))
                since = self._request.since.ToNanoseconds() if self._request.HasField("since") else 0
                reading = Reading(files, self._offsets, in_order=self._request.in_order, since_ns=since)
                async for item in self._read(files, reading, ends):
                    await write(_message(item))
            await write(pb.StreamOutputResponse(trailer=self._trailer(files)))

    async def _open(self) -> Recorded | None:
        """None where there is no output, and will be none."""
        while True:
            self._woken.clear()
            closed = self.row.output_closed
            try:
                return Recorded(output.folder(self._config, self.row))
            except FileNotFoundError:
                if closed or not self._request.follow:
                    return None
            await self._woken.wait()

    async def _read(self, files: Recorded, reading: Reading, now: dict[int, int]) -> AsyncIterator[Item]:
        while True:
            self._woken.clear()
            closed = self.row.output_closed
            ends = self._final(files) if closed else None if self._request.follow else now
            async for item in reading.until(ends):
                yield item
            if ends is not None:
                async for item in reading.unindexed(ends):
                    yield item
                return
            await self._woken.wait()

    def _check_offsets(self, files: Recorded) -> dict[int, int]:
        """The sizes now. A byte that was delivered was recorded, so no reader of ours asks for more."""
        sizes = {stream: files.size(stream) for stream in _STREAMS}
        for stream, offset in self._offsets.items():
            if offset > sizes[stream]:
                raise CallError(
                    "OFFSET_BEYOND_END",
                    f"{output.STREAMS[stream - 1]} has {sizes[stream]} bytes, not {offset}",
                )
        return sizes

    def _final(self, files: Recorded) -> dict[int, int]:
        row = self.row
        if row.output_complete:
            return {pb.STDOUT: row.stdout_bytes, pb.STDERR: row.stderr_bytes}
        return {stream: files.size(stream) for stream in _STREAMS}

    def _trailer(self, files: Recorded | None) -> pb.OutputTrailer:
        row = self.row
        sizes = {stream: files.size(stream) if files is not None else 0 for stream in _STREAMS}
        whole = sizes[pb.STDOUT] >= row.stdout_bytes and sizes[pb.STDERR] >= row.stderr_bytes
        return pb.OutputTrailer(
            state=row.state,
            exit_status=convert.exit_status(row),
            stdout_bytes=sizes[pb.STDOUT],
            stderr_bytes=sizes[pb.STDERR],
            output_closed=row.output_closed,
            output_complete=row.output_complete and whole,
        )


def _offsets(request: pb.StreamOutputRequest) -> dict[int, int]:
    """Of the streams wanted. CallError."""
    offsets: dict[int, int] = {pb.STDOUT: request.stdout_offset, pb.STDERR: request.stderr_offset}
    for wanted in request.streams:
        if wanted not in _STREAMS:
            raise invalid("streams", f"{wanted} is neither STDOUT nor STDERR")
    for stream, offset in offsets.items():
        if offset < 0:
            raise invalid(f"{output.STREAMS[stream - 1]}_offset", "must be 0 or more")
    return {stream: offsets[stream] for stream in _STREAMS if not request.streams or stream in request.streams}


def _message(item: Item) -> pb.StreamOutputResponse:
    stream: Any = item.stream  # the stubs have a type of their own for it
    if isinstance(item, Gone):
        gone = pb.OutputGone(stream=stream, offset=item.offset, next_offset=item.end)
        return pb.StreamOutputResponse(gone=gone)
    response = pb.StreamOutputResponse()
    chunk = response.chunk  # filled in place: a message given to a constructor is copied, with all of its data
    chunk.stream = stream
    chunk.offset = item.offset
    chunk.data = item.data
    if item.time_ns:
        chunk.time.FromNanoseconds(item.time_ns)
    return response
