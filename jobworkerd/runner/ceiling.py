"""What root's config allows to anybody: the runner's own check of every start.

Whoever holds the API can name any caller, so callers do not count here: a start passes where some
grant that lets jobs be started allows user, command and environment together, whoever it is for.
"""

from __future__ import annotations

import os
import re

from jobworkerd import rules
from jobworkerd.channel.messages import MAX_ARGV_AND_ENV, Start
from jobworkerd.config import Config, Grant

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
    if os.path.basename(start.argv[0]) != os.path.basename(start.executable):
        return f"{start.argv[0]!r} is not the name of {start.executable}"  # one of many in a multi-call binary
    refused = f"no grant allows anybody to run {start.executable} as {start.user}"
    for grant in config.grants:
        if grant.role in rules.STARTING_ROLES and _allows(grant, config, start, service_users):
            problem = _env_refusal(grant, start.env)
            if problem is None:
                return None
            refused = problem
    return refused


def _allows(grant: Grant, config: Config, start: Start, service_users: tuple[str, ...]) -> bool:
    jobs = config.jobs
    return rules.run_as_matches(
        grant.run_as, start.user, start.uid, jobs.default_user, service_users, jobs.allow_root
    ) and any(rules.command_matches(pattern, start.executable, start.argv[1:]) for pattern in grant.commands)


def _env_refusal(grant: Grant, env: tuple[str, ...]) -> str | None:
    for item in env:
        name, equals, _ = item.partition("=")
        problem = rules.env_refusal(name, grant.env) if equals else "not of the form K=V"
        if problem:
            return f"environment variable {name}: {problem}"
    return None
