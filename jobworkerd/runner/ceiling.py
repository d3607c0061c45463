"""What root's config allows to anybody: the runner's own check of every start.

Whoever holds the API can name any caller, so callers do not count here: a start passes where some
grant allows this user together with this command, whoever it is for.
"""

from __future__ import annotations

import os
import re

from jobworkerd import rules
from jobworkerd.channel.messages import MAX_ARGV_AND_ENV, Start
from jobworkerd.config import Config

_JOB_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")
_STAMP = re.compile(r"[0-9]{8}T[0-9]{6}Z")


def is_well_formed(start: Start) -> bool:
    """Whether the fields that become parts of paths are what they must be; if not, the API lies."""
    return _JOB_ID.fullmatch(start.job_id) is not None and _STAMP.fullmatch(start.start_stamp) is not None


def refusal(config: Config, start: Start, service_users: tuple[str, ...]) -> str | None:
    """Why nobody may start this; None where somebody may."""
    if not start.argv or not os.path.isabs(start.executable):
        return "the command is not an absolute path"
    if rules.argv_and_env_bytes(start.argv, start.env) > MAX_ARGV_AND_ENV:
        return "argv and environment are too large"
    if not _granted(config, start, service_users):
        return f"no grant allows anybody to run {start.executable} as {start.user}"
    env = {pattern for grant in config.grants for pattern in grant.env}
    for item in start.env:
        name, equals, _ = item.partition("=")
        problem = rules.env_refusal(name, sorted(env)) if equals else "not of the form K=V"
        if problem:
            return f"environment variable {name}: {problem}"
    return None


def _granted(config: Config, start: Start, service_users: tuple[str, ...]) -> bool:
    jobs = config.jobs
    return any(
        rules.run_as_matches(
            grant.run_as, start.user, start.uid, jobs.default_user, service_users, jobs.allow_root
        )
        and any(rules.command_matches(pattern, start.executable, start.argv[1:]) for pattern in grant.commands)
        for grant in config.grants
    )
