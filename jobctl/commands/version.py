"""``jobctl version``: jobctl's own, and the worker's."""

from __future__ import annotations

import argparse
import json

from jobctl import __version__
from jobctl.failure import Failure
from jobctl.session import Session

EXAMPLE = "example: jobctl version --client"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The verb's own."""
    parser.add_argument("--client", action="store_true", help="jobctl's own alone, without asking the worker")


def run(session: Session) -> int:
    """The exit code. jobctl's own is printed in any case."""
    versions: dict[str, str | None] = {"jobctl": __version__}
    failure: Failure | None = None
    if not session.options.client:
        try:
            versions["worker"] = session.client.version().version
        except Failure as caught:
            versions["worker"] = None
            failure = caught
    if session.wants_json:
        session.out(json.dumps(versions) + "\n")
    else:
        session.out("".join(f"{name} {version or 'unknown'}\n" for name, version in versions.items()))
    if failure is not None:
        raise failure
    return 0
