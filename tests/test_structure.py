"""The rings do not leak, and what is generated is fresh."""

from __future__ import annotations

import ast
import importlib.util
import os
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import REPOSITORY, Worker

_RINGS = {
    "jobworkerd/runner": {"channel", "config", "config_load", "config_values", "rules", "journal"},
    "jobworkerd/recorder": {"channel", "config", "config_load", "journal"},
    "jobworkerd/api": {"channel", "config", "config_load", "rules", "journal", "v1"},
    "jobworkerd/channel": {"channel"},
    "jobworkerd/pki": {"config", "config_load"},
    "jobctl": {"v1"},
}
_STANDARD_ONLY = {
    "jobworkerd/runner": {"prctl", "sdnotify"},
    "jobworkerd/recorder": set(),
    "jobworkerd/channel": set(),
}
_FORBIDDEN_IN_RUNNER = ("grpc", "google.protobuf", "ssl", "sqlite3", "asyncio")


def _imports(path: Path) -> set[str]:
    """Whole names of what a file imports, relative ones resolved."""
    package = ".".join(path.relative_to(REPOSITORY).parent.parts)
    found: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = (
                importlib.util.resolve_name("." * node.level + (node.module or ""), package)
                if node.level
                else node.module or ""
            )
            found |= {f"{base}.{alias.name}" for alias in node.names}
    return found


def _files(folder: str) -> list[Path]:
    return sorted((REPOSITORY / folder).rglob("*.py"))


@pytest.mark.parametrize("folder", sorted(_RINGS))
def test_a_ring_imports_only_what_it_may(folder: str) -> None:
    """Of our own packages: itself, and what the table in jobworkerd/__init__.py grants it."""
    own = folder.replace("/", ".")
    for path in _files(folder):
        for name in _imports(path):
            top = name.split(".")
            if top[0] == "jobctl":
                assert own == "jobctl", f"{path}: {name}"
            if top[0] == "jobworkerd" and not name.startswith(own) and len(top) > 1:
                assert top[1] in _RINGS[folder] | {"__version__"}, f"{path}: {name}"


@pytest.mark.parametrize("folder", sorted(_STANDARD_ONLY))
def test_the_privileged_side_needs_almost_nothing(folder: str) -> None:
    """The standard library alone; the runner also prctl and sdnotify."""
    allowed = set(sys.stdlib_module_names) | {"jobworkerd"} | _STANDARD_ONLY[folder]
    for path in _files(folder):
        assert {name.split(".")[0] for name in _imports(path)} <= allowed, path


def test_a_live_runner_has_loaded_no_network_and_no_second_thread(worker: Worker) -> None:
    """In its memory map and its tasks, after a job has run."""
    worker.jobctl("run", "--", "true")
    maps = Path(f"/proc/{worker.pid}/maps").read_text()
    for forbidden in ("cygrpc", "protobuf", "_ssl", "libssl", "sqlite", "_asyncio"):
        assert forbidden not in maps
    assert len(os.listdir(f"/proc/{worker.pid}/task")) == 1


def test_importing_the_runner_loads_none_of_them() -> None:
    """Pure Python modules leave no trace in a memory map."""
    code = "import sys, jobworkerd.__main__; print(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-I", "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    assert not set(_FORBIDDEN_IN_RUNNER) & set(loaded)


def test_jobctls_help_does_not_import_grpc() -> None:
    """Nor does a wrong word: both answer at once."""
    code = "import sys\nfrom jobctl.__main__ import main\nmain(['nosuch'])\nprint(*sys.modules)"
    loaded = subprocess.run(
        [sys.executable, "-c", code], check=True, capture_output=True, text=True
    ).stdout.split()
    assert "grpc" not in loaded


def test_stubs_are_fresh(tmp_path: Path) -> None:
    """What Debian's compiler makes of jobworker.proto now is what is committed."""
    python = REPOSITORY / ".venv/pypi/bin/python"  # has googleapis-common-protos
    subprocess.run(
        [REPOSITORY / "jobworkerd/v1/generate", tmp_path], check=True, env=os.environ | {"PYTHON": str(python)},
        capture_output=True,
    )  # fmt: skip
    made = sorted(path.name for path in tmp_path.iterdir())
    assert made
    for name in made:
        assert (tmp_path / name).read_bytes() == (REPOSITORY / "jobworkerd/v1" / name).read_bytes(), name


def test_every_method_of_the_wire_has_an_access_rule() -> None:
    """And a service that lacks one is noticed."""
    code = """
from jobworkerd.api.tls import ENVIRONMENT
import os; os.environ.update(ENVIRONMENT)
from jobworkerd.api.access import unguarded_methods
from jobworkerd.api.service import Service
from jobworkerd.v1 import jobworker_pb2, jobworker_pb2_grpc
descriptor = jobworker_pb2.DESCRIPTOR.services_by_name["JobWorker"]
print(unguarded_methods(Service, descriptor))
print(len(unguarded_methods(jobworker_pb2_grpc.JobWorkerServicer, descriptor)) == len(descriptor.methods))
"""
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert done.stdout == "[]\nTrue\n"
