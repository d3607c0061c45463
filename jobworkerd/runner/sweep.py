"""What is left of a job, and signalling it: nothing that is not the job's for certain.

Three nets: the process group (os.killpg, only while its leader is unreaped, so that the number
cannot be another's), the job's cgroup, and a walk over the runner's descendants (it is their
subreaper) that carry the job's JOBWORKER_JOB_ID. ``killpg(pgid, 0)`` is no proof of emptiness: it
succeeds for zombies.
"""

from __future__ import annotations

import os
import signal
from collections import defaultdict
from dataclasses import dataclass, field

from . import cgroup, procfs

SCANS = 3
"""Empty walks in a row that prove emptiness where no cgroup does: a fork may hide from one."""


@dataclass(frozen=True, slots=True)
class Target:
    """One job, as the sweep needs to know it."""

    job_id: str
    pgid: int
    cgroup: str | None
    airtight: bool  # whether nothing of the job can have left the cgroup: no root, no new privileges


@dataclass(slots=True)
class Remains:
    """The live processes of a job; without its leader where that is dead."""

    group: list[procfs.Process] = field(default_factory=list)
    escapees: list[tuple[procfs.Process, str]] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.group or self.escapees)


def look(target: Target) -> Remains:
    """What is alive of the job now."""
    if target.cgroup is not None and target.airtight:
        if not cgroup.populated(target.cgroup):
            return Remains()
        found = (procfs.read(pid) for pid in cgroup.members(target.cgroup))
        return _sorted(target, {process: "cgroup" for process in found if process is not None})
    everyone = procfs.everyone()
    caged = set(cgroup.members(target.cgroup)) if target.cgroup is not None else set()
    caught = {process: "environ" for process in _descendants(everyone) if _is_named(process.pid, target)}
    caught |= {process: "cgroup" for process in everyone if process.pid in caged}
    caught |= {process: "group" for process in everyone if process.pgrp == target.pgid}
    return _sorted(target, caught)


def is_empty(target: Target) -> bool:
    """Whether it is proved that nothing of the job is alive."""
    scans = 1 if target.cgroup is not None and target.airtight else SCANS
    return not any(look(target) for _ in range(scans))


def signal_group(target: Target, number: int) -> bool:
    """os.killpg, only to be called before the reap; False where the group is not there (yet)."""
    assert target.pgid > 1
    assert target.pgid != os.getpgrp()
    try:
        os.killpg(target.pgid, number)
    except ProcessLookupError:
        return False
    return True


def signal_one(target: Target, process: procfs.Process, number: int) -> bool:
    """By pidfd, after a second look through it at whether it is still the job's."""
    try:
        pidfd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    try:
        now = procfs.read(process.pid)
        if now is None or now.start_ticks != process.start_ticks:
            return False
        if not (_is_caged(process.pid, target) or _is_named(process.pid, target)):
            return False
        signal.pidfd_send_signal(pidfd, number)
    except ProcessLookupError:
        return False
    finally:
        os.close(pidfd)
    return True


def signal_each(target: Target, escapees: list[tuple[procfs.Process, str]], number: int) -> bool:
    """All of them; whether one was still there."""
    reached = [signal_one(target, process, number) for process, _ in escapees]
    return any(reached)


def kill(target: Target) -> list[str]:
    """SIGKILL through every net; names those that had something in them."""
    caught = []
    remains = look(target)
    if remains.group and signal_group(target, signal.SIGKILL):
        caught.append("group")
    if target.cgroup is not None and cgroup.populated(target.cgroup):
        cgroup.kill(target.cgroup)
        if remains.escapees:
            caught.append("cgroup")
        return caught
    if signal_each(target, remains.escapees, signal.SIGKILL):
        caught.append("escapees")
    return caught


def _sorted(target: Target, caught: dict[procfs.Process, str]) -> Remains:
    """The living of those caught, with the net that caught each."""
    remains = Remains()
    for process, caught_by in caught.items():
        if process.dead:
            continue
        if process.pgrp == target.pgid:
            remains.group.append(process)
        else:
            remains.escapees.append((process, caught_by))
    return remains


def _descendants(everyone: list[procfs.Process]) -> list[procfs.Process]:
    """All below the runner."""
    children = defaultdict(list)
    for process in everyone:
        children[process.ppid].append(process)
    found: list[procfs.Process] = []
    todo = list(children[os.getpid()])
    while todo:
        process = todo.pop()
        found.append(process)
        todo += children[process.pid]
    return found


def _is_named(pid: int, target: Target) -> bool:
    return procfs.job_id(pid) == target.job_id


def _is_caged(pid: int, target: Target) -> bool:
    if target.cgroup is None:
        return False
    try:
        with open(f"/proc/{pid}/cgroup", encoding="utf-8") as file:
            return any(f"/{target.job_id}" in line for line in file if line.startswith("0::"))
    except (FileNotFoundError, ProcessLookupError):
        return False
