"""What jobctl can fail with: an exit code, one line, and what to try. No grpc here."""

from __future__ import annotations

from collections.abc import Mapping

FAILED, USAGE, NO_SUCH_JOB, NOT_ALLOWED, UNREACHABLE = 1, 2, 3, 4, 5
RUN_FAILED = 125
"""``run`` and ``wait``: anything that is not the job's own end."""

INTERRUPTED = 130


class Failure(Exception):
    """``code`` as the contract has it for ordinary verbs; ``reason`` is stable, for scripts.

    ``passing``: the same may succeed a moment later. ``metadata`` is what the worker added, as errno
    and stage of a failed start.
    """

    def __init__(
        self,
        code: int,
        reason: str,
        message: str,
        hint: str = "",
        *,
        passing: bool = False,
        metadata: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.reason = reason
        self.message = message
        self.hint = hint
        self.passing = passing
        self.metadata = dict(metadata or {})

    def exiting(self, code: int) -> Failure:
        """The same with another exit code: what an error says it exits with is what jobctl exits with."""
        return Failure(code, self.reason, self.message, self.hint, passing=self.passing, metadata=self.metadata)
