"""The command line: verbs, their options, and what stands behind ``--``. No I/O, and no import of grpc."""

from __future__ import annotations

import argparse
import difflib
import importlib
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, NoReturn

from . import values
from .failure import USAGE, Failure

VERBS = {
    "start": "start a job and print its id",
    "run": "start a job, wait for it, print its output, exit as it did",
    "stop": "stop jobs and say what that took",
    "status": "everything known of jobs",
    "list": "list jobs, newest first",
    "logs": "print a job's output",
    "wait": "wait for jobs to end, exit as they did",
    "version": "the versions of jobctl and of the worker",
}
ALIASES = {"ps": "list"}


class _Parser(argparse.ArgumentParser):
    """Errors as Failure: one line, and printed in one place."""

    def error(self, message: str) -> NoReturn:
        raise Failure(USAGE, "USAGE", f"{message}", f"{self.prog} --help")


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The options, ``verb`` and ``argv`` (behind ``--``) among them. Failure USAGE."""
    words, behind = _split(argv)
    verb = next((word for word in words if word in VERBS or word in ALIASES), None)
    parser = _Parser(
        prog="jobctl", description="Runs programs on a server and answers for them.", parents=[_common()]
    )
    verbs = parser.add_subparsers(dest="verb", metavar="VERB", parser_class=_Parser)
    for name, summary in VERBS.items():
        aliases = [alias for alias, of in ALIASES.items() if of == name]
        chosen = verb is not None and ALIASES.get(verb, verb) == name
        module = load(name) if chosen else None
        each = verbs.add_parser(
            name, aliases=aliases, help=summary, description=summary, parents=[_common()],
            epilog=module.EXAMPLE if module else None, formatter_class=argparse.RawDescriptionHelpFormatter,
        )  # fmt: skip
        if module is not None:
            module.add_options(each)
    unknown = next((word for word in words if not word.startswith("-")), None)
    if verb is None and unknown is not None and not {"-h", "--help"} & set(words):
        close = difflib.get_close_matches(unknown, [*VERBS, *ALIASES], n=1)
        hint = f"jobctl {close[0]}" if close else "jobctl --help"
        raise Failure(USAGE, "USAGE", f"there is no verb {unknown!r}", hint)
    options = parser.parse_args(list(words))
    if options.verb is None:
        raise Failure(USAGE, "USAGE", "no verb given", "jobctl --help")
    options.verb = ALIASES.get(options.verb, options.verb)
    options.argv = behind
    if behind is not None and options.verb not in ("start", "run"):
        raise Failure(
            USAGE, "USAGE", f"{options.verb} takes nothing behind --", f"jobctl {options.verb} --help"
        )
    for name, value in _DEFAULTS.items():
        if not hasattr(options, name):
            setattr(options, name, value)
    return options


def load(verb: str) -> ModuleType:
    """The module of a verb: EXAMPLE, add_options(parser), run(session) -> exit code."""
    return importlib.import_module(f"jobctl.commands.{verb}")


def typed(convert: Callable[[str], Any]) -> Callable[[str], Any]:
    """A converter of ``values`` for argparse, which shows only ArgumentTypeError's text."""

    def call(text: str) -> Any:  # noqa: ANN401 -- whatever it converts to
        try:
            return convert(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return call


_DEFAULTS = {
    "context": None,
    "config": None,
    "server": None,
    "ca": None,
    "cert": None,
    "key": None,
    "server_name": None,
    "output": "table",
    "quiet": False,
    "debug": False,
    "connect_timeout": 10.0,
}


def _split(argv: Sequence[str]) -> tuple[Sequence[str], list[str] | None]:
    """What stands behind the first ``--`` is the job's, untouched."""
    if "--" not in argv:
        return argv, None
    at = list(argv).index("--")
    return argv[:at], list(argv[at + 1 :])


def _common() -> _Parser:
    """Options that stand before or behind the verb; unset ones leave no trace, so that either place counts."""
    common = _Parser(add_help=False, argument_default=argparse.SUPPRESS)
    group = common.add_argument_group("which worker, and how to print")
    group.add_argument("--context", metavar="NAME", help="a context of the configuration file")
    group.add_argument("--config", metavar="FILE", help="the configuration file, or a whole access")
    group.add_argument("--server", metavar="HOST:PORT")
    group.add_argument("--ca", metavar="PEM|FILE")
    group.add_argument("--cert", metavar="PEM|FILE")
    group.add_argument("--key", metavar="PEM|FILE")
    group.add_argument("--connect-timeout", type=typed(values.duration), metavar="D", help="default: 10s")
    group.add_argument("-o", "--output", choices=("table", "json", "jsonl", "id"), help="default: table")
    group.add_argument("-q", "--quiet", action="store_true", help="errors alone on stderr")
    group.add_argument("--debug", action="store_true", help="a traceback with an error")
    return common
