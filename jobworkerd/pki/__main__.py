"""``jobworker-pki``: its options, and one line for each error. Exit codes: 0, 1 failed, 2 wrong usage."""

from __future__ import annotations

import argparse
import os
import sys
from typing import NoReturn

from jobworkerd import config_load
from jobworkerd.config import Config

from . import client, init, server
from .files import PkiError
from .folder import Folder

_DIR = "/etc/jobworker/pki"
_CONFIG = "/etc/jobworker/jobworker.toml"
_ROOT_CONTEXT = "/root/.config/jobctl/config.toml"
_LONG_DAYS = 3650
_CLIENT_DAYS = 365
_MOST_DAYS = 36500


def main(argv: list[str] | None = None) -> int:
    """Does what the verb says; the exit code."""
    options = _parser().parse_args(argv)
    # Whatever root's is: the network process has to reach the server's certificate. Keys have their own modes.
    os.umask(0o022)
    try:
        _VERBS[options.verb](_folder(options), options)
    except PkiError as error:
        return _complain(str(error), error.hint, 1)
    return 0


def _complain(message: str, hint: str, code: int) -> int:
    print(f"jobworker-pki: {message}", file=sys.stderr)
    if hint:
        print(f"try: {hint}", file=sys.stderr)
    return code


def _folder(options: argparse.Namespace) -> Folder:
    config = _config(options.config)
    path = os.path.normpath(options.dir)
    root_context = _ROOT_CONTEXT if path == _DIR else f"{path}/root-context.toml"
    return Folder(path, root_context, config.server.listen, config.tls.identity_prefix)


def _config(path: str) -> Config:
    """The defaults where there is no file: a CA may live on another machine."""
    if not os.path.lexists(path):
        return Config()
    try:
        return config_load.parse(config_load.read_sources(path))
    except config_load.ConfigError as error:
        raise PkiError(f"cannot use {error}", f"jobworkerd --check-config --config {path}") from None


def _init(folder: Folder, options: argparse.Namespace) -> None:
    for path in init.init(folder, options.days):
        print(f"made {path}")


def _server(folder: Folder, options: argparse.Namespace) -> None:
    for path in server.server(folder, options.host, options.out, options.days):
        print(f"wrote {path}")


def _client(folder: Folder, options: argparse.Namespace) -> None:
    client.client(folder, options.uri, options.out, options.server, options.name, options.days)
    print(f"wrote {options.out}")


_VERBS = {"init": _init, "server": _server, "client": _client}


class _Parser(argparse.ArgumentParser):
    """One that complains as the rest of us."""

    def error(self, message: str) -> NoReturn:
        """2, with the verb's own help to try."""
        sys.exit(_complain(message, f"{self.prog} --help", 2))


def _parser() -> argparse.ArgumentParser:
    common = _Parser(add_help=False)
    common.add_argument("--dir", default=_DIR, metavar="D", help=f"the folder of key material ({_DIR})")
    common.add_argument(
        "--config", default=_CONFIG, metavar="F", help=f"the worker's configuration ({_CONFIG})"
    )
    parser = _Parser(prog="jobworker-pki", description="A local CA for jobworker.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    one = verbs.add_parser(
        "init", parents=[common], help="make what is missing: CA, server, root's client context"
    )
    _add_days(one, _LONG_DAYS)

    one = verbs.add_parser("server", parents=[common], help="issue a server certificate")
    one.add_argument("host", nargs="+", metavar="HOST", help="name or address that clients use")
    one.add_argument("--out", metavar="DIR", help="new files there, instead of installing it here")
    _add_days(one, _LONG_DAYS)

    one = verbs.add_parser("client", parents=[common], help="issue a client's context file")
    one.add_argument("uri", metavar="URI", help="the identity, as jobworker://ops/alice")
    one.add_argument("--out", required=True, metavar="FILE", help="the new file, for jobctl --config FILE")
    one.add_argument("--server", metavar="ADDRESS", help="where the client finds the worker, as HOST:PORT")
    one.add_argument("--name", default="worker", metavar="N", help="the context's name (worker)")
    _add_days(one, _CLIENT_DAYS)
    return parser


def _add_days(parser: argparse.ArgumentParser, default: int) -> None:
    parser.add_argument(
        "--days", type=_days, default=default, metavar="N", help=f"how long it is valid ({default})"
    )


def _days(text: str) -> int:
    if not text.isdecimal() or not 1 <= int(text) <= _MOST_DAYS:
        raise argparse.ArgumentTypeError(f"{text!r} must be a number of days from 1 to {_MOST_DAYS}")
    return int(text)


if __name__ == "__main__":
    sys.exit(main())
