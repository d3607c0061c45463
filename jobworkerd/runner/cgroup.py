"""A cgroup for each job, where the runner can make one: cgroups(7), version 2 or hybrid.

A process cannot leave its cgroup without privilege, so what is in a job's cgroup is the job's for
certain, however it got away from the process group. No controllers are needed or asked for.
"""

from __future__ import annotations

import hashlib
import os

_MOUNTS = "/proc/self/mountinfo"
_OWN = "/proc/self/cgroup"


class JobCgroups:
    """The folder under which each job gets its own. ``base`` is None where none can be made."""

    def __init__(self, base: str | None) -> None:
        self.base = base

    def create(self, job_id: str) -> str | None:
        """The new cgroup's path; None where there are none. OSError where it cannot be made now."""
        if self.base is None:
            return None
        path = f"{self.base}/{job_id}"
        os.mkdir(path)
        return path


def prepare(under_systemd: bool, state_dir: str) -> JobCgroups:
    """Finds where to make them, and empties what an earlier runner of this state_dir left there.

    Under systemd with Delegate= the runner moves itself (before READY=1, before its peers start) to
    a sub-cgroup, for processes may only live in the leaves. Elsewhere it stays where it is.
    """
    own = _own_path()
    if own is None:
        return JobCgroups(None)
    try:
        if under_systemd:
            _make(f"{own}/runner")
            _write(f"{own}/runner/cgroup.procs", "0")
            base = f"{own}/jobs"
        else:
            digest = hashlib.sha256(state_dir.encode()).hexdigest()[:12]
            base = f"{own}/jobworker-{digest}"
        _make(base)
    except OSError:
        return JobCgroups(None)
    for name in os.listdir(base):
        if os.path.isdir(f"{base}/{name}"):
            kill(f"{base}/{name}")
            remove(f"{base}/{name}")
    return JobCgroups(base)


def populated(path: str) -> bool:
    """Whether a live process is in it or below it; zombies do not count."""
    with open(f"{path}/cgroup.events", encoding="ascii") as file:
        return "populated 1" in file.read()


def kill(path: str) -> None:
    """SIGKILL to all in it, whatever they fork meanwhile. The file came with Linux 5.14."""
    _write(f"{path}/cgroup.kill", "1")


def members(path: str) -> list[int]:
    """Pids in it and below it."""
    pids: list[int] = []
    for folder, _, _ in os.walk(path):
        try:
            with open(f"{folder}/cgroup.procs", encoding="ascii") as file:
                pids += [int(line) for line in file]
        except OSError:
            continue
    return pids


def remove(path: str) -> None:
    """Removes it and what a job made below it, deepest first. One still populated stays."""
    for folder, _, _ in os.walk(path, topdown=False):
        try:
            os.rmdir(folder)
        except OSError:
            continue


def _own_path() -> str | None:
    """Where this process is, in the file system; None where no version 2 tree is mounted."""
    mount = _mount_point()
    with open(_OWN, encoding="utf-8") as file:
        path = next((line.rstrip("\n")[3:] for line in file if line.startswith("0::")), None)
    if mount is None or path is None:
        return None
    return mount + path.rstrip("/")


def _mount_point() -> str | None:
    with open(_MOUNTS, encoding="utf-8") as file:
        for line in file:
            before, _, after = line.partition(" - ")
            if after.split(" ", 1)[0] == "cgroup2":
                return before.split(" ")[4]
    return None


def _make(path: str) -> None:
    os.makedirs(path, exist_ok=True)


def _write(path: str, text: str) -> None:
    fd = os.open(path, os.O_WRONLY | os.O_CLOEXEC)
    try:
        os.write(fd, text.encode())
    finally:
        os.close(fd)
