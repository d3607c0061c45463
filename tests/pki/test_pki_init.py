"""``jobworker-pki init`` makes what is missing, and touches nothing that exists."""

from __future__ import annotations

import grp
import os
import stat
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY

_MADE = ["revoked.d", "ca.key", "ca.crt", "root-context.toml", "server.key", "server.crt"]


def _server_key_mode() -> int:
    try:
        grp.getgrnam("jobworker")
    except KeyError:
        return 0o600
    return 0o640 if os.geteuid() == 0 else 0o600


@pytest.mark.parametrize("umask", [0o022, 0o077, 0])
def test_modes_do_not_depend_on_the_umask(place: Any, umask: int) -> None:
    """Keys are root's (the server's also the worker's group's, where there is one); certificates everybody's."""
    assert place.run("init", umask=umask)[0] == 0
    assert {path.name: stat.S_IMODE(path.stat().st_mode) for path in (place.path, *place.path.iterdir())} == {
        "pki": 0o755, "ca.crt": 0o644, "ca.key": 0o600, "server.crt": 0o644, "server.key": _server_key_mode(),
        "revoked.d": 0o755, "root-context.toml": 0o600,
    }  # fmt: skip


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give a file to a group")
def test_the_server_key_is_for_the_workers_group_to_read(place: Any) -> None:
    """0640 root:jobworker; here another group that exists plays its part. A repeat accepts what it made."""
    script = "import sys\nfrom jobworkerd.pki import folder, __main__\nfolder._GROUP = 'daemon'\nsys.exit(__main__.main())"
    argv = [sys.executable, "-c", script, *place.argv("init")[5:]]
    subprocess.run(argv, check=True, capture_output=True, cwd=REPOSITORY)
    info = (place.path / "server.key").stat()
    assert (info.st_uid, info.st_gid, stat.S_IMODE(info.st_mode)) == (0, grp.getgrnam("daemon").gr_gid, 0o640)
    (place.path / "server.crt").unlink()
    assert place.run("init") == (0, f"made {place.path}/server.crt\n", "")


def test_it_says_what_it_made_and_where_the_context_is(place: Any) -> None:
    """With --dir in that folder, not in root's home."""
    made = [place.path, *(place.path / name for name in _MADE)]
    assert place.run("init") == (0, "".join(f"made {path}\n" for path in made), "")


@pytest.mark.parametrize(
    ("lost", "made"),
    [
        ([], []),
        (["root-context.toml"], ["root-context.toml"]),
        (["server.crt"], ["server.crt"]),
        (["server.key", "server.crt"], ["server.key", "server.crt"]),
        (["ca.crt", "server.key", "server.crt"], ["ca.crt", "server.key", "server.crt"]),
        (["revoked.d"], ["revoked.d"]),
        (_MADE, _MADE),
    ],
)
def test_a_second_one_completes_the_first(pki: Any, lost: list[str], made: list[str]) -> None:
    """What is there keeps its bytes, and all fits together."""
    for name in lost:
        path = pki.path / name
        path.rmdir() if path.is_dir() else path.unlink()
    before = pki.contents()
    assert pki.run("init") == (0, "".join(f"made {pki.path}/{name}\n" for name in made), "")
    assert sorted(os.listdir(pki.path)) == sorted(_MADE)
    assert before.items() <= pki.contents().items()
    assert pki.verifies("sslserver", pki.path / "server.crt")
    of_certificate = pki.openssl("x509", "-noout", "-pubkey", "-in", pki.path / "server.crt").stdout
    assert pki.openssl("pkey", "-pubout", "-in", pki.path / "server.key").stdout == of_certificate != ""


_KILLED_BEFORE_A_FILE_IS_IN_PLACE = """
import os, sys
from jobworkerd.pki.__main__ import main
link, left = os.link, int(sys.argv.pop(1))
def counted(*args):
    global left
    if left == 0:
        os.kill(os.getpid(), 9)
    left -= 1
    link(*args)
os.link = counted
main()
"""


