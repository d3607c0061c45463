"""Room on a disk: below min_free nothing new is begun; what runs and what reads goes on."""

from __future__ import annotations

import asyncio
import os

from .errors import CallError

_MIB = 1 << 20


async def check(folder: str, min_free: int) -> None:
    """CallError NO_ROOM below ``min_free`` bytes. A folder that is not there is somebody else's error."""
    if not min_free:
        return
    try:
        found = await asyncio.to_thread(os.statvfs, folder)
    except OSError:
        return
    free = found.f_bavail * found.f_frsize
    if free < min_free:
        raise CallError(
            "NO_ROOM",
            f"{free // _MIB} MiB are free in {folder}, less than min_free ({min_free // _MIB} MiB); "
            "nothing was started",
        )
