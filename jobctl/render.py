"""Records for people and for scripts: tables, blocks, JSON. Nothing of a record reaches a terminal raw."""

from __future__ import annotations

import json
import shlex
import shutil
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from jobworkerd.v1 import jobworker_pb2 as pb

from .plain import printable
from .values import signal_name

Record = dict[str, Any]
_COLUMNS = ("ID", "NAME", "STATE", "EXIT", "USER", "STARTED", "COMMAND")
_SHORT_ID = 8


def rfc3339(time: Timestamp) -> str | None:
    """UTC, to the millisecond; None for an unset time."""
    if not time.seconds and not time.nanos:
        return None
    when = datetime.fromtimestamp(time.seconds, UTC)
    return f"{when:%Y-%m-%dT%H:%M:%S}.{time.nanos // 1_000_000:03}Z"


def job(info: pb.ProcessInfo) -> Record:
    """A job's record as JSON has it: snake_case, names as the proto spells them."""
    how = info.exit_status.WhichOneof("how") if info.HasField("exit_status") else None
    return {
        "id": info.uuid,
        "name": info.name,
        "state": pb.State.Name(info.state),
        "reason": pb.Reason.Name(info.reason) if info.reason else "",
        "reason_by": info.reason_by,
        "is_running": info.is_running,
        "exit_code": info.exit_status.code if how == "code" else None,
        "exit_signal": info.exit_status.signal if how == "signal" else None,
        "core_dumped": info.exit_status.core_dumped,
        "error": info.error,
        "errno": info.errno_name,
        "stage": info.stage,
        "pid": info.pid,
        "start_time": rfc3339(info.start_time),
        "end_time": rfc3339(info.end_time),
        "process_name": info.process_name,
        "command": info.command,
        "args": list(info.args),
        "dir": info.dir,
        "user": info.user,
        "labels": dict(info.labels),
        "caller": info.caller,
        "rule": info.rule,
        "log_path": info.log_path,
        "stdout_path": info.stdout_path,
        "stderr_path": info.stderr_path,
        "merge_output": info.merge_output,
        "stdout_bytes": info.stdout.bytes,
        "stderr_bytes": info.stderr.bytes,
        "stdout_first_offset": info.stdout.first_offset,
        "stderr_first_offset": info.stderr.first_offset,
        "output_closed": info.output_closed,
        "output_complete": info.output_complete,
        "output_paused": info.output_paused,
        "output_held": [n for n, s in (("stdout", info.stdout), ("stderr", info.stderr)) if s.held],
        "kill_report": kill_report(info.kill_report) if info.HasField("kill_report") else None,
    }


def ended(job: str, trailer: pb.OutputTrailer) -> Record:
    """What a job's exit code is made of, from the end of its output."""
    how = trailer.exit_status.WhichOneof("how")
    return {
        "id": job,
        "state": pb.State.Name(trailer.state),
        "exit_code": trailer.exit_status.code if how == "code" else None,
        "exit_signal": trailer.exit_status.signal if how == "signal" else None,
        "output_closed": trailer.output_closed,
        "output_complete": trailer.output_complete,
    }


def kill_report(report: pb.KillReport) -> Record:
    """What the end took."""
    return {
        "signals": [
            {"signal": signal_name(each.signal), "time": rfc3339(each.time), "target": each.target}
            for each in report.signals
        ],
        "left_in_group": [{"pid": each.pid, "name": each.name} for each in report.left_in_group],
        "left_in_group_count": report.left_in_group_count,
        "escapees": [
            {"pid": each.pid, "name": each.name, "caught_by": each.caught_by} for each in report.escapees
        ],
        "escapee_count": report.escapee_count,
        "survivors": [
            {"pid": each.pid, "name": each.name, "process_state": each.process_state}
            for each in report.survivors
        ],
        "nothing_left": report.nothing_left,
    }


def ending(record: Record) -> str:
    """How a job ended, in a few words; what it does, where it has not."""
    if record["exit_signal"] is not None:
        return f"{signal_name(record['exit_signal'])}{' (core dumped)' if record['core_dumped'] else ''}"
    if record["exit_code"] is not None:
        return str(record["exit_code"])
    return "-"


