"""Standard input, kept whole before anything is started: a crash or a cut upload never passes for its end.

Files under state_dir/input, under a name of their own while they come in, then under the job's id, from
which the job's process opens it (runner/spawn.py). The folder is the API's alone; the files may be read by
whoever has them open, so that /dev/stdin works for the job's user. One is removed as soon as its job has it.
"""

from __future__ import annotations

import asyncio
import hashlib
import os
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass

from jobworkerd.config import Config

from . import room
from .errors import CallError

_INCOMING = "incoming-"
_LOOK_AT_ROOM = 16 << 20


@dataclass(slots=True)
class Incoming:
    """An input on its way in; ``digest`` is keyed, so that it tells nothing of the input."""

    path: str
    fd: int
    digest: hashlib.blake2b
    size: int = 0
    kept: bool = False
    taken: bool = False  # a start has it, and drops what it does not bind


class Spool:
    """All inputs of one worker."""

    def __init__(self, state_dir: str) -> None:
        self.folder = f"{state_dir}/input"
        os.makedirs(self.folder, mode=0o700, exist_ok=True)

    def sweep(self, keep: set[str]) -> None:
        """Removes what an earlier API left, but for the jobs that are still being started."""
        for name in os.listdir(self.folder):
            if name not in keep:
                os.unlink(f"{self.folder}/{name}")

    async def take(self, pieces: AsyncIterator[bytes], config: Config, salt: bytes) -> Incoming:
        """All of it. CallError where it is too large or there is no room; then, or cut, nothing is left."""
        path = f"{self.folder}/{_INCOMING}{uuid.uuid4()}"
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        incoming = Incoming(path, fd, hashlib.blake2b(key=salt, digest_size=32))
        limit = config.jobs.max_input_bytes
        looked = 0
        try:
            os.fchmod(fd, 0o444)
            async for piece in pieces:
                incoming.size += len(piece)
                if limit and incoming.size > limit:
                    raise CallError("INPUT_TOO_LARGE", f"the input has more than {limit} bytes (max_input)")
                if incoming.size >= looked:
                    looked = incoming.size + _LOOK_AT_ROOM
                    await room.check(self.folder, config.retention.min_free_bytes)
                await asyncio.to_thread(_write, incoming, piece)
        except OSError as error:
            self.drop(incoming)
            raise CallError(
                "NO_ROOM", f"cannot keep the input: {error.strerror}; nothing was started"
            ) from None
        except BaseException:
            self.drop(incoming)
            raise
        os.close(fd)
        incoming.kept = True
        return incoming

    def bind(self, incoming: Incoming, job_id: str) -> None:
        """From here on it is this job's."""
        os.rename(incoming.path, f"{self.folder}/{job_id}")

    def drop(self, incoming: Incoming) -> None:
        """It is not needed: nothing is started, or somebody else's is the same. A bound one stays."""
        if not incoming.kept:
            os.close(incoming.fd)
        self._unlink(incoming.path)

    def remove(self, job_id: str) -> None:
        """The job has it open, or never will."""
        self._unlink(f"{self.folder}/{job_id}")

    def _unlink(self, path: str) -> None:
        try:
            os.unlink(path)
        except FileNotFoundError:
            return


def _write(incoming: Incoming, piece: bytes) -> None:
    view = memoryview(piece)
    while view:
        view = view[os.write(incoming.fd, view) :]
    incoming.digest.update(piece)
