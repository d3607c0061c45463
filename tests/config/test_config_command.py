"""``jobworkerd --check-config`` and ``--dump-config``: all mistakes at once, on stderr, and 78."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from conftest import REPOSITORY


def _jobworkerd(config: Path, *options: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "jobworkerd", "--config", str(config), *options],
        capture_output=True, text=True, timeout=30, check=False, cwd=REPOSITORY,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def _configuration(folder: Path, text: str) -> Path:
    path = folder / "jobworker.toml"
    path.write_text(text)
    path.chmod(0o644)
    return path


def test_every_mistake_is_named_at_once(tmp_path: Path) -> None:
    """One line each, in the order they stand, and exit 78."""
    path = _configuration(tmp_path, "[jobs]\nmax_runing = 1\nstop_grace = 5\n")
    assert _jobworkerd(path, "--check-config") == (
        78,
        "",
        f"jobworkerd: {path}:2: jobs.max_runing: unknown key; did you mean 'max_running'?\n"
        f'jobworkerd: {path}:3: jobs.stop_grace: must be a duration such as "10s", "8h" or "30d", or "0" (is 5)\n',
    )


def test_a_good_file_is_said_to_be_good_with_warnings_apart(tmp_path: Path) -> None:
    """Exit 0: a warning is no mistake."""
    path = _configuration(tmp_path, "")
    assert _jobworkerd(path, "--check-config") == (
        0,
        f"{path}: no mistakes found\n",
        "jobworkerd: warning: no [[grant]]: nobody may do anything\n",
    )


def test_the_dump_is_the_file_and_its_drop_ins_in_force(tmp_path: Path) -> None:
    """And it is a configuration itself, whose dump is the same."""
    path = _configuration(tmp_path, "[jobs]\nmax_running = 1\n")
    folder = tmp_path / "jobworker.toml.d"
    folder.mkdir(mode=0o755)
    drop_in = folder / "a.toml"
    drop_in.write_text("[jobs]\nmax_running = 2\n")
    drop_in.chmod(0o644)
    code, dump, said = _jobworkerd(path, "--dump-config")
    assert (code, said) == (0, "")
    assert "\nmax_running = 2\n" in dump
    drop_in.unlink()
    assert _jobworkerd(_configuration(tmp_path, dump), "--dump-config") == (0, dump, "")


def test_a_configuration_that_is_not_there_is_one_line_and_78(tmp_path: Path) -> None:
    """For a start, too."""
    path = tmp_path / "nosuch"
    said = f"jobworkerd: {path}: cannot be read: No such file or directory\n"
    for options in (["--check-config"], ["--dump-config"], []):
        assert _jobworkerd(path, *options) == (78, "", said)


def test_a_start_with_a_mistake_names_the_first_and_gives_78(tmp_path: Path) -> None:
    """After that systemd does not try again."""
    path = _configuration(tmp_path, "[server]\nlisten = 'here'\n")
    assert _jobworkerd(path) == (
        78, "",
        f'jobworkerd: {path}:2: server.listen: must be HOST:PORT such as "127.0.0.1:50051" or "[::1]:50051"'
        ' (is "here")\n',
    )  # fmt: skip
