"""Root's configuration: what it says is what is in force, and what goes round as a snapshot is the same."""

from __future__ import annotations

from dataclasses import replace

import pytest

from jobworkerd import config_load
from jobworkerd.config import Config, Grant, Jobs, Retention, Server, Tls
from jobworkerd.config_load import ConfigError, Source

ALICE = '[[grant]]\nidentity = "jobworker://ops/alice"\nrole = "operator"\n'


def sources(*texts: str) -> tuple[Source, ...]:
    """As files a.toml, b.toml, …"""
    return tuple(Source(f"{name}.toml", text) for name, text in zip("abcdef", texts, strict=False))


def parse(*texts: str) -> Config:
    """The Config of these files."""
    return config_load.parse(sources(*texts))


def test_an_empty_file_is_all_defaults_and_grants_nothing() -> None:
    """Default deny."""
    assert parse("") == Config()
    assert parse("").grants == ()


def test_every_key_is_read_into_its_field() -> None:
    """Each with another value than its default, units converted."""
    config = parse(
        """
[server]
listen = ["10.0.0.1:1", "[::1]:65535", "build-1.example:50051", "*:50051"]
drain_grace = "1m"
state_dir = "/s/"
log_dir = "/l"
user = "u"
log_user = "Debian-l"
[tls]
ca = "/a"
cert = "/b"
key = "/c"
identity_prefix = "spiffe://corp/"
revoked = "/d"
[jobs]
default_user = "john.doe"
allow_root = true
no_new_privs = false
max_running = 2
max_run_time = "250ms"
max_output = "512MiB"
on_max_output = "stop"
max_input = 4096
stop_grace = "1.5s"
[retention]
keep_for = "7d"
keep_jobs = 3
keep_bytes = "1TiB"
keep_at_least = 0
min_free = "5"
[[grant]]
identity = "spiffe://corp/*"
role = "operator"
jobs = "spiffe://corp/team/*"
run_as = ["deploy", "*"]
commands = ["/usr/bin/rsync -a *", "*"]
env = ["PYTHON*", "GIT_SSH"]
max_running = 20
max_run_time = "8h"
starts_per_minute = 60
"""
    )
    assert config.server == Server(
        ("10.0.0.1:1", "[::1]:65535", "build-1.example:50051", "*:50051"), 60.0, "/s", "/l", "u", "Debian-l"
    )
    assert config.tls == Tls("/a", "/b", "/c", "spiffe://corp/", "/d")
    assert config.jobs == Jobs("john.doe", True, False, 2, 0.25, 512 << 20, "stop", 4096, 1.5)
    assert config.retention == Retention(7 * 86400.0, 3, 1 << 40, 0.0, 5)
    assert config.grants == (
        Grant(
            "spiffe://corp/*", "operator", "spiffe://corp/team/*", ("deploy", "*"),
            ("/usr/bin/rsync -a *", "*"), ("PYTHON*", "GIT_SSH"), 20, 8 * 3600.0, 60, "a.toml:31",
        ),
    )  # fmt: skip


def test_of_drop_ins_scalars_override_and_grants_append() -> None:
    """What a later file does not name stays."""
    config = parse(
        "[jobs]\nmax_running = 1\nstop_grace = '5s'\n" + ALICE,
        "[jobs]\nmax_running = 2\n",
        "[server]\nlisten = '127.0.0.1:9'\n" + ALICE.replace("alice", "bob"),
    )
    assert (config.jobs.max_running, config.jobs.stop_grace_seconds) == (2, 5.0)
    assert config.server.listen == ("127.0.0.1:9",)
    assert [(grant.identity[-5:], grant.rule) for grant in config.grants] == [
        ("alice", "a.toml:4"),
        ("s/bob", "c.toml:3"),
    ]


