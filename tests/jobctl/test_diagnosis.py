"""Why a connection fails, found out against real servers: one line that names the cause, and the right code."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from canned import Worker
from issued import CLIENT, SERVER, Issued, authority, context_file, issue

CA = authority()
OWN = issue(CA)
RENEW = "ask for a new one: jobworker-pki client URI --out FILE, on the server"


def jobctl(context: Path, *args: str) -> tuple[int, str, str, str]:
    """Exit code, reason, message and hint of a call that fails."""
    done = subprocess.run(
        [sys.executable, "-m", "jobctl", "--connect-timeout", "500ms", "-o", "json", "list", *args],
        env={"PATH": os.environ["PATH"], "JOBCTL_CONFIG": str(context)},
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.stdout == ""
    error = json.loads(done.stderr)["error"]
    assert error["code"] == done.returncode
    return done.returncode, error["reason"], error["message"], error["try"]


@contextlib.contextmanager
def listening(serve: Callable[[socket.socket], object]) -> Iterator[str]:
    """``serve`` gets each connection that is made to the address."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def loop() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection, contextlib.suppress(OSError):
                    serve(connection)

        thread = threading.Thread(target=loop)
        thread.start()
        try:
            yield f"127.0.0.1:{server.getsockname()[1]}"
        finally:
            server.shutdown(socket.SHUT_RDWR)
            thread.join()


def tls(
    folder: Path, own: Issued, then: Callable[[ssl.SSLSocket], None], **versions: Any
) -> Callable[..., None]:
    """A server's side of TLS, and what it does after the handshake."""
    path = folder / "server.pem"
    path.write_text(own.cert_pem + own.key_pem)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(path)
    context.set_alpn_protocols(["h2"])
    for name, version in versions.items():
        setattr(context, name, version)

    def serve(connection: socket.socket) -> None:
        with context.wrap_socket(connection, server_side=True) as secured:
            then(secured)

    return serve


def hang_up(secured: ssl.SSLSocket) -> None:
    """As grpc does to a client whose certificate it refuses: without an alert."""


def test_nothing_listens(tmp_path: Path) -> None:
    """A repeat may help."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        address = f"127.0.0.1:{server.getsockname()[1]}"
    context = context_file(tmp_path, address, CA, OWN)
    assert jobctl(context) == (
        5, "NOTHING_LISTENS", f"nothing listens on {address}", "systemctl status jobworker, on the server"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("server", "reason", "message"),
    [
        ("nosuch.invalid:50051", "NO_SUCH_HOST", "no address is known for nosuch.invalid"),
        ("x" * 64 + ".invalid:1", "NO_SUCH_HOST", f"{'x' * 64}.invalid cannot be a host's name"),
        ("255.255.255.255:1", "NOT_REACHABLE", "cannot reach 255.255.255.255:1: "),
    ],
)
def test_a_server_that_is_nowhere(tmp_path: Path, server: str, reason: str, message: str) -> None:
    """A name without address, a name that cannot be, an address without a way."""
    code, told, text, hint = jobctl(context_file(tmp_path, server, CA, OWN))
    assert (code, told, hint) == (5, reason, "check the context's server")
    assert text.startswith(message)


def test_a_server_that_accepts_and_says_nothing(tmp_path: Path) -> None:
    """Hung, or overloaded."""
    with listening(lambda connection: connection.recv(1 << 20) and connection.recv(1)) as address:
        context = context_file(tmp_path, address, CA, OWN)
        assert jobctl(context) == (
            5, "NO_ANSWER", f"{address} is there and does not answer", "again, a little later"
        )  # fmt: skip


@pytest.mark.parametrize("answer", [b"SSH-2.0-OpenSSH_9.2\r\n", b"HTTP/1.1 400 Bad Request\r\n\r\n", b""])
def test_a_server_of_another_kind(tmp_path: Path, answer: bytes) -> None:
    """Also one that hangs up in the middle of the handshake: nothing is said about certificates."""
    with listening(lambda connection: connection.sendall(answer)) as address:
        context = context_file(tmp_path, address, CA, OWN)
        assert jobctl(context) == (
            5, "NOT_TLS", f"{address} does not speak TLS 1.3: no jobworker?", "check the context's server"
        )  # fmt: skip


def test_a_server_that_speaks_old_tls_alone(tmp_path: Path) -> None:
    """No certificate is at fault."""
    serve = tls(tmp_path, issue(CA, SERVER), hang_up, maximum_version=ssl.TLSVersion.TLSv1_2)
    with listening(serve) as address:
        code, reason, *_ = jobctl(context_file(tmp_path, address, CA, OWN))
    assert (code, reason) == (5, "NOT_TLS")


@pytest.mark.parametrize(
    ("own", "reason", "message"),
    [
        (issue(authority("another"), SERVER), "SERVER_NOT_TRUSTED",
         "was not issued by the CA of the context: unable to get local issuer certificate"),
        (issue(authority(), SERVER), "SERVER_NOT_TRUSTED",
         "was not issued by the CA of the context: certificate signature failure"),
        (issue(CA, SERVER, begin=-2, end=-1), "SERVER_CERTIFICATE_EXPIRED", "has expired"),
        (issue(CA, SERVER, begin=0.5), "SERVER_CERTIFICATE_NOT_YET_VALID", "is not valid yet"),
        (issue(CA, CLIENT), "SERVER_CERTIFICATE_WRONG_USE", "is not for a server"),
        (issue(CA, SERVER, names=("other.example",)), "SERVER_NAME", "is not for the address 127.0.0.1"),
    ],
)  # fmt: skip
def test_a_server_whose_certificate_cannot_be_trusted(
    tmp_path: Path, own: Issued, reason: str, message: str
) -> None:
    """It, or the context's ca, must change: 4."""
    with listening(tls(tmp_path, own, hang_up)) as address:
        code, told, text, hint = jobctl(context_file(tmp_path, address, CA, OWN))
    assert (code, told, text) == (4, reason, f"the certificate of {address} {message}")
    assert hint


