"""One booted Debian with the package installed, for all tests of this folder; each leaves it as it was."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from container import Container, booted

_TOP = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def package() -> Path:
    """The .deb that ``make deb`` built."""
    found = sorted((_TOP / "dist").glob("jobworker_*.deb"))
    assert found, "no package in dist/; try: make deb"
    return found[-1]


@pytest.fixture(scope="session")
def archive(package: Path) -> Path:
    """A Debian with exactly what the package depends on."""
    if os.geteuid() != 0:
        pytest.skip("needs root: boots a container")
    made = subprocess.run(
        [_TOP / "tools/rootfs", package], check=True, capture_output=True, text=True, cwd=_TOP
    )
    return _TOP / made.stdout.strip()


@pytest.fixture(scope="session")
def container(archive: Path, package: Path) -> Iterator[Container]:
    """Booted, with the package installed and nothing else done."""
    with booted(archive) as each:
        each.install(package)
        yield each


@pytest.fixture
def bare_container(archive: Path) -> Iterator[Container]:
    """Booted, without the package."""
    with booted(archive) as each:
        yield each
