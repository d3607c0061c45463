"""Starts a job: fork without waiting, and the child's set-up up to execve.

The runner never waits for the child: a hostile job of the same uid can stop it between setuid and
exec, and a hung file system can hold its chdir. What goes wrong comes back on a close-on-exec pipe;
an end of file there means executed (or killed: ``executed`` tells). The child waits for *go*, so
that the ledger knows it before it can do anything. Each step's place is measured; DESIGN section 4
has the order, and each comment here the reason.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import pwd
import resource
import signal
import stat
import struct
from collections.abc import Iterator
from dataclasses import dataclass

import prctl

from jobworkerd.rules import FIXED_PATH

from . import clone, privileges, procfs

STAGES = (
    "descriptors",
    "setsid",
    "pdeathsig",
    "stdin",
    "cgroup",
    "oom_score_adj",
    "rlimit",
    "keyring",
    "capabilities",
    "user",
    "setuid",
    "no_new_privs",
    "chdir",
    "nice",
    "execve",
)
_ERROR = struct.Struct("<BI")
_STDIN, _STDOUT, _STDERR, _ERROR_FD, _GO_FD = range(5)
_OUT_OF_THE_WAY = 16


@dataclass(frozen=True, slots=True)
class Spool:
    """The folder in which the API, a process of that uid, leaves each job's input under the job's id."""

    folder: str
    uid: int


@dataclass(frozen=True, slots=True)
class Program:
    """What to execute, and as whom. ``uid`` is what ``user`` must still be."""

    job_id: str
    executable: str
    argv: tuple[str, ...]
    env: tuple[str, ...]
    dir: str
    user: str
    uid: int
    cgroup: str | None
    no_new_privs: bool
    nofile: tuple[int, int]  # soft and hard, as the runner found them
    spool: Spool | None = None  # where its standard input lies; None: /dev/null


@dataclass(frozen=True, slots=True)
class Child:
    """A forked child. The runner owns the three descriptors."""

    pid: int
    pidfd: int
    error_fd: int
    go_fd: int


class SetupError(Exception):
    """A step of the set-up failed: ``stage`` is one of STAGES, ``errno`` 0 where no call failed."""

    def __init__(self, stage: str, errno: int) -> None:
        super().__init__(stage, errno)
        self.stage = stage
        self.errno = errno


def fork(program: Program, stdout: int, stderr: int) -> Child:
    """Forks a child that waits for *go*, then executes the program. Raises OSError.

    ``stdout`` and ``stderr`` are the write ends of its pipes; they stay open here.
    """
    with contextlib.ExitStack() as ours, contextlib.ExitStack() as childs:
        error_read, error_write = _pipe(ours, childs)
        go_read, go_write = _pipe(childs, ours)
        runner = os.getpid()
        # A signal for the runner must not run its handler in the child.
        signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        try:
            born = clone.fork_into(program.cgroup) if program.cgroup is not None else None
            pid, pidfd = born or (os.fork(), -1)
            if pid == 0:
                joined = born is not None or program.cgroup is None
                _child(program, joined, runner, stdout, stderr, error_write, go_read)
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, ())
        if pidfd < 0:
            try:
                pidfd = os.pidfd_open(pid)
            except OSError:
                # It waits for *go* and gets an end of file: it is gone in a moment.
                ours.close()
                os.waitpid(pid, 0)
                raise
        os.set_blocking(error_read, False)
        ours.pop_all()
    return Child(pid, pidfd, error_read, go_write)


def _pipe(reader: contextlib.ExitStack, writer: contextlib.ExitStack) -> tuple[int, int]:
    """Each end closed by its own stack."""
    read, write = os.pipe2(os.O_CLOEXEC)
    reader.callback(os.close, read)
    writer.callback(os.close, write)
    return read, write


def go(child: Child) -> None:
    """Lets the child go on; that it was killed meanwhile is no error here."""
    try:
        os.write(child.go_fd, b"g")
    except BrokenPipeError:
        return


def outcome(child: Child) -> SetupError | None:
    """What the error pipe says, once readable: None for executed. BlockingIOError: not yet known."""
    data = os.read(child.error_fd, _ERROR.size)
    if len(data) == _ERROR.size:
        stage, number = _ERROR.unpack(data)
        return SetupError(STAGES[stage], number)
    process = procfs.read(child.pid)
    # execve clears the flag before it closes what is close-on-exec; a process that is killed closes its
    # descriptors before it is a zombie.
    if process is not None and process.flags & procfs.PF_FORKNOEXEC:
        return SetupError("execve", 0)  # killed before it got there
    return None


def _child(
    program: Program, joined: bool, runner: int, stdout: int, stderr: int, error: int, go_read: int
) -> None:
    """Never returns."""
    stage, error_fd = "descriptors", error
    try:
        _arrange_descriptors(stdout, stderr, error, go_read)
        error_fd = _ERROR_FD
        steps = _set_up(program, joined, runner)
        while True:
            stage = next(steps)
    except OSError as failure:
        _tell(error_fd, stage, failure.errno or 0)
    except BaseException:
        _tell(error_fd, stage, 0)
    finally:
        os._exit(127)


def _tell(fd: int, stage: str, number: int) -> None:
    os.write(fd, _ERROR.pack(STAGES.index(stage), number))


def _arrange_descriptors(stdout: int, stderr: int, error: int, go_read: int) -> None:
    """0 /dev/null, 1, 2, 3 errors, 4 go, and not one more, before anything waits.

    Other jobs' pipes would else be held open by a child that waits.
    """
    null = os.open(os.devnull, os.O_RDONLY)
    moved = [fcntl.fcntl(fd, fcntl.F_DUPFD, _OUT_OF_THE_WAY) for fd in (null, stdout, stderr, error, go_read)]
    for target, fd in enumerate(moved):
        os.dup2(fd, target, inheritable=target <= _STDERR)
    os.closerange(_GO_FD + 1, os.sysconf("SC_OPEN_MAX"))


def _set_up(program: Program, joined: bool, runner: int) -> Iterator[str]:
    """Yields each stage's name before it does it, so that a failure is named by the last one."""
    yield "setsid"
    os.setsid()
    yield "pdeathsig"
    privileges.die_with(runner)
    if not os.read(_GO_FD, 1):
        os._exit(127)  # the runner died between fork and ledger
    yield "stdin"
    if program.spool is not None:
        _take_input(program.spool, program.job_id)
    yield "cgroup"
    if not joined:
        _write(f"{program.cgroup}/cgroup.procs", "0")
    yield "oom_score_adj"
    privileges.leave_oom_protection()
    yield "rlimit"
    resource.setrlimit(resource.RLIMIT_NOFILE, program.nofile)
    yield "keyring"
    # As root: joined after setuid, 200 jobs exhaust the user's quota of keys.
    privileges.join_new_keyring()
    yield "capabilities"
    privileges.clear_ambient()
    confined = program.uid != 0 and program.no_new_privs
    if confined and os.geteuid() == 0:
        privileges.empty_bounding_set()
    yield "user"
    entry = pwd.getpwnam(program.user)
    groups = os.getgrouplist(program.user, entry.pw_gid)
    if entry.pw_uid != program.uid:
        raise OSError(0, "the user is another one now")
    yield "setuid"
    privileges.change_ids(entry.pw_uid, entry.pw_gid, groups)
    yield "no_new_privs"
    if program.uid != 0:
        privileges.zero_capabilities()
    if program.no_new_privs:
        prctl.set_no_new_privs(1)
    yield "pdeathsig"
    privileges.die_with(runner)
    yield "chdir"
    os.umask(0o027)
    _enter(program.dir, entry.pw_dir)
    # Late: a child that joins its cgroup holds a lock of the runner's, and must not wait for a processor.
    yield "nice"
    privileges.as_before()
    yield "execve"
    env = _environment(program, entry)
    _default_signals()
    os.execve(program.executable, program.argv, env)


