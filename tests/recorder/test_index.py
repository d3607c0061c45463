"""The index's records: what they cover, when two are one, and what is left of a crash."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from conftest import wait_for

from jobworkerd.recorder.index import RECORD, RECOVERED, Index

_MS = 1_000_000


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    """An empty file."""
    number = os.open(tmp_path / "index", os.O_RDWR | os.O_CREAT)
    yield number
    os.close(number)


def _records(fd: int) -> list[tuple[int, ...]]:
    return list(RECORD.iter_unpack(os.pread(fd, 1 << 20, 0)))


def test_a_record_is_32_bytes_little_endian(fd: int) -> None:
    """Time, stream, flags, offset, length, as the man page promises readers of the file."""
    before = time.time_ns()
    Index(fd).add(2, 7, 11)
    data = os.pread(fd, 100, 0)
    assert len(data) == 32
    assert before <= int.from_bytes(data[:8], "little") <= time.time_ns()
    assert data[8:] == bytes((2, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 11, 0, 0, 0, 0, 0, 0, 0))


def test_pieces_within_a_millisecond_are_one_record(fd: int) -> None:
    """Records of one stream begin a millisecond or more apart, and cover each piece all the same."""
    index = Index(fd)
    for number in range(2000):
        index.add(1, number * 10, 10)
    records = _records(fd)
    times = [record[0] for record in records]
    assert all(later - earlier >= _MS for earlier, later in pairwise(times))
    assert len(records) < 2000
    assert [record[3] for record in records] == [0, *(record[3] + record[4] for record in records[:-1])]
    assert records[-1][3] + records[-1][4] == 20_000


def test_a_piece_after_a_millisecond_is_a_record_of_its_own(fd: int) -> None:
    """So the times are never more than that wrong."""
    index = Index(fd)
    index.add(1, 0, 5)
    began = time.time_ns()
    wait_for(lambda: time.time_ns() - began > _MS)
    index.add(1, 5, 6)
    assert [record[1:] for record in _records(fd)] == [(1, 0, 0, 5), (1, 0, 5, 6)]


def test_streams_are_never_one_record(fd: int) -> None:
    """However fast they alternate, and though their offsets fit together."""
    index = Index(fd)
    index.add(1, 0, 5)
    index.add(2, 5, 5)
    assert [record[1:] for record in _records(fd)] == [(1, 0, 0, 5), (2, 0, 5, 5)]


def test_a_record_cut_short_by_a_crash_is_written_over(fd: int) -> None:
    """A reader of the file sees whole records alone."""
    Index(fd).add(1, 0, 100)
    os.pwrite(fd, b"\xff" * 13, 32)
    index = Index(fd)
    assert index.bytes_indexed == {1: 100}
    index.recover(1, 130)
    assert [record[1:] for record in _records(fd)] == [(1, 0, 0, 100), (1, RECOVERED, 100, 30)]


def test_what_is_covered_is_not_recovered(fd: int) -> None:
    """And of what is not, each stream gets one record with the time of now."""
    index = Index(fd)
    index.add(1, 0, 100)
    index.add(2, 0, 10)
    again = Index(fd)
    assert again.bytes_indexed == {1: 100, 2: 10}
    before = time.time_ns()
    again.recover(1, 100)
    again.recover(2, 11)
    records = _records(fd)
    assert [record[1:] for record in records] == [(1, 0, 0, 100), (2, 0, 0, 10), (2, RECOVERED, 10, 1)]
    assert records[2][0] >= before


def test_a_recovered_record_is_not_grown(fd: int) -> None:
    """Its time is the recorder's start: what is moved right after has a time of its own."""
    index = Index(fd)
    index.recover(1, 100)
    index.add(1, 100, 1)
    assert [record[1:] for record in _records(fd)] == [(1, RECOVERED, 0, 100), (1, 0, 100, 1)]


def test_a_long_index_is_read_to_its_end(fd: int) -> None:
    """Also one of more records than are read at once."""
    data = b"".join(RECORD.pack(number, 1, 0, number * 3, 3) for number in range(5000))
    os.pwrite(fd, data, 0)
    assert Index(fd).bytes_indexed == {1: 15_000}
