"""A reader beside a recorder that crashes, grows records and gives bytes up: what it gets is true."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from jobworkerd.api.reading import Chunk, Gone, Item, Reading
from jobworkerd.api.recorded import Recorded
from jobworkerd.recorder.index import HEADS, RECORD, Index


class Output:
    """Stdout of a job: ``write`` is what a recorder does."""

    def __init__(self, folder: Path) -> None:
        for name in ("stdout.log", "stderr.log", "index"):
            (folder / name).touch()
        self._out = os.open(folder / "stdout.log", os.O_WRONLY | os.O_APPEND)
        self._index = os.open(folder / "index", os.O_RDWR)
        self.index = Index(self._index)
        self.files = Recorded(str(folder))

    def write(self, data: bytes) -> None:
        os.write(self._out, data)
        self.index.add(1, len(data))

    def crash(self) -> None:
        """A new recorder knows no newest record."""
        self.index = Index(self._index)

    def close(self) -> None:
        self.files.close()
        os.close(self._out)
        os.close(self._index)


@pytest.fixture
def output(tmp_path: Path) -> Iterator[Output]:
    """Empty."""
    made = Output(tmp_path)
    yield made
    made.close()


def _read(reading: Reading) -> list[Item]:
    async def all_of_it() -> list[Item]:
        return [item async for item in reading.until(None)]

    return asyncio.run(all_of_it())


def test_a_piece_that_grows_comes_in_parts(output: Output) -> None:
    """None twice, whether its record grew or another came."""
    output.write(b"one")
    reading = Reading(output.files, {1: 0})
    assert [item.data for item in _read(reading) if isinstance(item, Chunk)] == [b"one"]
    output.write(b"two")
    output.write(b"three")
    assert b"".join(item.data for item in _read(reading) if isinstance(item, Chunk)) == b"twothree"
    assert _read(reading) == []


def test_a_reader_goes_on_although_its_newest_piece_was_given_up(output: Output) -> None:
    """As by a ring behind a crash of the recorder; what is gone is told."""
    output.write(b"x" * 1000)
    reading = Reading(output.files, {1: 0})
    assert len(_read(reading)) == 1
    output.crash()
    os.pwrite(output._index, b"".join(RECORD.pack(n, 1, 0, 1000 + n, 1) for n in range(1000)), HEADS + 32)
    os.write(output._out, b"y" * 1000)
    output.crash()
    assert output.index.shrink(1, 500) > 1900
    assert os.pread(output._index, 32, HEADS + 32 * 200) == b"\0" * 32
    gone, *chunks = _read(reading)
    assert isinstance(gone, Gone)
    assert (gone.offset, gone.end) == (1000, output.index.first(1))
    assert sum(len(item.data) for item in chunks if isinstance(item, Chunk)) == 2000 - gone.end


def test_a_reader_begins_where_it_is_told_however_long_the_index(output: Output) -> None:
    """By halving; and what lies before is not read."""
    os.pwrite(output._index, b"".join(RECORD.pack(n, 1 + n % 2, 0, n // 2, 1) for n in range(20_000)), HEADS)
    os.write(output._out, bytes(n % 251 for n in range(10_000)))
    output.crash()
    reading = Reading(output.files, {1: 9_000})
    assert output.files.pieces(reading._position, 1)[0].offset in (8_999, 9_000)
    data = b"".join(item.data for item in _read(reading) if isinstance(item, Chunk))
    assert data == bytes(n % 251 for n in range(9_000, 10_000))
    since = Reading(output.files, {1: 0}, since_ns=19_000)
    data = b"".join(item.data for item in _read(since) if isinstance(item, Chunk))
    assert data == bytes(n % 251 for n in range(9_500, 10_000))
