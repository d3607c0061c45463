"""What start and run send, and what list asks for and shows."""

from __future__ import annotations

import json
import re
from pathlib import Path

import grpc
import pytest
from canned import UUID, Refuse, info
from canned import Worker as Canned
from google.protobuf.timestamp_pb2 import Timestamp

from jobworkerd.v1 import jobworker_pb2 as pb


def sent(canned: Canned, *args: str) -> pb.StartRequest:
    """The request of one start."""
    canned.answers["Start"] = lambda _: pb.StartResponse(uuid=UUID)
    done = canned.jobctl("start", *args)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{UUID}\n", "")
    request: pb.StartRequest = canned.of(pb.StartRequest)[-1]
    return request


def test_argv_goes_as_it_is(canned: Canned) -> None:
    """Empty words, blanks, options of jobctl's own, a second --, any letter."""
    request = sent(canned, "--", "echo", "", "a b", "-o", "json", "--", "ü漢\n", "$HOME")
    assert (request.command, list(request.args)) == (
        "echo", ["", "a b", "-o", "json", "--", "ü漢\n", "$HOME"]
    )  # fmt: skip
    assert re.fullmatch(r"[0-9a-f-]{36}", request.request_id)
    request.request_id = ""
    assert request == pb.StartRequest(command=request.command, args=request.args)


def test_all_options_are_sent(canned: Canned, tmp_path: Path) -> None:
    """--env K takes one's own value; a later one stands behind an earlier one, so that it wins."""
    file = tmp_path / "env"
    file.write_text("# a comment\nA=from file\n\nQ='not unquoted'\nA==\n")
    request = sent(
        canned, "--env-file", str(file), "--env", "B=b=c", "--env", "LANG", "--env", "E=", "--dir", "/srv",
        "--user", "deploy", "--name", "n", "--label", "a=b", "--label", "c=", "--", "x",
    )  # fmt: skip
    assert list(request.env) == [
        "A=from file", "Q='not unquoted'", "A==", "B=b=c", "LANG=C.UTF-8", "E="
    ]  # fmt: skip
    assert (request.dir, request.user, request.name) == ("/srv", "deploy", "n")
    assert dict(request.labels) == {"a": "b", "c": ""}


def test_shell_takes_a_line_for_bash(canned: Canned) -> None:
    """With pipefail."""
    request = sent(canned, "--shell", "a | b")
    assert (request.command, list(request.args)) == ("bash", ["-o", "pipefail", "-c", "a | b"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ([], "no command given\ntry: jobctl start -- CMD ARG…\n"),
        (["--"], "no command given\ntry: jobctl start -- CMD ARG…\n"),
        (["--shell", "a", "--", "b"], "--shell takes the place of -- CMD; give one of them\n"),
        (["--env", "NOSUCH", "--", "x"], "--env NOSUCH: it is not set here\ntry: --env NOSUCH=VALUE\n"),
        (["--env-file", "/nosuch", "--", "x"],
         "cannot read --env-file /nosuch: No such file or directory\n"),
        (["--env-file", "BAD", "--", "x"], "--env-file BAD: 'no pair' is not of the form K=V\n"),
        (["--env-file", "BYTES", "--", "x"], "cannot read --env-file BYTES: not UTF-8\n"),
        (["--", "x", "y" * 100_000, "z" * 31_069],
         "argv and environment are 131073 bytes together; at most 131072\n"
         "try: put the data into a file on the server\n"),
    ],
)  # fmt: skip
def test_what_cannot_be_sent_is_told_before_anything_is(
    canned: Canned, tmp_path: Path, options: list[str], message: str
) -> None:
    """Wrong usage: 2."""
    names = {"BAD": tmp_path / "bad", "BYTES": tmp_path / "bytes"}
    names["BAD"].write_text("A=b\nno pair\n")
    names["BYTES"].write_bytes(b"A=\xff\n")
    done = canned.jobctl("start", *(str(names.get(option, option)) for option in options))
    for name, path in names.items():
        message = message.replace(name, str(path))
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"jobctl: {message}")
    assert canned.requests == []


