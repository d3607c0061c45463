"""What jobctl run does with signals, and with a connection that ends, against a real worker."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import threading
from collections.abc import Iterator

import pytest
from canned import UUID, info
from canned import Worker as Canned
from conftest import Worker, wait_for

from jobworkerd.v1 import jobworker_pb2 as pb

INT, TERM, HUP = signal.SIGINT, signal.SIGTERM, signal.SIGHUP
FOREVER = "echo ready; while :; do sleep 600 & wait; done"
STUBBORN = f"trap 'echo asked' TERM; {FOREVER}"


class Running:
    """A jobctl run whose job has written its first line."""

    def __init__(self, worker: Worker, script: str, *options: str, prefix: tuple[str, ...] = ()) -> None:
        self._worker = worker
        name = f"n{threading.get_native_id()}-{os.urandom(4).hex()}"
        argv = worker.argv("run", "--name", name, *options, "--", "sh", "-c", script)
        self.process = subprocess.Popen(
            [*prefix, *argv],
            env=worker.environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        record = wait_for(lambda: self._record(name))
        self.job = str(record["id"])

    def _record(self, name: str) -> dict[str, object] | None:
        done = self._worker.jobctl("status", "-o", "json", name)
        record = json.loads(done.stdout) if done.returncode == 0 else {}
        return record if record.get("stdout_bytes") else None

    def signal(self, number: int) -> None:
        self.process.send_signal(number)

    def says(self, text: str) -> None:
        """Reads a line of stderr."""
        assert self.process.stderr is not None
        assert self.process.stderr.readline() == f"jobctl: {text}\n"

    def ends(self) -> tuple[int, str, str]:
        """Exit code, stdout and what is left of stderr."""
        out, err = self.process.communicate(timeout=20)
        return self.process.returncode, out, err

    @property
    def stopping(self) -> str:
        return f"stopping {self.job}; a second INT leaves it running"

    @property
    def goes_on(self) -> str:
        return f"{self.job} goes on without you; follow it again: jobctl logs -f {self.job}"


@pytest.fixture
def stops(shared_worker: Worker) -> Iterator[list[Running]]:
    """What is put in here is stopped at the end."""
    left: list[Running] = []
    yield left
    for each in left:
        shared_worker.jobctl("stop", "--grace", "0", each.job)


@pytest.mark.parametrize("number", [INT, TERM])
def test_int_and_term_ask_the_job_to_stop(shared_worker: Worker, number: int) -> None:
    """Then its output and its exit code follow as ever."""
    run = Running(shared_worker, f"trap 'echo bye; exit 9' TERM; {FOREVER}")
    run.signal(number)
    run.says(run.stopping)
    assert run.ends() == (9, "ready\nbye\n", "")
    assert shared_worker.record(run.job)["state"] == "STOPPED"


def test_a_stopped_job_that_gives_0_is_143_and_a_killed_one_128_and_its_signal(shared_worker: Worker) -> None:
    """Nobody takes it for a success."""
    run = Running(shared_worker, f"trap 'exit 0' TERM; {FOREVER}", "-q")
    run.signal(INT)
    assert run.ends() == (143, "ready\n", "")
    run = Running(shared_worker, "echo ready; exec sleep 600", "-q")
    run.signal(INT)
    assert run.ends() == (143, "ready\n", "")
    assert shared_worker.record(run.job)["exit_signal"] == TERM


def test_a_second_int_leaves_the_job_to_its_grace(shared_worker: Worker, stops: list[Running]) -> None:
    """And says how to follow again."""
    run = Running(shared_worker, STUBBORN)
    stops.append(run)
    run.signal(INT)
    run.says(run.stopping)
    wait_for(lambda: shared_worker.record(run.job)["state"] == "STOPPING")
    run.signal(TERM)  # asks once more, and leaves nothing
    run.says(run.stopping)
    run.signal(INT)
    run.says(run.goes_on)
    assert run.ends() == (130, "ready\nasked\n", "")
    assert shared_worker.record(run.job)["state"] == "STOPPING"


def test_hup_leaves_the_job_running(shared_worker: Worker, stops: list[Running]) -> None:
    """A closed terminal is no wish."""
    run = Running(shared_worker, STUBBORN)
    stops.append(run)
    run.signal(HUP)
    run.says(run.goes_on)
    assert run.ends() == (130, "ready\n", "")
    assert shared_worker.record(run.job)["state"] == "RUNNING"


def test_detach_on_interrupt_makes_int_leave_and_term_still_stop(
    shared_worker: Worker, stops: list[Running]
) -> None:
    """As the option says."""
    run = Running(shared_worker, STUBBORN, "--detach-on-interrupt")
    stops.append(run)
    run.signal(INT)
    run.says(run.goes_on)
    assert run.ends() == (130, "ready\n", "")
    assert shared_worker.record(run.job)["state"] == "RUNNING"
    run = Running(shared_worker, "echo ready; exec sleep 600", "--detach-on-interrupt")
    run.signal(TERM)
    run.says(run.stopping)
    assert run.ends() == (143, "ready\n", "")


def test_a_signal_that_was_ignored_stays_ignored(shared_worker: Worker) -> None:
    """Under nohup HUP is nothing."""
    run = Running(shared_worker, "echo ready; sleep 0.5; echo done", prefix=("env", "--ignore-signal=HUP"))
    run.signal(HUP)
    assert run.ends() == (0, "ready\ndone\n", "")


@pytest.mark.parametrize("number", [INT, TERM])
def test_a_signal_during_the_start_stops_what_was_started(canned: Canned, number: int) -> None:
    """The start is asked for again with the same request id, which gives the job that there is, or makes it."""
    asked, first = threading.Event(), threading.Event()

    def start(_: object) -> pb.StartResponse:
        if not asked.is_set():
            asked.set()
            first.wait(10)
        return pb.StartResponse(uuid=UUID)

    stopped = info(state=pb.STOPPED, signal=15)
    canned.answers["Start"] = start
    canned.answers["Stop"] = lambda _: pb.StopResponse(process_info=stopped)
    canned.answers["Wait"] = lambda _: pb.WaitResponse(process_info=stopped, ended=True)
    canned.answers["StreamOutput"] = lambda _: iter(())
    run = canned.popen("run", "--", "x")
    try:
        assert asked.wait(10)
        run.send_signal(number)
        out, err = run.communicate(timeout=20)
    finally:
        first.set()
    assert (run.returncode, out, err) == (143, "", "jobctl: stopping it; a second INT leaves it running\n")
    first_request, second = canned.of(pb.StartRequest)
    assert first_request == second
    assert [request.uuid for request in canned.of(pb.StopRequest)] == [UUID]


def test_a_second_int_during_the_start_says_what_is_known(canned: Canned) -> None:
    """Which is nothing."""
    asked, let_go = threading.Semaphore(0), threading.Event()

    def start(_: object) -> pb.StartResponse:
        asked.release()
        let_go.wait(10)
        return pb.StartResponse(uuid=UUID)

    canned.answers["Start"] = start
    run = canned.popen("run", "--", "x")
    try:
        for _ in range(2):
            assert asked.acquire(timeout=10)
            run.send_signal(INT)
        _, err = run.communicate(timeout=20)
    finally:
        let_go.set()
    assert (run.returncode, err.splitlines()[1]) == (
        130, "jobctl: the worker has not said whether it started it; look for it: jobctl list"
    )  # fmt: skip


def test_a_signal_before_anything_was_asked_for_starts_nothing(canned: Canned) -> None:
    """While the connection is being made."""
    asked, let_go = threading.Event(), threading.Event()

    def version(_: object) -> pb.GetVersionResponse:
        asked.set()
        let_go.wait(10)
        return pb.GetVersionResponse()

    canned.answers["GetVersion"] = version
    run = canned.popen("run", "--", "x")
    try:
        assert asked.wait(10)
        run.send_signal(INT)
        out, err = run.communicate(timeout=20)
    finally:
        let_go.set()
    assert (run.returncode, out, err) == (130, "", "jobctl: nothing was started\n")
    assert canned.of(pb.StartRequest) == []


def test_ints_while_the_output_is_printed_stop_the_job_then_leave_it(shared_worker: Worker) -> None:
    """Also where jobctl is stuck in a write that nobody reads."""
    run = subprocess.Popen(
        shared_worker.argv("run", "--", "sh", "-c", "trap '' TERM; cat /dev/zero"),
        env=shared_worker.environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE,
    )  # fmt: skip
    assert run.stdout is not None
    assert run.stderr is not None
    assert run.stdout.read(1) == b"\0"
    run.send_signal(INT)
    stopping = re.fullmatch(rb"jobctl: stopping (\S{36}); a second INT .*\n", run.stderr.readline())
    assert stopping is not None
    run.send_signal(INT)
    _, err = run.communicate(timeout=20)
    assert (run.returncode, err.decode()) == (
        130, "jobctl: {0} goes on without you; follow it again: jobctl logs -f {0}\n".format(stopping[1].decode())
    )  # fmt: skip
    assert shared_worker.jobctl("stop", "--grace", "0", stopping[1].decode()).returncode == 0


def test_what_is_shown_is_exact_whenever_a_signal_comes(shared_worker: Worker) -> None:
    """A TERM to the job, asked for in the middle of a write, neither loses nor doubles a byte."""
    script = "trap '' TERM; seq 1 400000; echo ready >&2; seq 400001 800000"
    run = subprocess.Popen(
        shared_worker.argv("run", "--", "sh", "-c", script),
        env=shared_worker.environment(), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    assert run.stdout is not None
    data = bytearray()
    while piece := run.stdout.read1(5000):
        data += piece
        if len(data) % 7 == 0:
            run.send_signal(TERM)
    assert bytes(data) == b"".join(b"%d\n" % number for number in range(1, 800001))


@pytest.mark.parametrize("verb", ["wait", "stop"])
def test_an_int_ends_the_other_verbs_in_silence(canned: Canned, verb: str) -> None:
    """130, and nothing is said; what was asked of the worker goes on."""
    asked, let_go = threading.Event(), threading.Event()

    def held(_: object) -> object:
        asked.set()
        let_go.wait(10)
        return pb.WaitResponse() if verb == "wait" else pb.StopResponse()

    canned.answers["QueryOneProcess"] = lambda _: pb.QueryOneProcessResponse(process_info=info())
    canned.answers |= {"Wait": held, "Stop": held}
    process = canned.popen(verb, UUID)
    try:
        assert asked.wait(10)
        process.send_signal(INT)
        out, err = process.communicate(timeout=20)
    finally:
        let_go.set()
    assert (process.returncode, out, err) == (130, "", "")


def test_a_run_survives_the_api(worker: Worker) -> None:
    """Its follow goes on where it stopped; one line says so."""
    run = Running(
        worker, "echo ready; while [ ! -e go ]; do sleep 0.05; done; echo done", "--dir", str(worker.folder)
    )
    os.kill(worker.peer("api"), signal.SIGKILL)
    assert run.process.stderr is not None
    assert run.process.stderr.readline().startswith("jobctl: the connection was lost: ")
    (worker.folder / "go").touch()
    assert run.ends() == (0, "ready\ndone\n", "")


def test_a_lost_connection_is_made_anew_for_as_long_as_asked(canned: Canned) -> None:
    """Then 125, the offsets reached, and what goes on from there; the job goes on."""
    let_go = threading.Event()

    def output(_: object) -> Iterator[pb.StreamOutputResponse]:
        yield pb.StreamOutputResponse(chunk=pb.OutputChunk(stream=pb.STDOUT, data=b"abc"))
        yield pb.StreamOutputResponse(chunk=pb.OutputChunk(stream=pb.STDERR, data=b""))
        canned.stop()
        let_go.wait(10)

    canned.answers["Start"] = lambda _: pb.StartResponse(uuid=UUID)
    canned.answers["StreamOutput"] = output
    done = canned.jobctl("run", "--reconnect-for", "2s", "--", "x")
    let_go.set()
    lost, given_up, hint = done.stderr.splitlines()
    assert (done.returncode, done.stdout) == (125, "abc")
    assert re.fullmatch(r"jobctl: the connection was lost: .*; going on as soon as it is back", lost)
    assert re.fullmatch(
        r"jobctl: nothing listens on 127.0.0.1:\d+; was shown: stdout up to 3 and stderr up to 0", given_up
    )
    logs = f"jobctl logs -f {UUID}"
    assert hint == f"try: {logs} --stdout --offset 3; {logs} --stderr --offset 0"
