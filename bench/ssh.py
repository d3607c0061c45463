"""An sshd on a port of its own, with keys that are thrown away; only this user may come, only from here."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

_SSHD = "/usr/sbin/sshd"
_NEEDED_BY_ROOT = Path("/run/sshd")
_READY_SECONDS = 10.0
_OPTIONS = ("BatchMode=yes", "IdentitiesOnly=yes", "LogLevel=ERROR", "StrictHostKeyChecking=no",
            "UserKnownHostsFile=/dev/null")  # fmt: skip


@contextmanager
def server(place: Path) -> Iterator[tuple[list[str], str]]:
    """The ssh argv up to the command; or none, and why not."""
    missing = [each for each in (_SSHD, "ssh", "ssh-keygen") if shutil.which(each) is None]
    if missing:
        yield [], f"no {missing[0]}; apt-get install openssh-server"
        return
    folder = place / "ssh"
    folder.mkdir()
    for name in ("host", "client"):
        argv = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(argv, check=True, stdin=subprocess.DEVNULL)
    port = _free_port()
    _configure(folder, port)
    with _privilege_separation(), (folder / "log").open("wb") as log:
        argv = [_SSHD, "-D", "-e", "-f", str(folder / "config")]
        with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stderr=log) as process:
            try:
                yield _tried(_argv(folder, port))
            finally:
                process.terminate()


def _configure(folder: Path, port: int) -> None:
    user = pwd.getpwuid(os.geteuid()).pw_name
    (folder / "config").write_text(
        f"""\
ListenAddress 127.0.0.1:{port}
HostKey {folder}/host
AuthorizedKeysFile {folder}/client.pub
AllowUsers {user}
PidFile none
UsePAM no
StrictModes no
PasswordAuthentication no
PermitRootLogin prohibit-password
"""
    )


def _argv(folder: Path, port: int) -> list[str]:
    options = [word for option in _OPTIONS for word in ("-o", option)]
    return ["ssh", "-F", "none", *options, "-i", str(folder / "client"), "-p", str(port), "127.0.0.1"]


def _tried(argv: list[str]) -> tuple[list[str], str]:
    deadline = time.monotonic() + _READY_SECONDS
    while True:
        done = subprocess.run([*argv, "true"], capture_output=True, stdin=subprocess.DEVNULL, check=False)
        if done.returncode == 0:
            return argv, ""
        said = done.stderr.decode(errors="replace").strip()
        if "refused" not in said or time.monotonic() > deadline:
            return [], f"ssh: {said.splitlines()[-1] if said else done.returncode}"
        time.sleep(0.05)


@contextmanager
def _privilege_separation() -> Iterator[None]:
    """A folder that root's sshd insists on, and that Debian makes when it starts one."""
    made = os.geteuid() == 0 and not _NEEDED_BY_ROOT.exists()
    if made:
        _NEEDED_BY_ROOT.mkdir(mode=0o755)
    try:
        yield
    finally:
        if made:
            with suppress(OSError):
                _NEEDED_BY_ROOT.rmdir()


def _free_port() -> int:
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        return int(sock.getsockname()[1])