def test_start_prints_the_record_where_that_is_asked_for(canned: Canned) -> None:
    """And names the job that was started also where the record cannot be had."""
    canned.answers["Start"] = lambda _: pb.StartResponse(uuid=UUID)
    canned.answers["QueryOneProcess"] = lambda _: pb.QueryOneProcessResponse(
        process_info=info(state=pb.RUNNING)
    )
    assert canned.json("start", "--", "x")["state"] == "RUNNING"

    def refuse(_: object) -> None:
        raise Refuse(grpc.StatusCode.NOT_FOUND, "NO_SUCH_JOB", "there is no job")

    canned.answers["QueryOneProcess"] = refuse
    done = canned.jobctl("-o", "json", "start", "--", "x")
    assert json.loads(done.stderr)["error"] == {
        "code": 3, "reason": "NO_SUCH_JOB", "message": f"{UUID} was started, but: there is no job",
        "try": f"jobctl status {UUID}",
    }  # fmt: skip


class Table:
    """Jobs 0, 1, 2, … in pages."""

    def __init__(self, canned: Canned, jobs: int, page: int = 1000) -> None:
        self._jobs, self._page = jobs, page
        canned.answers["QueryRunningProcesses"] = self.answer

    def answer(self, request: pb.QueryRunningProcessesRequest) -> pb.QueryRunningProcessesResponse:
        """A page may be shorter than what was asked for."""
        begin = int(request.page_token or 0)
        end = min(begin + min(request.page_size, self._page), self._jobs)
        return pb.QueryRunningProcessesResponse(
            process_table=[info(uuid=str(number)) for number in range(begin, end)],
            next_page_token=str(end) if end < self._jobs else "",
        )


def test_the_table_shows_50_and_says_that_there_are_more(canned: Canned) -> None:
    """Only where there are, and only where no limit was given."""
    more = "jobctl: these are the newest 50; more with --limit N\n"
    Table(canned, 51)
    done = canned.jobctl("list")
    assert (done.returncode, done.stdout.count("\n"), done.stderr) == (0, 50, more)
    assert canned.jobctl("list", "-q").stderr == ""
    done = canned.jobctl("list", "--limit", "50")
    assert (done.stdout.count("\n"), done.stderr) == (50, "")
    Table(canned, 50)
    done = canned.jobctl("list")
    assert (done.stdout.count("\n"), done.stderr) == (50, "")


def test_a_list_goes_through_all_pages_in_order(canned: Canned) -> None:
    """Up to the limit; for scripts there is none unless one is given."""
    Table(canned, 120, page=7)
    expected = [str(number) for number in range(120)]
    assert canned.jobctl("list", "-o", "id").stdout.split() == expected
    assert [record["id"] for record in canned.json("list")] == expected
    done = canned.jobctl("list", "-o", "jsonl", "--limit", "100")
    assert [json.loads(line)["id"] for line in done.stdout.splitlines()] == expected[:100]
    Table(canned, 0)
    assert canned.json("list") == []
    assert canned.jobctl("list").stdout == ""


def test_filters_are_sent(canned: Canned) -> None:
    """States by their names in any case, times as instants."""
    Table(canned, 0)
    canned.jobctl("list", "--running", "--state", "exited", "--state", "LOST", "--owner", "jobworker://ops/*",
                  "--label", "a=b", "--since", "2026-11-24T02:43:00", "--until", "2026-11-24T03:43:00.5+01:00")  # fmt: skip
    assert canned.requests == [
        pb.QueryRunningProcessesRequest(
            running_only=True, states=[pb.EXITED, pb.LOST], owner="jobworker://ops/*", labels={"a": "b"},
            since=Timestamp(seconds=1795488180), until=Timestamp(seconds=1795488180, nanos=500_000_000),
            page_size=51,
        )
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--state", "DEAD"],
         "--state DEAD: must be one of STARTING, RUNNING, STOPPING, EXITED, STOPPED, TIMED_OUT, FAILED_TO_START, LOST"),
        (["--state", "STATE_UNSPECIFIED"],
         "--state STATE_UNSPECIFIED: must be one of STARTING, RUNNING, STOPPING, EXITED, STOPPED, TIMED_OUT, FAILED_TO_START, LOST"),
        (["--limit", "0"], "--limit must be 1 or more"),
    ],
)  # fmt: skip
def test_a_filter_that_cannot_be_is_refused(canned: Canned, options: list[str], message: str) -> None:
    """Wrong usage: 2."""
    done = canned.jobctl("list", *options)
    assert (done.returncode, done.stdout, done.stderr) == (2, "", f"jobctl: {message}\n")
