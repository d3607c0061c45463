"""Root's files are read only if nobody else could have written them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from jobworkerd import config_load

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give files away")


@pytest.fixture
def main(tmp_path: Path) -> Path:
    """A configuration of one file, and its folder of drop-ins."""
    path = tmp_path / "jobworker.toml"
    _write(path, "")
    _drop_ins(path).mkdir(mode=0o755)
    return path


def _write(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o644)
    return path


def _drop_ins(main: Path) -> Path:
    return Path(f"{main}.d")


def _refused(main: Path) -> str:
    with pytest.raises(config_load.ConfigError) as caught:
        config_load.read_sources(str(main))
    return str(caught.value)


def test_drop_ins_follow_in_the_order_of_their_names(main: Path) -> None:
    """Only those that end in .toml."""
    for name in ("20-b.toml", "10-a.toml", "notes", "30.toml.dpkg-old"):
        _write(_drop_ins(main) / name, f"# {name}\n")
    read = config_load.read_sources(str(main))
    assert [source.path for source in read] == [
        str(main),
        f"{main}.d/10-a.toml",
        f"{main}.d/20-b.toml",
    ]
    assert [source.text for source in read] == ["", "# 10-a.toml\n", "# 20-b.toml\n"]


def test_a_link_of_roots_is_followed(main: Path, tmp_path: Path) -> None:
    """What counts is the file that is opened."""
    target = _write(tmp_path / "elsewhere", "# there\n")
    (_drop_ins(main) / "a.toml").symlink_to(target)
    assert config_load.read_sources(str(main))[1].text == "# there\n"
    target.chmod(0o666)
    assert _refused(main) == f"{main}.d/a.toml: writable by others; must not be: chmod go-w {main}.d/a.toml"


def test_no_folder_of_drop_ins_is_none(main: Path) -> None:
    """It need not be there."""
    _drop_ins(main).rmdir()
    assert len(config_load.read_sources(str(main))) == 1


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_a_file_that_others_can_write_is_refused(main: Path, mode: int) -> None:
    """Group or everybody."""
    main.chmod(mode)
    assert _refused(main) == f"{main}: writable by others; must not be: chmod go-w {main}"


def test_a_folder_that_others_can_write_is_refused(main: Path) -> None:
    """They could take drop-ins away."""
    _drop_ins(main).chmod(0o775)
    assert _refused(main) == f"{main}.d: writable by others; must not be: chmod go-w {main}.d"


@needs_root
@pytest.mark.parametrize("name", ["", ".d", ".d/a.toml"])
def test_what_somebody_else_owns_is_refused(main: Path, name: str) -> None:
    """Whatever its mode, for an owner can change that."""
    _write(_drop_ins(main) / "a.toml", "")
    os.chown(f"{main}{name}", 1234, 0)
    path = f"{main}{name}"
    assert _refused(main) == f"{path}: owned by uid 1234; must be owned by root: chown root {path}"


def test_a_file_that_is_not_there_is_named(main: Path) -> None:
    """The drop-in, where it is the drop-in."""
    (_drop_ins(main) / "a.toml").symlink_to("/nosuch")
    assert _refused(main) == f"{main}.d/a.toml: cannot be read: No such file or directory"
    main.unlink()
    assert _refused(main) == f"{main}: cannot be read: No such file or directory"


@pytest.mark.parametrize("kind", ["fifo", "folder"])
def test_what_is_no_file_is_refused_at_once(main: Path, kind: str) -> None:
    """A FIFO without a writer holds nobody up."""
    odd = _drop_ins(main) / "a.toml"
    odd.mkdir() if kind == "folder" else os.mkfifo(odd, 0o644)
    assert _refused(main) == f"{odd}: not a regular file; must be one"


def test_drop_ins_that_are_no_folder_are_an_error(main: Path) -> None:
    """They would be overlooked."""
    _drop_ins(main).rmdir()
    _write(_drop_ins(main), "")
    assert _refused(main) == f"{main}.d: cannot be read: Not a directory"


def test_bytes_that_are_no_text_are_named_with_their_line(main: Path) -> None:
    """TOML is UTF-8."""
    main.write_bytes(b"# 1\n# \xc3\xa9\n# \xe9\n")
    assert _refused(main) == f"{main}:3: not UTF-8 text; must be"


def test_no_descriptor_is_left_open(main: Path) -> None:
    """Whether it is read or refused."""
    before = os.listdir("/proc/self/fd")
    config_load.read_sources(str(main))
    main.chmod(0o666)
    _refused(main)
    assert os.listdir("/proc/self/fd") == before
