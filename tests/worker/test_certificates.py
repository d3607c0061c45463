"""Who is let in: each refusal is one clear line that names the cause, and the right exit code."""

from __future__ import annotations

import socket
import ssl
import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from conftest import Worker
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_URI = "jobworker://ops/alice"


def _context(worker: Worker, path: Path, cert: bytes, key: bytes, ca: bytes | None = None) -> Path:
    ca = ca or (worker.folder / "pki/ca.crt").read_bytes()
    parts = "".join(f'{n} = """\n{d.decode()}"""\n' for n, d in (("ca", ca), ("cert", cert), ("key", key)))
    path.write_text(f'current = "w"\n[contexts.w]\nserver = "127.0.0.1:{worker.port}"\n{parts}')
    path.chmod(0o600)
    return path


def _issue(
    worker: Worker,
    uris: tuple[str, ...] = (_URI,),
    days: tuple[int, int] = (-1, 1),
    usage: x509.ObjectIdentifier = ExtendedKeyUsageOID.CLIENT_AUTH,
    make_key: Callable[[], ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey] | None = None,
    common_name: str = "x",
    folder: str = "pki",
) -> tuple[bytes, bytes]:
    """A certificate of the worker's CA (or of another folder's) and its key, as PEM."""
    ca = x509.load_pem_x509_certificate((worker.folder / folder / "ca.crt").read_bytes())
    ca_key = serialization.load_pem_private_key((worker.folder / folder / "ca.key").read_bytes(), None)
    assert isinstance(ca_key, ec.EllipticCurvePrivateKey)
    key = make_key() if make_key else ec.generate_private_key(ec.SECP256R1())
    now = datetime.now(UTC).replace(tzinfo=None)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, common_name)]))
        .issuer_name(ca.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + timedelta(days=days[0]))
        .not_valid_after(now + timedelta(days=days[1]))
        .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
    )
    if uris:
        names = [x509.UniformResourceIdentifier(uri) for uri in uris]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    pem = serialization.Encoding.PEM
    private = key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    return builder.sign(ca_key, hashes.SHA256()).public_bytes(pem), private


@pytest.fixture(scope="module", autouse=True)
def foreign(shared_worker: Worker) -> None:
    """Another CA's folder beside the worker's own."""
    subprocess.run(
        [*shared_worker.argv()[:2], "jobworkerd.pki", "init", "--dir", str(shared_worker.folder / "foreign")],
        check=True, capture_output=True,
    )  # fmt: skip


def _refused(worker: Worker, context: Path) -> str:
    done = worker.jobctl("list", context=context)
    assert (done.returncode, done.stdout) == (4, "")
    return str(done.stderr.splitlines()[0])


def test_a_caller_without_a_grant_is_told_so(shared_worker: Worker) -> None:
    """4, and whom root must give a grant."""
    context = shared_worker.client("jobworker://ops/nobody")
    assert _refused(shared_worker, context).startswith("jobctl: jobworker://ops/nobody has no grant as viewer")


def test_a_foreign_ca_is_not_accepted(shared_worker: Worker, tmp_path: Path) -> None:
    """The server closes without a word; what jobctl can know is said."""
    context = _context(shared_worker, tmp_path / "c", *_issue(shared_worker, folder="foreign"))
    said = _refused(shared_worker, context)
    assert "certificate" in said
    assert "CA" in said or "not accepted" in said


def test_an_expired_certificate_is_named(shared_worker: Worker, tmp_path: Path) -> None:
    """With the day it expired."""
    context = _context(shared_worker, tmp_path / "c", *_issue(shared_worker, days=(-3, -1)))
    assert "expired" in _refused(shared_worker, context)


def test_a_certificate_of_the_future_is_named(shared_worker: Worker, tmp_path: Path) -> None:
    """A clock is wrong somewhere."""
    context = _context(shared_worker, tmp_path / "c", *_issue(shared_worker, days=(1, 3)))
    assert "not valid before" in _refused(shared_worker, context)


def test_a_certificate_for_the_wrong_use_is_named(shared_worker: Worker, tmp_path: Path) -> None:
    """A server's certificate is no client's."""
    context = _context(
        shared_worker, tmp_path / "c", *_issue(shared_worker, usage=ExtendedKeyUsageOID.SERVER_AUTH)
    )
    assert "not for client" in _refused(shared_worker, context)


def test_two_uris_are_refused(shared_worker: Worker, tmp_path: Path) -> None:
    """A caller has one name."""
    pair = _issue(shared_worker, uris=("jobworker://local/root", _URI))
    said = _refused(shared_worker, _context(shared_worker, tmp_path / "c", *pair))
    assert "more than one URI" in said


def test_a_common_name_is_no_uri(shared_worker: Worker, tmp_path: Path) -> None:
    """Without a URI the caller is cn:NAME, which the grant of that URI does not match."""
    pair = _issue(shared_worker, uris=(), common_name="jobworker://local/root")
    said = _refused(shared_worker, _context(shared_worker, tmp_path / "c", *pair))
    assert "cn:jobworker://local/root has no grant" in said


def test_a_key_that_is_not_the_certificates_is_named(shared_worker: Worker, tmp_path: Path) -> None:
    """Before anything is sent."""
    cert, _ = _issue(shared_worker)
    _, key = _issue(shared_worker)
    assert "not the key" in _refused(shared_worker, _context(shared_worker, tmp_path / "c", cert, key))


