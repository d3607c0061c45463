"""Whatever stands in the files, the loader answers: a Config, or mistakes that name their lines."""

from __future__ import annotations

from dataclasses import fields

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sizes import size

from jobworkerd import config_load
from jobworkerd.config import Grant, Jobs, Retention, Server, Tls
from jobworkerd.config_load import Source, key_of

pytestmark = pytest.mark.soak
_CASES = size(5_000, 100_000)
_KEYS = [key_of(f.name) for cls in (Server, Tls, Jobs, Retention, Grant) for f in fields(cls)]
_PIECES = st.one_of(
    st.sampled_from(["server", "tls", "jobs", "retention", "grant", *_KEYS]),
    st.sampled_from(
        ["[", "]", "[[", "]]", "=", ".", ",", "\n", '"', "'", '"""', "'''", "{", "}", "#", " ", "\\"]
    ),
    st.sampled_from(
        ['"1GiB"', '"10s"', '["*"]', '["/bin/id \'"]', '"*"', "true", "-1", "1e999", "nan", "1979-05-27"]
    ),
    st.text(max_size=5),
)


@given(st.lists(_PIECES, max_size=40).map("".join))
@settings(max_examples=_CASES, deadline=None)
def test_noise_is_a_config_or_a_mistake(text: str) -> None:
    """Never another exception; each mistake is one printable line that names the file."""
    found = config_load.mistakes((Source("f", text),))
    for mistake in found:
        assert str(mistake).startswith("f:")
        assert str(mistake).isprintable()
    if not found:
        config_load.warnings(config_load.parse((Source("f", text),)))


@given(st.lists(st.sampled_from([f"{key} = {value}" for key in _KEYS for value in ("1", '"x"', "[' ']", "{}")]), max_size=8),
       st.sampled_from(["[server]", "[tls]", "[jobs]", "[retention]", "[[grant]]"]))  # fmt: skip
@settings(max_examples=_CASES // 5, deadline=None)
def test_a_key_with_a_wrong_value_is_named_with_its_line(lines: list[str], section: str) -> None:
    """Valid TOML, and each mistake on the line that has it."""
    lines = list({line.partition(" ")[0]: line for line in lines}.values())
    for mistake in config_load.mistakes((Source("f", "\n".join([section, *lines])),)):
        _, line, name, _ = str(mistake).split(":", 3)
        if "missing" not in str(mistake):
            assert lines[int(line) - 2].startswith(name.rpartition(".")[2])
