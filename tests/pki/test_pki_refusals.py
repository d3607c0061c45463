"""What jobworker-pki cannot or will not do: one line that says why, one that says what to try, nothing made."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from conftest import REPOSITORY
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

_ALICE = "jobworker://ops/alice"
_ONE = "one such as jobworker://ops/alice"
_BLANKS = f"{_ONE}, without blanks or *"


@pytest.mark.parametrize(
    ("uri", "why", "hint"),
    [
        ("alice", "'alice' is not an identity", _BLANKS),
        ("jobworker://ops/al ice", "'jobworker://ops/al ice' is not an identity", _BLANKS),
        ("jobworker://ops/*", "'jobworker://ops/*' is not an identity", _BLANKS),
        ("jobworker://ops/a\nb", "'jobworker://ops/a\\nb' is not an identity", _BLANKS),
        ("jobworker://ops/é", "'jobworker://ops/é' is not an identity", _BLANKS),
        ('jobworker://ops/"', "'jobworker://ops/\"' is not an identity", _BLANKS),
        ("", "'' is not an identity", _BLANKS),
        ("cn:alice", "'cn:alice' is not an identity", _BLANKS),
        ("jobworker://", "jobworker:// does not begin with jobworker://", None),
        ("spiffe://ops/alice",
         "spiffe://ops/alice does not begin with jobworker://, as this worker's callers do (tls.identity_prefix)",
         _ONE),
    ],
)  # fmt: skip
def test_what_is_no_identity_is_refused(pki: Any, uri: str, why: str, hint: str | None) -> None:
    """The worker would not take it for one."""
    out = pki.path.parent / "out"
    code, _, said = pki.run("client", uri, "--out", str(out))
    assert code == 1
    if hint is not None:
        assert said == f"jobworker-pki: {why}\ntry: {hint}\n"
    assert not out.exists()


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["--server", "build1"],
         "jobworker-pki: --server 'build1' is not of the form HOST:PORT\ntry: one such as build1.example:50051\n"),
        (["--server", "h:70000"],
         "jobworker-pki: --server 'h:70000' is not of the form HOST:PORT\ntry: one such as build1.example:50051\n"),
        (["--server", 'h"\n:1'],
         "jobworker-pki: --server 'h\"\\n:1' is not of the form HOST:PORT\ntry: one such as build1.example:50051\n"),
        (["--name", "a.b"],
         "jobworker-pki: --name 'a.b' must be letters, digits, _ and -, at most 63\ntry: one such as build1\n"),
    ],
)  # fmt: skip
def test_what_jobctl_could_not_use_is_refused(pki: Any, args: list[str], said: str) -> None:
    """In the options of client."""
    out = pki.path.parent / "out"
    assert pki.run("client", _ALICE, "--out", str(out), *args) == (1, "", said)
    assert not out.exists()


@pytest.mark.parametrize(
    ("host", "said"),
    [
        ("build 1", "'build 1' is neither a host's name nor an address\ntry: one such as build1.example\n"),
        ("-x-", "'-x-' is neither a host's name nor an address\ntry: one such as build1.example\n"),
        ("é", "'é' is neither a host's name nor an address\ntry: one such as build1.example\n"),
        ("https://a", "'https://a' is neither a host's name nor an address\ntry: one such as build1.example\n"),
        ("a.example:50051", "'a.example:50051' has a port, which certificates do not name\ntry: a.example\n"),
    ],
)
def test_what_no_certificate_can_name_is_refused(pki: Any, host: str, said: str) -> None:
    """The installed pair stays."""
    before = pki.contents()
    assert pki.run("server", "--", "localhost", host) == (1, "", f"jobworker-pki: {said}")
    assert pki.contents() == before


@pytest.mark.parametrize(
    ("args", "said"),
    [
        (["init", "--days", "0"],
         "argument --days: '0' must be a number of days from 1 to 36500\ntry: jobworker-pki init --help\n"),
        (["init", "--days", "ten"],
         "argument --days: 'ten' must be a number of days from 1 to 36500\ntry: jobworker-pki init --help\n"),
        (["init", "--days", "36501"],
         "argument --days: '36501' must be a number of days from 1 to 36500\ntry: jobworker-pki init --help\n"),
        (["server"], "the following arguments are required: HOST\ntry: jobworker-pki server --help\n"),
        (["client", _ALICE], "the following arguments are required: --out\ntry: jobworker-pki client --help\n"),
    ],
)  # fmt: skip
def test_wrong_usage_is_2(place: Any, args: list[str], said: str) -> None:
    """As everywhere."""
    assert place.run(*args) == (2, "", f"jobworker-pki: {said}")
    assert not place.path.exists()


def test_no_verb_is_wrong_usage() -> None:
    """With the way to see which there are."""
    done = subprocess.run([sys.executable, "-m", "jobworkerd.pki"], capture_output=True, text=True, check=False,
                          cwd=REPOSITORY)  # fmt: skip
    said = "jobworker-pki: the following arguments are required: VERB\ntry: jobworker-pki --help\n"
    assert (done.returncode, done.stdout, done.stderr) == (2, "", said)


def test_a_file_that_exists_is_not_written(pki: Any, tmp_path: Path) -> None:
    """Not even a link to nowhere; nor one of two."""
    out = tmp_path / "out"
    out.symlink_to("/nosuch")
    exists = "exists\ntry: remove it first, or name another file\n"
    assert pki.run("client", _ALICE, "--out", str(out)) == (1, "", f"jobworker-pki: {out} {exists}")
    folder = tmp_path / "server"
    folder.mkdir()
    (folder / "server.crt").write_text("mine")
    said = f"jobworker-pki: {folder}/server.crt {exists}"
    assert pki.run("server", "localhost", "--out", str(folder)) == (1, "", said)
    assert os.listdir(folder) == ["server.crt"]


def test_a_folder_that_is_not_there_is_named(pki: Any, tmp_path: Path) -> None:
    """With the way to make it."""
    assert pki.run("client", _ALICE, "--out", f"{tmp_path}/no/out") == (
        1, "",
        f"jobworker-pki: cannot write in {tmp_path}/no: No such file or directory\ntry: mkdir -p {tmp_path}/no\n",
    )  # fmt: skip


@pytest.mark.parametrize("mode", [0o640, 0o604])
def test_a_ca_key_that_others_can_reach_is_refused(pki: Any, tmp_path: Path, mode: int) -> None:
    """Whoever could read it may have."""
    key = pki.path / "ca.key"
    key.chmod(mode)
    said = f"jobworker-pki: {key} can be read by others; a CA's key must not be\ntry: chmod 600 {key}\n"
    assert pki.run("client", _ALICE, "--out", str(tmp_path / "out")) == (1, "", said)
    assert pki.run("server", "localhost") == (1, "", said)


def test_a_server_key_that_others_can_read_gets_no_certificate(pki: Any) -> None:
    """When init completes it."""
    (pki.path / "server.crt").unlink()
    key = pki.path / "server.key"
    key.chmod(0o644)
    said = f"jobworker-pki: {key} can be read by others; a server's key must not be\ntry: chmod 640 {key}\n"
    assert pki.run("init") == (1, "", said)


def test_a_folder_that_others_can_write_is_refused(pki: Any, tmp_path: Path) -> None:
    """They could put their own CA in it."""
    pki.path.chmod(0o777)
    said = f"jobworker-pki: {pki.path} is writable by others; must not be\ntry: chmod go-w {pki.path}\n"
    for args in (["init"], ["server", "localhost"], ["client", _ALICE, "--out", str(tmp_path / "out")]):
        assert pki.run(*args) == (1, "", said)


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root, to give files away")
def test_what_somebody_else_owns_is_refused(pki: Any, tmp_path: Path) -> None:
    """Key or folder."""
    key, args = pki.path / "ca.key", ("client", _ALICE, "--out", str(tmp_path / "out"))
    os.chown(key, 1234, 0)
    said = f"jobworker-pki: {key} is owned by uid 1234; a CA's key must not be\ntry: chown root {key}\n"
    assert pki.run(*args) == (1, "", said)
    os.chown(pki.path, 1234, 0)
    said = (
        f"jobworker-pki: {pki.path} is owned by uid 1234; must be owned by root\ntry: chown root {pki.path}\n"
    )
    assert pki.run(*args) == (1, "", said)


@pytest.mark.parametrize(
    ("name", "make", "said"),
    [
        ("ca.crt", None, "PKI/ca.crt is not a PEM certificate\n"),
        ("ca.key", None, "PKI/ca.key is not a PEM private key without a passphrase\n"),
        ("ca.key", ["genpkey", "-algorithm", "RSA"], "PKI/ca.key is not an ECDSA P-256 key\n"),
        ("ca.key", ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-384"],
         "PKI/ca.key is not an ECDSA P-256 key\n"),
        ("ca.key", ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-aes256", "-pass", "pass:x"],
         "PKI/ca.key is not a PEM private key without a passphrase\n"),
        ("ca.key", ["genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256"],
         "PKI/ca.key is not the key of PKI/ca.crt\n"),
    ],
)  # fmt: skip
def test_a_ca_that_does_not_fit_is_refused(
    pki: Any, tmp_path: Path, name: str, make: list[str] | None, said: str
) -> None:
    """Rather than issue what nobody accepts."""
    (pki.path / name).write_text(pki.openssl(*make).stdout if make else "nothing")
    said = f"jobworker-pki: {said.replace('PKI', str(pki.path))}"
    assert pki.run("client", _ALICE, "--out", str(tmp_path / "out")) == (1, "", said)


def test_an_expired_ca_issues_nothing(pki: Any, tmp_path: Path) -> None:
    """And says when it did, and how to begin anew."""
    key = serialization.load_pem_private_key((pki.path / "ca.key").read_bytes(), None)
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "old")])
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(datetime(2020, 1, 1))  # naive UTC is what all versions take
        .not_valid_after(datetime(2021, 1, 1))
        .sign(key, hashes.SHA256())
    )
    (pki.path / "ca.crt").write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    assert pki.run("client", _ALICE, "--out", str(tmp_path / "out")) == (
        1, "",
        f"jobworker-pki: {pki.path}/ca.crt has expired on 2021-01-01\n"
        f"try: mv {pki.path} {pki.path}.old, then jobworker-pki init, and new certificates for all\n",
    )  # fmt: skip


def test_a_mistake_in_the_configuration_is_named(pki: Any) -> None:
    """It says where the worker is found."""
    pki.configure("[server]\nlisten = 5\n")
    code, _, said = pki.run("init")
    assert code == 1
    assert said.startswith(f"jobworker-pki: cannot use {pki.config}:2: server.listen: must be a text")
    assert said.endswith(f"\ntry: jobworkerd --check-config --config {pki.config}\n")
    assert stat.S_IMODE(pki.config.stat().st_mode) == 0o644
