"""Whether a pattern of root's config matches: pure, and the same for the API's policy and the runner's ceiling.

Patterns know one special character, ``*``. Matching is linear in the text for each ``*``: nobody's
argv can make it slow.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence
from functools import lru_cache

STARTING_ROLES = ("operator", "admin")
"""Roles whose grants let jobs be started."""

FIXED_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
"""PATH of every job, and where a bare program name is looked up."""

_FIRST_ORDINARY_UID = 1000
_NOBODY = 65534
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NEVER = (
    "LD_*", "GCONV_PATH", "GLIBC_TUNABLES", "BASH_ENV", "ENV", "BASH_FUNC_*", "IFS", "PS4", "NOTIFY_SOCKET",
    "WATCHDOG_*", "LISTEN_*", "JOURNAL_STREAM", "INVOCATION_ID", "JOBWORKER_*",
)  # fmt: skip
_INTERPRETERS = ("PYTHON*", "PERL5*", "RUBY*", "NODE_OPTIONS", "GIT_SSH*")


def text_matches(pattern: str, text: str) -> bool:
    """Whether all of ``text`` matches; ``*`` is any run of characters."""
    first, *rest = pattern.split("*")
    if not rest:
        return pattern == text
    *middle, last = rest
    if not text.startswith(first):
        return False
    at = len(first)
    for piece in middle:
        found = text.find(piece, at)
        if found < 0:
            return False
        at = found + len(piece)
    return len(text) - at >= len(last) and text.endswith(last)


def path_matches(pattern: str, path: str) -> bool:
    """As ``text_matches``, but ``*`` stays within one component of the path.

    A path with ``.``, ``..`` or nothing between two slashes matches no pattern: it is not where it seems to be.
    """
    patterns, parts = pattern.split("/"), path.split("/")
    if any(part in ("", ".", "..") for part in parts[1:]):
        return False
    return len(patterns) == len(parts) and all(map(text_matches, patterns, parts))


def command_matches(pattern: str, executable: str, args: Sequence[str]) -> bool:
    """Whether a grant's command allows this argv (jobworker.toml(5), ``commands``).

    The first word is matched on the absolute path found; a last word ``*`` takes any remaining
    arguments; a lone ``*`` everything. ValueError for a pattern that is not shell words.
    """
    words = _words(pattern)
    if words == ("*",):
        return True
    if not words or not path_matches(words[0], executable):
        return False
    wanted = words[1:]
    if wanted and wanted[-1] == "*":
        wanted = wanted[:-1]
        args = args[: len(wanted)]
    return len(wanted) == len(args) and all(map(text_matches, wanted, args))


@lru_cache(maxsize=4096)
def _words(pattern: str) -> tuple[str, ...]:
    """Split once: shlex takes 20 us a pattern, and the runner's loop asks them all at each start."""
    return tuple(shlex.split(pattern))


def identity_matches(pattern: str, identity: str) -> bool:
    """Whether a grant's identity names this caller. ``cn:NAME`` is matched by ``cn:`` patterns alone."""
    if identity.startswith("cn:") != pattern.startswith("cn:"):
        return False
    return text_matches(pattern, identity)


def run_as_matches(
    run_as: Sequence[str],
    user: str,
    uid: int,
    default_user: str,
    service_users: Sequence[str],
    allow_root: bool,
) -> bool:
    """Whether jobs may run as this user.

    ``*`` is default_user and every uid from 1000 up (nobody excepted); others, and uid 0, which also
    needs allow_root, are named. The worker's own users are never allowed.
    """
    if user in service_users or (uid == 0 and not allow_root):
        return False
    if user in run_as:
        return True
    ordinary = uid >= _FIRST_ORDINARY_UID and uid != _NOBODY
    return "*" in run_as and (user == default_user or ordinary) and uid != 0


def env_refusal(name: str, allowed: Sequence[str]) -> str | None:
    """Why a caller may not set this variable; None where it may.

    ``allowed`` are the grant's env patterns: they can let the interpreters' variables through, and
    no others of those refused by name.
    """
    if not _NAME.fullmatch(name):
        return "not a name of letters, digits and _"
    if _in(name, _NEVER):
        return "refused by name"
    if not _in(name, _INTERPRETERS) or _in(name, allowed):
        return None
    return "refused by name, unless a grant's env allows it"


def is_always_refused(env_pattern: str) -> bool:
    """Whether all that a grant's env pattern names is refused in spite of it."""
    return _in(env_pattern, _NEVER)


def _in(name: str, patterns: Sequence[str]) -> bool:
    return any(text_matches(pattern, name) for pattern in patterns)


def argv_and_env_bytes(argv: Sequence[str], env: Sequence[str]) -> int:
    """Their size as execve counts strings: each with its NUL, in UTF-8."""
    return sum(len(item.encode()) + 1 for item in (*argv, *env))
