"""What is in the .deb, before anybody installs it."""

from __future__ import annotations

import re
import subprocess
import tarfile
from io import BytesIO
from pathlib import Path

import pytest

import jobworkerd

_DEBIANS_OWN = {
    "python3:any", "python3-cryptography", "python3-grpcio", "python3-prctl", "python3-protobuf",
    "python3-rich", "python3-sdnotify", "python3-seccomp", "systemd",
}  # fmt: skip


def _field(package: Path, name: str) -> str:
    return subprocess.run(
        ["dpkg-deb", "-f", package, name], check=True, capture_output=True, text=True
    ).stdout.strip()


@pytest.fixture(scope="module")
def files(package: Path) -> dict[str, tarfile.TarInfo]:
    """Everything in it, by absolute path."""
    archive = subprocess.run(["dpkg-deb", "--fsys-tarfile", package], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=BytesIO(archive)) as tar:
        return {member.name.removeprefix("."): member for member in tar.getmembers()}


def test_it_depends_on_what_it_uses_and_on_debians_own_packages_alone(package: Path) -> None:
    """The booted Debian of the other tests has these and no more, so none is missing either."""
    assert {each.split()[0] for each in _field(package, "Depends").split(",")} == _DEBIANS_OWN


def test_its_version_is_the_programs(package: Path) -> None:
    """What the changelog says, and ``jobworkerd --version``."""
    assert _field(package, "Version") == jobworkerd.__version__


def test_programs_lie_where_they_are_looked_for_and_run_isolated(
    package: Path, files: dict[str, tarfile.TarInfo]
) -> None:
    """Neither PYTHONPATH nor the working folder decides what root's programs import."""
    archive = subprocess.run(["dpkg-deb", "--fsys-tarfile", package], check=True, capture_output=True).stdout
    with tarfile.open(fileobj=BytesIO(archive)) as tar:
        for path in ("/usr/sbin/jobworkerd", "/usr/sbin/jobworker-pki", "/usr/bin/jobctl"):
            assert files[path].mode == 0o755
            program = tar.extractfile(files[path])
            assert program is not None
            assert re.fullmatch(rb"#! ?/usr/bin/python3 -I\n", program.readline())


def test_everything_belongs_to_root_and_nobody_else_may_write(files: dict[str, tarfile.TarInfo]) -> None:
    """Nor is anything set-uid."""
    wrong = {
        path: oct(each.mode)
        for path, each in files.items()
        if not each.issym() and ((each.uname, each.gname) != ("root", "root") or each.mode & 0o6022)
    }
    assert wrong == {}


def test_the_administrators_files_are_conffiles(package: Path, tmp_path: Path) -> None:
    """An upgrade never overwrites what was edited."""
    subprocess.run(["dpkg-deb", "--control", package, tmp_path / "control"], check=True)
    assert (tmp_path / "control/conffiles").read_text().splitlines() == [
        "/etc/jobworker/jobworker.toml",
        "/etc/needrestart/conf.d/jobworker.conf",
    ]


def test_an_upgrade_neither_stops_nor_restarts_the_service(package: Path, tmp_path: Path) -> None:
    """The scripts that debhelper wrote stop it on removal alone."""
    subprocess.run(["dpkg-deb", "--control", package, tmp_path / "control"], check=True)
    prerm = (tmp_path / "control/prerm").read_text()
    stops = [line for line in prerm.splitlines() if "deb-systemd-invoke stop" in line]
    assert len(stops) == 1
    assert re.search(r'\[ "\$1" = remove \][^\n]*\n\s*deb-systemd-invoke stop', prerm)
    assert "restart" not in (tmp_path / "control/postinst").read_text()


def test_no_test_stub_source_or_cache_is_shipped(files: dict[str, tarfile.TarInfo]) -> None:
    """Two Python packages, the unit, its users and folders, the configuration, and documentation."""
    modules = {path.split("/")[5] for path in files if re.match("/usr/lib/python3/dist-packages/.", path)}
    assert {name for name in modules if "info" not in name} == {"jobctl", "jobworkerd"}
    assert not [path for path in files if "__pycache__" in path or "/tests" in path]
    for path in ("systemd/system/jobworker.service", "sysusers.d/jobworker.conf", "tmpfiles.d/jobworker.conf"):
        assert f"/usr/lib/{path}" in files or f"/lib/{path}" in files
