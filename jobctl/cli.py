"""The command line: verbs, their options, and what stands behind ``--``. No import of grpc."""

from __future__ import annotations

import argparse
import difflib
import importlib
import os
import shlex
from collections.abc import Callable, Sequence
from types import ModuleType
from typing import Any, NoReturn

from . import streams, values
from .failure import USAGE, Failure

VERBS = {
    "start": "start a job and print its id",
    "run": "start a job, print its output as it comes, exit as it did",
    "stop": "stop jobs and say what that took",
    "status": "everything known of jobs",
    "list": "list jobs, newest first",
    "logs": "print a job's output",
    "wait": "wait for jobs to end, exit as they did",
    "version": "the versions of jobctl and of the worker",
}
ALIASES = {"ps": "list"}
_STARTS = ("start", "run")
_TAKE_A_VALUE = (
    "--context",
    "--config",
    "--server",
    "--ca",
    "--cert",
    "--key",
    "--connect-timeout",
    "--reconnect-for",
    "--output",
)


class _Parser(argparse.ArgumentParser):
    """Errors as Failure: one line, and printed in one place. Help is data: it goes where data goes."""

    def error(self, message: str) -> NoReturn:
        raise Failure(USAGE, "USAGE", message, f"{self.prog} --help")

    def _print_message(self, message: str, file: Any = None) -> None:  # noqa: ANN401, ARG002 -- argparse's own
        streams.write_text(message)


def parse(argv: Sequence[str]) -> argparse.Namespace:
    """The options, ``verb`` and ``argv`` (behind ``--``) among them. Failure USAGE."""
    argv = [utf8(word) for word in argv]
    words, behind = _split(argv)
    verb = verb_of(argv)
    if verb and verb not in VERBS:
        raise _no_such_verb(verb)
    options, unknown = _parser(verb).parse_known_args(list(words))
    if unknown:
        raise _not_understood(verb, unknown)
    if not verb:
        raise Failure(USAGE, "USAGE", "no verb given", "jobctl --help")
    if behind is not None and verb not in _STARTS:
        raise Failure(USAGE, "USAGE", f"{verb} takes nothing behind --", f"jobctl {verb} --help")
    options.verb = verb
    options.argv = behind
    for name, value in _DEFAULTS.items():
        if not hasattr(options, name):
            setattr(options, name, value)
    return options


def verb_of(argv: Sequence[str]) -> str:
    """The first word that is neither an option nor an option's value, an alias resolved; else empty."""
    words = iter(_split(argv)[0])
    for word in words:
        if not word.startswith("-"):
            return ALIASES.get(word, word)
        if word in _TAKE_A_VALUE or (word[1:2] != "-" and word.endswith("o")):
            next(words, None)
    return ""


def wants_json(argv: Sequence[str]) -> bool:
    """Whether an error is to be an object, also where the command line cannot be parsed."""
    words = _split(argv)[0]
    return any(
        word in ("-ojson", "--output=json", "-ojsonl", "--output=jsonl")
        or (word in ("-o", "--output") and words[at + 1 : at + 2] in (["json"], ["jsonl"]))
        for at, word in enumerate(words)
    )


def utf8(text: str) -> str:
    """A word of the command line or the environment as its bytes say it, whatever the locale. Failure USAGE."""
    try:
        return os.fsencode(text).decode()
    except UnicodeError:
        raise Failure(USAGE, "USAGE", f"{text!a} is not UTF-8, and only that can be sent") from None


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
    "output": "table",
    "quiet": False,
    "debug": False,
    "connect_timeout": 10.0,
    "reconnect_for": 600.0,
}


def _split(argv: Sequence[str]) -> tuple[list[str], list[str] | None]:
    """What stands behind the first ``--`` is the job's, untouched."""
    words = list(argv)
    if "--" not in words:
        return words, None
    at = words.index("--")
    return words[:at], words[at + 1 :]


def _parser(verb: str) -> _Parser:
    """The options of a verb's module are added for the one that is meant alone."""
    parser = _Parser(
        prog="jobctl",
        allow_abbrev=False,
        description="Runs programs on a server and answers for them.",
        epilog="jobctl VERB --help says more, with an example.",
        parents=[_common()],
    )
    verbs = parser.add_subparsers(metavar="VERB", parser_class=_Parser)
    for name, summary in VERBS.items():
        module = load(name) if name == verb else None
        each = verbs.add_parser(
            name,
            aliases=[alias for alias, of in ALIASES.items() if of == name],
            help=summary,
            description=summary,
            parents=[_common()],
            usage=f"jobctl {name} [OPTIONS] -- CMD [ARG…]" if name in _STARTS else None,
            epilog=module.EXAMPLE if module else None,
            formatter_class=argparse.RawDescriptionHelpFormatter,
            allow_abbrev=False,
        )
        if module is not None:
            module.add_options(each)
    return parser


def _common() -> _Parser:
    """Options that stand before or behind the verb; unset ones leave no trace, so that either place counts."""
    common = _Parser(add_help=False, argument_default=argparse.SUPPRESS)
    group = common.add_argument_group("which worker, and how to print")
    group.add_argument("--context", metavar="NAME", help="a context of the configuration file")
    group.add_argument("--config", metavar="FILE", help="the configuration file, or a whole access")
    group.add_argument("--server", metavar="HOST:PORT", help="the worker's address")
    group.add_argument("--ca", metavar="PEM|FILE", help="the CA that signed the worker's certificate")
    group.add_argument("--cert", metavar="PEM|FILE", help="your certificate")
    group.add_argument("--key", metavar="PEM|FILE", help="your certificate's key")
    group.add_argument(
        "--connect-timeout",
        type=typed(values.duration),
        metavar="D",
        help="how long a worker that does not answer is tried again; default: 10s",
    )
    group.add_argument(
        "--reconnect-for",
        type=typed(values.duration),
        metavar="D",
        help="how long a lost connection is made anew while output is followed; default: 10m",
    )
    group.add_argument("-o", "--output", choices=("table", "json", "jsonl", "id"), help="default: table")
    group.add_argument("-q", "--quiet", action="store_true", help="errors alone on stderr")
    group.add_argument("--debug", action="store_true", help="a traceback with an error")
    return common


def _no_such_verb(word: str) -> Failure:
    close = difflib.get_close_matches(word, [*VERBS, *ALIASES], n=1)
    if close:
        message = f"there is no verb {word!r}; did you mean {close[0]}?"
        return Failure(USAGE, "USAGE", message, f"jobctl {close[0]} --help")
    return Failure(USAGE, "USAGE", f"there is no verb {word!r}", "jobctl --help")


def _not_understood(verb: str, words: Sequence[str]) -> Failure:
    """Most often a command without the ``--`` before it."""
    if verb in _STARTS and not words[0].startswith("-"):
        return Failure(
            USAGE, "USAGE", f"a command stands behind --, and there is none before {words[0]!r}",
            f"jobctl {verb} [OPTIONS] -- {shlex.join(words)}",
        )  # fmt: skip
    hint = f"jobctl {verb} --help" if verb else "jobctl --help"
    return Failure(USAGE, "USAGE", f"unknown: {' '.join(words)}", hint)