def _take_input(spool: Spool, job_id: str) -> None:
    """As root, for the job's user may not: so it must be the API's own file, not a name of another's."""
    folder = os.open(spool.folder, os.O_PATH | os.O_DIRECTORY | os.O_NOFOLLOW)
    flags = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK
    fd = os.open(job_id, flags, dir_fd=folder)
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode) or found.st_uid != spool.uid or found.st_nlink != 1:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))
    os.set_blocking(fd, True)
    os.dup2(fd, _STDIN)
    os.close(fd)
    os.close(folder)


def _enter(wanted: str, home: str) -> None:
    """As the job's user: what root may enter is no measure."""
    if wanted:
        os.chdir(wanted)
        return
    try:
        os.chdir(home)
    except OSError:
        os.chdir("/")


def _environment(program: Program, entry: pwd.struct_passwd) -> dict[str, str]:
    """Built from nothing, as CONTRACT has it; the caller's come last."""
    own = {
        "PATH": FIXED_PATH,
        "HOME": entry.pw_dir,
        "USER": entry.pw_name,
        "LOGNAME": entry.pw_name,
        "SHELL": entry.pw_shell or "/bin/sh",
        "LANG": "C.UTF-8",
        "JOBWORKER_JOB_ID": program.job_id,
    }
    return own | dict(item.split("=", 1) for item in program.env)


def _default_signals() -> None:
    """All to default (Python ignores SIGPIPE and SIGXFSZ), then unblocked; one pending takes effect now."""
    for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_SETMASK, ())


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
