"""``jobworkerd``: the runner, or a look at its configuration. Exit codes: 0, 1, 78 (jobworkerd(8))."""

from __future__ import annotations

import argparse
import sys
from typing import NoReturn

from jobworkerd import __version__, config_dump, config_load
from jobworkerd.runner.control import request_reload
from jobworkerd.runner.main import Runner, StartError, runtime_folder
from jobworkerd.runner.reload import Configuration

EX_CONFIG = 78
_DEFAULT = "/etc/jobworker/jobworker.toml"


def main(argv: list[str] | None = None) -> int:
    """Does what the options say; the exit code."""
    options = _parser().parse_args(argv)
    try:
        if options.check_config:
            return _check(options.config)
        configuration = Configuration(options.config)
    except config_load.ConfigError as error:
        return _complain(str(error), EX_CONFIG)
    if options.dump_config:
        print(config_dump.dump(configuration.config), end="")
        return 0
    if options.reload:
        return _reload(configuration)
    try:
        return Runner(configuration).run()
    except StartError as error:
        return _complain(str(error), 1)


def _check(path: str) -> int:
    """All mistakes, not only the first."""
    sources = config_load.read_sources(path)
    mistakes = config_load.mistakes(sources)
    for mistake in mistakes:
        print(f"jobworkerd: {mistake}", file=sys.stderr)
    if mistakes:
        return EX_CONFIG
    for warning in config_load.warnings(config_load.parse(sources)):
        print(f"jobworkerd: warning: {warning}", file=sys.stderr)
    print(f"{path}: no mistakes found")
    return 0


def _reload(configuration: Configuration) -> int:
    try:
        error = request_reload(runtime_folder(configuration.config))
    except OSError as failure:
        return _complain(f"cannot ask the worker to reload: {failure.strerror}; is it running?", 1)
    return _complain(f"not reloaded: {error}", 1) if error else 0


def _complain(message: str, code: int) -> int:
    print(f"jobworkerd: {message}", file=sys.stderr)
    return code


class _Parser(argparse.ArgumentParser):
    """Wrong usage as one line, and 1: systemd must not take it for a bad configuration."""

    def error(self, message: str) -> NoReturn:
        sys.exit(_complain(f"{message}; see jobworkerd --help", 1))


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="jobworkerd", description="Runs programs and answers for them.")
    parser.add_argument("--config", metavar="F", default=_DEFAULT, help=f"configuration file ({_DEFAULT})")
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--check-config", action="store_true", help="name its mistakes and exit (78)")
    what.add_argument("--dump-config", action="store_true", help="print every key with its value in force")
    what.add_argument("--reload", action="store_true", help="make the running worker read it again")
    what.add_argument("--version", action="version", version=f"jobworkerd {__version__}")
    return parser


if __name__ == "__main__":
    sys.exit(main())
