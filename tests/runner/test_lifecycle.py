"""The table of a job's life: pure, total, and without a way past the sweep."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from jobworkerd.runner.lifecycle import OUTSIDE_NAME, TABLE, Action, Event, State, advance

_FORKED = (State.SPAWNING, State.RUNNING, State.ENDING, State.KILLING)


def test_every_pair_is_decided() -> None:
    """By a row, or by the rule that what is no news changes nothing."""
    for state, event in itertools.product(State, Event):
        after, actions = advance(state, event)
        if (state, event) not in TABLE:
            assert (after, actions) == (state, ())


def test_nothing_comes_after_done() -> None:
    """No event moves it or asks for anything."""
    assert all(advance(State.DONE, event) == (State.DONE, ()) for event in Event)


def test_a_forked_job_is_done_only_when_it_is_empty() -> None:
    """But where the fork itself failed."""
    for (state, event), (after, actions) in TABLE.items():
        if state in _FORKED and after is State.DONE and event is not Event.FORK_FAILED:
            assert event is Event.EMPTY
            assert actions == (Action.FINISH,)


def test_nothing_is_signalled_before_the_fork() -> None:
    """There is nobody."""
    for (state, _), (_, actions) in TABLE.items():
        if state is State.OPENING:
            assert not {Action.TERMINATE, Action.KILL} & set(actions)


def test_every_state_but_done_has_a_name_outside() -> None:
    """A caller never sees a state it cannot name."""
    assert set(OUTSIDE_NAME) == set(State) - {State.DONE}


@given(st.lists(st.sampled_from(list(Event)), max_size=30))
def test_a_job_is_finished_or_dropped_at_most_once(events: list[Event]) -> None:
    """Whatever happens in whatever order: one report."""
    state, reports, forks = State.OPENING, 0, 0
    for event in events:
        state, actions = advance(state, event)
        reports += sum(action in (Action.FINISH, Action.DROP) for action in actions)
        forks += actions.count(Action.FORK)
    assert reports == (state is State.DONE)
    assert forks <= 1
