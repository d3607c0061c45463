"""One job's output on its way to a sink, from wherever it is: over lost connections, exactly."""

from __future__ import annotations

from collections.abc import Iterator

from jobworkerd.v1 import jobworker_pb2 as pb

from .failure import UNREACHABLE, Failure
from .session import Session
from .sinks import NAMES, Sink


class Output:
    """``request`` says what is wanted; its offsets move with what is written."""

    def __init__(self, session: Session, request: pb.StreamOutputRequest, sink: Sink | None) -> None:
        self._session = session
        self._request = request
        self._sink = sink
        self._trailer = pb.OutputTrailer()

    def copy(self) -> pb.OutputTrailer:
        """To the sink, up to the trailer. Raises Failure; after an interruption it can be called again."""
        assert self._sink is not None
        for chunk in self.chunks():
            written: list[int] = []
            try:
                self._sink.take(chunk, written)
            finally:
                move(self._request, chunk.stream, chunk.offset + sum(written))
        self._sink.close()
        return self._trailer

    def chunks(self) -> Iterator[pb.OutputChunk]:
        """What comes, as it comes; whoever takes it moves the offsets."""
        options = self._session.options
        patience = options.reconnect_for if self._request.follow else options.connect_timeout
        try:
            for response in self._session.client.stream(self._request, patience, self._lost):
                kind = response.WhichOneof("what")
                if kind == "chunk":
                    yield response.chunk
                elif kind == "gone":
                    self._skip(response.gone)
                elif kind == "trailer":
                    self._trailer = response.trailer
        except Failure as failure:
            if failure.code != UNREACHABLE or not self._session.client.answered:
                raise
            raise self._given_up(failure) from None

    def _lost(self, failure: Failure) -> None:
        if self._request.follow:
            self._session.say(f"the connection was lost: {failure.message}; going on as soon as it is back")

    def _skip(self, gone: pb.OutputGone) -> None:
        count = gone.next_offset - gone.offset
        self._session.say(f"{count} bytes of {NAMES[gone.stream]}, from {gone.offset} on, are no longer kept")
        move(self._request, gone.stream, gone.next_offset)

    def _given_up(self, failure: Failure) -> Failure:
        """With the offsets reached, and what goes on from there."""
        request = self._request
        reached = {pb.STDOUT: request.stdout_offset, pb.STDERR: request.stderr_offset}
        wanted = [stream for stream in NAMES if not request.streams or stream in request.streams]
        where = " and ".join(f"{NAMES[stream]} up to {reached[stream]}" for stream in wanted)
        follow = "-f " if request.follow else ""
        ways = [
            f"jobctl logs {follow}{request.uuid} --{NAMES[stream]} --offset {reached[stream]}"
            for stream in wanted
        ]
        message = f"{failure.message}; was shown: {where}"
        return Failure(failure.code, failure.reason, message, "; ".join(ways), metadata=failure.metadata)


def move(request: pb.StreamOutputRequest, stream: int, offset: int) -> None:
    """From there on."""
    if stream == pb.STDOUT:
        request.stdout_offset = offset
    else:
        request.stderr_offset = offset
