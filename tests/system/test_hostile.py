"""Jobs that mean harm, as an ordinary user: nobody else's start, stop or output waits for them."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from container import Container

_CLIENT = """
import json, os, select, socket, subprocess, sys, threading, time
from concurrent.futures import ThreadPoolExecutor
from google.protobuf.duration_pb2 import Duration
import grpc
from jobctl import contexts
from jobworkerd.v1 import jobworker_pb2 as pb
from jobworkerd.v1 import jobworker_pb2_grpc

context = contexts.find({}, os.environ)
credentials = grpc.ssl_channel_credentials(context.ca, context.key, context.cert)
stub = jobworker_pb2_grpc.JobWorkerStub(grpc.secure_channel(context.server, credentials))

def start(*argv):
    return stub.Start(pb.StartRequest(command=argv[0], args=argv[1:])).uuid

def query(job):
    return stub.QueryOneProcess(pb.QueryOneProcessRequest(uuid=job)).process_info

def stop(job, grace=0.1):
    request = pb.StopRequest(uuid=job, grace=Duration(nanos=int(grace * 1e9)))
    return stub.Stop(request)
"""

_STOPPER = """
import os, signal
while True:
    try:
        os.kill(-1, signal.SIGSTOP)
    except OSError:
        pass
"""

_PROBE = """
import os, socket, sys, time
os.setpriority(os.PRIO_PROCESS, 0, -15)  # what is measured is the runner, not when the probe gets a processor
worst = 0.0
print("probing", flush=True)
deadline = time.monotonic() + float(sys.argv[1])
while time.monotonic() < deadline:
    began = time.monotonic()
    with socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET) as sock:
        sock.connect("/run/jobworker/control")
        sock.send(b"?")
        sock.recv(1)
    worst = max(worst, time.monotonic() - began)
    time.sleep(0.002)
print(worst, flush=True)
"""

# The lock is only felt while the pipe has something to read; now and then the recorder is faster.
_HOLDER = """
import os, socket
a, b = socket.socketpair()
os.write(1, b"held\\n" * 200)
while True:
    os.splice(b.fileno(), 1, 65536)
"""

_START_HOLDERS = f"""
def is_held(job):
    deadline = time.monotonic() + 1
    while time.monotonic() < deadline:
        if query(job).stdout.held:
            return True
        select.select([], [], [], 0.02)
    return False

def start_holders(wanted):
    held = []
    for _ in range(wanted * 5):
        job = start("python3", "-c", {_HOLDER!r})
        if is_held(job):
            held.append(job)
        else:
            stop(job)
        if len(held) == wanted:
            return held
    raise AssertionError("no job holds its pipe")
"""


def _script(container: Container, name: str, text: str) -> str:
    Path(f"{container.root}/opt/{name}").write_text(text)
    return f"/opt/{name}"


@pytest.fixture
def quiet(container: Container) -> Iterator[Container]:
    """The container, without a process of a job before and after."""
    yield container
    container.run(["pkill", "-9", "-u", "jobworker-job"], check=False)


def test_a_job_of_twenty_processes_is_gone_after_one_stop(quiet: Container) -> None:
    """All of them, also those that ignore TERM or left the group; the report names who was caught how."""
    script = (
        "for i in $(seq 18); do sleep 900 & done; "
        "(trap '' TERM; while :; do sleep 0.2; done) & setsid sleep 901 & "
        "echo ready; wait"
    )
    job = quiet.jobctl("start", "--", "bash", "-c", script).stdout.strip()
    quiet.run(["sh", "-c", "until [ $(pgrep -u jobworker-job -c) -ge 21 ]; do :; done"])
    done = quiet.jobctl("stop", "-o", "json", "--grace", "500ms", job)
    assert done.returncode == 0
    report = json.loads(done.stdout)["kill_report"]
    assert quiet.run(["pgrep", "-u", "jobworker-job"], check=False).stdout == ""
    assert report["nothing_left"] is True
    assert [(each["signal"], each["target"]) for each in report["signals"]][:2] == [
        ("SIGTERM", "group"), ("SIGTERM", "escapees"),
    ]  # fmt: skip
    assert ("SIGKILL", "group") in [(each["signal"], each["target"]) for each in report["signals"]]
    assert [(each["name"], each["caught_by"]) for each in report["escapees"]] == [("sleep", "cgroup")]


def test_a_job_that_stops_its_siblings_never_pauses_the_runner(quiet: Container) -> None:
    """kill(-1, SIGSTOP) in a loop, 200 starts and stops meanwhile: the runner answers within 100 ms."""
    probe = _script(quiet, "probe.py", _PROBE)
    driver = _script(
        quiet, "stopper.py",
        f"""{_CLIENT}
