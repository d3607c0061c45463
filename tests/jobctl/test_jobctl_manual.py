"""jobctl(1) tells of every verb and every option there is, and of none that there is not."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

import jobctl
import jobworkerd
from jobctl import cli

PAGE = Path(__file__).parent.parent.parent / "docs/man/jobctl.1"
SOURCE = PAGE.read_text().replace("\\-", "-")


def options_of(verb: str) -> set[str]:
    """As the parser has them."""
    parser = cli._parser(verb)
    subparsers = next(action.choices for action in parser._actions if isinstance(action.choices, dict))
    parsers = (parser, subparsers[verb])
    return {option for each in parsers for action in each._actions for option in action.option_strings}


@pytest.mark.parametrize("verb", sorted(cli.VERBS))
def test_a_verb_and_its_options_are_in_the_manual(verb: str) -> None:
    """Each by its own name."""
    assert f"\n.B jobctl {verb}\n" in SOURCE
    missing = [option for option in options_of(verb) if not re.search(rf"(?<![\w-]){option}(?![\w-])", SOURCE)]
    assert missing == []


def test_the_manual_names_no_option_that_is_not_there() -> None:
    """Options of later versions are not offered."""
    named = set(re.findall(r"(?<![\w-])--[a-z][a-z-]+", SOURCE))
    assert named <= {option for verb in cli.VERBS for option in options_of(verb)}


def test_the_manual_is_of_this_version() -> None:
    """And so is jobctl, which may not look at the worker's."""
    assert jobctl.__version__ == jobworkerd.__version__
    assert f'"jobworker {jobctl.__version__}"' in SOURCE.splitlines()[0]


@pytest.mark.skipif(shutil.which("man") is None, reason="needs man-db")
def test_the_manual_is_clean_roff() -> None:
    """No warning of any kind."""
    done = subprocess.run(
        ["man", "--warnings", "-l", str(PAGE)], capture_output=True, text=True, check=False,
        env={"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "MANWIDTH": "80", "MANROFFSEQ": ""},
    )  # fmt: skip
    assert (done.returncode, done.stderr) == (0, "")
