"""jobworker-pki: what it makes is what the worker needs, and it never touches what exists."""

from __future__ import annotations

import grp
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest


def _pki(folder: Path, *args: str) -> subprocess.CompletedProcess[str]:
    argv = [sys.executable, "-m", "jobworkerd.pki", *args, "--dir", str(folder)]
    return subprocess.run(argv, capture_output=True, text=True, timeout=30)


def _server_key_mode() -> int:
    """For the worker's group as well, where there is one to give it to."""
    try:
        grp.getgrnam("jobworker")
    except KeyError:
        return 0o600
    return 0o640 if os.geteuid() == 0 else 0o600


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder after init."""
    folder = tmp_path_factory.mktemp("ca") / "pki"
    assert _pki(folder, "init").returncode == 0
    return folder


def test_init_makes_all_and_touches_nothing_that_exists(made: Path) -> None:
    """A second one changes no byte and says nothing."""
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in made.iterdir()}
    assert modes == {
        "ca.crt": 0o644, "ca.key": 0o600, "server.crt": 0o644, "server.key": _server_key_mode(), "revoked.d": 0o755,
        "root-context.toml": 0o600,
    }  # fmt: skip
    before = {path.name: path.read_bytes() for path in made.iterdir() if path.is_file()}
    again = _pki(made, "init")
    assert (again.returncode, again.stdout) == (0, "")
    assert {path.name: path.read_bytes() for path in made.iterdir() if path.is_file()} == before


@pytest.mark.parametrize(("purpose", "good"), [("sslserver", True), ("sslclient", False)])
def test_openssl_agrees_on_the_servers_use(made: Path, purpose: str, good: bool) -> None:
    """Told apart by extended key usage."""
    argv = ["openssl", "verify", "-CAfile", str(made / "ca.crt"), "-purpose", purpose, str(made / "server.crt")]
    assert (subprocess.run(argv, capture_output=True).returncode == 0) is good


def test_certificates_are_p256_with_the_names_asked_for(made: Path, tmp_path: Path) -> None:
    """As openssl reads them."""
    assert _pki(made, "server", "build1.example", "192.0.2.1", "--out", str(tmp_path / "s")).returncode == 0
    text = subprocess.run(
        ["openssl", "x509", "-in", tmp_path / "s/server.crt", "-noout", "-text"], capture_output=True, text=True
    ).stdout
    assert "prime256v1" in text
    assert "DNS:build1.example, IP Address:192.0.2.1" in text


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["client", "alice", "--out", "OUT"], "jobworker-pki: 'alice' is not an identity\ntry: one such as"),
        (
            ["client", "jobworker://ops/*", "--out", "OUT"],
            "jobworker-pki: 'jobworker://ops/*' is not an identity",
        ),
        (
            ["client", "jobworker://ops/alice", "--out", "HERE"],
            "jobworker-pki: HERE exists\ntry: remove it first",
        ),
        (["client", "jobworker://ops/alice", "--out", "/nosuch/x"], "jobworker-pki: cannot write in /nosuch:"),
        (
            ["client", "jobworker://ops/alice", "--out", "OUT", "--name", "a b"],
            "jobworker-pki: --name 'a b' must be",
        ),
    ],
)
def test_what_cannot_be_done_is_one_line(made: Path, tmp_path: Path, args: list[str], said: str) -> None:
    """With 1, and nothing made."""
    here = tmp_path / "here"
    here.write_text("mine")
    places = {"OUT": str(tmp_path / "out"), "HERE": str(here)}
    done = _pki(made, *(places.get(arg, arg) for arg in args))
    assert done.returncode == 1
    assert done.stderr.startswith(said.replace("HERE", str(here)))
    assert here.read_text() == "mine"
    assert not (tmp_path / "out").exists()


def test_without_a_ca_it_says_what_to_try(tmp_path: Path) -> None:
    """Init."""
    done = _pki(tmp_path, "client", "jobworker://ops/alice", "--out", str(tmp_path / "out"))
    assert (done.returncode, done.stderr) == (
        1, f"jobworker-pki: cannot read {tmp_path}/ca.crt: No such file or directory\ntry: jobworker-pki init\n"
    )  # fmt: skip