attacker = start("python3", "-c", {_STOPPER!r})
prober = subprocess.Popen([sys.executable, "{probe}", "20"], stdout=subprocess.PIPE, text=True)
assert prober.stdout.readline() == "probing\\n"

def both(_):
    job = start("sleep", "600")
    return pb.State.Name(stop(job).process_info.state)

with ThreadPoolExecutor(6) as pool:
    states = list(pool.map(both, range(200)))
ended = stub.Stop(pb.StopRequest(uuid=attacker, signal=9)).process_info
worst = float(prober.stdout.readline())
print(json.dumps({{"states": sorted(set(states)), "count": len(states), "worst": worst,
                  "attacker": pb.State.Name(ended.state)}}))
""",
    )  # fmt: skip
    seen = json.loads(quiet.run(["python3", driver], timeout=58).stdout)
    assert seen["count"] == 200
    assert set(seen["states"]) <= {"STOPPED", "FAILED_TO_START"}
    assert seen["attacker"] == "STOPPED"
    assert seen["worst"] < 0.1
    assert quiet.run(["pgrep", "-u", "jobworker-job"], check=False).stdout == ""


def test_jobs_that_hold_their_own_pipes_hold_up_nobody_else(quiet: Container) -> None:
    """Ten of them: another job's lines arrive within 200 ms, starts and stops go on, the ten can be stopped."""
    driver = _script(
        quiet, "holders.py",
        f"""{_CLIENT}
{_START_HOLDERS}
holders = start_holders(10)
writer = "import time\\nfor _ in range(40):\\n    print(time.time(), flush=True)\\n    time.sleep(0.05)\\n"
job = start("python3", "-u", "-c", writer)
path = query(job).stdout_path
deadline = time.monotonic() + 20
seen, worst, line = 0, 0.0, ""
with open(path) as file:
    while seen < 40:
        line += file.readline()
        if line.endswith("\\n"):
            worst = max(worst, time.time() - float(line))
            seen, line = seen + 1, ""
        else:
            assert time.monotonic() < deadline
            select.select([], [], [], 0.002)
began = time.monotonic()
assert pb.State.Name(stop(start("sleep", "60")).process_info.state) == "STOPPED"
took = time.monotonic() - began
states = {{pb.State.Name(stop(job).process_info.state) for job in holders}}
waits = [stub.Wait(pb.WaitRequest(uuid=job, for_output=True)) for job in holders]
closed = all(each.process_info.output_closed for each in waits)
print(json.dumps({{"worst": worst, "took": took, "states": sorted(states), "closed": closed}}))
""",
    )  # fmt: skip
    seen = json.loads(quiet.run(["python3", driver], timeout=58).stdout)
    assert seen["states"] == ["STOPPED"]
    assert seen["closed"] is True
    assert seen["worst"] < 0.2
    assert seen["took"] < 2.0
    assert quiet.run(["pgrep", "-u", "jobworker-job"], check=False).stdout == ""


def test_a_killed_recorder_with_held_jobs_is_replaced(quiet: Container) -> None:
    """A dead recorder that cannot be reaped for a held pipe: that job is ended, and recording goes on."""
    driver = _script(quiet, "holder.py", f"{_CLIENT}{_START_HOLDERS}print(start_holders(1)[0])")
    job = quiet.run(["python3", driver]).stdout.strip()
    recorder = quiet.run(["pgrep", "-f", "jobworkerd.recorder"]).stdout.strip()
    quiet.run(["kill", "-9", recorder])
    done = quiet.jobctl("run", "--", "echo", "recorded")
    assert (done.stdout, done.stderr, done.returncode) == ("recorded\n", "", 0)
    record = json.loads(quiet.jobctl("status", "-o", "json", job).stdout)
    assert (record["state"], record["reason"]) == ("STOPPED", "NO_OUTPUT")
