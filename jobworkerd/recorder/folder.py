"""A job's folder: made once, entered again after a crash, never through a link.

``<job_id>-<start_stamp>`` under log_dir, 0750, with stdout.log, stderr.log and index, 0640.
"""

from __future__ import annotations

import os
from dataclasses import dataclass

NAMES = ("stdout.log", "stderr.log")
_FILE = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Files:
    """Descriptors of one job's three files; the recorder's."""

    streams: tuple[int, int]
    index: int

    def close(self) -> None:
        """Closes them."""
        for fd in (*self.streams, self.index):
            os.close(fd)


def open_files(log_dir: str, name: str, *, resume: bool) -> Files:
    """Makes the folder (it may be there only on ``resume``) and opens its files. OSError with the path."""
    top = os.open(log_dir, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        try:
            os.mkdir(name, 0o750, dir_fd=top)
        except FileExistsError:
            if not resume:
                raise
        folder = os.open(name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=top)
    finally:
        os.close(top)
    fds: list[int] = []
    try:
        for each in (*NAMES, "index"):
            flags = _FILE if resume else _FILE | os.O_EXCL
            # Not a comprehension: those opened so far are closed on an error.
            fds.append(os.open(each, flags, 0o640, dir_fd=folder))
    except OSError:
        for fd in fds:
            os.close(fd)
        raise
    finally:
        os.close(folder)
    return Files((fds[0], fds[1]), fds[2])
