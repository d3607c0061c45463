"""Every message that crosses a channel: the closed list, as frozen dataclasses.

A channel is an AF_UNIX SOCK_SEQPACKET socketpair between the runner and one peer (API or recorder).
One message is one packet. The first one each way is ``Hello`` and ``Welcome``; which messages are
permitted after that, in which phase, stands beside the code that takes them (``runner/dispatch.py``,
``recorder/loop.py``, ``api/runner_client.py``). ``codec.py`` says how they look in bytes.

Units: ``*_ns`` are nanoseconds, ``*_time_ns`` since the epoch by the wall clock; ``*_seconds`` are
seconds; sizes are bytes. A ``job_id`` is a UUID in its canonical text form.
"""

from __future__ import annotations

from dataclasses import dataclass

PROTOCOL_VERSION = 1
"""Raised by any change to this file that an older peer would misread."""

MAX_MESSAGE = 192 * 1024
"""Bytes of the largest packet; the kernel takes 212,960 by default (unix(7), wmem_default)."""

MAX_ARGV_AND_ENV = 128 * 1024
"""Bytes of a job's argv and environment together, each string counted with its NUL."""

MAX_TEXT = 4096
"""Bytes of any one plain text field (a path, a name, an error)."""

MAX_FDS = 8
"""File descriptors with one message."""


@dataclass(frozen=True, slots=True)
class Message:
    """Base of all messages: its subclasses, in the order they stand here, are the closed list."""


# --- both peers -----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Hello(Message):
    """Peer -> runner, first of all."""

    protocol: int
    role: str  # "api" or "recorder"
    code_version: str


@dataclass(frozen=True, slots=True)
class Welcome(Message):
    """Runner -> peer, the answer. One fd: a sealed memfd with the configuration's sources as JSON.

    The peer parses those (``config.from_snapshot``) and never the files: so all three processes hold
    the same configuration.
    """

    protocol: int
    instance_id: str  # of this runner: a new UUID each time one starts
    boot_id: str  # /proc/sys/kernel/random/boot_id


@dataclass(frozen=True, slots=True)
class Ping(Message):
    """Runner -> peer, every few seconds: are you alive?"""

    serial: int


@dataclass(frozen=True, slots=True)
class Pong(Message):
    """Peer -> runner, from its main thread."""

    serial: int


@dataclass(frozen=True, slots=True)
class Prepare(Message):
    """Runner -> API: a reload. One fd as in Welcome. Load it, change nothing, answer Prepared."""

    generation: int


@dataclass(frozen=True, slots=True)
class Prepared(Message):
    """API -> runner: whether the new configuration can be put in force; ``error`` is empty if so."""

    generation: int
    error: str


@dataclass(frozen=True, slots=True)
class Commit(Message):
    """Runner -> API: put what was prepared in force."""

    generation: int


@dataclass(frozen=True, slots=True)
class Abort(Message):
    """Runner -> API: forget what was prepared."""

    generation: int


@dataclass(frozen=True, slots=True)
class Drain(Message):
    """Runner -> API: the worker stops. Refuse new starts; go on serving till the channel closes."""


# --- API -> runner --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Start(Message):
    """Spawn a job whose intent is committed. Answered by Spawned, StartPending, StartFailed."""

    job_id: str
    start_stamp: str  # of the job's folder, as 20261124T024300Z
    caller: str
    rule: str  # the grant that allowed it, FILE:LINE
    user: str
    uid: int  # what the API found for ``user``; checked again before the ids are dropped
    executable: str  # absolute: what the command was found to be
    argv: tuple[str, ...]  # as the caller gave it, argv[0] included
    env: tuple[str, ...]  # "K=V", the caller's alone
    dir: str  # "": the user's home, else /
    merge_output: bool  # both streams into stdout's pipe
    max_output: int  # bytes of each stream that the caller asks to be held to; 0: root's limit alone
    has_input: bool  # standard input is the file spooled under the job id; else /dev/null


@dataclass(frozen=True, slots=True)
class Stop(Message):
    """End a job. Answered by Exited, however it comes about, or by CannotKill."""

    job_id: str
    by: str  # the caller
    signal: int
    grace_seconds: float


@dataclass(frozen=True, slots=True)
class Acknowledge(Message):
    """What the runner held for this job is committed: forget it.

    ``what`` is "exit" (of an Exited or a StartFailed) or "output" (of an OutputClosed): the two cross
    each other on the channel.
    """

    job_id: str
    what: str


# --- runner -> API --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Held(Message):
    """Replay: the runner holds this job and it has not ended. ``pid`` 0: still STARTING."""

    job_id: str
    pid: int
    state: str  # "STARTING", "RUNNING" or "STOPPING"


