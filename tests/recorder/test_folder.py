"""A job's folder: made once, and never another one through a link."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

import pytest

from jobworkerd.recorder.folder import open_files

_NAME = "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11-20261124T024300Z"


@pytest.fixture
def log_dir(tmp_path: Path) -> Path:
    """An empty one."""
    path = tmp_path / "logs"
    path.mkdir()
    return path


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Where an attacker's links point to."""
    path = tmp_path / "elsewhere"
    path.mkdir()
    (path / "target").write_bytes(b"untouched")
    return path


def test_the_modes_let_the_group_read_and_nobody_else(log_dir: Path) -> None:
    """0750 and 0640, under the umask of a service."""
    before = os.umask(0o022)
    try:
        open_files(str(log_dir), _NAME, resume=False).close()
    finally:
        os.umask(before)
    folder = log_dir / _NAME
    modes = {path.name: stat.S_IMODE(path.stat().st_mode) for path in (folder, *folder.iterdir())}
    assert modes == {_NAME: 0o750, "stdout.log": 0o640, "stderr.log": 0o640, "index": 0o640}


def test_the_descriptors_are_those_three_files_and_no_more_stay_open(log_dir: Path) -> None:
    """In the order that Files names them; none is inherited by a program."""
    before = len(os.listdir("/proc/self/fd"))
    files = open_files(str(log_dir), _NAME, resume=False)
    fds = (*files.streams, files.index)
    try:
        assert len(os.listdir("/proc/self/fd")) == before + 3
        paths = [os.readlink(f"/proc/self/fd/{fd}") for fd in fds]
        assert paths == [str(log_dir / _NAME / each) for each in ("stdout.log", "stderr.log", "index")]
        assert not any(os.get_inheritable(fd) for fd in fds)
    finally:
        files.close()


@pytest.mark.parametrize("resume", [False, True])
def test_a_link_in_place_of_the_folder_is_refused(log_dir: Path, elsewhere: Path, resume: bool) -> None:
    """Also after a crash, when the folder may be there."""
    (log_dir / _NAME).symlink_to(elsewhere)
    with pytest.raises(OSError, match=r"File exists|Not a directory") as caught:
        open_files(str(log_dir), _NAME, resume=resume)
    assert caught.value.errno == (errno.ENOTDIR if resume else errno.EEXIST)
    assert os.listdir(elsewhere) == ["target"]


@pytest.mark.parametrize("each", ["stdout.log", "stderr.log", "index"])
def test_a_link_in_place_of_a_file_is_refused(log_dir: Path, elsewhere: Path, each: str) -> None:
    """To a file that is there as well as to one that would be made, and no descriptor is left open."""
    (log_dir / _NAME).mkdir()
    for target in ("target", "new"):
        (log_dir / _NAME / each).unlink(missing_ok=True)
        (log_dir / _NAME / each).symlink_to(elsewhere / target)
        before = len(os.listdir("/proc/self/fd"))
        with pytest.raises(OSError, match="Too many levels of symbolic links") as caught:
            open_files(str(log_dir), _NAME, resume=True)
        assert caught.value.errno == errno.ELOOP
        assert len(os.listdir("/proc/self/fd")) == before
    assert os.listdir(elsewhere) == ["target"]
    assert (elsewhere / "target").read_bytes() == b"untouched"


def test_a_folder_is_made_once(log_dir: Path) -> None:
    """A second start of that name is refused; a resume finds it, and makes it where it is gone."""
    open_files(str(log_dir), _NAME, resume=True).close()
    (log_dir / _NAME / "stdout.log").write_bytes(b"kept")
    with pytest.raises(FileExistsError):
        open_files(str(log_dir), _NAME, resume=False)
    open_files(str(log_dir), _NAME, resume=True).close()
    assert (log_dir / _NAME / "stdout.log").read_bytes() == b"kept"
