"""What is legal in a configuration and yet hardly meant. Each warning is one line."""

from __future__ import annotations

from collections.abc import Iterator

from . import rules
from .config import Config, Grant

_NOT_YET = {
    "tls": {"revoked": "revoked"},
    "jobs": {"max_run_time": "max_run_time_seconds"},
    "retention": {
        "keep_for": "keep_for_seconds", "keep_jobs": "keep_jobs", "keep_bytes": "keep_bytes",
        "keep_at_least": "keep_at_least_seconds",
    },
}  # fmt: skip


def warnings(config: Config) -> list[str]:
    """In the order of the files."""
    said = [*_about_users(config), *_not_yet(config)]
    for grant in config.grants:
        said += [f"{grant.rule}: {what}" for what in _about(grant, config)]
    if not config.grants:
        said.append("no [[grant]]: nobody may do anything")
    return said


def _about_users(config: Config) -> Iterator[str]:
    if config.jobs.default_user in _own_users(config):
        yield f"jobs.default_user: {config.jobs.default_user} is the worker's own user, as which nothing starts"


def _not_yet(config: Config) -> Iterator[str]:
    """What is read and has no effect in this version: better said than found out."""
    unset = Config()
    for section, keys in _NOT_YET.items():
        for key, field in keys.items():
            if getattr(getattr(config, section), field) != getattr(getattr(unset, section), field):
                yield f"{section}.{key}: has no effect in this version"
    for grant in config.grants:
        if grant.max_run_time_seconds:
            yield f"{grant.rule}: max_run_time has no effect in this version"
        if grant.starts_per_minute:
            yield f"{grant.rule}: starts_per_minute has no effect in this version"


def _about(grant: Grant, config: Config) -> Iterator[str]:
    if grant.role != "viewer":
        for what, given in (("run_as", grant.run_as), ("commands", grant.commands)):
            if not given:
                yield f"a grant of role {grant.role} without {what} lets nothing be started"
    yield from _about_callers(grant, config.tls.identity_prefix)
    if "root" in grant.run_as and not config.jobs.allow_root:
        yield "run_as names root, which needs jobs.allow_root = true as well"
    for user in grant.run_as:
        if user in _own_users(config):
            yield f"run_as names {user}, the worker's own user, as which nothing starts"
    for pattern in grant.env:
        if rules.is_always_refused(pattern):
            yield f"env {pattern!r} is refused whatever a grant says"


def _about_callers(grant: Grant, prefix: str) -> Iterator[str]:
    if not _may_name_a_caller(grant.identity, prefix):
        yield f"identity {grant.identity!r} matches nobody: callers are {prefix}… or cn:…"
    if grant.jobs != "own" and not _may_name_a_caller(grant.jobs, prefix):
        yield f'jobs {grant.jobs!r} matches nobody: "own", or a pattern of callers {prefix}… or cn:…'


def _own_users(config: Config) -> set[str]:
    """Empty where one plain user is all (development)."""
    users = {config.server.user, config.server.log_user}
    return users if len(users) > 1 else set()


def _may_name_a_caller(pattern: str, prefix: str) -> bool:
    if pattern.startswith("cn:"):
        return True
    fixed, star, _ = pattern.partition("*")
    return fixed.startswith(prefix) or bool(star and prefix.startswith(fixed))
