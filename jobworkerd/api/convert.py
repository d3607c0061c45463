"""Rows to messages of the wire."""

from __future__ import annotations

import errno
import json
import os
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from jobworkerd.config import Config
from jobworkerd.v1 import jobworker_pb2 as pb

from . import output
from .jobs import Live
from .store import Row


def timestamp(ns: int) -> Timestamp | None:
    """None, an unset field, for 0."""
    if not ns:
        return None
    return Timestamp(seconds=ns // 10**9, nanos=ns % 10**9)


def errno_name(number: int) -> str:
    """As "ENOENT"; empty for 0."""
    return errno.errorcode.get(number, str(number)) if number else ""


def exit_status(row: Row) -> pb.ExitStatus | None:
    """Only of a job that ran and whose end was seen."""
    if row.exit_signal:
        return pb.ExitStatus(signal=row.exit_signal, core_dumped=row.core_dumped)
    return pb.ExitStatus(code=row.exit_code) if row.exit_code >= 0 else None


def kill_report(text: str) -> pb.KillReport | None:
    """From the runner's JSON (runner/report.py)."""
    if not text:
        return None
    report: dict[str, Any] = json.loads(text)
    return pb.KillReport(
        signals=[
            pb.SignalSent(signal=number, time=timestamp(ns), target=target)
            for number, ns, target in report["signals"]
        ],
        left_in_group=_escapees(report["left_in_group"]),
        escapees=_escapees(report["escapees"]),
        left_in_group_count=report["left_in_group_count"],
        escapee_count=report["escapee_count"],
        survivors=[
            pb.Survivor(pid=pid, name=name, process_state=state) for pid, name, state in report["survivors"]
        ],
        nothing_left=report["nothing_left"],
    )


def _escapees(entries: list[list[Any]]) -> list[pb.Escapee]:
    return [pb.Escapee(pid=pid, name=name, caught_by=caught_by) for pid, name, caught_by in entries]


def tail_info(tail: output.Tail) -> pb.OutputTail:
    """What the tail is of."""
    return pb.OutputTail(offset=tail.offset, truncated=tail.offset > 0)


async def process_info(config: Config, row: Row, live: Live | None) -> pb.ProcessInfo:
    """All that is known of a job."""
    (out, err), (first_out, first_err) = await output.extent(config, row)
    held = live.held if live is not None else (False, False)
    paused = live.paused if live is not None else 0
    report = row.report or (live.survivors if live is not None else "")
    return pb.ProcessInfo(
        uuid=row.job_id,
        pid=row.pid,
        start_time=timestamp(row.start_time_ns),
        end_time=timestamp(row.end_time_ns),
        process_name=os.path.basename(row.command),
        is_running=not row.ended,
        exit_status=exit_status(row),
        state=row.state,
        reason=row.reason or "REASON_UNSPECIFIED",
        reason_by=row.reason_by,
        error=row.error,
        errno_name=errno_name(row.errno),
        command=row.command,
        args=row.args,
        dir=row.dir,
        user=row.user,
        name=row.name,
        labels=row.labels,
        caller=row.caller,
        rule=row.rule,
        log_path=output.folder(config, row),
        stdout_path=output.path(config, row, 0),
        stderr_path=output.path(config, row, 1),
        stdout=pb.OutputInfo(bytes=out, held=held[0], first_offset=first_out),
        stderr=pb.OutputInfo(bytes=err, held=held[1], first_offset=first_err),
        output_closed=row.output_closed,
        output_complete=row.output_complete,
        output_paused=errno_name(paused),
        kill_report=kill_report(report),
        stage=row.stage,
        merge_output=row.merge_output,
    )
