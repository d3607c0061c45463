"""What a worker answers instead of an answer, as a caller of jobctl sees it: code, one line, what to try."""

from __future__ import annotations

import json

import grpc
import pytest
from canned import UUID, Refuse, Worker, info

from jobworkerd.v1 import jobworker_pb2 as pb

Code = grpc.StatusCode
GRANT = "try: ask the server's root for a [[grant]] in /etc/jobworker/jobworker.toml\n"


@pytest.mark.parametrize(
    ("refusal", "code", "hint"),
    [
        (Refuse(Code.NOT_FOUND, "NO_SUCH_JOB"), 3, "try: jobctl list\n"),
        (Refuse(Code.INVALID_ARGUMENT, "AMBIGUOUS_ID"), 2, "try: more characters of the id\n"),
        (Refuse(Code.INVALID_ARGUMENT, "MALFORMED_ID"), 2, ""),
        (Refuse(Code.INVALID_ARGUMENT, "INVALID_FIELD"), 2, ""),
        (Refuse(Code.PERMISSION_DENIED, "NOT_GRANTED"), 4, GRANT),
        (Refuse(Code.PERMISSION_DENIED, "REFUSED"), 4, ""),
        (Refuse(Code.UNAUTHENTICATED, "NO_CALLER"), 4,
         "try: a certificate made by: jobworker-pki client URI --out FILE, on the server\n"),
        (Refuse(Code.ALREADY_EXISTS, "NAME_IN_USE"), 1, "try: jobctl list --running, or another --name\n"),
        (Refuse(Code.ALREADY_EXISTS, "REQUEST_ID_REUSED"), 1, ""),
        (Refuse(Code.RESOURCE_EXHAUSTED, "TOO_MANY_JOBS"), 1, ""),
        (Refuse(Code.DEADLINE_EXCEEDED, "CANNOT_BE_KILLED"), 1,
         "try: again later: it goes when the kernel lets go of it\n"),
        (Refuse(Code.OUT_OF_RANGE, "OFFSET_BEYOND_END"), 2, ""),
        (Refuse(Code.UNAVAILABLE, "DRAINING"), 5, "try: again when the worker is back\n"),
        (Refuse(Code.INTERNAL, "INTERNAL"), 1, "try: journalctl -u jobworker, on the server\n"),
        (Refuse(Code.FAILED_PRECONDITION, "A_REASON_OF_LATER"), 1, ""),
    ],
)  # fmt: skip
def test_a_refusal_has_a_code_one_line_and_what_to_try(
    canned: Worker, refusal: Refuse, code: int, hint: str
) -> None:
    """The message is the worker's, made harmless; with -o json an object with its stable reason."""
    refusal.message = "it cannot\nbe \x1b[31m"

    def refuse(_: object) -> None:
        raise refusal

    canned.answers["Stop"] = refuse
    done = canned.jobctl("stop", "x")
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr == f"jobctl: it cannot be \\x1b[31m\n{hint}"
    done = canned.jobctl("stop", "x", "-o", "json")
    assert (done.returncode, done.stdout) == (code, "")
    error = json.loads(done.stderr)["error"]
    assert (error["code"], error["reason"], error["message"]) == (code, refusal.reason, "it cannot be \x1b[31m")
    assert f"try: {error['try']}\n" == (hint or "try: \n")


@pytest.mark.parametrize(
    ("refusal", "code", "text"),
    [
        (Refuse(Code.UNIMPLEMENTED), 1, "jobctl: this worker has no such call\ntry: jobctl version\n"),
        (Refuse(Code.RESOURCE_EXHAUSTED, message="too  large"), 1, "jobctl: RESOURCE_EXHAUSTED: too large\n"),
        (Refuse(Code.INTERNAL, message="a bug"), 1, "jobctl: INTERNAL: a bug\n"),
    ],
)
def test_what_grpc_itself_says_is_passed_on(canned: Worker, refusal: Refuse, code: int, text: str) -> None:
    """There is no reason in it."""

    def refuse(_: object) -> None:
        raise refusal

    canned.answers["QueryOneProcess"] = refuse
    done = canned.jobctl("status", "x")
    assert (done.returncode, done.stdout, done.stderr) == (code, "", text)


