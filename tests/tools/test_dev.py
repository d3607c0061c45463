"""``make run`` and ``make serve``: a worker in a clone, for whoever has just cloned it."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from conftest import REPOSITORY, alive

_JOBCTL = [sys.executable, "-m", "jobctl"]


def _argv(verb: str, folder: Path) -> list[str]:
    return [sys.executable, str(REPOSITORY / "tools/dev.py"), verb, str(folder)]


@pytest.fixture
def serving(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """``make serve``, once it has printed something."""
    process = subprocess.Popen(
        _argv("serve", tmp_path), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    with process:
        yield process
        process.send_signal(signal.SIGINT)


def test_run_shows_a_jobs_output_and_its_record_and_exits_as_the_job(tmp_path: Path) -> None:
    """The shell command is taken as it is typed."""
    done = subprocess.run(
        _argv("run", tmp_path),
        env=os.environ | {"CMD": "echo $((6*7)); echo err >&2; exit 3"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (3, "err\n")
    output, record = done.stdout.split("\n\n")
    assert output == "42"
    assert re.search(r"^exit: +3$", record, re.MULTILINE)


def test_run_leaves_no_process_behind(tmp_path: Path) -> None:
    """Nor does the worker outlive it."""
    log = tmp_path / "run/worker.log"
    subprocess.run(
        _argv("run", tmp_path), env=os.environ | {"CMD": "sleep 600 &"}, check=True, capture_output=True
    )
    pids = [int(pid) for pid in re.findall(r"pid (\d+)", log.read_text())]
    assert pids
    assert not any(alive(pid) for pid in pids)
    assert "stopping" in log.read_text()


def test_serve_prints_the_line_that_points_jobctl_at_it(serving: subprocess.Popen[str]) -> None:
    """One line on standard output for the shell to evaluate; that there is no boundary, on standard error."""
    assert serving.stdout is not None
    assert serving.stderr is not None
    line = serving.stdout.readline()
    assert line.startswith("export JOBCTL_CONFIG=")
    script = f"{line}\n{shlex.join(_JOBCTL)} run -- echo hello"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr, done.returncode) == ("hello\n", "", 0)
    serving.send_signal(signal.SIGINT)
    assert "no boundary between them" in serving.stderr.read()
    assert serving.stdout.read() == ""
    assert serving.wait() == 130


def test_a_second_serve_of_one_folder_is_refused_and_the_first_not_disturbed(
    serving: subprocess.Popen[str], tmp_path: Path
) -> None:
    """The address in the context file stays what it is."""
    assert serving.stdout is not None
    serving.stdout.readline()
    context = (tmp_path / "pki/root-context.toml").read_text()
    done = subprocess.run(_argv("serve", tmp_path), capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == f"a worker runs on {tmp_path} already\n"
    assert (tmp_path / "pki/root-context.toml").read_text() == context


def test_run_says_why_the_worker_did_not_start(tmp_path: Path) -> None:
    """With the worker's own words, at once."""
    (tmp_path / "run/logs").mkdir(parents=True)
    (tmp_path / "run/state/run").mkdir(parents=True)
    (tmp_path / "run/state/run/ledger").write_text("in the way")
    done = subprocess.run(_argv("run", tmp_path), capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "jobworkerd: cannot write" in done.stderr
    assert "the worker ended with 1 before it was ready\n" in done.stderr