@dataclass(frozen=True, slots=True)
class ReplayDone(Message):
    """Replay: that was all; a job not named is none of this runner's."""


@dataclass(frozen=True, slots=True)
class Spawned(Message):
    """The job's program was executed."""

    job_id: str
    pid: int
    exec_time_ns: int


@dataclass(frozen=True, slots=True)
class StartPending(Message):
    """Undecided after half a second; Spawned or StartFailed follows."""

    job_id: str


@dataclass(frozen=True, slots=True)
class StartFailed(Message):
    """The program was not executed. Held until acknowledged."""

    job_id: str
    reason: str  # a Reason of the proto: EXEC_FAILED, START_TIMEOUT, NO_OUTPUT, REFUSED, CALLER, …
    by: str
    stage: str  # what failed: "execve", "chdir", "setuid", "ceiling", "recorder", …; "" if nothing did
    errno: int  # 0 where no system call failed
    message: str  # one line


@dataclass(frozen=True, slots=True)
class Stopping(Message):
    """A job is being ended, by whom and why: the first cause wins."""

    job_id: str
    reason: str
    by: str


@dataclass(frozen=True, slots=True)
class Exited(Message):
    """A job has ended, no process of it is left, and its leader was reaped. Held until acknowledged."""

    job_id: str
    pid: int
    exit_code: int  # -1 where a signal ended it
    exit_signal: int  # 0 where it exited
    core_dumped: bool
    state: str  # EXITED, STOPPED or TIMED_OUT
    reason: str  # "" for EXITED by itself
    by: str
    signalled: bool  # whether a signal of ours was sent before the exit was seen
    end_time_ns: int
    report: str  # the kill report: JSON as lifecycle's KillReport.to_json, at most 32 KiB


@dataclass(frozen=True, slots=True)
class OutputClosed(Message):
    """Recorder -> runner -> API: all of a job's output is in its files. Held until acknowledged."""

    job_id: str
    stdout_bytes: int
    stderr_bytes: int
    stdout_first: int  # the first byte kept; more than 0 in a ring
    stderr_first: int
    complete: bool


@dataclass(frozen=True, slots=True)
class OutputHeld(Message):
    """Recorder -> runner -> API: which of a job's pipes cannot be read, for it holds them itself."""

    job_id: str
    stdout: bool
    stderr: bool


@dataclass(frozen=True, slots=True)
class OutputPaused(Message):
    """Recorder -> runner -> API: recording pauses for this errno; 0: it goes on."""

    job_id: str
    errno: int


@dataclass(frozen=True, slots=True)
class OutputLimit(Message):
    """Recorder -> runner: a stream has reached its max_output, and on_max_output is "stop"."""

    job_id: str


@dataclass(frozen=True, slots=True)
class CannotKill(Message):
    """Grace and two seconds have passed and this is left; Exited follows if it ever goes."""

    job_id: str
    report: str  # as in Exited


# --- runner -> recorder ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Open(Message):
    """Record these pipes. Fds: the read ends of stdout and stderr, or of the one pipe of both.

    Answered by Opened or OpenFailed. With ``resume`` the folder is there from an earlier recorder (and
    may be gone): go on at the files' sizes.
    """

    job_id: str
    start_stamp: str
    resume: bool
    max_output: int  # bytes of each stream, its index records counted; 0: no limit
    ring: bool  # at the limit the oldest bytes go; else OutputLimit is said


@dataclass(frozen=True, slots=True)
class Opened(Message):
    """Recorder -> runner: folder and files are there, and the pipes are watched."""

    job_id: str


@dataclass(frozen=True, slots=True)
class OpenFailed(Message):
    """Recorder -> runner: no room, or no right. Nothing of the job is held any more."""

    job_id: str
    errno: int
    message: str


@dataclass(frozen=True, slots=True)
class Ended(Message):
    """The job is empty: move what is left, at most a pipe's worth, then answer OutputClosed.

    The recorder keeps its read ends until Close.
    """

    job_id: str


@dataclass(frozen=True, slots=True)
class Close(Message):
    """Close the job's pipes for good. Fds: the runner's own read ends, as many as Open's.

    So no close but a recorder's worker's is the final one (it may hang: FACTS, pipe lock).
    """

    job_id: str


# --- API -> runner, once it serves ----------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Serving(Message):
    """The listener is bound: the worker can say that it is ready."""

    addresses: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CannotServe(Message):
    """It cannot be bound, or the key material cannot be used; the API exits."""

    message: str
