"""A job's life as the runner sees it: one pure table, no I/O.

Three things run apart and meet here: what is *wanted* (a caller's stop, a time limit), what is
*true* (the leader's end, what is left of the job) and what is *due* (grace and deadlines). The
table takes one event at a time and says the next state and what to do; ``jobs.py`` does it. An
event that has no row in a state is nothing new there and changes nothing: every pair is decided,
either by a row or by that rule.

::

    OPENING --OPENED--> SPAWNING --EXECUTED--> RUNNING --STOP--> ENDING --GRACE_OVER--> KILLING
       |                   |                     |                  |                      |
       | OPEN_FAILED,      | SETUP_FAILED,       | LEADER_GONE:     | EMPTY                | EMPTY
       | STOP,             | DEADLINE: kill      | what it left     v                      v
       | DEADLINE          v                     | gets 1 s       DONE <-------------------'
       '---> DONE       KILLING                  '--> ENDING

A job is EMPTY when its leader is an unreaped zombie and nothing else of it is alive; only then is
the leader reaped, and only before that is anything signalled. Callers know OPENING and SPAWNING as
STARTING, ENDING and KILLING as STOPPING, and DONE as one of the five final states.
"""

from __future__ import annotations

from enum import Enum, auto


class State(Enum):
    """Where in life a job is."""

    OPENING = auto()  # its output files are being opened; nothing was forked
    SPAWNING = auto()  # forked; not known yet whether its program was executed
    RUNNING = auto()
    ENDING = auto()  # signalled; the grace runs
    KILLING = auto()  # SIGKILL is sent until nothing is left
    DONE = auto()  # reaped and reported


class Event(Enum):
    """What can happen to it."""

    OPENED = auto()  # the recorder has its files open
    OPEN_FAILED = auto()  # the recorder has not
    FORK_FAILED = auto()
    EXECUTED = auto()  # execve closed the error pipe
    SETUP_FAILED = auto()  # the child named its error on it
    DEADLINE = auto()  # the start was not decided in time
    STOP = auto()  # somebody wants it ended
    LEADER_GONE = auto()  # the leader ended and left others behind
    EMPTY = auto()  # the leader ended and nothing is left
    GRACE_OVER = auto()


class Action(Enum):
    """What is to be done, in the order given: a deadline is armed before what may fail."""

    FORK = auto()
    REPORT_SPAWNED = auto()
    REPORT_STOPPING = auto()
    TERMINATE = auto()  # the first signal, then CONT, to the whole group and what left it
    ARM_GRACE = auto()  # as the stop asks for
    SHORTEN_GRACE = auto()  # a second stop may only bring the deadline nearer
    NAME_LEFTOVERS = auto()  # into the record, and give them one second
    KILL = auto()  # and again until EMPTY
    DROP = auto()  # nothing was forked: report the failed start
    FINISH = auto()  # reap, report, let go of cgroup and ledger


_Row = tuple[State, tuple[Action, ...]]

TABLE: dict[tuple[State, Event], _Row] = {
    (State.OPENING, Event.OPENED): (State.SPAWNING, (Action.FORK,)),
    (State.OPENING, Event.OPEN_FAILED): (State.DONE, (Action.DROP,)),
    (State.OPENING, Event.STOP): (State.DONE, (Action.DROP,)),
    (State.OPENING, Event.DEADLINE): (State.DONE, (Action.DROP,)),
    (State.SPAWNING, Event.FORK_FAILED): (State.DONE, (Action.DROP,)),
    (State.SPAWNING, Event.EXECUTED): (State.RUNNING, (Action.REPORT_SPAWNED,)),
    (State.SPAWNING, Event.SETUP_FAILED): (State.KILLING, (Action.KILL,)),
    (State.SPAWNING, Event.DEADLINE): (State.KILLING, (Action.KILL,)),
    (State.SPAWNING, Event.STOP): (
        State.ENDING,
        (Action.REPORT_STOPPING, Action.ARM_GRACE, Action.TERMINATE),
    ),
    (State.RUNNING, Event.STOP): (
        State.ENDING,
        (Action.REPORT_STOPPING, Action.ARM_GRACE, Action.TERMINATE),
    ),
    (State.RUNNING, Event.LEADER_GONE): (
        State.ENDING,
        (Action.REPORT_STOPPING, Action.NAME_LEFTOVERS, Action.TERMINATE),
    ),
    (State.RUNNING, Event.EMPTY): (State.DONE, (Action.FINISH,)),
    (State.ENDING, Event.EXECUTED): (State.ENDING, (Action.REPORT_SPAWNED, Action.REPORT_STOPPING)),
    (State.ENDING, Event.STOP): (State.ENDING, (Action.SHORTEN_GRACE,)),
    (State.ENDING, Event.GRACE_OVER): (State.KILLING, (Action.KILL,)),
    (State.ENDING, Event.EMPTY): (State.DONE, (Action.FINISH,)),
    (State.KILLING, Event.EMPTY): (State.DONE, (Action.FINISH,)),
}

OUTSIDE_NAME = {
    State.OPENING: "STARTING",
    State.SPAWNING: "STARTING",
    State.RUNNING: "RUNNING",
    State.ENDING: "STOPPING",
    State.KILLING: "STOPPING",
}
"""What callers call a state that has not ended."""


def advance(state: State, event: Event) -> _Row:
    """The next state and what to do; the same state and nothing where the event is no news."""
    return TABLE.get((state, event), (state, ()))
