"""``jobworker-pki``: its options, and one line for each error. Exit codes: 0, 1 failed, 2 wrong usage."""

from __future__ import annotations

import argparse
import os
import re
import sys

from jobworkerd import config_load
from jobworkerd.config import Config

from .files import PkiError
from .folder import Folder

_DIR = "/etc/jobworker/pki"
_CONFIG = "/etc/jobworker/jobworker.toml"
_ROOT_CONTEXT = "/root/.config/jobctl/config.toml"
_LONG_DAYS = 3650
_CLIENT_DAYS = 365
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,62}")


def main(argv: list[str] | None = None) -> int:
    """Does what the verb says; the exit code."""
    options = _parser().parse_args(argv)
    try:
        return int(_VERBS[options.verb](_folder(options), options))
    except PkiError as error:
        print(f"jobworker-pki: {error}", file=sys.stderr)
        if error.hint:
            print(f"try: {error.hint}", file=sys.stderr)
        return 1


def _folder(options: argparse.Namespace) -> Folder:
    config = _config(options.config)
    installed = options.dir == _DIR
    root_context = _ROOT_CONTEXT if installed else f"{options.dir}/root-context.toml"
    return Folder(options.dir, root_context, config.server.listen[0])


def _config(path: str) -> Config:
    """The defaults where there is no file: a CA may live on another machine."""
    if not os.path.exists(path):
        return Config()
    try:
        return config_load.parse(config_load.read_sources(path))
    except (config_load.ConfigError, OSError) as error:
        raise PkiError(f"cannot use {path}: {error}", "jobworkerd --check-config") from None


def _init(folder: Folder, options: argparse.Namespace) -> int:
    for path in folder.init(options.days):
        print(f"made {path}")
    return 0


def _server(folder: Folder, options: argparse.Namespace) -> int:
    for path in folder.server(options.host, options.out, options.days):
        print(f"wrote {path}")
    return 0


def _client(folder: Folder, options: argparse.Namespace) -> int:
    name = options.name or "worker"
    if not _NAME.fullmatch(name):
        raise PkiError(f"--name {name!r} must be letters, digits, _ and -")
    folder.client(options.uri, options.out, options.server, name, options.days)
    print(f"wrote {options.out}")
    return 0


_VERBS = {"init": _init, "server": _server, "client": _client}


def _parser() -> argparse.ArgumentParser:
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument("--dir", default=_DIR, metavar="D", help=f"the folder of key material ({_DIR})")
    common.add_argument(
        "--config", default=_CONFIG, metavar="F", help=f"the worker's configuration ({_CONFIG})"
    )
    parser = argparse.ArgumentParser(prog="jobworker-pki", description="A local CA for jobworker.")
    verbs = parser.add_subparsers(dest="verb", required=True, metavar="VERB")

    init = verbs.add_parser(
        "init", parents=[common], help="make what is missing: CA, server, root's client context"
    )
    init.add_argument("--days", type=_days, default=_LONG_DAYS, metavar="N")

    server = verbs.add_parser("server", parents=[common], help="issue a server certificate")
    server.add_argument("host", nargs="+", metavar="HOST", help="name or address that clients use")
    server.add_argument("--out", metavar="DIR", help="new files there, instead of installing it here")
    server.add_argument("--days", type=_days, default=_LONG_DAYS, metavar="N")

    client = verbs.add_parser("client", parents=[common], help="issue a client's context file")
    client.add_argument("uri", metavar="URI", help="the identity, as jobworker://ops/alice")
    client.add_argument("--out", required=True, metavar="FILE")
    client.add_argument("--server", metavar="ADDRESS", help="where the client finds the worker")
    client.add_argument("--name", metavar="N", help="the context's name (worker)")
    client.add_argument("--days", type=_days, default=_CLIENT_DAYS, metavar="N")
    return parser


def _days(text: str) -> int:
    days = int(text)
    if not 1 <= days <= 36500:
        raise argparse.ArgumentTypeError("must be 1 to 36500")
    return days


if __name__ == "__main__":
    sys.exit(main())
