"""What /proc says of processes, read once per question. proc(5)."""

from __future__ import annotations

import os
from dataclasses import dataclass

PF_FORKNOEXEC = 0x40
"""In ``flags``: forked and never executed anything since (include/linux/sched.h)."""


@dataclass(frozen=True, slots=True)
class Process:
    """One line of /proc/PID/stat."""

    pid: int
    name: str
    state: str
    ppid: int
    pgrp: int
    session: int
    flags: int
    threads: int
    start_ticks: int
    exit_code: int  # as waitpid(2) has it; 0 while it lives, and for whom ptrace(2) would refuse

    @property
    def dead(self) -> bool:
        """A live process whose main thread has exited shows Z as well: dead is Z with one task."""
        return self.state in "ZX" and self.threads <= 1


def read(pid: int) -> Process | None:
    """The process, or None where there is none of that pid."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            text = file.read().decode(errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    # The name may hold blanks and brackets; what follows the last bracket may not.
    head, _, tail = text.rpartition(")")
    field = tail.split()
    return Process(
        pid=pid,
        name=head.partition("(")[2],
        state=field[0],
        ppid=int(field[1]),
        pgrp=int(field[2]),
        session=int(field[3]),
        flags=int(field[6]),
        threads=int(field[17]),
        start_ticks=int(field[19]),
        exit_code=int(field[49]),
    )


def everyone() -> list[Process]:
    """All processes there are."""
    found = (read(int(entry)) for entry in os.listdir("/proc") if entry.isdigit())
    return [process for process in found if process is not None]


def uid(pid: int) -> int | None:
    """The owner of /proc/PID, which is the effective uid of a dumpable process."""
    try:
        return os.stat(f"/proc/{pid}").st_uid
    except (FileNotFoundError, ProcessLookupError):
        return None


def job_id(pid: int) -> str | None:
    """JOBWORKER_JOB_ID in the environment the process was executed with; None where unknown."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:
            entries = file.read().split(b"\0")
    except (FileNotFoundError, ProcessLookupError, PermissionError):
        return None
    prefix = b"JOBWORKER_JOB_ID="
    return next((e[len(prefix) :].decode(errors="replace") for e in entries if e.startswith(prefix)), None)


def children(pid: int) -> list[int]:
    """Direct children of the (single) thread of a process; empty where it is gone."""
    try:
        with open(f"/proc/{pid}/task/{pid}/children", "rb") as file:
            return [int(child) for child in file.read().split()]
    except (FileNotFoundError, ProcessLookupError):
        return []


def boot_id() -> str:
    """Of this boot of the host: /proc/sys/kernel/random/boot_id."""
    with open("/proc/sys/kernel/random/boot_id", encoding="ascii") as file:
        return file.read().strip()
