"""Root's configuration: the shipped file is true, and a mistake is named with file, line, key and what is right."""

from __future__ import annotations

import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path

import pytest
from conftest import REPOSITORY

from jobworkerd import config_dump, config_load
from jobworkerd.config import Config

_SHIPPED = str(REPOSITORY / "etc/jobworker.toml")


def test_the_shipped_file_has_every_key_with_its_default() -> None:
    """And one grant: local root's, made at install."""
    sources = config_load.read_sources(_SHIPPED)
    config = config_load.parse(sources)
    assert replace(config, grants=()) == Config()
    grant = config.grants[0]
    assert (grant.identity, grant.role, grant.run_as, grant.commands) == (
        "jobworker://local/root", "admin", ("*",), ("*",),
    )  # fmt: skip
    lines = sources[0].text.splitlines()
    for section in ("server", "tls", "jobs", "retention"):
        for field in fields(getattr(config, section)):
            key = config_load.key_of(field.name)
            assert [line for line in lines if line.startswith(f"{key} = ") and "#" in line], key


def test_a_dump_parses_back_to_the_same(tmp_path: Path) -> None:
    """Every key, also those of grants; only where the grants stand differs."""
    config = config_load.parse(config_load.read_sources(_SHIPPED))
    again = config_load.parse((config_load.Source("dump", config_dump.dump(config)),))
    assert replace(again, grants=()) == replace(config, grants=())
    assert [replace(grant, rule="") for grant in again.grants] == [
        replace(grant, rule="") for grant in config.grants
    ]


def test_a_snapshot_is_the_same_configuration() -> None:
    """As a peer gets it, rules with file and line included."""
    sources = config_load.read_sources(_SHIPPED)
    assert config_load.from_snapshot(config_load.to_snapshot(sources)) == config_load.parse(sources)


_GRANT = '[[grant]]\nidentity = "x"\nrole = "viewer"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[server]\nlisten = 5", "F:2: server.listen: must be a text"),
        ('[server]\nlisten = "here"', "F:2: server.listen: must be HOST:PORT"),
        ('[server]\nlisten = "h:99999"', "F:2: server.listen: must be HOST:PORT"),
        ('[server]\n\nusr = "x"', "F:3: server.usr: unknown key; did you mean 'user'?"),
        ('[sever]\nuser = "x"', "F:1: sever: unknown section; did you mean 'server'?"),
        ('[server]\nuser = "A B"', "F:2: server.user: must be the name of a Unix user"),
        ('[server]\nstate_dir = "var"', "F:2: server.state_dir: must be an absolute path"),
        ('[server]\ndrain_grace = "10"', "F:2: server.drain_grace: must be a duration"),
        ('[server]\ndrain_grace = "-1s"', "F:2: server.drain_grace: must be a duration"),
        ("[jobs]\nallow_root = 1", "F:2: jobs.allow_root: must be true or false"),
        ("[jobs]\nmax_running = -1", "F:2: jobs.max_running: must be a whole number"),
        ('[jobs]\nmax_output = "1GB"', "F:2: jobs.max_output: must be a size"),
        (
            '[jobs]\non_max_output = "rng"',
            "F:2: jobs.on_max_output: must be one of ring, stop; did you mean 'ring'?",
        ),
        ('[retention]\nkeep_bytes = "many"', "F:2: retention.keep_bytes: must be a size"),
        ('[[grant]]\nrole = "viewer"', "F:1: grant.identity: missing"),
        (
            '[[grant]]\nidentity = "x"\nrole = "viewr"',
            "F:3: grant.role: must be one of viewer, operator, admin",
        ),
        (f"{_GRANT}{_GRANT}comands = []", "F:7: grant.comands: unknown key; did you mean 'commands'?"),
        (f'{_GRANT}commands = "id"', "F:4: grant.commands: must be a list"),
        (f'{_GRANT}commands = ["id"]', "F:4: grant.commands: 'id' must begin with an absolute path"),
        (f"{_GRANT}commands = ['/bin/x \"']", "F:4: grant.commands: '/bin/x \"' cannot be split into words"),
        (f'{_GRANT}run_as = ["a b"]', "F:4: grant.run_as: must be the name of a Unix user"),
        (f'{_GRANT}env = ["A=B"]', "F:4: grant.env: 'A=B' must be a variable's name"),
        ('grant = "x"', "F:1: grant: must be written [[grant]]"),
        ('server = "x"', "F:1: server: must be a section [server]"),
        ("[server]\nlisten = ", "F:2: not TOML"),
        ('server.listn = "x"', "F:1: server.listn: unknown key; did you mean 'listen'?"),
    ],
)
def test_a_mistake_is_named(tmp_path: Path, text: str, said: str) -> None:
    """By the command, with 78, for the first and for every one."""
    file = tmp_path / "jobworker.toml"
    file.write_text(text)
    for options in (["--check-config"], []):
        done = subprocess.run(
            [sys.executable, "-m", "jobworkerd", "--config", str(file), *options],
            capture_output=True,
            text=True,
        )
        assert done.returncode == 78
        assert done.stderr.startswith(f"jobworkerd: {said}".replace("F:", f"{file}:", 1)), done.stderr


def test_a_file_that_others_can_write_is_refused(tmp_path: Path) -> None:
    """Whoever can write it is root's equal."""
    file = tmp_path / "jobworker.toml"
    file.write_text("")
    file.chmod(0o666)
    with pytest.raises(config_load.ConfigError, match="writable by others; must not be: chmod go-w"):
        config_load.read_sources(str(file))


def test_drop_ins_override_scalars_and_append_grants(tmp_path: Path) -> None:
    """In the order of their names."""
    file, folder = tmp_path / "j.toml", tmp_path / "j.toml.d"
    folder.mkdir()
    file.write_text(f"[jobs]\nmax_running = 1\nallow_root = true\n{_GRANT}")
    (folder / "b.toml").write_text("[jobs]\nmax_running = 3\n")
    (folder / "a.toml").write_text(f"[jobs]\nmax_running = 2\n{_GRANT}")
    config = config_load.parse(config_load.read_sources(str(file)))
    assert (config.jobs.max_running, config.jobs.allow_root) == (3, True)
    assert [grant.rule for grant in config.grants] == [f"{file}:4", f"{folder}/a.toml:3"]
