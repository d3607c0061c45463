"""A Debian that boots systemd as PID 1 in a folder of its own, without a network, and leaves nothing behind.

systemd-nspawn(1), told to register nowhere, so that it needs no systemd outside. What runs inside is
entered with nsenter(1), and ends with the container: it lives in its PID namespace.
"""

from __future__ import annotations

import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

_BOOT_SECONDS = 40.0
_ENVIRONMENT = (
    "HOME=/root",
    "LANG=C.UTF-8",
    "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
)


class Container:
    """One that runs. ``root`` is its / as seen from outside, ``name`` its host name."""

    def __init__(self, root: Path, name: str, leader: int) -> None:
        self.root = root
        self.name = name
        self._leader = leader

    def run(
        self,
        argv: Sequence[str],
        *,
        check: bool = True,
        user: str | None = None,
        input: str | None = None,  # noqa: A002  # as subprocess.run has it
        timeout: float = 50,
    ) -> subprocess.CompletedProcess[str]:
        """Runs a program inside, to its end; as root, or as ``user``.

        With ``check`` an exit code other than 0 is an AssertionError that shows what was written.
        """
        done = subprocess.run(
            self._enter(argv, user),
            input=input,
            stdin=subprocess.DEVNULL if input is None else None,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            timeout=timeout,
            check=False,
            start_new_session=True,  # a Ctrl-C is for pytest, which ends the container
        )
        if check and done.returncode != 0:
            raise AssertionError(f"{argv} gave {done.returncode}\n{done.stdout}\n{done.stderr}")
        return done

    def popen(self, argv: Sequence[str], *, user: str | None = None, **options: Any) -> subprocess.Popen[bytes]:
        """Starts a program inside; ``options`` are Popen's."""
        return subprocess.Popen(self._enter(argv, user), start_new_session=True, **options)

    def jobctl(self, *args: str, **options: Any) -> subprocess.CompletedProcess[str]:
        """``jobctl`` as root, without a check of its exit code."""
        return self.run(["jobctl", *args], check=False, **options)

    def install(self, package: Path) -> subprocess.CompletedProcess[str]:
        """``apt install`` of a .deb, and nothing else."""
        inside = f"/opt/{package.name}"
        shutil.copy(package, f"{self.root}{inside}")
        return self.run(["env", "DEBIAN_FRONTEND=noninteractive", "apt-get", "install", "-y", inside])

    def main_pid(self, unit: str = "jobworker") -> int:
        """The main PID of a service that runs, as seen inside."""
        pid = int(self.run(["systemctl", "show", "--property=MainPID", "--value", unit]).stdout)
        assert pid > 1, f"{unit} does not run"  # a kill of 0 would be one of the caller's group
        return pid

    def _enter(self, argv: Sequence[str], user: str | None) -> list[str]:
        become = ["runuser", "-u", user, "--"] if user else []
        enter = ["nsenter", "--target", str(self._leader), "--all", "--wdns=/"]
        return [*enter, "env", "-i", *_ENVIRONMENT, *become, *argv]


@contextmanager
def booted(tar: Path) -> Iterator[Container]:
    """Unpacks and boots; at the end all of it is gone."""
    with tempfile.TemporaryDirectory(prefix="jobworker-test-") as folder:
        name = Path(folder).name.replace("_", "x")  # a host name ends in no hyphen
        root = Path(folder) / "root"
        root.mkdir()
        unpack = ["tar", "--extract", "--numeric-owner", "--xattrs-include=*", "-C", str(root), "-f", str(tar)]
        subprocess.run(unpack, check=True, start_new_session=True)
        with (root / "etc/hosts").open("a") as hosts:
            hosts.write(f"127.0.1.1 {name}\n")
        with _cgroups(name) as cgroups:
            nspawn, leader = _boot(root, name, Path(folder), cgroups)
            try:
                pidfd = os.pidfd_open(leader)
                try:
                    yield Container(root, name, leader)
                finally:
                    signal.pidfd_send_signal(pidfd, signal.SIGKILL)  # PID 1: the kernel ends all the others
                    os.close(pidfd)
            finally:
                _end(nspawn)


@contextmanager
def _cgroups(name: str) -> Iterator[list[str]]:
    """A cgroup of its own in each hierarchy of systemd's: nspawn would share the caller's, and two containers
    would end each other's services. Removed with all that nspawn and systemd left below.
    """
    mounts = [line.split(" - ") for line in Path("/proc/self/mountinfo").read_text().splitlines()]
    own = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
    paths = []
    for before, after in mounts:
        kind, _, options = after.split(" ", 2)
        hierarchy = "" if kind == "cgroup2" else "name=systemd"
        if kind == "cgroup2" or (kind == "cgroup" and hierarchy in options.split(",")):
            paths.append(f"{before.split(' ')[4]}{own[hierarchy].rstrip('/')}/{name}")
    try:
        for path in paths:
            os.mkdir(path)
        yield paths
    finally:
        for path in paths:
            for folder, _, _ in os.walk(path, topdown=False):
                os.rmdir(folder)


def _boot(root: Path, name: str, folder: Path, cgroups: Sequence[str]) -> tuple[subprocess.Popen[bytes], int]:
    """Starts nspawn and waits until systemd inside says that it has started; nspawn, and systemd's pid."""
    enter = (
        'for path; do [ "$path" != -- ] || break; echo $$ >"$path/cgroup.procs"; shift; done; shift; exec "$@"'
    )
    argv = ["sh", "-euc", enter, "sh", *cgroups, "--"]
    argv += ["setpriv", "--pdeathsig", "KILL", "systemd-nspawn", "--quiet", "--boot", f"--directory={root}"]
    argv += [f"--machine={name}", "--register=no", "--keep-unit", "--private-network", "--notify-ready=yes"]
    argv += ["--console=pipe", "--resolv-conf=off", "--link-journal=no"]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, (folder / "console").open("wb") as console:
        notify.bind(str(folder / "notify"))
        notify.settimeout(_BOOT_SECONDS)
        nspawn = subprocess.Popen(
            argv,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "NOTIFY_SOCKET": str(folder / "notify")},
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            return nspawn, _leader_when_ready(notify)
        except TimeoutError:
            _end(nspawn)
            said = (folder / "console").read_text(errors="replace")
            raise AssertionError(f"the container did not boot in {_BOOT_SECONDS:.0f} s:\n{said}") from None
        except BaseException:
            _end(nspawn)
            raise


def _leader_when_ready(notify: socket.socket) -> int:
    """Nspawn tells the pid of its PID 1 at once, and passes on the READY=1 of that."""
    leader = 0
    while True:
        message = notify.recv(4096).decode()
        if found := re.search(r"^X_NSPAWN_LEADER_PID=(\d+)$", message, re.MULTILINE):
            leader = int(found[1])
        if leader and re.search(r"^READY=1$", message, re.MULTILINE):
            return leader


def _end(nspawn: subprocess.Popen[bytes]) -> None:
    """Nspawn ends when its PID 1 has, or is killed, which kills that PID 1 (it set PDEATHSIG)."""
    try:
        nspawn.wait(timeout=10)
    except subprocess.TimeoutExpired:
        nspawn.kill()
        nspawn.wait()
