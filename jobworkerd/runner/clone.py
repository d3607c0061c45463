"""fork(2) into a cgroup: clone3(2) with CLONE_INTO_CGROUP and CLONE_PIDFD, where the kernel has it.

A child that moves itself, by writing to cgroup.procs, holds the kernel's cgroup lock for 5 to 15 ms; ten
of them at once made the runner wait for that lock for 180 ms. Born in its cgroup, a child never takes it.
CPython has no clone3, so what os.fork does around the system call is done here by the same C API.
"""

from __future__ import annotations

import ctypes
import errno
import os

_SYS_CLONE3 = 435  # the same on every architecture
_CLONE_PIDFD = 0x1000
_CLONE_INTO_CGROUP = 0x2_0000_0000
_SIGCHLD = 17

# PyDLL keeps the GIL over the call, as the child needs it held.
_libc = ctypes.PyDLL(None, use_errno=True)
_python = ctypes.pythonapi


class _Arguments(ctypes.Structure):
    """struct clone_args, version 2 (linux/sched.h)."""

    _fields_ = tuple(
        (name, ctypes.c_uint64)
        for name in (
            "flags", "pidfd", "child_tid", "parent_tid", "exit_signal", "stack", "stack_size", "tls",
            "set_tid", "set_tid_size", "cgroup",
        )
    )  # fmt: skip


def fork_into(cgroup: str) -> tuple[int, int] | None:
    """(0, -1) in the child; (pid, pidfd) in the parent; None where the kernel or a filter lacks it.

    OSError as fork(2) has it.
    """
    fd = os.open(cgroup, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    pidfd = ctypes.c_int(-1)
    arguments = _Arguments(
        flags=_CLONE_PIDFD | _CLONE_INTO_CGROUP, pidfd=ctypes.addressof(pidfd), exit_signal=_SIGCHLD, cgroup=fd
    )
    _python.PyOS_BeforeFork()
    pid = _libc.syscall(_SYS_CLONE3, ctypes.byref(arguments), ctypes.sizeof(arguments))
    if pid == 0:
        _python.PyOS_AfterFork_Child()
        return 0, -1
    number = ctypes.get_errno()
    _python.PyOS_AfterFork_Parent()
    os.close(fd)
    if pid > 0:
        return pid, pidfd.value
    if number in (errno.ENOSYS, errno.EPERM, errno.EINVAL, errno.E2BIG, errno.EOPNOTSUPP):
        return None
    raise OSError(number, os.strerror(number))
