"""A worker in a clone: ``dev.py serve`` in the foreground, ``dev.py run`` for one job. State under .dev/.

All processes and jobs run as whoever called: there is no boundary between them, and it says so.
"""

from __future__ import annotations

import os
import pwd
import shlex
import signal
import socket
import subprocess
import sys
from pathlib import Path

_TOP = Path(__file__).resolve().parent.parent
_DEV = _TOP / ".dev"
_READY_SECONDS = 20.0
_DEFAULT_JOB = "echo hello from jobworker; uname -a; id"


def _configure() -> Path:
    """Writes .dev/jobworker.toml and throw-away certificates; the client's context file."""
    user = pwd.getpwuid(os.geteuid()).pw_name
    root = "true" if os.geteuid() == 0 else "false"
    for name in ("state", "logs"):
        (_DEV / name).mkdir(parents=True, exist_ok=True)
    config = _DEV / "jobworker.toml"
    config.write_text(
        f"""\
[server]
listen = "127.0.0.1:{_port()}"
state_dir = "{_DEV}/state"
log_dir = "{_DEV}/logs"
user = "{user}"
log_user = "{user}"

[tls]
ca = "{_DEV}/pki/ca.crt"
cert = "{_DEV}/pki/server.crt"
key = "{_DEV}/pki/server.key"
revoked = "{_DEV}/pki/revoked.d"

[jobs]
default_user = "{user}"
allow_root = {root}

[[grant]]
identity = "jobworker://local/root"
role = "admin"
run_as = ["{user}"]
commands = ["*"]
"""
    )
    config.chmod(0o644)
    context = _DEV / "pki/root-context.toml"
    context.unlink(missing_ok=True)  # it holds the address
    _command(
        "jobworkerd.pki", "init", "--dir", str(_DEV / "pki"), "--config", str(config), stdout=subprocess.DEVNULL
    )
    return context


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


def _command(module: str, *args: str, **options: object) -> int:
    return subprocess.run([sys.executable, "-m", module, *args], **options).returncode  # type: ignore[call-overload, no-any-return]


def _start() -> subprocess.Popen[bytes]:
    """A worker that has said READY=1."""
    path = _DEV / "notify"
    path.unlink(missing_ok=True)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as notify:
        notify.bind(str(path))
        notify.settimeout(_READY_SECONDS)
        argv = [sys.executable, "-m", "jobworkerd", "--config", str(_DEV / "jobworker.toml")]
        # A session of its own: Ctrl-C is for this program, which then stops the worker with its grace.
        worker = subprocess.Popen(argv, env=os.environ | {"NOTIFY_SOCKET": str(path)}, start_new_session=True)
        try:
            while b"READY=1" not in notify.recv(4096):
                pass
        except TimeoutError:
            worker.kill()
            raise SystemExit("the worker did not get ready; its messages stand above") from None
    return worker


def serve() -> int:
    """Until it is interrupted."""
    context = _configure()
    worker = _start()
    print(f"export JOBCTL_CONFIG={shlex.quote(str(context))}", flush=True)
    print(
        "# development: the worker and its jobs are all one user's; there is no boundary between them",
        file=sys.stderr,
    )
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        return worker.wait()
    except KeyboardInterrupt:
        worker.terminate()
        return worker.wait()


def run(shell: str) -> int:
    """One job through a worker that is started and stopped for it; the job's exit code."""
    context = _configure()
    worker = _start()
    try:
        os.environ["JOBCTL_CONFIG"] = str(context)
        code = _command("jobctl", "run", "--shell", shell)
        job = subprocess.run(
            [sys.executable, "-m", "jobctl", "list", "--limit", "1", "-o", "id"], capture_output=True, text=True
        ).stdout.strip()
        print("", flush=True)
        _command("jobctl", "status", job)
        return code
    finally:
        worker.terminate()
        worker.wait()


if __name__ == "__main__":
    if sys.argv[1:] == ["serve"]:
        sys.exit(serve())
    sys.exit(run(os.environ.get("CMD") or _DEFAULT_JOB))
