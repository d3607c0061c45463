"""Records as JSON, as a table and as a block, whatever somebody put into them."""

from __future__ import annotations

import os
import pty
import subprocess
import sys
from typing import Any

import pytest
from canned import UUID, info
from google.protobuf.timestamp_pb2 import Timestamp

from jobctl import plain, render
from jobctl.failure import Failure
from jobworkerd.v1 import jobworker_pb2 as pb

HOSTILE = "a\x1b[31mb\nc\td\u202ee\x07\x9bf\u2028g\ud7ffü漢"
ESCAPED = r"a\x1b[31mb\nc\td\u202ee\x07\x9bf\u2028g\ud7ffü漢"


def test_nothing_of_a_record_reaches_a_terminal_raw() -> None:
    """Control characters, right-to-left marks, line separators; letters of any script stay."""
    assert plain.printable(HOSTILE) == ESCAPED
    record = render.job(
        info(command=HOSTILE, args=[HOSTILE], name=HOSTILE, error=HOSTILE, user=HOSTILE, dir=HOSTILE,
             caller=HOSTILE, rule=HOSTILE, reason=pb.CALLER, reason_by=HOSTILE, labels={HOSTILE: HOSTILE},
             state=pb.STOPPED, kill_report=_report())
    )  # fmt: skip
    text = render.table([record]) + render.block(record)
    assert set(text) - set(ESCAPED) == set("".join(c for c in text if c in "\n\t" or c.isprintable())) - set(
        ESCAPED
    )
    assert text.count(ESCAPED) >= 14
    assert "\x1b" not in plain.error_lines(Failure(1, "X", HOSTILE, HOSTILE))
    assert plain.error_lines(Failure(1, "X", HOSTILE, "h")) == f"jobctl: {ESCAPED}\ntry: h\n"
    assert plain.error_json(Failure(1, "X", "m\n", "h")) == (
        '{"error": {"code": 1, "reason": "X", "message": "m\\n", "try": "h"}}\n'
    )


def test_a_record_as_json_has_all_that_is_known_in_snake_case() -> None:
    """States and reasons as the proto spells them, times in RFC 3339 UTC, null where there is nothing."""
    record = render.job(
        info(code=3, state=pb.EXITED, pid=7, command="/bin/sh", args=["-c", "exit 3"], user="deploy", name="n",
             labels={"a": "b"}, caller="jobworker://ops/alice", rule="f:1", process_name="sh", dir="/srv",
             start_time=Timestamp(seconds=1795488180, nanos=999_999_999), log_path="/l", stdout_path="/l/o",
             stderr_path="/l/e", stdout=pb.OutputInfo(bytes=5), stderr=pb.OutputInfo(bytes=6, held=True),
             output_closed=True)
    )  # fmt: skip
    assert record == {
        "id": UUID, "name": "n", "state": "EXITED", "reason": "", "reason_by": "", "is_running": False,
        "exit_code": 3, "exit_signal": None, "core_dumped": False, "error": "", "errno": "", "stage": "",
        "pid": 7, "start_time": "2026-11-24T02:43:00.999Z", "end_time": None, "process_name": "sh",
        "command": "/bin/sh", "args": ["-c", "exit 3"], "dir": "/srv", "user": "deploy", "labels": {"a": "b"},
        "caller": "jobworker://ops/alice", "rule": "f:1", "log_path": "/l", "stdout_path": "/l/o",
        "stderr_path": "/l/e", "merge_output": False, "stdout_first_offset": 0, "stderr_first_offset": 0, "stdout_bytes": 5, "stderr_bytes": 6, "output_closed": True,
        "output_complete": True, "output_paused": "", "output_held": ["stderr"], "kill_report": None,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("fields", "code", "signal", "ending"),
    [
        ({"code": 0}, 0, None, "0"),
        ({"code": 255}, 255, None, "255"),
        ({"signal": 9}, None, 9, "SIGKILL"),
        ({"signal": 40}, None, 40, "signal 40"),
        ({}, None, None, "-"),
    ],
)
def test_an_exit_status_is_a_code_or_a_signal_or_unknown(
    fields: dict[str, Any], code: int | None, signal: int | None, ending: str
) -> None:
    """Never 128+n."""
    record = render.job(info(**fields))
    assert (record["exit_code"], record["exit_signal"], render.ending(record)) == (code, signal, ending)


def test_a_core_dump_is_named() -> None:
    """Beside the signal."""
    record = info(signal=11)
    record.exit_status.core_dumped = True
    assert render.ending(render.job(record)) == "SIGSEGV (core dumped)"


