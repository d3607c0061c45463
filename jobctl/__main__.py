"""``jobctl``: parse, run the verb, print an error in one place, exit."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Sequence

from . import cli, plain, signals, streams
from .failure import FAILED, INTERRUPTED, RUN_FAILED, Failure
from .session import Session

_AS_THE_JOB = ("run", "wait")


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code."""
    streams.prepare()
    signals.exit_on_int()
    words = list(sys.argv[1:] if argv is None else argv)
    as_the_job = cli.verb_of(words) in _AS_THE_JOB
    try:
        return _run(words)
    except Failure as failure:
        shown = failure.exiting(RUN_FAILED) if as_the_job else failure
        streams.tell(plain.error_json(shown) if cli.wants_json(words) else plain.error_lines(shown))
        return shown.code
    except KeyboardInterrupt:
        return INTERRUPTED
    except BrokenPipeError:
        return RUN_FAILED if as_the_job else FAILED


def _run(words: Sequence[str]) -> int:
    try:
        session = Session(cli.parse(words))
    except SystemExit:  # argparse, after printing the help
        return 0
    try:
        return int(cli.load(session.options.verb).run(session))
    except (Failure, BrokenPipeError):
        if session.options.debug:
            streams.tell(traceback.format_exc())
        raise
    except Exception as error:
        if session.options.debug:
            streams.tell(traceback.format_exc())
        what = " ".join(f"{type(error).__name__}: {error}".split())
        raise Failure(FAILED, "BUG", f"an error in jobctl itself: {what}", "again with --debug") from None
    finally:
        session.close()


if __name__ == "__main__":
    sys.exit(main())
