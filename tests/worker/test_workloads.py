"""Programs that people run as jobs, and what else answers on the port."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from conftest import Worker
from wire import Wire, grpc, reason

from jobworkerd.v1 import health_pb2, health_pb2_grpc


def test_node_and_a_compiler_work(shared_worker: Worker, tmp_path: Path) -> None:
    """A JIT, and a chain of programs that write files."""
    node = shared_worker.jobctl("run", "--", "node", "-e", "console.log(6*7)")
    assert (node.stdout, node.stderr, node.returncode) == ("42\n", "", 0)
    (tmp_path / "x.c").write_text('#include <stdio.h>\nint main(void) { puts("built"); return 5; }\n')
    built = shared_worker.jobctl("run", "--dir", str(tmp_path), "--", "gcc", "-o", "x", "x.c")
    assert (built.stderr, built.returncode) == ("", 0)
    ran = shared_worker.jobctl("run", "--dir", str(tmp_path), "--", "./x")
    assert (ran.stdout, ran.returncode) == ("built\n", 5)


def test_health_says_serving_to_a_caller(shared_worker: Worker) -> None:
    """grpc.health.v1, under the same mutual TLS."""
    code = """
import os, grpc
from jobctl import contexts
from jobworkerd.v1 import health_pb2, health_pb2_grpc
c = contexts.find({}, os.environ)
channel = grpc.secure_channel(c.server, grpc.ssl_channel_credentials(c.ca, c.key, c.cert))
answer = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest())
print(health_pb2.HealthCheckResponse.ServingStatus.Name(answer.status))
"""
    done = subprocess.run(
        [shared_worker.argv()[0], "-c", code], env=shared_worker.environment(), capture_output=True, text=True
    )
    assert (done.stdout, done.stderr) == ("SERVING\n", "")


def test_whoever_watches_the_health_is_told_when_the_worker_drains(worker: Worker) -> None:
    """SERVING at once, NOT_SERVING when it stops; who has no grant is refused."""
    wire = Wire(worker.environment())
    watch = health_pb2_grpc.HealthStub(wire.channel).Watch(health_pb2.HealthCheckRequest(), timeout=30)
    assert next(watch).status == health_pb2.HealthCheckResponse.SERVING
    stranger = Wire(worker.environment(worker.client("jobworker://ops/nobody")))
    with pytest.raises(grpc.RpcError) as refused:
        next(health_pb2_grpc.HealthStub(stranger.channel).Watch(health_pb2.HealthCheckRequest(), timeout=30))
    assert (refused.value.code(), reason(refused.value)) == (grpc.StatusCode.PERMISSION_DENIED, "NOT_GRANTED")
    assert worker.stop() == 0
    assert next(watch).status == health_pb2.HealthCheckResponse.NOT_SERVING