@pytest.mark.parametrize("refusal", [Refuse(Code.UNAVAILABLE), Refuse(Code.UNKNOWN), Refuse(Code.CANCELLED)])
def test_a_call_whose_connection_ends_is_made_again_for_the_connect_timeout(
    canned: Worker, refusal: Refuse
) -> None:
    """Grpc has three names for it."""
    refusal.message = "Socket closed"

    def refuse(_: object) -> None:
        raise refusal

    canned.answers["Stop"] = refuse
    done = canned.jobctl("stop", "x")
    server = canned.context.read_text().split('server = "')[1].split('"')[0]
    assert (done.returncode, done.stdout) == (5, "")
    assert done.stderr == (f"jobctl: {server} takes the connection and no call\ntry: again, a little later\n")
    assert 2 <= len(canned.of(pb.StopRequest)) <= 8


@pytest.mark.parametrize("reason", ["DRAINING", ""])
def test_a_start_that_is_made_again_has_the_same_request_id(canned: Worker, reason: str) -> None:
    """So that the job is started once, however often the answer was lost."""

    def second_time(_: object) -> pb.StartResponse:
        if len(canned.of(pb.StartRequest)) < 3:
            raise Refuse(Code.UNAVAILABLE, reason)
        return pb.StartResponse(uuid=UUID)

    canned.answers["Start"] = second_time
    done = canned.jobctl("start", "--", "x")
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{UUID}\n", "")
    first, *others = (request.request_id for request in canned.of(pb.StartRequest))
    assert len(first) == 36
    assert others == [first, first]
    canned.jobctl("start", "--", "x")
    assert canned.of(pb.StartRequest)[-1].request_id != first


def test_several_jobs_are_all_tried_and_each_error_is_said(canned: Worker) -> None:
    """The exit code is the first in order that is not 0."""

    def stop(request: pb.StopRequest) -> pb.StopResponse:
        if request.uuid == "gone":
            raise Refuse(Code.NOT_FOUND, "NO_SUCH_JOB", "there is no job gone")
        if request.uuid == "stuck":
            raise Refuse(Code.DEADLINE_EXCEEDED, "CANNOT_BE_KILLED", "still there: 7 (cat, state D)")
        return pb.StopResponse(process_info=info(uuid=request.uuid, state=pb.STOPPED, signal=15))

    canned.answers["Stop"] = stop
    done = canned.jobctl("stop", "a", "stuck", "gone", "b", "--grace", "1.5s", "--signal", "HUP")
    assert done.returncode == 1
    assert done.stdout == "a STOPPED, exit SIGTERM\nb STOPPED, exit SIGTERM\n"
    assert done.stderr == (
        "jobctl: still there: 7 (cat, state D)\ntry: again later: it goes when the kernel lets go of it\n"
        "jobctl: there is no job gone\ntry: jobctl list\n"
    )
    sent = canned.of(pb.StopRequest)
    assert sorted(request.uuid for request in sent) == ["a", "b", "gone", "stuck"]
    assert {(request.signal, request.grace.ToMilliseconds()) for request in sent} == {(1, 1500)}
    assert [each["id"] for each in canned.json("stop", "a", "gone", "b")] == ["a", "b"]


def test_a_bug_of_jobctl_is_one_line_and_with_debug_a_traceback(canned: Worker) -> None:
    """As when a worker says what cannot be."""
    canned.answers["QueryOneProcess"] = lambda _: pb.QueryOneProcessResponse(process_info=info(state=99))
    done = canned.jobctl("status", "x")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("jobctl: an error in jobctl itself: ValueError: ")
    assert done.stderr.endswith("\ntry: again with --debug\n")
    assert "Traceback" not in done.stderr
    assert "Traceback (most recent call last):" in canned.jobctl("--debug", "status", "x").stderr


def test_version_prints_its_own_also_where_no_worker_answers(canned: Worker) -> None:
    """And says why none does."""
    done = canned.jobctl("version")
    assert (done.returncode, done.stdout, done.stderr) == (0, "jobctl 0.1.0\nworker 0\n", "")
    assert canned.json("version") == {"jobctl": "0.1.0", "worker": "0"}
    done = canned.jobctl("version", "--server", "127.0.0.1:1", "--connect-timeout", "0")
    assert (done.returncode, done.stdout) == (5, "jobctl 0.1.0\nworker unknown\n")
    assert done.stderr.startswith("jobctl: nothing listens on 127.0.0.1:1\n")
    done = canned.jobctl("version", "--client", "--config", "/nosuch")
    assert (done.returncode, done.stdout, done.stderr) == (0, "jobctl 0.1.0\n", "")
