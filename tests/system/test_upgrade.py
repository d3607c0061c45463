"""The package is replaced under a worker that runs jobs."""

from __future__ import annotations

import json
from pathlib import Path

from container import Container


def test_new_files_end_neither_the_worker_nor_its_jobs(container: Container, package: Path) -> None:
    """The same runner answers, and the job goes on; what an administrator edited or made stays."""
    runner = container.main_pid()
    pki = Path(f"{container.root}/etc/jobworker/pki")
    key = (pki / "ca.key").read_bytes()
    job = container.jobctl("start", "--", "sleep", "600").stdout.strip()
    container.run(["dpkg", "--install", f"/opt/{package.name}"])
    assert container.main_pid() == runner
    record = json.loads(container.jobctl("status", "-o", "json", job).stdout)
    assert record["state"] == "RUNNING"
    assert (pki / "ca.key").read_bytes() == key
    assert container.jobctl("run", "--", "true").returncode == 0
    assert container.jobctl("stop", job).returncode == 0


def test_key_material_of_the_administrators_own_is_left_alone(bare_container: Container, package: Path) -> None:
    """Where there is a server key at install, no CA and no certificate is made."""
    pki = Path(f"{bare_container.root}/etc/jobworker/pki")
    pki.mkdir(parents=True)
    (pki / "server.key").write_text("of another CA\n")
    bare_container.install(package)
    assert sorted(path.name for path in pki.iterdir()) == ["server.key"]
    assert not Path(f"{bare_container.root}/root/.config").exists()
