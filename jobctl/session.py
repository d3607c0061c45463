"""What a verb gets: its options, where to print, and the connection, made when it is first asked for."""

from __future__ import annotations

import argparse
import os
from typing import TYPE_CHECKING

from . import contexts, plain, streams
from .failure import Failure
from .signals import Signals

if TYPE_CHECKING:
    from .client import Client


class Session:
    """One invocation of jobctl."""

    def __init__(self, options: argparse.Namespace) -> None:
        self.options = options
        self.signals = Signals()
        self._client: Client | None = None

    @property
    def client(self) -> Client:
        """Made late: grpc takes longer to import than most verbs take to answer."""
        if self._client is None:
            from .client import Client

            context = contexts.find(vars(self.options), os.environ)
            self._client = Client(context, self.options.connect_timeout, self.signals)
        return self._client

    @property
    def format(self) -> str:
        """table, json, jsonl or id."""
        return str(self.options.output)

    @property
    def wants_json(self) -> bool:
        """Either kind of it."""
        return self.format in ("json", "jsonl")

    def out(self, text: str) -> None:
        """Data, to stdout."""
        with self.signals.raising():
            streams.write_text(text)

    def say(self, text: str) -> None:
        """A message for people, to stderr; not with -q."""
        if not self.options.quiet:
            streams.tell(f"jobctl: {plain.printable(text)}\n")

    def complain(self, failure: Failure) -> None:
        """An error, to stderr."""
        streams.tell(plain.error_json(failure) if self.wants_json else plain.error_lines(failure))

    def close(self) -> None:
        """Ends the connection."""
        if self._client is not None:
            self._client.close()
