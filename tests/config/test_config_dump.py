"""What --dump-config prints is a configuration: every key, and the same values when it is read again."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sizes import size

from jobworkerd import config_dump, config_load
from jobworkerd.config import Config, Grant, Jobs, Retention, Server, Tls
from jobworkerd.config_load import ConfigError, Source, key_of

pytestmark = pytest.mark.soak
_CASES = size(5_000, 100_000)

# What each field may hold, as TOML has it.
_DURATION = st.one_of(
    st.just(0),
    st.builds(
        "{}{}".format,
        st.one_of(st.integers(0, 36500), st.decimals(0, 36500, places=9, allow_nan=False).map("{:f}".format)),
        st.sampled_from(["ms", "s", "m", "h", "d"]),
    ).filter(lambda text: text[-1] != "d" or float(text[:-1]) <= 36500),
)
_SIZE = st.one_of(
    st.integers(0, 2**63 - 1),
    st.builds("{}{}".format, st.integers(0, 2**20), st.sampled_from(["", "B", "KiB", "MiB", "GiB", "TiB"])),
)
_COUNT = st.integers(0, 2**31 - 1)
_TEXT = st.text(min_size=1, max_size=20).filter(str.isprintable)
_PATH = _TEXT.map("/{}".format)
_USER = st.from_regex(r"[A-Za-z_][A-Za-z0-9_.@-]{0,20}\$?", fullmatch=True)
_BY_FIELD: dict[str, st.SearchStrategy[Any]] = {
    "listen": st.lists(st.sampled_from(["h:1", "[::]:2", "*:3"]), min_size=1),
    **dict.fromkeys(("state_dir", "log_dir", "ca", "cert", "key", "revoked"), _PATH),
    **dict.fromkeys(("user", "log_user", "default_user"), _USER),
    "identity_prefix": st.from_regex(r"[a-z][a-z0-9]*://[!-)+-~]*", fullmatch=True),
    "on_max_output": st.sampled_from(["ring", "stop"]),
    "role": st.sampled_from(["viewer", "operator", "admin"]),
    "run_as": st.lists(st.one_of(st.just("*"), _USER)),
    "commands": st.lists(
        st.one_of(st.just("*"), st.from_regex(r"/[a-z*]+( [a-z*\"\u00e9]*)?", fullmatch=True))
    ),
    "env": st.lists(st.from_regex(r"[A-Z_]+\*?", fullmatch=True)),
    **dict.fromkeys(("identity", "jobs"), _TEXT),
}


def _strategy(name: str, type_name: str) -> st.SearchStrategy[Any]:
    if name in _BY_FIELD:
        return _BY_FIELD[name]
    if name.endswith("_seconds"):
        return _DURATION
    return _SIZE if name.endswith("_bytes") else {"int": _COUNT, "bool": st.booleans()}[type_name]


def _table(cls: type) -> st.SearchStrategy[dict[str, Any]]:
    return st.fixed_dictionaries(
        {key_of(f.name): _strategy(f.name, str(f.type)) for f in fields(cls) if f.name != "rule"}
    )


def _toml(table: dict[str, Any]) -> str:
    return "".join(f"{key} = {_value(value)}\n" for key, value in table.items())


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, list):
        return f"[{', '.join(map(_value, value))}]"
    return config_dump._quoted(value) if isinstance(value, str) else str(value)


def _parse(text: str) -> Config:
    return config_load.parse((Source("f", text),))


def _without_rules(config: Config) -> Config:
    return replace(config, grants=tuple(replace(grant, rule="") for grant in config.grants))


def _document(header: str, cls: type) -> st.SearchStrategy[str]:
    return _table(cls).map(lambda table: f"{header}\n{_toml(table)}")


_DOCUMENTS = st.one_of(
    [
        _document("[server]", Server),
        _document("[tls]", Tls),
        _document("[jobs]", Jobs),
        _document("[retention]", Retention),
        _document("[[grant]]", Grant),
    ]
)


@given(_DOCUMENTS)
@settings(
    max_examples=_CASES // 5,
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
def test_a_dump_parses_back_to_an_equal_config(text: str) -> None:
    """Whatever the values; the grants' rules then tell of the dump."""
    try:
        config = _parse(text)
    except ConfigError:  # an unbalanced quote in a command
        return
    assert _without_rules(_parse(config_dump.dump(config))) == _without_rules(config)


def test_a_dump_shows_every_key_in_the_largest_unit_that_is_exact() -> None:
    """As somebody would write it."""
    config = replace(
        Config(),
        jobs=replace(Jobs(), stop_grace_seconds=90.0, max_run_time_seconds=0.25, max_output_bytes=1536),
        grants=(Grant('cn:a \\ "b"', "viewer", env=("A*",), rule="f:1"),),
    )
    assert (
        config_dump.dump(config)
        == """\
[server]
listen = ["127.0.0.1:50051"]
drain_grace = "10s"
state_dir = "/var/lib/jobworker"
log_dir = "/var/log/jobworker/jobs"
user = "jobworker"
log_user = "jobworker-log"

[tls]
ca = "/etc/jobworker/pki/ca.crt"
cert = "/etc/jobworker/pki/server.crt"
key = "/etc/jobworker/pki/server.key"
identity_prefix = "jobworker://"
revoked = "/etc/jobworker/pki/revoked.d"

[jobs]
default_user = "jobworker-job"
allow_root = false
no_new_privs = true
max_running = 1000
max_run_time = "0.25s"
max_output = "1536B"
on_max_output = "ring"
max_input = "1GiB"
stop_grace = "90s"

[retention]
keep_for = "30d"
keep_jobs = 10000
keep_bytes = "10GiB"
keep_at_least = "1h"
min_free = "256MiB"

# f:1
[[grant]]
identity = "cn:a \\\\ \\"b\\""
role = "viewer"
jobs = "own"
run_as = []
commands = []
env = ["A*"]
max_running = 0
max_run_time = "0"
starts_per_minute = 0
"""
    )
