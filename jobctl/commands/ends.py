"""How a job's end becomes an exit code, for ``run`` and ``wait``, and what is said about it."""

from __future__ import annotations

from jobctl.failure import RUN_FAILED, Failure
from jobctl.render import Record
from jobctl.session import Session

TIMED_OUT, NOT_EXECUTABLE, NO_SUCH_PROGRAM, STOPPED = 124, 126, 127, 143
_SIGNAL = 128


def exit_code(record: Record) -> int:
    """The job's own; 128+N for a signal; 124, 126, 127, 143 and 125 as jobctl(1) has them."""
    state = record["state"]
    if state == "FAILED_TO_START":
        return not_started(record["stage"], record["errno"])
    if state == "TIMED_OUT":
        return TIMED_OUT
    if record["exit_signal"] is not None:
        return _SIGNAL + int(record["exit_signal"])
    if record["exit_code"] is None:
        return RUN_FAILED
    if state == "STOPPED" and record["exit_code"] == 0:
        return STOPPED
    return int(record["exit_code"])


def not_started(stage: str, errno: str) -> int:
    """Of a program that was not executed: as a shell has it, where execve failed."""
    if stage != "execve":
        return RUN_FAILED
    return NO_SUCH_PROGRAM if errno == "ENOENT" else NOT_EXECUTABLE


def explain(session: Session, record: Record) -> None:
    """What an exit code alone would hide: that it never ran, how it was lost, that output is missing."""
    job = record["id"]
    if record["state"] == "FAILED_TO_START":
        session.complain(Failure(exit_code(record), record["reason"], record["error"]))
    elif record["state"] == "LOST":
        why = record["error"] or record["reason"]
        session.complain(Failure(RUN_FAILED, "LOST", f"{job} is lost: {why}", f"jobctl status {job}"))
    if record["output_closed"] and not record["output_complete"]:
        session.say(f"some output of {job} was lost")
