"""Many clients at once: each start is one job, and nothing is left behind in the worker."""

from __future__ import annotations

import json
import os
import signal
import subprocess
from pathlib import Path

from conftest import Worker, children, command_line, wait_for

_CLIENTS, _JOBS = 50, 20
# jobctl as it is, twenty times in one process: to load Python a thousand times takes a minute.
_STARTS = """
import os, sys
from jobctl.__main__ import main
for number in range(int(sys.argv[1])):
    label, script = f"client={os.environ['N']}", f"exit {number % 5}"
    code = main(["start", "--label", label, "--", "sh", "-c", script])
    if code:
        sys.exit(code)
"""
_ON_TERM = "trap 'echo bye; exit 9' INT TERM; echo on; while :; do sleep 0.1; done"


def _open_files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


def test_fifty_jobctl_processes_start_a_thousand_jobs(worker: Worker) -> None:
    """1,000 true records, no zombie, no descriptor leaked in runner, recorder or API."""
    worker.jobctl("run", "--", "true")
    pids = {"runner": worker.pid, "recorder": worker.peer("recorder"), "api": worker.peer("api")}
    before = {name: _open_files(pid) for name, pid in pids.items()}
    clients = [
        subprocess.Popen(
            [worker.argv()[0], "-c", _STARTS, str(_JOBS)], env=worker.environment() | {"N": str(number)},
            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        )
        for number in range(_CLIENTS)
    ]  # fmt: skip
    ids: list[str] = []
    for client in clients:
        out, err = client.communicate(timeout=55)
        assert (client.returncode, err) == (0, "")
        ids += out.split()
    assert len(set(ids)) == _CLIENTS * _JOBS

    wait_for(lambda: worker.jobctl("list", "--running", "-o", "id").stdout == "", 20)
    records = json.loads(worker.jobctl("list", "-o", "json", "--limit", "2000").stdout)
    ours = [record for record in records if "client" in record["labels"]]
    assert {record["id"] for record in ours} == set(ids)
    for record in ours:
        assert record["state"] == "EXITED"
        assert record["args"][1] == f"exit {record['exit_code']}"
    assert sorted(command_line(pid).split()[3] for pid in children(worker.pid)) == [
        "jobworkerd.api", "jobworkerd.recorder",
    ]  # fmt: skip
    wait_for(lambda: {name: _open_files(pid) for name, pid in pids.items()} == before)


def test_a_request_id_starts_once_whoever_repeats_it(worker: Worker) -> None:
    """The same request gets the same job; another request with that id is refused."""
    code = """
import os, sys, json
from jobctl import contexts
from jobctl.client import Client
from jobctl.failure import Failure
from jobworkerd.v1 import jobworker_pb2 as pb
client = Client(contexts.find({}, os.environ), 10.0)
def start(**more):
    try:
        return client.start(pb.StartRequest(command="sleep", args=["60"], request_id="once", **more))
    except Failure as failure:
        return failure
first, second, other = start(), start(), start(name="x")
print(json.dumps([first.uuid == second.uuid, first.repeated_request, second.repeated_request, other.reason]))
"""
    done = subprocess.run(
        [worker.argv()[0], "-c", code], env=worker.environment(), capture_output=True, text=True, timeout=30
    )
    assert json.loads(done.stdout) == [True, False, True, "REQUEST_ID_REUSED"], done.stderr
    assert len(worker.jobctl("list", "-o", "id").stdout.split()) == 1


def test_an_interrupted_run_stops_its_job(worker: Worker) -> None:
    """INT asks the job to stop, output and exit code follow; a second INT leaves it running."""
    run = worker.popen("run", "--", "sh", "-c", _ON_TERM,
                       stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip
    wait_for(lambda: worker.jobctl("list", "--state", "RUNNING", "-o", "id").stdout)
    run.send_signal(signal.SIGINT)
    out, err = run.communicate(timeout=20)
    assert (out, run.returncode) == ("on\nbye\n", 9)
    assert "stopping" in err
    detached = worker.popen("run", "--detach-on-interrupt", "--", "sleep", "60",
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)  # fmt: skip
    job = wait_for(lambda: worker.jobctl("list", "--state", "RUNNING", "-o", "id").stdout).strip()
    detached.send_signal(signal.SIGINT)
    out, err = detached.communicate(timeout=20)
    assert (out, detached.returncode) == ("", 130)
    assert f"jobctl logs -f {job}" in err
    assert worker.record(job)["state"] == "RUNNING"


def test_a_stop_gives_the_whole_group_its_grace(worker: Worker, tmp_path: Path) -> None:
    """The leader's end does not cut short what the rest of a pipeline does on TERM."""
    flushed, ready = tmp_path / "flushed", tmp_path / "ready"
    script = (
        f"(trap 'sleep 0.7; echo all >{flushed}; exit' TERM; touch {ready}; while :; do sleep 0.05; done) | cat"
    )
    job = worker.job("--", "sh", "-c", script)
    wait_for(ready.exists)
    assert worker.jobctl("stop", job).returncode == 0
    assert flushed.read_text() == "all\n"


def test_what_a_leader_leaves_behind_is_named_and_ended(worker: Worker) -> None:
    """As `pg_ctl start` would: one second after TERM, then KILL, and the record says whom."""
    done = worker.jobctl(
        "run",
        "-o",
        "json",
        "--",
        "sh",
        "-c",
        "sleep 600 & until grep -q sleep /proc/$!/comm; do :; done; exit 4",
    )
    record = json.loads(done.stdout)
    assert (done.returncode, record["state"], record["exit_code"]) == (4, "EXITED", 4)
    assert [each["name"] for each in record["kill_report"]["left_in_group"]] == ["sleep"]
    assert record["kill_report"]["nothing_left"] is True


def test_a_run_has_output_and_exit_code_of_a_job_that_ends_with_the_worker(worker: Worker) -> None:
    """The network process tells whoever follows before it goes."""
    script = "trap 'echo bye; exit 5' TERM; echo ready; while :; do sleep 0.1; done"
    run = worker.popen("run", "--", "sh", "-c", script, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    assert run.stdout is not None
    assert run.stdout.readline() == b"ready\n"
    assert worker.stop() == 0
    assert (run.communicate(timeout=20)[0], run.returncode) == (b"bye\n", 5)


def test_a_stop_ends_the_worker_with_its_jobs(worker: Worker) -> None:
    """TERM: jobs are stopped with grace, exits recorded, exit code 0, no process left."""
    job = worker.job("--", "sh", "-c", "trap '' TERM; echo $$; while :; do sleep 0.1; done")
    pid = worker.record(job)["pid"]
    assert worker.stop() == 0
    assert not os.path.exists(f"/proc/{pid}")
    worker.start()
    record = worker.record(job)
    assert (record["state"], record["reason"], record["exit_signal"]) == ("STOPPED", "SHUTDOWN", 9)
