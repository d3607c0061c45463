"""The configuration as the processes hold it: frozen, checked, with its defaults.

``config_load`` makes one from root's files; nothing here reads a file. Durations are seconds and
sizes bytes; a limit of 0 is no limit (jobworker.toml(5)).
"""

from __future__ import annotations

from dataclasses import dataclass, field

MIB = 1024 * 1024
GIB = 1024 * MIB
DAY = 86400.0


@dataclass(frozen=True, slots=True)
class Server:
    """[server]: where it listens, and what it keeps where."""

    listen: tuple[str, ...] = ("127.0.0.1:50051",)
    drain_grace_seconds: float = 10.0
    state_dir: str = "/var/lib/jobworker"
    log_dir: str = "/var/log/jobworker/jobs"
    user: str = "jobworker"
    log_user: str = "jobworker-log"


@dataclass(frozen=True, slots=True)
class Tls:
    """[tls]: paths, and what a caller's URI begins with."""

    ca: str = "/etc/jobworker/pki/ca.crt"
    cert: str = "/etc/jobworker/pki/server.crt"
    key: str = "/etc/jobworker/pki/server.key"
    identity_prefix: str = "jobworker://"
    revoked: str = "/etc/jobworker/pki/revoked.d"


@dataclass(frozen=True, slots=True)
class Jobs:
    """[jobs]: what holds for every job."""

    default_user: str = "jobworker-job"
    allow_root: bool = False
    no_new_privs: bool = True
    max_running: int = 1000
    max_run_time_seconds: float = 0.0
    max_output_bytes: int = GIB
    on_max_output: str = "ring"
    max_input_bytes: int = GIB
    stop_grace_seconds: float = 10.0


@dataclass(frozen=True, slots=True)
class Retention:
    """[retention]: how long ended jobs are kept."""

    keep_for_seconds: float = 30 * DAY
    keep_jobs: int = 10000
    keep_bytes: int = 10 * GIB
    keep_at_least_seconds: float = 3600.0
    min_free_bytes: int = 256 * MIB


@dataclass(frozen=True, slots=True)
class Grant:
    """[[grant]]: what callers whose identity matches may do."""

    identity: str
    role: str  # "viewer", "operator" or "admin"
    jobs: str = "own"
    run_as: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    env: tuple[str, ...] = ()
    max_running: int = 0
    max_run_time_seconds: float = 0.0
    starts_per_minute: int = 0
    rule: str = ""  # FILE:LINE of its [[grant]]


@dataclass(frozen=True, slots=True)
class Config:
    """All of it."""

    server: Server = field(default_factory=Server)
    tls: Tls = field(default_factory=Tls)
    jobs: Jobs = field(default_factory=Jobs)
    retention: Retention = field(default_factory=Retention)
    grants: tuple[Grant, ...] = ()