def command_line(record: Record) -> str:
    """As a shell would take it, on one line."""
    return printable(shlex.join([record["command"], *record["args"]]))


def table(records: Sequence[Record]) -> str:
    """On a terminal aligned and cut to its width; else one line a job, tabs between, nothing shortened."""
    rows = [_row(record) for record in records]
    if not sys.stdout.isatty():
        return "".join("\t".join(row) + "\n" for row in rows)
    rows = [_COLUMNS, *((row[0][:_SHORT_ID], *row[1:]) for row in rows)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(_COLUMNS))]
    width = shutil.get_terminal_size().columns
    lines = (
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )
    return "".join((line if len(line) <= width else line[: width - 1] + "…") + "\n" for line in lines)


def summary(record: Record) -> str:
    """One line: how a job ended."""
    return f"{record['id']} {record['state']}, exit {ending(record)}\n"


def block(record: Record) -> str:
    """Everything known of one job."""
    lines = [
        ("job", record["id"]),
        ("name", printable(record["name"])),
        ("command", command_line(record)),
        ("state", record["state"] + (f" ({_why(record)})" if _why(record) else "")),
        ("exit", "" if record["is_running"] else ending(record)),
        ("error", printable(record["error"])),
        ("started", record["start_time"]),
        ("ended", record["end_time"]),
        ("pid", str(record["pid"] or "")),
        ("user", printable(record["user"])),
        ("dir", printable(record["dir"])),
        ("caller", f"{printable(record['caller'])} by {printable(record['rule'])}"),
        ("labels", printable(", ".join(f"{k}={v}" for k, v in sorted(record["labels"].items())))),
        ("stdout", f"{record['stdout_bytes']} bytes in {record['stdout_path']}"),
        ("stderr", f"{record['stderr_bytes']} bytes in {record['stderr_path']}"),
        ("output", _output(record)),
    ]
    text = "".join(f"{name + ':':<9}{value}\n" for name, value in lines if value)
    return text + (report_lines(record["kill_report"]) if record["kill_report"] else "")


def report_lines(report: Record) -> str:
    """A kill report, readable; empty where there is nothing to tell."""
    lines = [f"{each['time']} {each['signal']} to the {each['target']}" for each in report["signals"]]
    lines += [
        f"left in the group: {printable(each['name'])} (pid {each['pid']})" for each in report["left_in_group"]
    ]
    lines += [
        f"left the group: {printable(each['name'])} (pid {each['pid']}), caught by {each['caught_by']}"
        for each in report["escapees"]
    ]
    lines += [
        f"cannot be killed: {printable(each['name'])} (pid {each['pid']}, state {each['process_state']})"
        for each in report["survivors"]
    ]
    if report["nothing_left"] and lines:
        lines.append("nothing is left")
    return "".join(f"  {line}\n" for line in lines)


def as_json(value: object, *, indent: bool = True) -> str:
    """JSON text; one line where not indented."""
    return json.dumps(value, indent=2 if indent else None, ensure_ascii=True) + "\n"


def _row(record: Record) -> tuple[str, ...]:
    started = record["start_time"]
    return (
        record["id"],
        printable(record["name"]) or "-",
        record["state"],
        ending(record),
        printable(record["user"]),
        f"{started[:19]}Z" if started else "-",
        command_line(record),
    )


def _why(record: Record) -> str:
    by = f" by {printable(record['reason_by'])}" if record["reason_by"] else ""
    return f"{record['reason']}{by}" if record["reason"] else ""


def _output(record: Record) -> str:
    if record["output_paused"]:
        return f"paused: {record['output_paused']}; goes on when there is room"
    if record["output_held"]:
        return f"held by the job itself: {', '.join(record['output_held'])}"
    if record["output_closed"] and not record["output_complete"]:
        limit = record["reason"] == "OUTPUT_LIMIT"
        return f"not complete: {'it went beyond its limit' if limit else 'some was lost with the runner'}"
    kept = [
        f"{name} from {record[f'{name}_first_offset']}"
        for name in ("stdout", "stderr")
        if record[f"{name}_first_offset"]
    ]
    return f"the newest is kept: {', '.join(kept)} on" if kept else ""
