"""``jobctl version``: jobctl's and, where it answers, the worker's."""

from __future__ import annotations

import argparse
import json

from jobctl import __version__
from jobctl.failure import Failure
from jobctl.session import Session

EXAMPLE = "example: jobctl version"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The verb's own."""
    parser.add_argument("--client", action="store_true", help="jobctl's own alone, without asking the worker")


def run(session: Session) -> int:
    """The exit code; that no worker answers is said, and no error here."""
    versions: dict[str, str | None] = {"jobctl": __version__, "worker": None}
    if not session.options.client:
        try:
            versions["worker"] = session.client.version().version
        except Failure as failure:
            session.say(failure.message)
    if session.format in ("json", "jsonl"):
        session.out(json.dumps(versions) + "\n")
    else:
        session.out("".join(f"{name} {version or 'unknown'}\n" for name, version in versions.items()))
    return 0
