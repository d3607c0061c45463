"""What jobctl can fail with: an exit code, one line, and what to try. No grpc here."""

from __future__ import annotations

from collections.abc import Mapping

FAILED, USAGE, NO_SUCH_JOB, NOT_ALLOWED, UNREACHABLE = 1, 2, 3, 4, 5
RUN_FAILED = 125
"""``run`` and ``wait``: anything that is not the job's own end."""


class Failure(Exception):
    """``code`` as the contract has it for ordinary verbs; ``reason`` is stable, for scripts.

    ``metadata`` is what the worker added, as errno and stage of a failed start.
    """

    def __init__(
        self, code: int, reason: str, message: str, hint: str = "", metadata: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.hint = hint
        self.metadata = dict(metadata or {})
