"""The command line as jobctl reads it, before anything is asked of a worker."""

from __future__ import annotations

import argparse
import subprocess
import sys
from typing import Any

import pytest

from jobctl import cli
from jobctl.failure import Failure


def parsed(*argv: str) -> argparse.Namespace:
    """As jobctl reads it."""
    return cli.parse(argv)


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["start", "--", "ls", "-l"], {"verb": "start", "argv": ["ls", "-l"]}),
        (["run", "--", "echo", "--", "-o", "json"], {"argv": ["echo", "--", "-o", "json"], "output": "table"}),
        (["run", "--", "start"], {"verb": "run", "argv": ["start"]}),
        (["run", "--", ""], {"argv": [""]}),
        (["run", "--shell", "a | b"], {"shell": "a | b", "argv": None}),
        (["ps", "--running"], {"verb": "list", "running": True}),
        (["--context", "run", "list"], {"verb": "list", "context": "run"}),
        (["-o", "json", "list"], {"verb": "list", "output": "json"}),
        (["list", "-ojson"], {"output": "json"}),
        (["-qo", "json", "status", "x"], {"verb": "status", "output": "json", "quiet": True}),
        (["-q", "list"], {"quiet": True}),
        (["list", "-q"], {"quiet": True}),
        (
            ["list"],
            {"quiet": False, "output": "table", "connect_timeout": 10.0, "context": None, "limit": None},
        ),
        (
            ["stop", "a", "b", "--grace", "1.5m", "--signal", "int"],
            {"ids": ["a", "b"], "grace": 90, "signal": 2},
        ),
        (["stop", "a"], {"grace": None, "signal": 0}),
        (["wait", "start"], {"verb": "wait", "ids": ["start"]}),
        (["logs", "x", "--stderr", "--tail", "3"], {"id": "x", "stderr": True, "tail": 3}),
        (["start", "--label", "a=b=c", "--label", "d=", "--", "x"], {"label": [("a", "b=c"), ("d", "")]}),
        (["version", "--client"], {"client": True}),
    ],
)
def test_a_command_line_means_what_it_says(argv: list[str], expected: dict[str, Any]) -> None:
    """Options before and behind the verb, values that look like verbs, and all behind -- untouched."""
    options = vars(parsed(*argv))
    assert {name: options[name] for name in expected} == expected


@pytest.mark.parametrize(
    ("argv", "message", "hint"),
    [
        ([], "no verb given", "jobctl --help"),
        (["-q"], "no verb given", "jobctl --help"),
        (["lst"], "there is no verb 'lst'; did you mean list?", "jobctl list --help"),
        (["statsu", "-o", "json"], "there is no verb 'statsu'; did you mean status?", "jobctl status --help"),
        (["batch", "f"], "there is no verb 'batch'", "jobctl --help"),
        (["top"], "there is no verb 'top'; did you mean stop?", "jobctl stop --help"),
        (["run", "uname", "-a"], "a command stands behind --, and there is none before 'uname'",
         "jobctl run [OPTIONS] -- uname -a"),
        (["start", "--timeout", "3s", "--", "x"], "unknown: --timeout 3s", "jobctl start --help"),
        (["logs", "x", "-z"], "unknown: -z", "jobctl logs --help"),
        (["list", "--runn"], "unknown: --runn", "jobctl list --help"),
        (["--bogus"], "unknown: --bogus", "jobctl --help"),
        (["status"], "the following arguments are required: ID", "jobctl status --help"),
        (["status", "--", "x"], "the following arguments are required: ID", "jobctl status --help"),
        (["status", "a", "--", "x"], "status takes nothing behind --", "jobctl status --help"),
        (["list", "-o", "xml"],
         "argument -o/--output: invalid choice: 'xml' (choose from 'table', 'json', 'jsonl', 'id')",
         "jobctl list --help"),
        (["wait", "x", "--timeout", "10"], "argument --timeout: '10' is not a duration such as 10s, 8h or 30d",
         "jobctl wait --help"),
        (["stop", "x", "--signal", "0"], "argument --signal: '0' is not a signal such as TERM, INT or 15",
         "jobctl stop --help"),
        (["logs", "x", "--tail", "-1"], "argument --tail: '-1' is not a number, 0 or more",
         "jobctl logs --help"),
        (["logs", "x", "--stdout", "--stderr"], "argument --stderr: not allowed with argument --stdout",
         "jobctl logs --help"),
        (["start", "--label", "x", "--", "y"], "argument --label: 'x' is not of the form K=V",
         "jobctl start --help"),
    ],
)  # fmt: skip
def test_a_wrong_command_line_is_told_in_one_line(argv: list[str], message: str, hint: str) -> None:
    """With what is right, where that can be guessed."""
    with pytest.raises(Failure) as caught:
        parsed(*argv)
    assert (caught.value.code, caught.value.message, caught.value.hint) == (2, message, hint)


@pytest.mark.parametrize(
    ("argv", "expected"),
    [
        (["-o", "json"], True),
        (["x", "-ojson"], True),
        (["--output=jsonl", "x"], True),
        (["--output", "json"], True),
        (["-o", "table"], False),
        (["run", "--", "-o", "json"], False),
        (["-o"], False),
    ],
)
def test_json_is_wanted_also_where_the_command_line_is_wrong(argv: list[str], expected: bool) -> None:
    """An error of the command line itself is an object too, but what the job gets does not count."""
    assert cli.wants_json(argv) is expected


@pytest.mark.parametrize("verb", sorted(cli.VERBS))
def test_help_of_each_verb_has_an_example_and_loads_no_grpc(verb: str) -> None:
    """Help is there without a context and at once."""
    script = f"import sys; from jobctl.__main__ import main; code = main([{verb!r}, '--help'])\n"
    script += "assert 'grpc' not in sys.modules; sys.exit(code)"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert f"usage: jobctl {verb}" in done.stdout
    assert f"example: jobctl {verb}" in done.stdout


@pytest.mark.parametrize("argv", [["--help"], ["version", "--client"], ["nosuch"], ["start"]])
def test_what_needs_no_worker_loads_no_grpc(argv: list[str]) -> None:
    """It would cost more than all the rest."""
    script = f"import sys; from jobctl.__main__ import main; main({argv!r}); assert 'grpc' not in sys.modules"
    subprocess.run([sys.executable, "-c", script], capture_output=True, check=True)


@pytest.mark.parametrize(
    ("argv", "code"),
    [(["list", "--bogus"], 2), (["run", "--bogus", "--", "x"], 125), (["wait"], 125), (["nosuch"], 2)],
)
def test_a_usage_error_exits_with_2_but_of_run_and_wait_with_125(argv: list[str], code: int) -> None:
    """Of run and wait, 2 would be the job's own; the error object tells the same code."""
    command = [sys.executable, "-m", "jobctl", *argv]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (code, "")
    assert done.stderr.startswith("jobctl: ")
    done = subprocess.run([*command[:3], "-o", "json", *argv], capture_output=True, text=True, check=False)
    assert done.stderr.startswith(f'{{"error": {{"code": {code}, "reason": "USAGE", "message": ')


@pytest.mark.parametrize("locale", ["C.UTF-8", "C", "POSIX"])
def test_an_argument_that_is_not_utf8_is_refused(locale: str) -> None:
    """Bytes that protobuf's strings cannot carry, in any locale."""
    done = subprocess.run(
        [sys.executable, "-m", "jobctl", "start", "--", "echo", b"a\xff"],
        capture_output=True, text=True, check=False, env={"LC_ALL": locale},
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "jobctl: 'a\\udcff' is not UTF-8, and only that can be sent\n"
