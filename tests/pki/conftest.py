"""Folders of key material, made by jobworker-pki itself."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY


class Place:
    """A folder of key material, and jobworker-pki on it. Without a configuration all is default."""

    def __init__(self, root: Path) -> None:
        self.path = root / "pki"
        self.config = root / "jobworker.toml"

    def configure(self, text: str) -> None:
        """The worker's configuration."""
        self.config.write_text(text)
        self.config.chmod(0o644)

    def argv(self, *args: str) -> list[str]:
        """jobworker-pki's argv; warnings, as of what cryptography deprecates, are errors."""
        options = ["--dir", str(self.path), "--config", str(self.config)]
        return [sys.executable, "-W", "error", "-m", "jobworkerd.pki", *args, *options]

    def run(self, *args: str, **options: Any) -> tuple[int, str, str]:
        """Exit code, stdout and stderr."""
        options = {"timeout": 30, "cwd": REPOSITORY, "umask": 0o022} | options
        done = subprocess.run(self.argv(*args), capture_output=True, text=True, check=False, **options)
        return done.returncode, done.stdout, done.stderr

    def contents(self) -> dict[str, bytes]:
        """All files there are."""
        return {path.name: path.read_bytes() for path in self.path.iterdir() if path.is_file()}

    def verifies(self, purpose: str, certificate: Path) -> bool:
        """Whether openssl accepts it as our CA's, for this use."""
        return not self.openssl(
            "verify", "-purpose", purpose, "-CAfile", self.path / "ca.crt", certificate
        ).returncode

    @staticmethod
    def openssl(*args: str | Path, given: str | None = None) -> subprocess.CompletedProcess[str]:
        """The command."""
        return subprocess.run(
            ["openssl", *args], input=given, capture_output=True, text=True, timeout=30, check=False
        )

    @staticmethod
    def context(path: Path) -> dict[str, str]:
        """The current context of a context file."""
        document = tomllib.loads(path.read_text())
        table: dict[str, str] = document["contexts"][document["current"]]
        return table


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """Nothing is made yet."""
    return Place(tmp_path)


@pytest.fixture
def pki(place: Place) -> Place:
    """After init."""
    code, _, said = place.run("init")
    assert (code, said) == (0, "")
    return place
