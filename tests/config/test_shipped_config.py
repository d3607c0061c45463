"""etc/jobworker.toml is the reference: every key with its default, and nothing granted but to local root."""

from __future__ import annotations

import itertools
import re
import shutil
import subprocess
import tomllib
from dataclasses import fields, replace
from pathlib import Path

import pytest

from jobworkerd import config_dump, config_load, rules
from jobworkerd.config import Config, Grant, Jobs, Retention, Server, Tls
from jobworkerd.config_load import Source, key_of

_REPOSITORY = Path(__file__).parent.parent.parent
_SHIPPED = _REPOSITORY / "etc/jobworker.toml"
_TEXT = _SHIPPED.read_text()
_MANUAL = _REPOSITORY / "docs/man/jobworker.toml.5"
_SECTIONS = {"server": Server, "tls": Tls, "jobs": Jobs, "retention": Retention}


def test_the_shipped_file_is_all_defaults() -> None:
    """But for the grant it makes to root on this host; nothing in it is a reason to warn."""
    config = config_load.parse(config_load.read_sources(str(_SHIPPED)))
    assert replace(config, grants=()) == Config()
    line = next(n for n, text in enumerate(_TEXT.splitlines(), 1) if text == "[[grant]]")
    root = Grant("jobworker://local/root", "admin", run_as=("*",), commands=("*",), rule=f"{_SHIPPED}:{line}")
    assert config.grants == (root,)
    assert config_load.warnings(config) == []


@pytest.mark.parametrize("section", _SECTIONS)
def test_every_key_stands_in_the_shipped_file_with_one_comment(section: str) -> None:
    """Each on a line of its own, in the order of the manual."""
    keys = [key_of(field.name) for field in fields(_SECTIONS[section])]
    assert list(tomllib.loads(_TEXT)[section]) == keys
    body = _TEXT.partition(f"[{section}]\n")[2].partition("\n\n")[0]
    for key, line in zip(keys, body.splitlines(), strict=True):
        assert re.fullmatch(rf"{key} = \S.*\S +# \S.*", line), line


def test_the_shipped_example_of_a_grant_has_every_key_and_is_valid() -> None:
    """It is a comment: uncommented it must work."""
    example = re.search(r"^#   \[\[grant\]\]\n(?:#   .*\n)+", _TEXT, re.MULTILINE)
    assert example is not None
    text = re.sub(r"^#   ", "", example[0], flags=re.MULTILINE)
    keys = {key_of(field.name) for field in fields(Grant)} - {"rule"}
    assert set(tomllib.loads(text)["grant"][0]) == keys
    config = config_load.parse((Source("f", text),))
    assert [said for said in config_load.warnings(config) if "no effect in this version" not in said] == []
    (grant,) = config.grants
    assert any(rules.command_matches(each, "/usr/bin/rsync", ("-a", "x", "y")) for each in grant.commands)
    for key in keys:
        assert re.search(rf"^#   .*\b{key}\b.* \S", _TEXT, re.MULTILINE), key


def test_the_manual_tells_of_every_key_and_its_default() -> None:
    """jobworker.toml(5); what every grant needs has none."""
    dump = config_dump.dump(replace(Config(), grants=(Grant("x", "viewer"),)))
    shown = dump.replace('["127.0.0.1:50051"]', '"127.0.0.1:50051"')
    keys = re.findall(r"^(\w+) = (.*)$", shown, re.MULTILINE)
    expected = [key if key in ("identity", "role") else f"{key} = {value}" for key, value in keys]
    assert len(expected) == sum(len(fields(cls)) for cls in (*_SECTIONS.values(), Grant)) - 1
    lines = _MANUAL.read_text().replace("\\(dq", '"').replace("\\-", "-").splitlines()
    entries = [after for before, after in itertools.pairwise(lines) if before == ".TP"]
    named = [each.removeprefix(".B ").removeprefix(".BR ").replace(' " = " ', " = ") for each in entries]
    assert named == expected


@pytest.mark.skipif(shutil.which("man") is None, reason="needs man-db")
@pytest.mark.parametrize("page", ["jobworker.toml.5", "jobworker-pki.8"])
def test_the_manuals_are_clean_roff(page: str) -> None:
    """No warning of any kind."""
    done = subprocess.run(
        ["man", "--warnings", "-l", _REPOSITORY / "docs/man" / page], capture_output=True, text=True, check=False,
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "MANWIDTH": "80", "MANROFFSEQ": ""},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
