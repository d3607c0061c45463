"""A real worker for each test that asks for one: its own folder, certificates, port and jobctl."""

from __future__ import annotations

import json
import os
import pwd
import random
import select
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

_READY_SECONDS = 20.0
_ENVIRONMENT = {"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "LANG": "C.UTF-8"}
REPOSITORY = Path(__file__).parent.parent


def wait_for(condition: Callable[[], Any], seconds: float = 10.0) -> Any:
    """What ``condition`` gives, once that is true; for what nothing can wake a test for."""
    deadline = time.monotonic() + seconds
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s")
        select.select([], [], [], 0.01)


def children(pid: int) -> list[int]:
    """Direct children of a process."""
    text = Path(f"/proc/{pid}/task/{pid}/children").read_text()
    return [int(child) for child in text.split()]


def command_line(pid: int) -> str:
    """Its argv, joined by blanks; empty for a zombie and for one that is gone."""
    try:
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
    except OSError:
        return ""


def alive(pid: int) -> bool:
    """There, and no zombie."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class Worker:
    """jobworkerd in development mode: every process is whoever runs the tests."""

    def __init__(self, folder: Path, config: str = "") -> None:
        self.folder = folder
        self.user = pwd.getpwuid(os.geteuid()).pw_name
        self.log_dir = folder / "logs"
        self.state_dir = folder / "state"
        self.config = folder / "jobworker.toml"
        self.context = folder / "pki/root-context.toml"
        self.process: subprocess.Popen[bytes] | None = None
        self.port = free_port()
        self.journal = folder / "journal"
        for each in (self.log_dir, self.state_dir):
            each.mkdir(parents=True)
        self.configure(config)
        self.pki("init")

    def configure(self, more: str = "", jobs: str = "", grants: str | None = None) -> None:
        """Writes the configuration; ``jobs`` are lines of [jobs], ``more`` sections behind it."""
        pki = self.folder / "pki"
        own = f"""
[[grant]]
identity = "jobworker://local/root"
role = "admin"
run_as = ["{self.user}"]
commands = ["*"]
"""
        self.config.write_text(
            f"""
[server]
listen = "127.0.0.1:{self.port}"
state_dir = "{self.state_dir}"
log_dir = "{self.log_dir}"
user = "{self.user}"
log_user = "{self.user}"
drain_grace = "2s"

[tls]
ca = "{pki}/ca.crt"
cert = "{pki}/server.crt"
key = "{pki}/server.key"

[jobs]
default_user = "{self.user}"
allow_root = {"true" if os.geteuid() == 0 else "false"}
{jobs}
{more}
{own if grants is None else grants}"""
        )
        self.config.chmod(0o644)

    def pki(self, verb: str, *args: str) -> None:
        """jobworker-pki on this worker's folder."""
        argv = [sys.executable, "-m", "jobworkerd.pki", verb, *args]
        argv += ["--dir", str(self.folder / "pki"), "--config", str(self.config)]
        subprocess.run(argv, check=True, capture_output=True)

    def client(self, identity: str) -> Path:
        """A context file for another caller."""
        out = self.folder / (identity.rpartition("/")[2] + ".toml")
        self.pki("client", identity, "--out", str(out))
        return out

    def command(self, *options: str) -> list[str]:
        """Jobworkerd's argv."""
        return [sys.executable, "-m", "jobworkerd", "--config", str(self.config), *options]

    def start(self) -> None:
        """Until READY=1."""
        path = self.folder / "notify"
        path.unlink(missing_ok=True)
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify, self.journal.open("ab") as journal:
            notify.bind(str(path))
            notify.settimeout(_READY_SECONDS)
            self.process = subprocess.Popen(
                self.command(), env=_ENVIRONMENT | {"NOTIFY_SOCKET": str(path)}, stdin=subprocess.DEVNULL,
                stdout=journal, stderr=journal,
            )  # fmt: skip
            try:
                while b"READY=1" not in notify.recv(4096):
                    pass
            except TimeoutError:
                self.kill()
                raise AssertionError(f"not ready:\n{self.journal.read_text()}") from None

    @property
    def pid(self) -> int:
        """The runner's."""
        assert self.process is not None
        return self.process.pid

    def peer(self, role: str) -> int:
        """The pid of "api" or "recorder", once there is one."""
        return int(
            wait_for(
                lambda: next((p for p in children(self.pid) if f"jobworkerd.{role}" in command_line(p)), 0)
            )
        )

    def stop(self) -> int:
        """TERM, and the exit code."""
        assert self.process is not None
        self.process.terminate()
        return self.process.wait(timeout=30)

    def kill(self) -> None:
        """SIGKILL, as a crash."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(timeout=10)

    def jobctl(
        self, *args: str, context: Path | None = None, **options: Any
    ) -> subprocess.CompletedProcess[Any]:
        """Runs jobctl to its end; text unless told otherwise."""
        options = {"text": True, "timeout": 50, "stdin": subprocess.DEVNULL} | options
        return subprocess.run(self.argv(*args), capture_output=True, env=self.environment(context), **options)

    def popen(self, *args: str, context: Path | None = None, **options: Any) -> subprocess.Popen[Any]:
        """Starts jobctl."""
        return subprocess.Popen(self.argv(*args), env=self.environment(context), **options)

    def argv(self, *args: str) -> list[str]:
        """Jobctl's argv."""
        return [sys.executable, "-m", "jobctl", *args]

    def environment(self, context: Path | None = None) -> dict[str, str]:
        """Jobctl's environment."""
        return _ENVIRONMENT | {"JOBCTL_CONFIG": str(context or self.context), "HOME": str(self.folder)}

    def job(self, *args: str) -> str:
        """Starts a job: its id."""
        done = self.jobctl("start", *args)
        assert done.returncode == 0, done.stderr
        return str(done.stdout.strip())

    def record(self, job: str) -> dict[str, Any]:
        """``jobctl status -o json``."""
        done = self.jobctl("status", "-o", "json", job)
        assert done.returncode == 0, done.stderr
        record: dict[str, Any] = json.loads(done.stdout)
        return record

    def ended(self, job: str) -> dict[str, Any]:
        """The record, once the job has ended."""
        self.jobctl("wait", job)
        return self.record(job)

    def close(self) -> None:
        """Whatever state it is in, nothing is left. What it said is shown where a test failed."""
        if self.journal.exists():
            said = self.journal.read_text(errors="replace").splitlines()
            print(
                *[line for line in said if ": started: " not in line and ": finished: " not in line][-50:],
                sep="\n",
            )
        if self.process is not None and self.process.poll() is None:
            try:
                self.stop()
            except subprocess.TimeoutExpired:
                self.kill()


def free_port() -> int:
    """Below those that the kernel hands to clients, which could take it before the worker does."""
    while True:
        port = random.randrange(15_000, 32_000)
        with socket.socket() as sock:
            try:
                sock.bind(("127.0.0.1", port))
            except OSError:
                continue
            return port


@pytest.fixture
def worker(tmp_path: Path) -> Iterator[Worker]:
    """A worker that serves."""
    each = Worker(tmp_path)
    try:
        each.start()
        yield each
    finally:
        each.close()


@pytest.fixture
def idle_worker(tmp_path: Path) -> Iterator[Worker]:
    """A worker that is configured and not started."""
    each = Worker(tmp_path)
    try:
        yield each
    finally:
        each.close()


@pytest.fixture(scope="module")
def shared_worker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Worker]:
    """One worker for the tests of a module that leave no trace that matters to the others."""
    each = Worker(tmp_path_factory.mktemp("worker"))
    try:
        each.start()
        yield each
    finally:
        each.close()