def test_a_server_of_another_name(tmp_path: Path) -> None:
    """server_name of the context is the name that counts, here and in grpc."""
    with listening(tls(tmp_path, issue(CA, SERVER), hang_up)) as address:
        context = context_file(tmp_path, address, CA, OWN, server_name="inner.example")
        assert jobctl(context) == (
            4, "SERVER_NAME", f"the certificate of {address} is not for the name inner.example",
            "server_name in the context, a name it has; or on the server: jobworker-pki server inner.example",
        )  # fmt: skip


def test_server_name_lets_another_name_through(canned: Worker) -> None:
    """The certificate is for localhost; the address is not asked for."""
    text = canned.context.read_text().replace("[contexts.it]\n", '[contexts.it]\nserver_name = "localhost"\n')
    canned.context.write_text(text)
    assert canned.jobctl("version").returncode == 0


@pytest.mark.parametrize(
    ("own", "reason", "message", "hint"),
    [
        (issue(CA, begin=-2, end=-1), "CERTIFICATE_EXPIRED", "your certificate expired on 20", RENEW),
        (issue(CA, begin=0.5), "CERTIFICATE_NOT_YET_VALID", "your certificate is not valid before 20",
         "check this host's clock"),
        (issue(CA, SERVER), "CERTIFICATE_WRONG_USE", "your certificate is not for client authentication", RENEW),
        (Issued(issue(CA).certificate, OWN.key), "KEY_MISMATCH",
         "the context's key is not the key of its certificate", RENEW),
    ],
)  # fmt: skip
def test_ones_own_certificate_is_at_fault(
    canned: Worker, tmp_path: Path, own: Issued, reason: str, message: str, hint: str
) -> None:
    """A real gRPC server refuses it without a word; the cause stands in the certificate."""
    server = canned.context.read_text().split('server = "')[1].split('"')[0]
    ca_pem = canned.context.read_text().split('ca = """\n')[1].split('"""')[0]
    context = context_file(tmp_path, server, CA, own)
    code, told, text, tried = jobctl(context, "--ca", ca_pem)
    assert (code, told, tried) == (4, reason, hint)
    assert text.startswith(message)


def test_a_certificate_that_the_server_does_not_accept(canned: Worker, tmp_path: Path) -> None:
    """Of another CA: that much can be seen here. Of a revoked one nothing could be."""
    server = canned.context.read_text().split('server = "')[1].split('"')[0]
    ca_pem = canned.context.read_text().split('ca = """\n')[1].split('"""')[0]
    context = context_file(tmp_path, server, CA, OWN)
    closed = f"{server} closed the connection after the handshake: your certificate was not accepted"
    assert jobctl(context, "--ca", ca_pem) == (
        4, "CERTIFICATE_NOT_ACCEPTED", f"{closed}; it was not issued by the CA of the context", RENEW
    )  # fmt: skip
    assert jobctl(context, "--ca", ca_pem + CA.cert_pem) == (4, "CERTIFICATE_NOT_ACCEPTED", closed, RENEW)


def test_a_server_that_hangs_up_after_the_handshake_refused_the_certificate(tmp_path: Path) -> None:
    """End of file, or a reset."""
    with listening(tls(tmp_path, issue(CA, SERVER), hang_up)) as address:
        code, reason, message, _ = jobctl(context_file(tmp_path, address, CA, OWN))
    assert (code, reason) == (4, "CERTIFICATE_NOT_ACCEPTED")
    assert message.endswith("your certificate was not accepted")


@pytest.mark.parametrize("field", ["--ca", "--cert", "--key"])
def test_what_is_no_pem_is_no_usable_context(tmp_path: Path, field: str) -> None:
    """Found before the server is blamed."""
    with listening(tls(tmp_path, issue(CA, SERVER), hang_up)) as address:
        context = context_file(tmp_path, address, CA, OWN)
        bad = tmp_path / "bad.pem"
        bad.write_text("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")
        bad.chmod(0o600)
        assert jobctl(context, field, str(bad)) == (
            2, "BAD_CONTEXT", "ca, cert or key of the context is not what it should be in PEM", ""
        )  # fmt: skip


def test_a_proxy_of_the_environment_is_not_for_a_worker(canned: Worker) -> None:
    """$https_proxy is for the web."""
    environment = canned.environment() | {
        "https_proxy": "http://127.0.0.1:1",
        "http_proxy": "http://127.0.0.1:1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "jobctl", "version"],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "jobctl 0.1.0\nworker 0\n")
