"""What each caller may do: root's grants, asked. Default deny. Pure: users are looked up by the caller of it.

A caller may have several grants; for a start, one of them must allow user, command and environment
together, and that one is named in the record.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass

from jobworkerd import rules
from jobworkerd.config import Config, Grant

from .errors import CallError


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a start asks for. ``users`` maps each user that may be meant to its uid."""

    executable: str
    args: Sequence[str]
    env_names: Sequence[str]


class Policy:
    """The grants of one configuration."""

    def __init__(self, config: Config, service_users: tuple[str, ...]) -> None:
        self._config = config
        self._service_users = service_users
        self.identity_prefix = config.tls.identity_prefix

    def grants_of(self, identity: str) -> list[Grant]:
        """In the order of the files."""
        return [grant for grant in self._config.grants if rules.identity_matches(grant.identity, identity)]

    def has_role(self, identity: str, roles: Sequence[str]) -> bool:
        """Whether one grant has one of these roles."""
        return any(grant.role in roles for grant in self.grants_of(identity))

    def may_read(self, identity: str, owner: str) -> bool:
        """Whether this owner's jobs exist for the caller."""
        return any(
            grant.role == "viewer" or _governs(grant, identity, owner) for grant in self.grants_of(identity)
        )

    def may_control(self, identity: str, owner: str) -> bool:
        """Whether the caller may stop them."""
        return any(_governs(grant, identity, owner) for grant in self.grants_of(identity))

    def users_of(self, identity: str) -> list[str]:
        """Users named by the caller's grants, default_user for ``*``, each once."""
        named = [
            self._config.jobs.default_user if user == "*" else user
            for grant in self.grants_of(identity)
            if grant.role in rules.STARTING_ROLES
            for user in grant.run_as
        ]
        return list(dict.fromkeys(named))

    def default_user(self, identity: str) -> str:
        """Whom a start without a user runs as: default_user if granted, else the only one granted."""
        users = self.users_of(identity)
        if self._config.jobs.default_user in users:
            return self._config.jobs.default_user
        if len(users) == 1:
            return users[0]
        if not users:
            raise CallError(
                "NOT_GRANTED", f"no grant of {identity} names a user to run as (run_as)", caller=identity
            )
        raise CallError("INVALID_FIELD", f"user: name one of {', '.join(users)}", field="user")

    def allow(self, identity: str, user: str, uid: int, wanted: Wanted) -> Grant:
        """The grant that allows the start. CallError NOT_GRANTED says what none of them allows."""
        grants = [grant for grant in self.grants_of(identity) if grant.role in rules.STARTING_ROLES]
        by_user = [grant for grant in grants if self._runs_as(grant, user, uid)]
        if not by_user:
            why = "; allow_root is false" if uid == 0 and not self._config.jobs.allow_root else ""
            why = f"; {user} is the worker's own user" if user in self._service_users else why
            raise CallError("NOT_GRANTED", f"{identity} may not run anything as {user}{why}", caller=identity)
        by_command = [
            grant
            for grant in by_user
            if any(rules.command_matches(pattern, wanted.executable, wanted.args) for pattern in grant.commands)
        ]
        if not by_command:
            patterns = [pattern for grant in by_user for pattern in grant.commands]
            known = any(shlex.split(pattern)[0] == wanted.executable for pattern in patterns)
            what = f"{wanted.executable} with these arguments" if known else wanted.executable
            raise CallError("NOT_GRANTED", f"{identity} may not run {what} as {user}", caller=identity)
        refusals = [self._env_refusal(grant, wanted.env_names) for grant in by_command]
        for grant, refusal in zip(by_command, refusals, strict=True):
            if refusal is None:
                return grant
        raise CallError("INVALID_FIELD", f"env: {refusals[0]}", field="env")

    def _runs_as(self, grant: Grant, user: str, uid: int) -> bool:
        jobs = self._config.jobs
        return rules.run_as_matches(
            grant.run_as, user, uid, jobs.default_user, self._service_users, jobs.allow_root
        )

    @staticmethod
    def _env_refusal(grant: Grant, names: Sequence[str]) -> str | None:
        for name in names:
            problem = rules.env_refusal(name, grant.env)
            if problem:
                return f"{name}: {problem}"
        return None


def _governs(grant: Grant, identity: str, owner: str) -> bool:
    """Whether a grant lets its caller do everything with this owner's jobs."""
    if grant.role == "admin":
        return True
    if grant.role != "operator":
        return False
    return owner == identity or (grant.jobs != "own" and rules.identity_matches(grant.jobs, owner))
