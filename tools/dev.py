"""A worker in a clone: ``dev.py serve`` in the foreground, ``dev.py run`` for one job.

State is kept under .dev/, or in the folder that a second argument names.

All processes and jobs run as whoever called: there is no boundary between them, and it says so.
"""

from __future__ import annotations

import fcntl
import os
import pwd
import select
import shlex
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

_DEV = Path(__file__).resolve().parent.parent / ".dev"
_READY_SECONDS = 20.0
_DEFAULT_JOB = "echo hello from job $JOBWORKER_JOB_ID; uname -a; id"
# Of a systemd that make may run under (a CI runner's unit); the worker would take itself for that unit.
_OF_SYSTEMD = {
    "INVOCATION_ID", "JOURNAL_STREAM", "LISTEN_FDS", "LISTEN_PID", "RUNTIME_DIRECTORY", "WATCHDOG_PID",
    "WATCHDOG_USEC",
}  # fmt: skip


def configure(place: Path) -> Path:
    """Writes ``place``/jobworker.toml and throw-away certificates there; the client's context file."""
    user = pwd.getpwuid(os.geteuid()).pw_name
    for name in ("state", "logs"):
        (place / name).mkdir(parents=True, exist_ok=True)
    _refuse_if_in_use(place)
    config = place / "jobworker.toml"
    config.write_text(
        f"""\
[server]
listen = "127.0.0.1:{_port()}"
state_dir = "{place}/state"
log_dir = "{place}/logs"
user = "{user}"
log_user = "{user}"

[tls]
ca = "{place}/pki/ca.crt"
cert = "{place}/pki/server.crt"
key = "{place}/pki/server.key"
revoked = "{place}/pki/revoked.d"

[jobs]
default_user = "{user}"
allow_root = {"true" if os.geteuid() == 0 else "false"}

[[grant]]
identity = "jobworker://local/root"
role = "admin"
run_as = ["{user}"]
commands = ["*"]
"""
    )
    config.chmod(0o644)
    context = place / "pki/root-context.toml"
    context.unlink(missing_ok=True)  # it holds the address
    init = [
        sys.executable,
        "-m",
        "jobworkerd.pki",
        "init",
        "--dir",
        str(place / "pki"),
        "--config",
        str(config),
    ]
    subprocess.run(init, check=True, stdout=subprocess.DEVNULL)
    return context


def _refuse_if_in_use(place: Path) -> None:
    """A worker holds the lock of its state folder; its address in the files must stay what it is."""
    folder = os.open(place / "state", os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(folder, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise SystemExit(f"a worker runs on {place} already") from None
    finally:
        os.close(folder)


def _port() -> int:
    """50051, or a free one where that is taken."""
    for wanted in (50051, 0):
        with socket.socket() as sock:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                sock.bind(("127.0.0.1", wanted))
            except OSError:
                continue
            return int(sock.getsockname()[1])
    raise SystemExit("no free port on 127.0.0.1")


@contextmanager
def worker(place: Path, log: int | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that has said READY=1, with ``log`` as its standard error; at the end it is stopped.

    SystemExit where it does not get ready. It has a session of its own: Ctrl-C is for this program.
    """
    environment = {name: value for name, value in os.environ.items() if name not in _OF_SYSTEMD}
    argv = ["setpriv", "--pdeathsig", "TERM", sys.executable, "-m", "jobworkerd"]
    argv += ["--config", str(place / "jobworker.toml")]
    # The path of a socket has 107 bytes, and a clone may lie deep.
    with (
        tempfile.TemporaryDirectory(prefix="jobworker-") as folder,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify,
    ):
        notify.bind(f"{folder}/notify")
        environment["NOTIFY_SOCKET"] = f"{folder}/notify"
        process = subprocess.Popen(argv, env=environment, stderr=log, start_new_session=True)
        try:
            _wait_until_ready(process, notify)
            yield process
        finally:
            process.terminate()
            process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], notify: socket.socket) -> None:
    ended = os.pidfd_open(process.pid)
    try:
        while True:
            awake, _, _ = select.select([notify.fileno(), ended], [], [], _READY_SECONDS)
            if notify.fileno() in awake and b"READY=1" in notify.recv(4096).split(b"\n"):
                return
            if ended in awake:
                raise SystemExit(f"the worker ended with {process.wait()} before it was ready")
            if not awake:
                raise SystemExit(f"the worker is not ready after {_READY_SECONDS:.0f} s")
    finally:
        os.close(ended)


def serve(place: Path) -> int:
    """Until it is interrupted."""
    context = configure(place)
    with worker(place) as process:
        programs = Path(sys.executable).parent
        print(
            f'export JOBCTL_CONFIG={shlex.quote(str(context))} PATH="$PATH":{shlex.quote(str(programs))}',
            flush=True,
        )
        print(
            "Development: the worker and its jobs are one user, with no boundary between them.", file=sys.stderr
        )
        return process.wait()


def run(place: Path, shell: str) -> int:
    """One job through a worker that is started and stopped for it; the job's exit code."""
    context = configure(place)
    jobctl = [sys.executable, "-m", "jobctl", "--config", str(context)]
    with (place / "worker.log").open("w+") as log:
        try:
            with worker(place, log.fileno()):
                code = subprocess.run([*jobctl, "run", "--shell", shell], check=False).returncode
                newest = [*jobctl, "list", "--limit", "1", "-o", "id"]
                job = subprocess.run(newest, check=True, capture_output=True, text=True).stdout.strip()
                print(flush=True)
                subprocess.run([*jobctl, "status", job], check=True)
                return code
        except SystemExit:
            log.seek(0)
            print(log.read(), end="", file=sys.stderr)
            raise


def main(verb: str, folder: str | None = None) -> int:
    """Does what the arguments say."""
    for number in (signal.SIGINT, signal.SIGTERM):  # INT may have been ignored by who called
        signal.signal(number, signal.default_int_handler)
    place = Path(folder).resolve() if folder else _DEV
    try:
        if verb == "serve":
            return serve(place)
        # In a folder of its own, so that it does not disturb one that serves.
        return run(place / "run", os.environ.get("CMD") or _DEFAULT_JOB)
    except KeyboardInterrupt:
        return 130


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
