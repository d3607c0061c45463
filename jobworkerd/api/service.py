"""The methods of jobworker.v1.JobWorker: each a rule, one thing asked of the rings below, one answer."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Callable

from google.protobuf.duration_pb2 import Duration

from jobworkerd import __version__
from jobworkerd.channel import messages
from jobworkerd.config import Config
from jobworkerd.journal import Journal
from jobworkerd.v1 import jobworker_pb2 as pb
from jobworkerd.v1 import jobworker_pb2_grpc

from . import convert, ids, listing, output
from .access import Caller, Rule, Write, guarded, guarded_stream
from .decoding import decoded
from .denials import Denials
from .errors import CallError, invalid
from .jobs import Jobs, Live
from .policy import Policy
from .starting import Starting
from .store import Row, Store
from .streaming import Streaming
from .watch import Watch

_LAST_SIGNAL = 64
_MAX_STREAMS = 512
"""Of one caller: each that is not read costs some memory."""

_SIGTERM = 15


class Service(jobworker_pb2_grpc.JobWorkerServicer):  # type: ignore[misc]
    """``config`` and ``policy`` are replaced by a reload."""

    def __init__(
        self,
        config: Config,
        policy: Policy,
        store: Store,
        jobs: Jobs,
        starting: Starting,
        send: Callable[[messages.Message], None],
        journal: Journal,
        watch: Watch,
    ) -> None:
        self.config = config
        self.policy = policy
        self.journal = journal
        self.denials = Denials(journal)
        self._store = store
        self._jobs = jobs
        self._starting = starting
        self._send = send
        self._watch = watch
        self._streams: Counter[str] = Counter()

    @guarded(Rule.CONTROL)
    async def Start(self, request: pb.StartRequest, caller: Caller) -> pb.StartResponse:  # noqa: N802 -- the proto's
        """See jobworker.proto."""
        row, repeated = await self._starting.start(request, caller, self.policy, self.config)
        return _started(row, repeated)

    @guarded(Rule.CONTROL)
    async def StartWithInput(  # noqa: N802
        self, messages: AsyncIterator[pb.StartWithInputRequest], caller: Caller
    ) -> pb.StartResponse:
        """See jobworker.proto."""
        first = decoded(await anext(aiter(messages), pb.StartWithInputRequest()))
        if first.WhichOneof("what") != "request":
            raise invalid("request", "must be the first message")
        row, repeated = await self._starting.with_input(
            first.request, _inputs(messages), caller, self.policy, self.config
        )
        return _started(row, repeated)

    @guarded(Rule.CONTROL)
    async def Stop(self, request: pb.StopRequest, caller: Caller) -> pb.StopResponse:  # noqa: N802
        """See jobworker.proto."""
        grace = self.config.jobs.stop_grace_seconds
        if request.HasField("grace"):
            grace = _seconds("grace", request.grace)
        if not 0 <= request.signal <= _LAST_SIGNAL:
            raise invalid("signal", f"must be 1 to {_LAST_SIGNAL}")
        row = await self._find(request.uuid, caller)
        if not self.policy.may_control(caller.identity, row.caller):
            raise CallError(
                "NOT_GRANTED", f"{caller.identity} may not stop jobs of {row.caller}", caller=caller.identity
            )
        live = self._jobs.get(row.job_id)
        if live is not None and not live.row.ended:
            live.survivors = ""
            self._send(messages.Stop(row.job_id, caller.identity, request.signal or _SIGTERM, grace))
            row = await _wait_for_end(live)
        return await self._stopped(row)

    @guarded(Rule.GRANTED)
    async def QueryOneProcess(  # noqa: N802
        self, request: pb.QueryOneProcessRequest, caller: Caller
    ) -> pb.QueryOneProcessResponse:
        """See jobworker.proto."""
        count = request.tail_bytes if request.HasField("tail_bytes") else output.DEFAULT_TAIL
        if not 0 <= count <= output.MAX_TAIL:
            raise invalid("tail_bytes", f"must be 0 to {output.MAX_TAIL}")
        row = await self._find(request.uuid, caller)
        stdout, stderr = await output.tails(self.config, row, count)
        return pb.QueryOneProcessResponse(
            process_info=await self._info(row),
            stdout=stdout.data,
            stderr=stderr.data,
            stdout_tail=convert.tail_info(stdout),
            stderr_tail=convert.tail_info(stderr),
        )

    @guarded(Rule.GRANTED)
    async def QueryRunningProcesses(  # noqa: N802
        self, request: pb.QueryRunningProcessesRequest, caller: Caller
    ) -> pb.QueryRunningProcessesResponse:
        """See jobworker.proto."""
        policy = self.policy
        rows, token = await listing.page(
            request, self._store, lambda owner: policy.may_read(caller.identity, owner)
        )
        infos = [await self._info(self._jobs.current(row)) for row in rows]
        return pb.QueryRunningProcessesResponse(process_table=infos, next_page_token=token)

    @guarded(Rule.GRANTED)
    async def Wait(self, request: pb.WaitRequest, caller: Caller) -> pb.WaitResponse:  # noqa: N802
        """See jobworker.proto."""
        timeout = _seconds("timeout", request.timeout) if request.HasField("timeout") else None
        row = await self._find(request.uuid, caller)
        live = self._jobs.get(row.job_id)
        if live is not None:
            try:
                async with asyncio.timeout(timeout):
                    while not live.row.ended or (request.for_output and not live.row.output_closed):
                        await live.changed.wait()
            except TimeoutError:
                pass
            row = live.row
        return pb.WaitResponse(process_info=await self._info(row), ended=row.ended)

    @guarded_stream(Rule.GRANTED)
    async def StreamOutput(  # noqa: N802
        self, request: pb.StreamOutputRequest, caller: Caller, write: Write
    ) -> None:
        """See jobworker.proto."""
        if self._streams[caller.identity] >= _MAX_STREAMS:
            why = f"{_MAX_STREAMS} streams of {caller.identity} are open; end one"
            raise CallError("TOO_MANY_STREAMS", why)
        self._streams[caller.identity] += 1
        try:
            row = await self._find(request.uuid, caller)
            await Streaming(request, row, self._jobs.get(row.job_id), self.config, self._watch).run(write)
        finally:
            self._streams[caller.identity] -= 1

    @guarded(Rule.GRANTED)
    async def GetVersion(self, _: pb.GetVersionRequest, __: Caller) -> pb.GetVersionResponse:  # noqa: N802
        """See jobworker.proto."""
        return pb.GetVersionResponse(version=__version__, api_version="v1")

    # --- inside -------------------------------------------------------------------------------

    async def _find(self, reference: str, caller: Caller) -> Row:
        return await ids.resolve(reference, caller.identity, self._store, self._jobs, self.policy)

    async def _info(self, row: Row) -> pb.ProcessInfo:
        return await convert.process_info(self.config, row, self._jobs.get(row.job_id))

    async def _stopped(self, row: Row) -> pb.StopResponse:
        stdout, stderr = await output.tails(self.config, row, output.DEFAULT_TAIL)
        info = await self._info(row)
        return pb.StopResponse(
            stdout=stdout.data,
            stderr=stderr.data,
            is_killed=row.signalled,
            end_time=convert.timestamp(row.end_time_ns),
            exit_status=convert.exit_status(row),
            kill_report=info.kill_report if info.HasField("kill_report") else None,
            stdout_tail=convert.tail_info(stdout),
            stderr_tail=convert.tail_info(stderr),
            process_info=info,
        )


def _started(row: Row, repeated: bool) -> pb.StartResponse:
    return pb.StartResponse(
        pid=row.pid,
        uuid=row.job_id,
        start_time=convert.timestamp(row.start_time_ns),
        state=row.state,
        repeated_request=repeated,
    )


async def _inputs(messages: AsyncIterator[pb.StartWithInputRequest]) -> AsyncIterator[bytes]:
    async for message in messages:
        if decoded(message).WhichOneof("what") != "input":
            raise invalid("input", "must be all messages but the first")
        yield message.input


async def _wait_for_end(live: Live) -> Row:
    """Until the end is committed, or the runner says what it cannot kill (CallError)."""
    while not live.row.ended:
        if live.survivors:
            report = convert.kill_report(live.survivors)
            named = ", ".join(
                f"{each.pid} ({each.name}, state {each.process_state})"
                for each in (report.survivors if report else ())
            )
            raise CallError("CANNOT_BE_KILLED", f"still there after SIGKILL: {named}", job_id=live.row.job_id)
        await live.changed.wait()
    return live.row


def _seconds(field: str, duration: Duration) -> float:
    seconds = duration.seconds + duration.nanos / 1e9
    if seconds < 0:
        raise invalid(field, "must not be negative")
    return seconds