def test_a_block_says_everything_on_a_line_of_its_own() -> None:
    """And nothing that is not known."""
    fields: dict[str, Any] = {"user": "deploy", "caller": "jobworker://ops/alice", "rule": "f:1"}
    record = render.job(
        info(signal=15, state=pb.STOPPED, reason=pb.CALLER, reason_by="jobworker://ops/deploy", name="n", pid=7,
             command="/bin/echo", args=["a b", ""], start_time=Timestamp(seconds=1795488180), output_closed=True,
             end_time=Timestamp(seconds=1795488181), labels={"b": "2", "a": "1"}, stdout_path="/o",
             stderr_path="/e", kill_report=_report(), **fields)
    )  # fmt: skip
    assert render.block(record) == (
        f"job:     {UUID}\n"
        "name:    n\n"
        "command: /bin/echo 'a b' ''\n"
        "state:   STOPPED (CALLER by jobworker://ops/deploy)\n"
        "exit:    SIGTERM\n"
        "started: 2026-11-24T02:43:00.000Z\n"
        "ended:   2026-11-24T02:43:01.000Z\n"
        "pid:     7\n"
        "user:    deploy\n"
        "caller:  jobworker://ops/alice by f:1\n"
        "labels:  a=1, b=2\n"
        "stdout:  0 bytes in /o\n"
        "stderr:  0 bytes in /e\n"
        "  2026-11-24T02:43:00.000Z SIGTERM to the group\n"
        "  left in the group: left (pid 8)\n"
        f"  left the group: {ESCAPED} (pid 9), caught by cgroup\n"
        "  cannot be killed: stuck (pid 10, state D)\n"
    )


@pytest.mark.parametrize(
    ("fields", "line"),
    [
        ({"output_paused": "ENOSPC", "is_running": True}, "paused: ENOSPC; goes on when there is room"),
        ({"stdout": pb.OutputInfo(held=True), "stderr": pb.OutputInfo(held=True)},
         "held by the job itself: stdout, stderr"),
        ({"output_closed": True, "output_complete": False}, "not complete: some was lost with the runner"),
    ],
)  # fmt: skip
def test_a_block_says_what_is_odd_about_the_output(fields: dict[str, Any], line: str) -> None:
    """One line."""
    assert f"output:  {line}\n" in render.block(render.job(info(**fields)))


def test_a_report_of_a_clean_end_says_that_nothing_is_left() -> None:
    """And one that took nothing says nothing."""
    assert render.report_lines(render.kill_report(pb.KillReport(nothing_left=True))) == ""
    sent = pb.SignalSent(signal=9, time=Timestamp(seconds=1795488180), target="cgroup")
    report = pb.KillReport(nothing_left=True, signals=[sent])
    assert render.report_lines(render.kill_report(report)) == (
        "  2026-11-24T02:43:00.000Z SIGKILL to the cgroup\n  nothing is left\n"
    )


def test_a_table_is_for_terminals_and_tabs_are_for_programs() -> None:
    """On a terminal: aligned, headed, cut to its width. In a pipe: whole ids and lines."""
    script = (
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from canned import info; from jobctl import render; from jobworkerd.v1 import jobworker_pb2 as pb\n"
        "rows = [info(code=3, state=pb.EXITED, user='deploy', name='backup', args=['x' * 99]), info()]\n"
        "sys.stdout.write(render.table([render.job(row) for row in rows]))"
    )
    command = [sys.executable, "-c", script, os.path.dirname(__file__)]
    piped = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert piped == (
        f"{UUID}\tbackup\tEXITED\t3\tdeploy\t-\t/bin/true {'x' * 99}\n"
        f"{UUID}\t-\tSTATE_UNSPECIFIED\t-\t\t-\t/bin/true\n"
    )
    lines = _on_a_terminal(command).split("\r\n")
    assert lines == [
        "ID        NAME    STATE              EXIT  USER    STARTED  COMMAND",
        f"7f0c1c52  backup  EXITED             3     deploy  -        /bin/true {'x' * 9}…",
        "7f0c1c52  -       STATE_UNSPECIFIED  -             -        /bin/true",
        "",
    ]


def _on_a_terminal(command: list[str]) -> str:
    """Its output on one of 80 columns."""
    leader, follower = pty.openpty()
    environment = os.environ | {"COLUMNS": "80", "LINES": "24", "PYTHONIOENCODING": "utf-8"}
    with subprocess.Popen(command, stdout=follower, env=environment) as process:
        os.close(follower)
        text = b""
        try:
            while piece := os.read(leader, 65536):
                text += piece
        except OSError:  # how a terminal says that its last user has gone
            pass
        os.close(leader)
        assert process.wait(timeout=10) == 0
    return text.decode()


def _report() -> pb.KillReport:
    return pb.KillReport(
        signals=[pb.SignalSent(signal=15, time=Timestamp(seconds=1795488180), target="group")],
        left_in_group=[pb.Escapee(pid=8, name="left")],
        escapees=[pb.Escapee(pid=9, name=HOSTILE, caught_by="cgroup")],
        left_in_group_count=1,
        escapee_count=1,
        survivors=[pb.Survivor(pid=10, name="stuck", process_state="D")],
    )
