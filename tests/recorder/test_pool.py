"""Worker threads: nobody waits for one that is held, and a held one costs no more than a spare."""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Iterator

import pytest
from conftest import wait_for
from recordings import new_pool

from jobworkerd.recorder.pool import Pool


class Pipe:
    """One that a pool watches: what it did is in ``done``."""

    def __init__(self) -> None:
        self.read, self.write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        self.done: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self.held: queue.SimpleQueue[bool] = queue.SimpleQueue()

    def take(self) -> None:
        """One byte of what there is, and no ``arm``."""
        self.done.put(os.read(self.read, 1))


@pytest.fixture
def pipe() -> Iterator[Pipe]:
    """Closed at the end."""
    each = Pipe()
    yield each
    os.close(each.read)
    os.close(each.write)


def _hold(pool: Pool, count: int) -> threading.Event:
    """So many workers are at something until the event is set."""
    release = threading.Event()
    begun: queue.SimpleQueue[None] = queue.SimpleQueue()

    def work() -> None:
        begun.put(None)
        release.wait(30)

    for _ in range(count):
        pool.submit(work)
    for _ in range(count):
        wait_for(lambda: pool.tick() and not begun.empty())
        begun.get()
    return release


def _run(pool: Pool) -> bool:
    """Whether work queued now is done, with the main thread looking after the held."""
    done = threading.Event()
    pool.submit(done.set)
    return bool(wait_for(lambda: done.is_set() or (pool.tick() and done.is_set())))


def test_a_readable_pipe_is_taken_once_until_it_is_armed(pipe: Pipe) -> None:
    """Two bytes wait; the second one is taken only after the worker says that it is done."""
    pool = new_pool()
    os.write(pipe.write, b"ab")
    pool.watch(pipe.read, pipe.take, pipe.held.put)
    assert pipe.done.get(timeout=10) == b"a"
    assert _run(pool)
    assert pipe.done.empty()
    pool.arm(pipe.read)
    assert pipe.done.get(timeout=10) == b"b"
    pool.forget(pipe.read)


def test_a_forgotten_pipe_stays_forgotten(pipe: Pipe) -> None:
    """Though it is readable, and though a worker that was still at it arms it again."""
    pool = new_pool()
    pool.watch(pipe.read, pipe.take, pipe.held.put)
    pool.forget(pipe.read)
    os.write(pipe.write, b"a")
    pool.arm(pipe.read)
    assert _run(pool)
    assert pipe.done.empty()


def test_workers_that_are_held_are_replaced(pipe: Pipe) -> None:
    """Ten are, others' pipes are moved all the same; and back from it, the spares go."""
    pool = new_pool()
    release = _hold(pool, 10)
    pool.watch(pipe.read, pipe.take, pipe.held.put)
    os.write(pipe.write, b"a")
    wait_for(lambda: pool.tick() and not pipe.done.empty())
    assert pipe.done.get() == b"a"
    assert pool.size > 10
    pool.forget(pipe.read)
    release.set()
    wait_for(lambda: pool.size <= 3)
    assert _run(pool)


def test_no_more_workers_than_the_limit(pipe: Pipe) -> None:
    """What comes then waits for one to come back."""
    pool = new_pool(limit=2)
    release, holders = threading.Event(), [Pipe(), Pipe()]
    for each in holders:
        os.write(each.write, b"x")
        pool.watch(each.read, lambda: release.wait(30) and None, each.held.put)
        wait_for(lambda each=each: pool.tick() and not each.held.empty())
    pool.watch(pipe.read, pipe.take, pipe.held.put)
    os.write(pipe.write, b"a")
    assert pool.tick()
    assert (pool.size, pipe.done.empty()) == (2, True)
    release.set()
    assert pipe.done.get(timeout=10) == b"a"
    for each in (*holders, pipe):
        pool.forget(each.read)
    assert [each.held.get(timeout=10) for each in (*holders, *holders)] == [True, True, False, False]
    for each in holders:
        os.close(each.read)
        os.close(each.write)


def test_a_held_pipe_is_told_once_and_when_it_is_back(pipe: Pipe) -> None:
    """True after 50 ms at one thing, False when that returns."""
    pool = new_pool()
    release = threading.Event()

    def work() -> None:
        release.wait(30)
        pipe.take()

    os.write(pipe.write, b"a")
    pool.watch(pipe.read, work, pipe.held.put)
    wait_for(lambda: pool.tick() and not pipe.held.empty())
    assert pipe.held.get() is True
    assert pool.tick()
    assert pipe.held.empty()
    release.set()
    assert pipe.held.get(timeout=10) is False
    pool.forget(pipe.read)
    wait_for(lambda: not pool.tick())


def test_work_that_raises_is_a_bug_in_the_journal_and_no_more(capfd: pytest.CaptureFixture[str]) -> None:
    """The worker that met with it goes on."""
    pool = new_pool(limit=2)

    def work() -> None:
        raise ValueError("the matter")

    for _ in range(5):
        pool.submit(work)
    assert _run(pool)
    said = ""

    def logged() -> int:
        nonlocal said
        said += capfd.readouterr().err
        return said.count("test: bug: recorder: ValueError: the matter\n")

    wait_for(lambda: logged() == 5)
    assert pool.size == 2
