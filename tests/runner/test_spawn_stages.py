"""Each step of a child's set-up that can fail: the runner learns which one, and the kernel's reason.

A runner of a few lines forks one child, in a process of its own that first brings about what makes the
step fail for real.
"""

from __future__ import annotations

import errno
import json
import os
import pwd
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

_ME = pwd.getpwuid(os.geteuid())
_NOBODY = pwd.getpwnam("nobody")
_TO_NOBODY = {"user": _NOBODY.pw_name, "uid": _NOBODY.pw_uid}
_AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="needs root: another user, or a right to lose")

_RUNNER = """
import ctypes, json, os, select, signal, sys
import prctl
from jobworkerd.runner import spawn
given = json.load(sys.stdin)
program = spawn.Program(**given | {name: tuple(given[name]) for name in ("argv", "env", "nofile")})
output = os.open(sys.argv[1], os.O_WRONLY | os.O_CREAT | os.O_CLOEXEC)
exec(sys.argv[2])
before = os.listdir("/proc/self/fd")
try:
    child = spawn.fork(program, output, output)
except OSError as error:
    assert os.listdir("/proc/self/fd") == before
    print(json.dumps(["fork", error.errno]))
    sys.exit()
exec(sys.argv[3])
spawn.go(child)
select.select([child.error_fd], [], [])
end = os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
error = spawn.outcome(child)
print(json.dumps([error.stage, error.errno] if error else ["executed", end.si_status]))
os.waitpid(child.pid, 0)
"""
# clone3(2) answered with ENOSYS by a seccomp filter, as in containers and on old kernels.
_NO_CLONE3 = """
prctl.set_no_new_privs(1)
code = [(0x20, 0, 0, 0), (0x15, 0, 1, 435), (0x06, 0, 0, 0x50026), (0x06, 0, 0, 0x7fff0000)]
import struct
filters = ctypes.create_string_buffer(b"".join(struct.pack("HBBI", *each) for each in code))
program_ = ctypes.create_string_buffer(struct.pack("HxxxxxxP", len(code), ctypes.addressof(filters)))
assert ctypes.CDLL(None).prctl(22, 2, program_, 0, 0) == 0
"""


