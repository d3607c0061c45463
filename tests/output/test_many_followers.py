"""Many followers of one job, some of which die: each that finishes has every byte."""

from __future__ import annotations

import random
from pathlib import Path

import pytest
from conftest import Worker, wait_for
from following import MIB, Follower, ended, memory, sha256, writer
from sizes import size

_SEED = 20261124


@pytest.mark.soak
def test_followers_that_are_killed_and_start_again_have_every_byte(worker: Worker, tmp_path: Path) -> None:
    """Half of them are SIGKILLed at any time, then go on at the offset that they had, or begin again."""
    followers, seconds = size(20, 200), size(10, 60)
    rng = random.Random(_SEED)
    sums = tmp_path / "sums"
    # So that what every API has after its first follow is no growth.
    assert worker.jobctl("run", "--", "head", "-c", "3M", "/dev/zero", text=False).returncode == 0
    api = worker.peer("api")
    before = largest = memory(api)

    job = worker.job("--", *writer("1", seconds * 50, 20_000, 0.02, sums))
    recorded = Path(worker.record(job)["stdout_path"])
    each = [
        Follower(worker, tmp_path / str(number), "logs", "-f", "--stdout", job) for number in range(followers)
    ]
    with ended(each):
        kills = sorted((rng.uniform(0.05, 0.95), rng.randrange(followers // 2)) for _ in range(followers))
        for part, victim in kills:
            wait_for(lambda part=part: recorded.stat().st_size >= part * seconds * 1_000_000, 2 * seconds + 20)
            largest = max(largest, memory(api))
            follower = each[victim]
            follower.kill()
            if rng.random() < 0.5:
                follower.start("--offset", str(follower.size), mode="ab")
            else:
                follower.start()
        assert [follower.ends() for follower in each] == [0] * followers
        largest = max(largest, memory(api))

    wanted = sums.read_text()
    assert recorded.stat().st_size == seconds * 1_000_000
    assert {sha256(follower.out) for follower in each} == {wanted} == {sha256(recorded)}
    assert {follower.err.read_text() for follower in each} == {""}
    print(f"{followers} followers: the API's memory grew by {(largest - before) / MIB:.1f} MiB")
    assert largest - before < 64 * MIB
    assert worker.peer("api") == api
