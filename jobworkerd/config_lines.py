"""Where things stand in a TOML text: tomllib parses it and gives no positions. Nothing here judges.

Only lines that begin a statement count: what looks like a section or a key inside of a string or an
array that spans lines is none.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Iterator
from typing import Any

_TOKEN = re.compile(
    r'"""(?:\\.|[^\\])*?"{3,5}'  # up to two quotes may end the string itself
    r"|'''.*?'{3,5}"
    r'|"(?:\\.|[^"\\\n])*"'
    r"|'[^'\n]*'"
    r"|#[^\n]*"
    r"|[\[\]{}\n]",
    re.DOTALL,
)
_PART = r"""(?:[\w-]+|"(?:\\.|[^"\\])*"|'[^']*')"""
_PATH = rf"{_PART}(?:[ \t]*\.[ \t]*{_PART})*"
_HEADER = re.compile(rf"[ \t]*(\[\[?)[ \t]*({_PATH})[ \t]*\]")
_KEY = re.compile(rf"[ \t]*({_PATH})[ \t]*=")


class Lines:
    """Line numbers of one valid TOML text's sections and keys. The first line is 1."""

    def __init__(self, text: str) -> None:
        self._found: dict[tuple[str, int, str | None], int] = {}
        section: list[str] = []
        seen: dict[str, int] = {}
        for line, statement in _statements(text):
            if header := _HEADER.match(statement):
                names = section = _names(header[2])
                if header[1] == "[[" and len(names) == 1:
                    seen[names[0]] = seen.get(names[0], -1) + 1
            elif key := _KEY.match(statement):
                names = section + _names(key[1])
            else:
                continue
            number = seen.get(names[0], 0)
            self._found.setdefault((names[0], number, None), line)
            if len(names) > 1:
                self._found.setdefault((names[0], number, names[1]), line)

    def of(self, section: str, number: int = 0, key: str | None = None) -> int:
        """Of a key in the ``number``-th section of that name; else of the section; else 1."""
        for place in ((section, number, key), (section, number, None), (section, 0, None)):
            if place in self._found:
                return self._found[place]
        return 1


def _statements(text: str) -> Iterator[tuple[int, str]]:
    """Number and text of each line that begins neither in a string nor in brackets."""
    lines = text.split("\n")
    depth, number = 0, 1
    yield number, lines[0]
    for match in _TOKEN.finditer(text):
        piece = match[0]
        number += piece.count("\n")
        if piece in ("[", "{"):
            depth += 1
        elif piece in ("]", "}"):
            depth -= 1
        elif piece == "\n" and depth == 0:
            yield number, lines[number - 1]


def _names(path: str) -> list[str]:
    """The parts of a dotted name, without their quotes."""
    names: list[str] = []
    table: Any = tomllib.loads(f"{path} = 0")
    while isinstance(table, dict):
        ((name, table),) = table.items()
        names.append(name)
    return names