def test_a_key_that_others_can_read_is_refused(shared_worker: Worker, tmp_path: Path) -> None:
    """As ssh does; 2, for no usable context is left."""
    context = _context(shared_worker, tmp_path / "c", *_issue(shared_worker))
    context.chmod(0o644)
    done = shared_worker.jobctl("list", context=context)
    assert done.returncode == 2
    assert "can be read by others" in done.stderr
    assert f"chmod 600 {context}" in done.stderr


def test_another_server_than_the_cas_is_not_trusted(shared_worker: Worker, tmp_path: Path) -> None:
    """The client holds another CA."""
    ca = (shared_worker.folder / "foreign/ca.crt").read_bytes()
    context = _context(shared_worker, tmp_path / "c", *_issue(shared_worker), ca=ca)
    assert "was not issued by the CA of the context" in _refused(shared_worker, context)


def _raw(worker: Worker, version: ssl.TLSVersion, *, with_certificate: bool) -> bytes:
    """A handshake of that version alone, and what the server says first."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = context.maximum_version = version
    context.load_verify_locations(worker.folder / "pki/ca.crt")
    context.set_alpn_protocols(["h2"])
    if with_certificate:
        cert, key = _issue(worker)
        file = worker.folder / "raw.pem"
        file.write_bytes(cert + key)
        context.load_cert_chain(file)
    sock = socket.create_connection(("127.0.0.1", worker.port), 5)
    with sock, context.wrap_socket(sock, server_hostname="127.0.0.1") as tls:
        return tls.recv(9)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_tls_1_2_is_refused_and_1_3_accepted(shared_worker: Worker) -> None:
    """With a certificate that is good."""
    with pytest.raises(ssl.SSLError):
        _raw(shared_worker, ssl.TLSVersion.TLSv1_2, with_certificate=True)
    assert _raw(shared_worker, ssl.TLSVersion.TLSv1_3, with_certificate=True)


def test_no_certificate_is_refused(shared_worker: Worker) -> None:
    """Before one byte of HTTP/2."""
    try:
        said = _raw(shared_worker, ssl.TLSVersion.TLSv1_3, with_certificate=False)
    except (ssl.SSLError, ConnectionError):
        said = b""
    assert said == b""


def test_viewers_see_all_and_operators_their_own(worker: Worker) -> None:
    """Another's job is NOT_FOUND for an operator; a viewer sees it and may not stop or start."""
    grants = f"""
[[grant]]
identity = "jobworker://ops/alice"
role = "operator"
run_as = ["{worker.user}"]
commands = ["/usr/bin/sleep *"]
[[grant]]
identity = "jobworker://ops/deploy"
role = "operator"
run_as = ["{worker.user}"]
commands = ["/usr/bin/id"]
[[grant]]
identity = "jobworker://ops/look*"
role = "viewer"
"""
    worker.configure(grants=grants)
    subprocess.run(worker.command("--reload"), check=True)
    alice, deploy, looker = (worker.client(f"jobworker://ops/{name}") for name in ("alice", "deploy", "looker"))
    job = worker.jobctl("start", "--", "sleep", "60", context=alice).stdout.strip()
    for verb in (["status"], ["stop"], ["logs"], ["wait"]):
        done = worker.jobctl(*verb, job, context=deploy)
        assert done.returncode == (125 if verb == ["wait"] else 3)
        assert f"there is no job {job}" in done.stderr
    assert worker.jobctl("list", "-o", "id", context=deploy).stdout == ""
    assert worker.jobctl("list", "-o", "id", context=looker).stdout.strip() == job
    for refused in (["stop", job], ["start", "--", "sleep", "1"]):
        done = worker.jobctl(*refused, context=looker)
        assert done.returncode == 4
        assert "jobworker://ops/looker has no grant as operator or admin" in done.stderr
    done = worker.jobctl("start", "--", "id", "-u", context=deploy)
    assert done.returncode == 4
    assert "jobworker://ops/deploy may not run /usr/bin/id with these arguments" in done.stderr
    assert worker.jobctl("run", "--", "id", context=deploy).returncode == 0
    assert worker.jobctl("stop", job, context=alice).returncode == 0


def test_a_name_means_a_job_that_exists_for_the_caller(worker: Worker) -> None:
    """Newer jobs of that name that do not are no candidates, however many there are."""
    grants = "".join(
        f"""
[[grant]]
identity = "jobworker://{name}"
role = "operator"
jobs = "{jobs}"
run_as = ["{worker.user}"]
commands = ["*"]
"""
        for name, jobs in (("ops/alice", "jobworker://ci/*"), ("ops/deploy", "own"), ("ci/bot", "own"))
    )
    worker.configure(grants=grants)
    subprocess.run(worker.command("--reload"), check=True)
    alice, deploy, bot = (
        worker.client(f"jobworker://{name}") for name in ("ops/alice", "ops/deploy", "ci/bot")
    )
    for context in (bot, deploy):
        assert worker.jobctl("run", "--name", "nightly", "--", "true", context=context).returncode == 0
    of_bot = worker.jobctl("list", "-o", "id", context=bot).stdout.strip()
    assert worker.jobctl("-o", "id", "status", "nightly", context=alice).stdout.strip() == of_bot
    assert worker.jobctl("status", "nightly", context=deploy).returncode == 0