def test_a_grants_rule_is_the_line_of_its_header() -> None:
    """Not of what looks like one in a comment, in a text or in a list that spans lines."""
    config = parse(
        "# [[grant]]\n"
        "[server]\n"
        'log_dir = """/\\\n[[grant]]\\\n"""\n'
        "listen = [\n  '[::1]:1',  # [[grant]]\n]\n"
        "[['grant']]  # the first\n"
        "identity = 'a'\nrole = 'viewer'\n"
        '  [[ "grant" ]]\n'
        "identity = 'b'\nrole = 'viewer'\n"
    )
    assert [grant.rule for grant in config.grants] == ["a.toml:9", "a.toml:12"]


def test_a_snapshot_gives_a_peer_the_same_config() -> None:
    """Rules included, whatever the files hold."""
    files = sources("[jobs]\nmax_running = 7  # é\n", ALICE)
    assert config_load.from_snapshot(config_load.to_snapshot(files)) == config_load.parse(files)


def test_a_snapshot_with_a_mistake_is_refused() -> None:
    """A peer of a newer version may know of more mistakes than the runner."""
    with pytest.raises(ConfigError, match=r"^a\.toml:1: job: unknown section"):
        config_load.from_snapshot(config_load.to_snapshot(sources("[job]\n")))


def test_what_is_legal_and_hardly_meant_is_a_warning() -> None:
    """In the order it stands, with the rule."""
    said = config_load.warnings(
        parse(
            "[jobs]\ndefault_user = 'jobworker'\n"
            "[[grant]]\nidentity = 'ops/alice'\nrole = 'operator'\njobs = 'mine'\nenv = ['LD_PRELOAD', 'PYTHON*']\n"
            "[[grant]]\nidentity = 'jobworker://*'\nrole = 'admin'\nrun_as = ['root', 'jobworker-log']\n"
        )
    )
    assert said == [
        "jobs.default_user: jobworker is the worker's own user, as which nothing starts",
        "a.toml:3: a grant of role operator without run_as lets nothing be started",
        "a.toml:3: a grant of role operator without commands lets nothing be started",
        "a.toml:3: identity 'ops/alice' matches nobody: callers are jobworker://… or cn:…",
        "a.toml:3: jobs 'mine' matches nobody: \"own\", or a pattern of callers jobworker://… or cn:…",
        "a.toml:3: env 'LD_PRELOAD' is refused whatever a grant says",
        "a.toml:8: a grant of role admin without commands lets nothing be started",
        "a.toml:8: run_as names root, which needs jobs.allow_root = true as well",
        "a.toml:8: run_as names jobworker-log, the worker's own user, as which nothing starts",
    ]


def test_what_has_no_effect_yet_is_a_warning() -> None:
    """Nobody finds it out by its absence."""
    said = config_load.warnings(
        parse(
            "[tls]\nrevoked = '/x'\n[jobs]\nmax_run_time = '2s'\n[retention]\nkeep_jobs = 2\nmin_free = '1GiB'\n"
            + ALICE + "run_as = ['deploy']\ncommands = ['*']\nmax_run_time = '1s'\nstarts_per_minute = 3\n"
        )
    )  # fmt: skip
    assert [each.partition(" has no effect")[0] for each in said] == [
        "tls.revoked:", "jobs.max_run_time:", "retention.keep_jobs:",
        "a.toml:8: max_run_time", "a.toml:8: starts_per_minute",
    ]  # fmt: skip


@pytest.mark.parametrize(
    "identity", ["jobworker://ops/alice", "jobworker://*", "job*", "*/alice", "*", "cn:alice"]
)
def test_a_grant_that_can_match_a_caller_is_no_reason_to_warn(identity: str) -> None:
    """A viewer needs no users and no commands."""
    config = replace(Config(), grants=(Grant(identity, "viewer"),))
    assert config_load.warnings(config) == []


def test_no_grant_at_all_is_a_warning() -> None:
    """Nobody may do anything."""
    assert config_load.warnings(Config()) == ["no [[grant]]: nobody may do anything"]


def test_one_plain_user_for_all_is_no_reason_to_warn() -> None:
    """That is development."""
    own = "[server]\nuser = 'alice'\nlog_user = 'alice'\n[jobs]\ndefault_user = 'alice'\n"
    grant = ALICE + "run_as = ['alice']\ncommands = ['*']\n"
    assert config_load.warnings(parse(own + grant)) == []
