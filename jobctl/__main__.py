"""``jobctl``: parse, run the verb, print an error in one place, exit."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Sequence

from . import cli
from .failure import FAILED, RUN_FAILED, Failure
from .session import Session

_AS_THE_JOB = ("run", "wait")
_INTERRUPTED = 130


def main(argv: Sequence[str] | None = None) -> int:
    """The exit code."""
    words = list(sys.argv[1:] if argv is None else argv)
    verb = next((cli.ALIASES.get(word, word) for word in words if word in cli.VERBS or word in cli.ALIASES), "")
    try:
        return _run(cli.parse(words))
    except Failure as failure:
        _complain(failure, words)
        return RUN_FAILED if verb in _AS_THE_JOB else failure.code
    except KeyboardInterrupt:
        return _INTERRUPTED
    except BrokenPipeError:
        # Whoever read our output has gone; nothing is to be said, also not at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return FAILED


def _run(options: object) -> int:
    session = Session(options)  # type: ignore[arg-type]
    try:
        return int(cli.load(session.options.verb).run(session))
    except (Failure, BrokenPipeError):
        if session.options.debug:
            traceback.print_exc()
        raise
    finally:
        session.close()


def _complain(failure: Failure, words: Sequence[str]) -> None:
    from . import plain

    wants_json = any(
        word in ("-ojson", "--output=json", "-ojsonl", "--output=jsonl")
        or (word in ("-o", "--output") and words[at + 1 : at + 2] in (["json"], ["jsonl"]))
        for at, word in enumerate(words)
    )
    sys.stderr.write(plain.error_json(failure) if wants_json else plain.error_lines(failure))


if __name__ == "__main__":
    sys.exit(main())
