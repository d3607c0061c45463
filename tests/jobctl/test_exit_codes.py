"""From how a job ended to what run and wait exit with."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from canned import UUID, Refuse, Worker, info

from jobctl import render
from jobctl.commands import ends
from jobworkerd.v1 import jobworker_pb2 as pb

CASES: list[tuple[dict[str, Any], int, str]] = [
    ({"state": pb.EXITED, "code": 0}, 0, ""),
    ({"state": pb.EXITED, "code": 3}, 3, ""),
    ({"state": pb.EXITED, "code": 255}, 255, ""),
    ({"state": pb.EXITED, "signal": 9}, 137, ""),
    ({"state": pb.EXITED, "signal": 64}, 192, ""),
    ({"state": pb.STOPPED, "signal": 15}, 143, ""),
    ({"state": pb.STOPPED, "signal": 9}, 137, ""),
    ({"state": pb.STOPPED, "code": 0}, 143, ""),
    ({"state": pb.STOPPED, "code": 7}, 7, ""),
    ({"state": pb.TIMED_OUT, "signal": 15, "reason": pb.TIMEOUT}, 124, ""),
    ({"state": pb.TIMED_OUT, "code": 0, "reason": pb.TIMEOUT}, 124, ""),
    ({"state": pb.FAILED_TO_START, "stage": "execve", "errno_name": "ENOENT", "error": "no x"}, 127,
     "jobctl: no x\n"),
    ({"state": pb.FAILED_TO_START, "stage": "execve", "errno_name": "EACCES", "error": "no x"}, 126,
     "jobctl: no x\n"),
    ({"state": pb.FAILED_TO_START, "stage": "execve", "errno_name": "ENOEXEC", "error": "no x"}, 126,
     "jobctl: no x\n"),
    ({"state": pb.FAILED_TO_START, "stage": "chdir", "errno_name": "ENOENT", "error": "no d"}, 125,
     "jobctl: no d\n"),
    ({"state": pb.FAILED_TO_START, "stage": "user", "error": "no u"}, 125, "jobctl: no u\n"),
    ({"state": pb.LOST, "reason": pb.RUNNER_DIED}, 125,
     f"jobctl: {UUID} is lost: RUNNER_DIED\ntry: jobctl status {UUID}\n"),
    ({"state": pb.LOST, "reason": pb.HOST_REBOOTED, "error": "the host\nwas booted"}, 125,
     f"jobctl: {UUID} is lost: the host\\nwas booted\ntry: jobctl status {UUID}\n"),
    ({"state": pb.EXITED, "code": 0, "output_closed": True, "output_complete": False}, 0,
     f"jobctl: some output of {UUID} was lost\n"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "code", "said"), CASES)
def test_an_end_becomes_one_exit_code(fields: dict[str, Any], code: int, said: str) -> None:
    """As the table in jobctl(1) has it; what a code would hide is said by the verbs below."""
    assert ends.exit_code(render.job(info(**fields))) == code


@pytest.mark.parametrize(("fields", "code", "said"), [CASES[1], *CASES[11:]])
def test_run_and_wait_exit_with_it_and_say_what_it_hides(
    canned: Worker, fields: dict[str, Any], code: int, said: str
) -> None:
    """Through a real connection."""
    canned.answers["Start"] = lambda _: pb.StartResponse(uuid=UUID)
    canned.answers["QueryOneProcess"] = lambda _: pb.QueryOneProcessResponse(process_info=info())
    canned.answers["Wait"] = lambda _: pb.WaitResponse(process_info=info(**fields), ended=True)
    canned.answers["StreamOutput"] = lambda _: iter(())
    for argv in (["run", "--", "x"], ["wait", UUID]):
        done = canned.jobctl(*argv)
        assert (done.returncode, done.stdout, done.stderr) == (code, "", said)
    assert [request.for_output for request in canned.of(pb.WaitRequest)] == [True, False]


@pytest.mark.parametrize(
    ("metadata", "code"),
    [
        ({"stage": "execve", "errno": "ENOENT"}, 127),
        ({"stage": "execve", "errno": "EACCES"}, 126),
        ({"stage": "chdir", "errno": "ENOENT"}, 125),
        ({}, 125),
    ],
)
def test_a_program_that_was_not_executed_is_told_by_the_start(
    canned: Worker, metadata: dict[str, str], code: int
) -> None:
    """126 and 127 for run, as in a shell; for start it failed, and no id is printed."""

    def refuse(_: object) -> None:
        raise Refuse(grpc.StatusCode.FAILED_PRECONDITION, "EXEC_FAILED", "cannot execute x", metadata)

    canned.answers["Start"] = refuse
    done = canned.jobctl("run", "--", "x")
    assert (done.returncode, done.stdout, done.stderr) == (code, "", "jobctl: cannot execute x\n")
    done = canned.jobctl("run", "-o", "json", "--", "x")
    error = f'{{"code": {code}, "reason": "EXEC_FAILED", "message": "cannot execute x", "try": ""}}'
    assert (done.returncode, done.stderr) == (code, f'{{"error": {error}}}\n')
    done = canned.jobctl("start", "--", "x")
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "jobctl: cannot execute x\n")


def test_wait_for_several_gives_the_first_in_order_that_is_not_0(canned: Worker) -> None:
    """All are waited for at once, one that does not exist is said before any has ended."""
    codes = {"aaaa": 0, "bbbb": 5, "cccc": 6}

    def query(request: pb.QueryOneProcessRequest) -> pb.QueryOneProcessResponse:
        if request.uuid not in codes:
            raise Refuse(grpc.StatusCode.NOT_FOUND, "NO_SUCH_JOB", f"there is no job {request.uuid}")
        return pb.QueryOneProcessResponse(process_info=info(uuid=request.uuid))

    def wait(request: pb.WaitRequest) -> pb.WaitResponse:
        record = info(uuid=request.uuid, code=codes[request.uuid], state=pb.EXITED)
        return pb.WaitResponse(process_info=record, ended=True)

    canned.answers |= {"QueryOneProcess": query, "Wait": wait}
    assert canned.jobctl("wait", "aaaa", "cccc", "bbbb").returncode == 6
    assert canned.jobctl("wait", "aaaa").returncode == 0
    done = canned.jobctl("wait", "aaaa", "zzzz", "bbbb")
    assert (done.returncode, done.stderr) == (125, "jobctl: there is no job zzzz\ntry: jobctl list\n")
    assert [each["id"] for each in canned.json("wait", "aaaa", "bbbb")] == ["aaaa", "bbbb"]
    assert canned.json("wait", "bbbb")["exit_code"] == 5


def test_wait_gives_123_when_its_own_timeout_passed_first(canned: Worker) -> None:
    """And says of which."""
    record = info(state=pb.RUNNING)
    canned.answers["QueryOneProcess"] = lambda _: pb.QueryOneProcessResponse(process_info=record)
    canned.answers["Wait"] = lambda _: pb.WaitResponse(process_info=record, ended=False)
    done = canned.jobctl("wait", UUID, "--timeout", "20s")
    assert (done.returncode, done.stdout, done.stderr) == (123, "", f"jobctl: {UUID} has not ended yet\n")
    assert 19 <= canned.of(pb.WaitRequest)[-1].timeout.ToSeconds() <= 20
    assert canned.jobctl("wait", "-q", UUID, "--timeout", "0").stderr == ""
