"""What ``start`` and ``run`` share: their options, and the request made of them."""

from __future__ import annotations

import argparse
import os

from jobctl import values
from jobctl.cli import typed, utf8
from jobctl.failure import USAGE, Failure
from jobctl.session import Session
from jobctl.source import Source
from jobworkerd.v1 import jobworker_pb2 as pb

_MAX_BYTES = 128 * 1024


def add_options(parser: argparse.ArgumentParser) -> None:
    """Of CONTRACT's "Options of start and run"."""
    parser.add_argument("--env", action="append", default=[], metavar="K=V|K", help="K alone: my value of it")
    parser.add_argument("--env-file", action="append", default=[], metavar="F", help="K=V lines, no quoting")
    parser.add_argument(
        "--dir", default="", metavar="D", help="working directory; default: the user's home, else /"
    )
    parser.add_argument("--user", default="", metavar="U", help="Unix user to run as")
    parser.add_argument("--name", default="", metavar="N", help="unique among your jobs that have not ended")
    parser.add_argument(
        "--label",
        action="append",
        default=[],
        type=typed(values.pair),
        metavar="k=v",
        help="may be given several times",
    )
    parser.add_argument(
        "--merge-output", action="store_true", help="stderr into stdout's pipe: then their order is exact"
    )
    parser.add_argument("--stdin", metavar="FILE|-", help="the job's standard input; default: none")
    parser.add_argument(
        "--max-output", type=typed(values.size), default=0, metavar="S", help="of each stream, as 64MiB"
    )
    parser.add_argument("--shell", metavar="'a | b'", help="bash -o pipefail -c, instead of -- CMD")


def request(session: Session) -> pb.StartRequest:
    """Failure USAGE for what cannot be sent."""
    options = session.options
    argv = _argv(options)
    env = _environment(options)
    size = sum(len(text.encode()) + 1 for text in (*argv, *env))
    if size > _MAX_BYTES:
        raise Failure(
            USAGE, "INVALID_FIELD", f"argv and environment are {size} bytes together; at most {_MAX_BYTES}",
            "put the data into a file on the server",
        )  # fmt: skip
    return pb.StartRequest(
        command=argv[0], args=argv[1:], env=env, dir=options.dir, user=options.user, name=options.name,
        labels=dict(options.label), merge_output=options.merge_output, max_output=options.max_output,
    )  # fmt: skip


def source(session: Session) -> Source | None:
    """The standard input asked for, opened. Failure USAGE."""
    return Source(session.options.stdin) if session.options.stdin is not None else None


def start(session: Session, request: pb.StartRequest, source: Source | None) -> str:
    """The job's id."""
    client = session.client
    return (client.start(request) if source is None else client.start_with_input(request, source)).uuid


def _argv(options: argparse.Namespace) -> list[str]:
    if options.shell is not None and options.argv is not None:
        raise Failure(USAGE, "USAGE", "--shell takes the place of -- CMD; give one of them")
    if options.shell is not None:
        return ["bash", "-o", "pipefail", "-c", options.shell]
    if not options.argv:
        raise Failure(USAGE, "USAGE", "no command given", f"jobctl {options.verb} -- CMD ARG…")
    return list(options.argv)


def _environment(options: argparse.Namespace) -> list[str]:
    items: list[str] = []
    for path in options.env_file:
        items += _read_file(path)
    for item in options.env:
        if "=" in item:
            items.append(item)
        elif item in os.environ:
            items.append(f"{item}={utf8(os.environ[item])}")
        else:
            raise Failure(USAGE, "USAGE", f"--env {item}: it is not set here", f"--env {item}=VALUE")
    return items


def _read_file(path: str) -> list[str]:
    try:
        with open(path, encoding="utf-8") as file:
            lines = file.read().split("\n")
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "not UTF-8"
        raise Failure(USAGE, "USAGE", f"cannot read --env-file {path}: {why}") from None
    items = [line for line in lines if line.strip() and not line.lstrip().startswith("#")]
    for item in items:
        if "=" not in item:
            raise Failure(USAGE, "USAGE", f"--env-file {path}: {item!r} is not of the form K=V")
    return items
