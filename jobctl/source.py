"""A job's standard input, from a file or from jobctl's own: sent whole, and again where a call is repeated."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
from collections.abc import Iterator

from jobworkerd.v1 import jobworker_pb2 as pb

from .failure import FAILED, USAGE, Failure

_PIECE = 256 * 1024


class Source:
    """Of ``path``; ``-`` is standard input. Failure USAGE where it cannot be opened."""

    def __init__(self, path: str) -> None:
        self._name = "standard input" if path == "-" else path
        self._error: OSError | None = None
        try:
            if path == "-":
                self._file = sys.stdin.buffer
            else:
                self._file = open(path, "rb")  # noqa: SIM115 -- read by grpc's thread, as long as it likes
            if not self._file.seekable():
                self._keep()
        except OSError as error:
            raise Failure(USAGE, "USAGE", f"cannot read --stdin {self._name}: {error.strerror}") from None

    def messages(self, request: pb.StartRequest) -> Iterator[pb.StartWithInputRequest]:
        """From the beginning, each time. Failure where the time before it could not be read to its end."""
        if self._error is not None:
            why = f"cannot read --stdin {self._name}: {self._error.strerror}; nothing was started"
            raise Failure(FAILED, "INPUT_NOT_READ", why)
        return self._messages(request)

    def _messages(self, request: pb.StartRequest) -> Iterator[pb.StartWithInputRequest]:
        yield pb.StartWithInputRequest(request=request)
        offset = self._begin
        while True:
            try:
                data = os.pread(self._file.fileno(), _PIECE, offset)
            except OSError as error:
                self._error = error
                raise  # grpc cancels the call: nothing is started
            if not data:
                return
            offset += len(data)
            yield pb.StartWithInputRequest(input=data)

    @property
    def _begin(self) -> int:
        return self._file.tell()

    def _keep(self) -> None:
        """What comes through a pipe comes once, and a call may have to be made again."""
        kept = tempfile.TemporaryFile()  # noqa: SIM115 -- as above
        shutil.copyfileobj(self._file, kept)
        kept.flush()
        kept.seek(0)
        self._file = kept
