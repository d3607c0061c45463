"""What is issued is what openssl and a real TLS 1.3 handshake accept, and for no other use."""

from __future__ import annotations

import re
import socket
import ssl
import threading
from pathlib import Path
from typing import Any

import pytest

_ALICE = "jobworker://ops/alice"


@pytest.fixture
def alice(pki: Any) -> Path:
    """A client's certificate, with its key behind it."""
    out = pki.path.parent / "alice.toml"
    assert pki.run("client", _ALICE, "--out", str(out)) == (0, f"wrote {out}\n", "")
    context = pki.context(out)
    pem = pki.path.parent / "alice.pem"
    pem.write_text(context["cert"] + context["key"])
    return pem


@pytest.mark.parametrize(
    ("purpose", "server", "client"), [("sslserver", True, False), ("sslclient", False, True)]
)
def test_certificates_are_good_for_one_use_alone(
    pki: Any, alice: Path, purpose: str, server: bool, client: bool
) -> None:
    """Told apart by extended key usage."""
    assert pki.verifies(purpose, pki.path / "server.crt") is server
    assert pki.verifies(purpose, alice) is client


def test_a_ca_signs_certificates_and_nothing_below_it_does(pki: Any, alice: Path) -> None:
    """Critical constraints; P-256 and SHA-256 throughout; keys are linked by their identifiers."""
    texts = [pki.openssl("x509", "-noout", "-text", "-in", path).stdout for path in
             (pki.path / "ca.crt", pki.path / "server.crt", alice)]  # fmt: skip
    for text in texts:
        assert "NIST CURVE: P-256" in text
        assert set(re.findall(r"Signature Algorithm: (\S+)", text)) == {"ecdsa-with-SHA256"}
    ca, *ends = texts
    assert re.search(r"Basic Constraints: critical\s+CA:TRUE, pathlen:0\n", ca)
    assert re.search(r"Key Usage: critical\s+Certificate Sign, CRL Sign\n", ca)
    identifier = re.search(r"Subject Key Identifier: \s+(\S+)", ca)
    assert identifier is not None
    for text in ends:
        assert re.search(r"Basic Constraints: critical\s+CA:FALSE\n", text)
        assert re.search(r"X509v3 Key Usage: critical\s+Digital Signature\n", text)
        assert re.search(rf"Authority Key Identifier: \s+(keyid:)?{identifier[1]}", text)
    serials = {re.search(r"Serial Number:\s+(\S+)", text)[1] for text in texts}  # type: ignore[index]
    assert len(serials) == 3


def test_an_identity_is_the_one_subject_alternative_name(pki: Any, alice: Path) -> None:
    """As a URI."""
    said = pki.openssl("x509", "-noout", "-ext", "subjectAltName", "-in", alice).stdout
    assert said.splitlines()[1:] == [f"    URI:{_ALICE}"]


def test_a_servers_names_are_those_asked_for(pki: Any) -> None:
    """Each once, addresses as addresses."""
    names = ["build1.example", "*.build.example", "192.0.2.1", "2001:db8::1", "build1.example"]
    assert pki.run("server", *names, "--out", str(pki.path / "out"))[0] == 0
    said = pki.openssl("x509", "-noout", "-ext", "subjectAltName", "-in", pki.path / "out/server.crt").stdout
    assert said.splitlines()[1].strip() == (
        "DNS:build1.example, DNS:*.build.example, IP Address:192.0.2.1, IP Address:2001:DB8:0:0:0:0:0:1"
    )


def test_a_certificate_that_is_installed_here_keeps_this_hosts_names(pki: Any) -> None:
    """Or root's own access, which goes by loopback, would end with it."""
    assert pki.run("server", "build1.example")[0] == 0
    said = pki.openssl("x509", "-noout", "-ext", "subjectAltName", "-in", pki.path / "server.crt").stdout
    names = said.splitlines()[1].strip().split(", ")
    assert names[0] == "DNS:build1.example"
    assert {"DNS:localhost", "IP Address:127.0.0.1", "IP Address:0:0:0:0:0:0:0:1"} <= set(names)


@pytest.mark.parametrize(
    ("args", "days"), [([], 365), (["--days", "1"], 1), (["--days", "36500"], 3650)],
)  # fmt: skip
def test_validity_is_as_asked_and_never_longer_than_the_cas(pki: Any, args: list[str], days: int) -> None:
    """From some minutes ago, for clocks differ."""
    out = pki.path.parent / "alice.toml"
    assert pki.run("client", _ALICE, "--out", str(out), *args)[0] == 0
    certificate = pki.context(out)["cert"]
    day = 86400
    for seconds, good in ((days * day - 3600, True), (days * day + 3600, False)):
        done = pki.openssl("x509", "-noout", "-checkend", str(seconds), given=certificate)
        assert (done.returncode == 0) is good
    dates = pki.openssl("x509", "-noout", "-startdate", given=certificate).stdout
    began = ssl.cert_time_to_seconds(dates.strip().partition("=")[2])
    made = out.stat().st_mtime
    assert 60 < made - began < 3600


def _handshake(pki: Any, client: Path | None) -> dict[str, Any]:
    """Over a real socket, both sides checking: what the server knows of the client."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.minimum_version = ssl.TLSVersion.TLSv1_3
    server_context.verify_mode = ssl.CERT_REQUIRED
    server_context.load_cert_chain(pki.path / "server.crt", pki.path / "server.key")
    server_context.load_verify_locations(pki.path / "ca.crt")
    client_context = ssl.create_default_context(cafile=str(pki.path / "ca.crt"))
    if client is not None:
        client_context.load_cert_chain(client)
    known: dict[str, Any] = {}

    def serve(sock: socket.socket) -> None:
        try:
            with server_context.wrap_socket(sock, server_side=True) as tls:
                known.update(tls.getpeercert() or {}, version=tls.version())
                tls.sendall(b"x")
        except ssl.SSLError as error:
            known["refused"] = error.reason

    ours, theirs = socket.socketpair()
    thread = threading.Thread(target=serve, args=(theirs,))
    thread.start()
    try:
        with client_context.wrap_socket(ours, server_hostname="localhost") as tls:
            tls.recv(1)
    except ssl.SSLError as error:
        known["client_saw"] = error.reason
    finally:
        thread.join(timeout=10)
        theirs.close()
    return known


def test_server_and_client_meet_over_tls_1_3(pki: Any, alice: Path) -> None:
    """Each with its own certificate, checked by the other."""
    known = _handshake(pki, alice)
    assert known["version"] == "TLSv1.3"
    assert known["subjectAltName"] == (("URI", _ALICE),)


def test_a_server_does_not_pass_for_a_client(pki: Any, tmp_path: Path) -> None:
    """Nor does nobody."""
    both = tmp_path / "both.pem"
    both.write_text((pki.path / "server.crt").read_text() + (pki.path / "server.key").read_text())
    assert _handshake(pki, both)["refused"] == "CERTIFICATE_VERIFY_FAILED"
    assert _handshake(pki, None)["refused"] == "PEER_DID_NOT_RETURN_A_CERTIFICATE"
