"""Root's files as they were read. Whoever can write one decides what runs as root: nobody else may."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Source:
    """One file, as it was read."""

    path: str
    text: str


class ConfigError(Exception):
    """One mistake on one line: ``FILE:LINE: KEY: what is wrong; what would be right``."""


def read_sources(path: str) -> tuple[Source, ...]:
    """The file and its drop-ins (``path.d/*.toml``), sorted.

    ConfigError for one that cannot be read, or that others than root and our own user could have written.
    """
    return tuple(_read(each) for each in (path, *_drop_ins(f"{path}.d")))


def _drop_ins(folder: str) -> list[str]:
    try:
        fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return []
    except OSError as error:
        raise ConfigError(f"{folder}: cannot be read: {error.strerror}") from None
    try:
        _refuse_others(folder, os.fstat(fd))
        return [f"{folder}/{name}" for name in sorted(os.listdir(fd)) if name.endswith(".toml")]
    finally:
        os.close(fd)


def _read(path: str) -> Source:
    try:
        # Not blocking: a FIFO would keep us waiting for its writer.
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read: {error.strerror}") from None
    try:
        # Of what was opened: the name may mean another file by now.
        info = os.fstat(fd)
        if not stat.S_ISREG(info.st_mode):
            raise ConfigError(f"{path}: not a regular file; must be one")
        _refuse_others(path, info)
        with os.fdopen(fd, "rb", closefd=False) as file:
            data = file.read()
    finally:
        os.close(fd)
    try:
        return Source(path, data.decode())
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(f"{path}:{line}: not UTF-8 text; must be") from None


def _refuse_others(path: str, info: os.stat_result) -> None:
    if info.st_uid not in (0, os.geteuid()):
        raise ConfigError(f"{path}: owned by uid {info.st_uid}; must be owned by root: chown root {path}")
    if stat.S_IMODE(info.st_mode) & 0o022:
        raise ConfigError(f"{path}: writable by others; must not be: chmod go-w {path}")
