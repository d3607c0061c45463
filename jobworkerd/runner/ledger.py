"""Which process groups are a runner's, on a file system that ends with the boot.

One small file a job, written between fork and *go* and removed after the reap. When a runner dies,
the next one reads what is left and kills what PDEATHSIG and the unit's cgroup did not reach, before
READY=1. A process is only signalled by pidfd, and only where session, owner and JOBWORKER_JOB_ID
all match: pids are reused.
"""

from __future__ import annotations

import json
import os
import signal
import time
from dataclasses import asdict, dataclass

from . import procfs

_SCANS = 5
_PATIENCE_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Entry:
    """One job: its leader's pid (which is group and session too), owner, and boot."""

    job_id: str
    pgid: int
    uid: int
    boot_id: str


class Ledger:
    """The folder of entries."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        os.makedirs(folder, mode=0o700, exist_ok=True)

    def add(self, entry: Entry) -> None:
        """Writes an entry; OSError where there is no room."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC | os.O_NOFOLLOW
        fd = os.open(self._path(entry.job_id), flags, 0o600)
        try:
            os.write(fd, json.dumps(asdict(entry)).encode())
        finally:
            os.close(fd)

    def remove(self, job_id: str) -> None:
        """Forgets a job; that it was never there is no error."""
        try:
            os.unlink(self._path(job_id))
        except FileNotFoundError:
            return

    def sweep(self) -> list[tuple[str, int, str]]:
        """Kills what is left of an earlier runner's jobs: (job id, pid, name) of each.

        Entries of an earlier boot and unreadable ones are just removed.
        """
        entries = {entry.job_id: entry for entry in self._entries()}
        killed: dict[int, tuple[str, int, str]] = {}
        deadline = time.monotonic() + _PATIENCE_SECONDS
        empty = 0
        while entries and empty < _SCANS and time.monotonic() < deadline:
            found = _leftovers(entries)
            empty = 0 if found else empty + 1
            for job_id, process in found:
                if _kill(process, entries[job_id]):
                    killed[process.pid] = (job_id, process.pid, process.name)
        for name in os.listdir(self._folder):
            os.unlink(f"{self._folder}/{name}")
        return list(killed.values())

    def _path(self, job_id: str) -> str:
        return f"{self._folder}/{job_id}"

    def _entries(self) -> list[Entry]:
        entries = []
        for name in os.listdir(self._folder):
            try:
                with open(self._path(name), encoding="utf-8") as file:
                    entry = Entry(**json.load(file))
            except (OSError, ValueError, TypeError):
                continue  # cut short by the crash: PDEATHSIG had the leader before go
            if entry.boot_id == procfs.boot_id():
                entries.append(entry)
        return entries


def _leftovers(entries: dict[str, Entry]) -> list[tuple[str, procfs.Process]]:
    sessions = {entry.pgid: entry for entry in entries.values()}
    found = []
    for process in procfs.everyone():
        entry = sessions.get(process.session)
        if entry is not None and not process.dead and _is_of(process.pid, entry):
            found.append((entry.job_id, process))
    return found


def _is_of(pid: int, entry: Entry) -> bool:
    return procfs.uid(pid) == entry.uid and procfs.job_id(pid) == entry.job_id


def _kill(process: procfs.Process, entry: Entry) -> bool:
    try:
        pidfd = os.pidfd_open(process.pid)
    except ProcessLookupError:
        return False
    try:
        # The pidfd is of whoever has the pid now: look again, through it nothing can change any more.
        now = procfs.read(process.pid)
        if now is None or now.start_ticks != process.start_ticks or not _is_of(process.pid, entry):
            return False
        signal.pidfd_send_signal(pidfd, signal.SIGKILL)
    except ProcessLookupError:
        return False
    finally:
        os.close(pidfd)
    return True
