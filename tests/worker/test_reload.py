"""A reload puts the whole new configuration in force, or nothing of it; jobs do not notice."""

from __future__ import annotations

import socket
import ssl
import subprocess

from conftest import Worker, free_port, wait_for
from cryptography import x509


def _reload(worker: Worker) -> subprocess.CompletedProcess[str]:
    return subprocess.run(worker.command("--reload"), capture_output=True, text=True, timeout=30)


def _server_certificate(worker: Worker) -> x509.Certificate:
    """As a new connection gets it."""
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    tls.set_alpn_protocols(["h2"])
    with socket.create_connection(("127.0.0.1", worker.port), 10) as raw, tls.wrap_socket(raw) as sock:
        der = sock.getpeercert(binary_form=True)
    assert der is not None
    return x509.load_der_x509_certificate(der)


def test_a_renewed_server_certificate_is_in_force_for_new_connections(worker: Worker) -> None:
    """Without a restart; connections that there are go on."""
    before = _server_certificate(worker).serial_number
    follower = worker.popen("run", "--", "sh", "-c", f"until [ -e {worker.folder}/go ]; do sleep 0.1; done; echo end",
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE)  # fmt: skip
    wait_for(lambda: worker.jobctl("list", "--running", "-o", "id").stdout)
    api = worker.peer("api")
    worker.pki("server", "localhost", "127.0.0.1")
    assert (_reload(worker).returncode, worker.peer("api")) == (0, api)
    assert _server_certificate(worker).serial_number != before
    (worker.folder / "go").touch()
    assert follower.communicate(timeout=20) == (b"end\n", b"")


def test_a_changed_listener_is_another_api_and_jobs_go_on(worker: Worker) -> None:
    """The old address is let go, the new one serves the same job."""
    job = worker.job("--", "sleep", "600")
    pid, old = worker.record(job)["pid"], worker.port
    new = free_port()
    worker.config.write_text(worker.config.read_text().replace(f":{old}", f":{new}"))
    assert _reload(worker).stderr == ""
    done = worker.jobctl("--server", f"127.0.0.1:{new}", "-o", "json", "status", job)
    assert (done.returncode, f'"pid": {pid}' in done.stdout, '"state": "RUNNING"' in done.stdout) == (
        0,
        True,
        True,
    )
    wait_for(lambda: worker.jobctl("--connect-timeout", "1s", "list").returncode == 5)
    assert worker.jobctl("--server", f"127.0.0.1:{new}", "stop", job).returncode == 0


def test_a_listener_that_is_somebody_elses_fails_the_reload(worker: Worker) -> None:
    """And changes nothing."""
    api = worker.peer("api")
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        text = worker.config.read_text()
        worker.config.write_text(text.replace(f"127.0.0.1:{worker.port}", address))
        done = _reload(worker)
    assert done.returncode == 1
    assert f"not reloaded: cannot listen on {address}: in use" in done.stderr
    assert worker.peer("api") == api
    assert worker.jobctl("list").returncode == 0


def test_a_folder_that_is_changed_fails_the_reload(worker: Worker) -> None:
    """It needs a restart."""
    text = worker.config.read_text()
    worker.config.write_text(text.replace(str(worker.log_dir), "/somewhere"))
    done = _reload(worker)
    assert (done.returncode, done.stderr) == (
        1, "jobworkerd: not reloaded: server.log_dir cannot change without a restart\n"
    )  # fmt: skip