def _spawned(
    tmp_path: Path, changes: dict[str, Any], before: str = "", between: str = ""
) -> tuple[str, int, str]:
    """Stage and errno, or "executed" and the exit status; and what the job wrote."""
    given: dict[str, Any] = {
        "job_id": "x", "executable": "/bin/sh", "argv": ("sh", "-c", "pwd; exit 5"), "env": (), "dir": "/",
        "user": _ME.pw_name, "uid": _ME.pw_uid, "cgroup": None, "no_new_privs": True, "nofile": (64, 64),
    }  # fmt: skip
    output = tmp_path / "output"
    done = subprocess.run(
        [sys.executable, "-c", _RUNNER, str(output), before, between],
        input=json.dumps(given | changes), capture_output=True, text=True, timeout=30,
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
    stage, number = json.loads(done.stdout)
    return stage, number, output.read_text()


def test_a_set_up_without_a_failure_executes(tmp_path: Path) -> None:
    """Else no test below says anything."""
    assert _spawned(tmp_path, {}) == ("executed", 5, "/\n")


@_AS_ROOT
def test_a_home_that_cannot_be_entered_is_no_failure(tmp_path: Path) -> None:
    """Without a folder asked for, the job begins in /."""
    assert not os.path.exists(_NOBODY.pw_dir)
    assert _spawned(tmp_path, {"dir": "", **_TO_NOBODY}) == ("executed", 5, "/\n")


@pytest.mark.parametrize(
    ("changes", "before", "stage", "number"),
    [
        ({"cgroup": "/nosuch"}, "", "fork", errno.ENOENT),
        ({"cgroup": "/etc"}, "", "fork", errno.EBADF),
        ({"cgroup": "/etc"}, _NO_CLONE3, "cgroup", errno.ENOENT),
        ({"nofile": (64, 32)}, "", "rlimit", 0),  # Python refuses that itself
        ({"user": "no-such-user"}, "", "user", 0),
        ({"uid": 54321}, "", "user", 0),
        ({"dir": "/nosuch"}, "", "chdir", errno.ENOENT),
        ({"executable": "/nosuch"}, "", "execve", errno.ENOENT),
        ({"argv": ("sh", "x" * 131072)}, "", "execve", errno.E2BIG),
        ({"env": ("A=" + "x" * 131070,)}, "", "execve", errno.E2BIG),
        pytest.param(
            _TO_NOBODY, "prctl.cap_effective.setpcap = False", "capabilities", errno.EPERM, marks=_AS_ROOT
        ),
        pytest.param(_TO_NOBODY, "prctl.cap_effective.setgid = False", "setuid", errno.EPERM, marks=_AS_ROOT),
        pytest.param(_TO_NOBODY, "prctl.cap_effective.setuid = False", "setuid", errno.EPERM, marks=_AS_ROOT),
        pytest.param({}, "os.setuid(65534)", "setuid", errno.EPERM, marks=_AS_ROOT),
        pytest.param(_TO_NOBODY, "os.nice(5)", "nice", errno.EACCES, marks=_AS_ROOT),
        pytest.param({"dir": "/proc/1/task/1/fdinfo", **_TO_NOBODY}, "", "chdir", errno.EACCES, marks=_AS_ROOT),
    ],
)
def test_a_step_that_fails_is_named(
    tmp_path: Path, changes: dict[str, Any], before: str, stage: str, number: int
) -> None:
    """With errno, 0 where no call of the kernel's failed; the program is not executed."""
    assert _spawned(tmp_path, changes, before) == (stage, number, "")


def test_a_child_killed_before_it_executes_was_not_executed(tmp_path: Path) -> None:
    """Though its error pipe ends as that of a child that did."""
    killed = _spawned(tmp_path, {}, between="os.kill(child.pid, signal.SIGKILL)")
    assert killed == ("execve", 0, "")


_KILLED = """
import os, select, signal
from jobworkerd.runner import spawn
output = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
program = spawn.Program("j", "/bin/true", ("true",), (), "", "root", 0, None, True, (1024, 4096))
for _ in range(200):
    child = spawn.fork(program, output, output)
    signal.pidfd_send_signal(child.pidfd, signal.SIGKILL)
    select.select([child.error_fd], [], [])
    assert spawn.outcome(child) is not None
    os.waitpid(child.pid, 0)
    for fd in (child.pidfd, child.error_fd, child.go_fd):
        os.close(fd)
"""


def test_a_child_killed_this_moment_was_not_executed_either() -> None:
    """Its descriptors are closed some time before it is a zombie; looked at in between, two hundred times."""
    done = subprocess.run([sys.executable, "-c", _KILLED], capture_output=True, text=True, timeout=50)
    assert (done.returncode, done.stderr) == (0, "")


def _with_input(folder: Path, uid: int) -> str:
    """The job's input lies in that folder, under the job's id, and must be that user's."""
    spool = f"spawn.Spool({str(folder)!r}, {uid})"
    return f"import dataclasses; program = dataclasses.replace(program, spool={spool})"


def test_an_input_is_read_to_its_end(tmp_path: Path) -> None:
    """Else no test below says anything."""
    (tmp_path / "x").write_text("given")
    before = _with_input(tmp_path, os.geteuid())
    assert _spawned(tmp_path, {"argv": ("sh", "-c", "cat; exit 5")}, before) == ("executed", 5, "given")


@pytest.mark.parametrize(
    ("arrange", "number"),
    [
        ("os.symlink('/etc/hostname', 'x')", errno.ELOOP),
        ("os.mkfifo('x')", errno.EPERM),
        ("os.mkdir('x')", errno.EPERM),
        ("os.mknod('x', 0o600 | 0o140000)", errno.ENXIO),
        ("open('other', 'w').close(); os.link('other', 'x')", errno.EPERM),
        ("os.symlink('/dev/zero', 'x')", errno.ELOOP),
        ("None", errno.ENOENT),
        pytest.param("open('x', 'w').close(); os.chown('x', 65534, 65534)", errno.EPERM, marks=_AS_ROOT),
    ],
)
def test_an_input_that_is_not_the_apis_own_file_is_refused(tmp_path: Path, arrange: str, number: int) -> None:
    """A link, a FIFO that nobody writes, another's file: the child opens it as root, and neither follows nor hangs."""
    folder = tmp_path / "input"
    folder.mkdir()
    subprocess.run([sys.executable, "-c", f"import os; {arrange}"], cwd=folder, check=True)
    assert _spawned(tmp_path, {}, _with_input(folder, os.geteuid())) == ("stdin", number, "")


def test_a_folder_of_inputs_that_is_a_link_is_refused(tmp_path: Path) -> None:
    """Wherever it leads."""
    (tmp_path / "real").mkdir()
    (tmp_path / "real/x").write_text("given")
    (tmp_path / "input").symlink_to("real")
    before = _with_input(tmp_path / "input", os.geteuid())
    assert _spawned(tmp_path, {}, before) == ("stdin", errno.ENOTDIR, "")
