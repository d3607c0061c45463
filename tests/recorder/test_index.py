"""The index's records: what they cover, when two are one, and what is left of a crash."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest
from conftest import wait_for

from jobworkerd.recorder.index import HEADS, RECORD, RECOVERED, Index

_MS = 1_000_000


@pytest.fixture
def fd(tmp_path: Path) -> Iterator[int]:
    """An empty file."""
    number = os.open(tmp_path / "index", os.O_RDWR | os.O_CREAT)
    yield number
    os.close(number)


def _records(fd: int) -> list[tuple[int, ...]]:
    """The pieces, behind the two heads."""
    return list(RECORD.iter_unpack(os.pread(fd, 1 << 20, HEADS)))


def test_a_record_is_32_bytes_little_endian(fd: int) -> None:
    """Time, stream, flags, offset, length; behind the heads, whose flag is 2."""
    before = time.time_ns()
    index = Index(fd)
    index.add(2, 7)
    began = time.time_ns()
    wait_for(lambda: time.time_ns() - began > _MS)
    index.add(2, 11)
    heads, data = os.pread(fd, 64, 0), os.pread(fd, 100, 96)
    assert [heads[8:16], heads[40:48]] == [b"\1\0\0\0\2\0\0\0", b"\2\0\0\0\2\0\0\0"]
    assert len(data) == 32
    assert before <= int.from_bytes(data[:8], "little") <= time.time_ns()
    assert data[8:] == bytes((2, 0, 0, 0, 0, 0, 0, 0, 7, 0, 0, 0, 0, 0, 0, 0, 11, 0, 0, 0, 0, 0, 0, 0))


def test_pieces_within_a_millisecond_are_one_record(fd: int) -> None:
    """Records of one stream begin a millisecond or more apart, and cover each piece all the same."""
    index = Index(fd)
    for _ in range(2000):
        index.add(1, 10)
    records = _records(fd)
    times = [record[0] for record in records]
    assert all(later - earlier >= _MS for earlier, later in pairwise(times))
    assert len(records) < 2000
    assert [record[3] for record in records] == [0, *(record[3] + record[4] for record in records[:-1])]
    assert records[-1][3] + records[-1][4] == 20_000


def test_a_piece_after_a_millisecond_is_a_record_of_its_own(fd: int) -> None:
    """So the times are never more than that wrong."""
    index = Index(fd)
    index.add(1, 5)
    began = time.time_ns()
    wait_for(lambda: time.time_ns() - began > _MS)
    index.add(1, 6)
    assert [record[1:] for record in _records(fd)] == [(1, 0, 0, 5), (1, 0, 5, 6)]


def test_streams_are_never_one_record(fd: int) -> None:
    """However fast they alternate, and though their offsets fit together."""
    index = Index(fd)
    index.add(1, 5)
    index.add(2, 5)
    assert [record[1:] for record in _records(fd)] == [(1, 0, 0, 5), (2, 0, 0, 5)]


def test_a_record_cut_short_by_a_crash_is_written_over(fd: int) -> None:
    """A reader of the file sees whole records alone."""
    Index(fd).add(1, 100)
    os.pwrite(fd, b"\xff" * 13, HEADS + 32)
    index = Index(fd)
    assert index.end(1) == 100
    index.recover(1, 130)
    assert [record[1:] for record in _records(fd)] == [(1, 0, 0, 100), (1, RECOVERED, 100, 30)]


def test_what_is_covered_is_not_recovered(fd: int) -> None:
    """And of what is not, each stream gets one record with the time of now."""
    index = Index(fd)
    index.add(1, 100)
    index.add(2, 10)
    again = Index(fd)
    assert (again.end(1), again.end(2)) == (100, 10)
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
    index.add(1, 1)
    assert [record[1:] for record in _records(fd)] == [(1, RECOVERED, 0, 100), (1, 0, 100, 1)]


def test_a_long_index_is_read_to_its_end(fd: int) -> None:
    """Also one of more records than are read at once."""
    data = b"".join(RECORD.pack(number, 1, 0, number * 3, 3) for number in range(5000))
    os.pwrite(fd, data, HEADS)
    assert Index(fd).end(1) == 15_000


def _filled(fd: int, records: int) -> Index:
    """Ten bytes of stdout a record, each a piece of its own; every hundredth is one byte of stderr."""
    data = bytearray()
    ends = {1: 0, 2: 0}
    for number in range(records):
        stream, length = (2, 1) if number % 100 == 99 else (1, 10)
        data += RECORD.pack(number * _MS, stream, 0, ends[stream], length)
        ends[stream] += length
    Index(fd)
    os.pwrite(fd, data, HEADS)
    return Index(fd)


def test_the_weight_of_a_stream_counts_its_records(fd: int) -> None:
    """So a job that prints dots is bounded by what it takes on disk."""
    index = _filled(fd, 1000)
    assert (index.weight(1), index.weight(2)) == (990 * 42, 10 * 33)


def test_a_ring_gives_up_its_oldest_bytes_and_their_records(fd: int) -> None:
    """Up to the weight asked for, to the byte; a new recorder sees the same."""
    index = _filled(fd, 50_000)
    assert index.shrink(1, 4200) == 495_000 - 1000
    assert (index.weight(1), index.first(1)) == (4200, 494_000)
    assert (index.weight(2), index.first(2)) == (500 * 33, 0)
    assert index.shrink(1, 4197) == 494_003
    again = Index(fd)
    assert [(again.first(n), again.end(n), again.weight(n)) for n in (1, 2)] == [
        (494_003, 495_000, 4197), (0, 500, 500 * 33),
    ]  # fmt: skip


def test_what_a_ring_gives_up_frees_blocks_of_the_index(fd: int) -> None:
    """But for those that the other stream's records are in; when they go as well, nothing is left."""
    index = _filled(fd, 50_000)
    whole = os.fstat(fd).st_blocks
    index.shrink(2, 100)
    index.shrink(1, 4200)
    assert os.fstat(fd).st_blocks * 512 < 64 * 1024 < whole * 512
    assert os.fstat(fd).st_size == HEADS + 50_000 * 32
    again = Index(fd)
    again.shrink(1, 0)
    again.shrink(2, 0)
    assert (again.weight(1), again.weight(2)) == (0, 0)
    again.add(1, 7)
    assert Index(fd).weight(1) == 39


def test_the_newest_record_stays_for_it_may_grow(fd: int) -> None:
    """Its bytes may go all the same."""
    index = Index(fd)
    index.add(1, 1000)
    assert index.shrink(1, 0) == 1000
    assert index.weight(1) == 32
    index.add(1, 5)
    assert index.end(1) == 1005
    assert Index(fd).end(1) == 1005
