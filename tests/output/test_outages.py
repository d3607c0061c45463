"""Followers over killed processes and cut connections: not a byte lost or doubled, and one line for each outage."""

from __future__ import annotations

import os
import re
import shlex
import signal
import subprocess
from pathlib import Path

import pytest
from conftest import Worker, alive, wait_for
from cutting import Proxy, proxy
from following import Follower, ended, sha256, writer
from sizes import size

_LOST = re.compile(r"jobctl: the connection was lost: .*; going on as soon as it is back\n")


def _kill(worker: Worker, role: str) -> None:
    pid = worker.peer(role)
    os.kill(pid, signal.SIGKILL)
    wait_for(lambda: not alive(pid))


class _Followed:
    """A job that writes to both streams until it is told to end, and two followers of it through a proxy."""

    def __init__(self, worker: Worker, folder: Path, through: Proxy) -> None:
        self.sums = folder / "sums"
        self.worker = worker
        self.server = f"127.0.0.1:{through.port}"
        # Longer than any test: it is ended by a stop.
        self.job = worker.job("--", *writer("12", 1_000_000, 500, 0.005, self.sums))
        self.stdout = Path(worker.record(self.job)["stdout_path"])
        quiet = ("-q", "logs", "-f", self.job)
        loud = ("logs", "-f", "--stdout", self.job)
        self.quiet = Follower(worker, folder / "quiet", *quiet, JOBCTL_SERVER=self.server)
        self.loud = Follower(worker, folder / "loud", *loud, JOBCTL_SERVER=self.server)
        self.each = [self.quiet, self.loud]

    def goes_on(self) -> None:
        """Each follower gets what was not recorded yet when this was asked, so no earlier connection's bytes."""
        recorded = self.stdout.stat().st_size
        wait_for(lambda: min(follower.size for follower in self.each) > recorded, 30)

    def check(self, outages: int) -> None:
        """The job's end."""
        assert self.worker.jobctl("stop", "--grace", "0", self.job).returncode == 0
        assert [follower.ends() for follower in self.each] == [0, 0]
        record = self.worker.record(self.job)
        assert (record["state"], record["output_complete"]) == ("STOPPED", True)
        stderr = Path(record["stderr_path"])
        assert {sha256(self.quiet.out), sha256(self.loud.out)} == {sha256(self.stdout)}
        # With -q there is no line of jobctl's own among the job's.
        assert sha256(self.quiet.err) == sha256(stderr)
        said = self.loud.err.read_text()
        assert _LOST.sub("", said) == ""
        assert outages // 2 <= said.count("\n") <= outages


@pytest.mark.soak
def test_a_follower_survives_cut_connections(worker: Worker, tmp_path: Path) -> None:
    """By an end and by a reset, again and again, in the middle of the job's output on both streams."""
    cuts = size(20, 500)
    with proxy(worker.port) as through:
        followed = _Followed(worker, tmp_path, through)
        with ended(followed.each):
            for number in range(cuts):
                followed.goes_on()
                assert through.cut(reset=bool(number % 2)) >= 2
            followed.goes_on()
            followed.check(cuts)


def test_a_connection_cut_behind_its_handshake_is_no_refused_certificate(
    worker: Worker, tmp_path: Path
) -> None:
    """Though the client cannot tell one from the other: it takes more than one for a refusal."""
    with proxy(worker.port) as through:
        followed = _Followed(worker, tmp_path, through)
        with ended([followed.quiet, followed.loud]):
            followed.quiet.kill()
            wait_for(lambda: followed.loud.size > 10_000)
            through.hang_ups = 3  # jobctl looks why, connects anew, looks again
            through.cut(reset=True)
            recorded = followed.stdout.stat().st_size
            wait_for(lambda: followed.loud.size > recorded)
            assert through.hang_ups == 0
            assert _LOST.fullmatch(followed.loud.err.read_text())
            assert worker.jobctl("stop", "--grace", "0", followed.job).returncode == 0
            assert followed.loud.ends() == 0


@pytest.mark.soak
def test_a_follower_survives_killed_apis_and_recorders(worker: Worker, tmp_path: Path) -> None:
    """One after the other, each while the last one's successor is at work."""
    kills = size(10, 300)
    with proxy(worker.port) as through:
        followed = _Followed(worker, tmp_path, through)
        with ended(followed.each):
            for _ in range(kills):
                followed.goes_on()
                _kill(worker, "recorder")
                followed.goes_on()
                _kill(worker, "api")
            followed.goes_on()
            followed.check(kills)


@pytest.mark.parametrize("verb", ["logs", "run"])
def test_after_reconnect_for_it_says_where_it_was_and_how_to_go_on(
    worker: Worker, tmp_path: Path, verb: str
) -> None:
    """5, or 125 of run; the commands that it prints give the rest, to the byte, once the worker is back."""
    sums, go = tmp_path / "sums", tmp_path / "go"
    script = (
        f"{shlex.join(writer('12', 200, 1000, 0.005, sums))}; until [ -e {go} ]; do sleep 0.05; done; echo end"
    )
    options = ("--connect-timeout", "1s", "--reconnect-for", "2s")
    with proxy(worker.port) as through:
        server = {"JOBCTL_SERVER": f"127.0.0.1:{through.port}"}
        if verb == "logs":
            args = ("logs", "-f", worker.job("--", "sh", "-c", script))
        else:
            args = ("run", "--", "sh", "-c", script)
        follower = Follower(worker, tmp_path / "follower", *options, *args, **server)
        with ended([follower]):
            wait_for(lambda: follower.size > 20_000)
            through.leave()
            assert follower.ends() == {"logs": 5, "run": 125}[verb]
        # What jobctl says stands behind the job's own stderr, whose random bytes may hold anything.
        job = worker.jobctl("list", "-o", "id").stdout.strip()
        record = worker.record(job)
        assert record["state"] == "RUNNING"
        err = follower.err.read_bytes()
        at = err.index(b"jobctl: the connection was lost: ")
        lost, given_up, hint = err[at:].decode().splitlines()
        out, err = follower.out.read_bytes(), err[:at]
        assert _LOST.fullmatch(lost + "\n")
        assert given_up == (
            f"jobctl: nothing listens on 127.0.0.1:{through.port}; was shown: "
            f"stdout up to {len(out)} and stderr up to {len(err)}"
        )
        commands = hint.removeprefix("try: ").split("; ")
        assert commands == [
            f"jobctl logs -f {job} --stdout --offset {len(out)}",
            f"jobctl logs -f {job} --stderr --offset {len(err)}",
        ]
        assert len(out) < 200_000

        through.come_back()
        wait_for(sums.exists)
        go.touch()
        rest = [
            subprocess.run(
                worker.argv(*shlex.split(command)[1:]), env=worker.environment() | server,
                capture_output=True, timeout=30, check=True,
            )
            for command in commands
        ]  # fmt: skip
    assert [rest[0].stderr, rest[1].stdout] == [b"", b""]
    assert out + rest[0].stdout == Path(record["stdout_path"]).read_bytes()
    assert err + rest[1].stderr == Path(record["stderr_path"]).read_bytes()
    assert (len(out + rest[0].stdout), len(err + rest[1].stderr)) == (200_004, 200_000)
