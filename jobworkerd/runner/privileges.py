"""What a child gives up before it executes anything: the steps, each checked by the kernel.

The order matters and is the caller's (``spawn.py``, ``peers.py``): the bounding set and the keyring
while there is still the right to, ids, then what is left of the capabilities, then no_new_privs.
credentials(7), capabilities(7), prctl(2), keyctl(2).
"""

from __future__ import annotations

import contextlib
import ctypes
import errno
import os
import signal

import prctl

_PR_CAP_AMBIENT = 47
_PR_CAP_AMBIENT_CLEAR_ALL = 4
_KEYCTL_JOIN_SESSION_KEYRING = 1
_RUNNER_NICE = -10
_SYS_KEYCTL = {"x86_64": 250, "aarch64": 219, "riscv64": 219, "i686": 288, "armv7l": 311, "s390x": 280}

# Loaded with the runner, not in the child: dlopen after an upgrade may find another library.
_libc = ctypes.CDLL(None, use_errno=True)
_NICE_BEFORE = os.getpriority(os.PRIO_PROCESS, 0)
_keyctl_number = _SYS_KEYCTL.get(os.uname().machine)


def last_capability() -> int:
    """The highest capability this kernel knows: /proc/sys/kernel/cap_last_cap."""
    with open("/proc/sys/kernel/cap_last_cap", encoding="ascii") as file:
        return int(file.read())


_LAST_CAPABILITY = last_capability()


def die_with(parent: int) -> None:
    """SIGKILL when ``parent`` ends; raises ProcessLookupError where it has ended already.

    Set again after each change of ids, which clears it.
    """
    prctl.set_pdeathsig(signal.SIGKILL)
    if os.getppid() != parent:
        raise ProcessLookupError(errno.ESRCH, "the runner is gone")


def join_new_keyring() -> None:
    """An anonymous session keyring of its own: the runner's is inherited over setuid otherwise.

    Where system calls on keys are forbidden (a container's filter) there is nothing to inherit either.
    """
    if _keyctl_number is None:
        return
    if _libc.syscall(_keyctl_number, _KEYCTL_JOIN_SESSION_KEYRING, None) < 0:
        number = ctypes.get_errno()
        if number not in (errno.ENOSYS, errno.EPERM):
            raise OSError(number, os.strerror(number))


def clear_ambient() -> None:
    """No capability survives an execve by being ambient."""
    if _libc.prctl(_PR_CAP_AMBIENT, _PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0) < 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def empty_bounding_set() -> None:
    """No program executed later can gain a capability, set-uid root or not. Needs CAP_SETPCAP."""
    for capability in range(_LAST_CAPABILITY + 1):
        prctl.capbset_drop(capability)


def come_first() -> None:
    """Lets the runner be scheduled before jobs that keep every processor busy.

    Where this is not permitted (development) nothing changes.
    """
    with contextlib.suppress(PermissionError):
        os.setpriority(os.PRIO_PROCESS, 0, _RUNNER_NICE)


def as_before() -> None:
    """In a child: the nice value that the runner was started with; being nicer needs no right."""
    os.setpriority(os.PRIO_PROCESS, 0, _NICE_BEFORE)


def change_ids(uid: int, gid: int, groups: list[int]) -> None:
    """Real, effective and saved ids. A plain user can only stay who it is (EPERM)."""
    if os.geteuid() != 0:
        if uid != os.geteuid():
            raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))
        return
    os.setgroups(groups)
    os.setresgid(gid, gid, gid)
    os.setresuid(uid, uid, uid)


def zero_capabilities() -> None:
    """Effective, permitted and inherited sets empty."""
    prctl.cap_effective.limit()
    prctl.cap_inheritable.limit()
    prctl.cap_permitted.limit()


def leave_oom_protection() -> None:
    """Neither a job nor a peer inherits the runner's; raising one's score needs no right."""
    with open("/proc/self/oom_score_adj", encoding="ascii") as file:
        if int(file.read()) >= 0:
            return
    with open("/proc/self/oom_score_adj", "w", encoding="ascii") as file:
        file.write("0")