@pytest.mark.parametrize("number", range(5))
def test_one_that_was_killed_can_be_repeated(place: Any, number: int) -> None:
    """What was half made is under no name that counts, and a key there for nobody else to read."""
    argv = [sys.executable, "-c", _KILLED_BEFORE_A_FILE_IS_IN_PLACE, str(number), *place.argv("init")[5:]]
    assert subprocess.run(argv, capture_output=True, check=False, cwd=REPOSITORY).returncode == -9
    before = place.contents()
    (unfinished,) = place.path.glob(".new-*")
    if b"PRIVATE KEY" in unfinished.read_bytes():
        assert unfinished.stat().st_mode & 0o007 == 0
    assert len(before) == number + 1
    code, _, said = place.run("init")
    assert (code, said) == (0, "")
    after = place.contents()
    assert before.items() <= after.items()
    assert set(_MADE) - {"revoked.d"} < set(after)
    assert place.verifies("sslserver", place.path / "server.crt")


def test_two_at_once_leave_one_consistent_set(place: Any) -> None:
    """The slower finds that something exists; a repeat completes what it left."""
    both = [
        subprocess.Popen(
            place.argv("init"), cwd=REPOSITORY, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    for process in both:
        said = process.communicate(timeout=30)[1]
        assert said.startswith("jobworker-pki: ") if process.returncode else said == ""
    assert place.run("init")[0] == 0
    assert place.verifies("sslserver", place.path / "server.crt")
    assert sorted(os.listdir(place.path)) == sorted(_MADE)


@pytest.mark.parametrize(
    ("listen", "server", "names"),
    [
        ('"127.0.0.1:50051"', "127.0.0.1:50051", ["127.0.0.1", "::1", "localhost"]),
        ('"0.0.0.0:7"', "127.0.0.1:7", ["127.0.0.1"]),
        ('"[::]:7"', "127.0.0.1:7", ["::1"]),
        ('"192.0.2.9:7"', "192.0.2.9:7", ["192.0.2.9", "localhost"]),
        ('["192.0.2.9:7", "[::1]:8"]', "[::1]:8", ["192.0.2.9", "::1"]),
        ('"build1.example:7"', "build1.example:7", ["build1.example"]),
    ],
)
def test_root_reaches_the_worker_where_it_listens(
    place: Any, listen: str, server: str, names: list[str]
) -> None:
    """By loopback if it can; and the certificate names every address."""
    place.configure(f"[server]\nlisten = {listen}\n")
    assert place.run("init")[0] == 0
    assert place.context(place.path / "root-context.toml")["server"] == server
    for name in names:
        check = "-checkhost" if name[-1].isalpha() else "-checkip"
        said = place.openssl("x509", "-noout", check, name, "-in", place.path / "server.crt").stdout
        assert said.endswith("does match certificate\n")


def test_root_has_an_identity_that_the_worker_accepts(place: Any) -> None:
    """Under its configured prefix."""
    place.configure("[tls]\nidentity_prefix = 'spiffe://corp/'\n")
    assert place.run("init")[0] == 0
    certificate = place.context(place.path / "root-context.toml")["cert"]
    said = place.openssl("x509", "-noout", "-ext", "subjectAltName", given=certificate).stdout
    assert said.split()[-1] == "URI:spiffe://corp/local/root"


def test_a_ca_kept_elsewhere_is_no_reason_to_complain(pki: Any) -> None:
    """Until something would have to be issued here."""
    (pki.path / "ca.key").unlink()
    assert pki.run("init") == (0, "", "")
    (pki.path / "root-context.toml").unlink()
    assert pki.run("init") == (
        1, "",
        f"jobworker-pki: there is no {pki.path}/ca.key, without which nothing can be issued\n"
        "try: the same where that key is kept\n",
    )  # fmt: skip


def test_a_server_certificate_without_its_key_is_left_alone(pki: Any) -> None:
    """The key may be elsewhere; whoever has lost it is told what to do."""
    (pki.path / "server.key").unlink()
    before = pki.contents()
    assert pki.run("init") == (
        1, "",
        f"jobworker-pki: {pki.path}/server.crt is there without {pki.path}/server.key\n"
        "try: jobworker-pki server HOST, which replaces both\n",
    )  # fmt: skip
    assert pki.contents() == before


def test_a_folder_that_cannot_be_made_is_named(place: Any, tmp_path: Path) -> None:
    """With what the system says."""
    place.path = tmp_path / "file/pki"
    (tmp_path / "file").write_text("")
    assert place.run("init") == (1, "", f"jobworker-pki: cannot make {place.path}: Not a directory\n")
