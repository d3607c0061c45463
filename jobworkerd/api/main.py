"""The API's life: greeted, replayed, serving, drained, and gone when its channel closes."""

from __future__ import annotations

import asyncio
import gc
import os
import pwd
import socket
import sqlite3
from dataclasses import dataclass

from jobworkerd import config_load
from jobworkerd.channel import messages
from jobworkerd.channel.codec import ProtocolError
from jobworkerd.channel.endpoint import ChannelClosed, Endpoint
from jobworkerd.channel.messages import Message
from jobworkerd.config import Config
from jobworkerd.journal import ERROR, Journal

from . import server as servers
from . import tls
from .jobs import Jobs
from .policy import Policy
from .runner_client import RunnerClient
from .service import Service
from .spool import Spool
from .starting import Starting
from .store import SchemaError, Store
from .watch import Watch

_LAST_CALLS_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class _Prepared:
    """A reload that waits for Commit."""

    config: Config
    material: tls.KeyMaterial


class Api:
    """One process's worth of serving."""

    def __init__(self, client: RunnerClient, journal: Journal) -> None:
        self._client = client
        self._journal = journal
        self._prepared: _Prepared | None = None
        self._moved = asyncio.Event()

    async def run(self) -> int:
        """The exit code. 1 where it cannot serve, and the runner knows why; 0 when the channel closed.

        0 also after a reload that changes the listener: the runner starts another API, which has the new one.
        """
        greeting = await self._client.greet()
        config = config_load.from_snapshot(greeting.snapshot)
        try:
            await self._prepare(config, greeting.welcome)
        except (tls.KeyMaterialError, servers.CannotListen, SchemaError, sqlite3.Error) as error:
            self._client.send(messages.CannotServe(str(error)))
            return 1
        await self._server.start()
        self._client.send(messages.Serving(config.server.listen))
        # What is loaded by now stays; without this every collection walks all of grpc's objects.
        gc.collect()
        gc.freeze()
        moved = asyncio.create_task(self._moved.wait())
        await asyncio.wait((self._client.closed, moved), return_when=asyncio.FIRST_COMPLETED)
        if not self._client.closed.done():
            await self._server.stop(_LAST_CALLS_SECONDS)
            return 0
        why = self._client.closed.result()
        if self._starting.draining:
            # Every job has ended: who waits for one, or follows one, is told so before the connection ends.
            await self._server.stop(_LAST_CALLS_SECONDS)
        if why:
            self._journal.event("protocol_error", f"the API ends: {why}", ERROR)
        return 1 if why else 0

    async def _prepare(self, config: Config, welcome: messages.Welcome) -> None:
        material = tls.load(config.tls)
        store = Store(f"{config.server.state_dir}/jobs.db")
        await store.open()
        self._jobs = Jobs(store, self._client.send, self._journal, welcome.instance_id, welcome.boot_id)
        await self._jobs.load()
        self._client.on_event = self._jobs.event
        self._client.on_reload = self._reload
        self._client.listen()
        self._applying = asyncio.create_task(self._jobs.run())
        await self._jobs.replayed.wait()
        spool = Spool(config.server.state_dir)
        self._starting = Starting(store, self._jobs, self._client.send, welcome, spool)
        self._starting.resume_inputs()
        self._service = Service(
            config, Policy(config, service_users(config)), store, self._jobs, self._starting,
            self._client.send, self._journal, Watch(),
        )  # fmt: skip
        self._credentials = servers.Credentials(material)
        self._server, self._health = servers.build(self._service, self._credentials, config.server.listen)

    # --- reload and drain ---------------------------------------------------------------------

    def _reload(self, message: Message, snapshot: bytes) -> None:
        if isinstance(message, messages.Drain):
            self._starting.draining = True
            self._health.drain()
        elif isinstance(message, messages.Prepare):
            self._client.send(messages.Prepared(message.generation, self._load(snapshot)))
        elif isinstance(message, messages.Commit) and self._prepared is not None:
            prepared, self._prepared = self._prepared, None
            if prepared.config.server.listen != self._service.config.server.listen:
                self._moved.set()
            self._service.config = prepared.config
            self._service.policy = Policy(prepared.config, service_users(prepared.config))
            self._credentials.material = prepared.material
        elif isinstance(message, messages.Abort):
            self._prepared = None

    def _load(self, snapshot: bytes) -> str:
        """Why the new configuration cannot be put in force; empty where it can."""
        try:
            config = config_load.from_snapshot(snapshot)
            material = tls.load(config.tls)
            servers.check_free(config.server.listen, self._service.config.server.listen)
            self._prepared = _Prepared(config, material)
        except (config_load.ConfigError, tls.KeyMaterialError, servers.CannotListen) as error:
            return str(error)
        return ""


def service_users(config: Config) -> tuple[str, ...]:
    """The worker's own users, as whom no job may run; none where they are one plain user (development)."""
    own = pwd.getpwuid(os.geteuid()).pw_name
    users = (config.server.user, config.server.log_user)
    return () if set(users) == {own} else users


async def _run(channel: int) -> int:
    journal = Journal("jobworker-api")
    client = RunnerClient(Endpoint(socket.socket(fileno=channel)))
    try:
        return await Api(client, journal).run()
    except ChannelClosed:
        return 0
    except ProtocolError as error:
        journal.event("protocol_error", f"the API ends: {error}", ERROR)
        return 1


def main(channel: int) -> int:
    """Runs until the channel closes; the exit code."""
    return asyncio.run(_run(channel))
