"""What an administrator has after ``apt install`` with no other command."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from container import Container


def _status(container: Container, pid: int) -> dict[str, str]:
    text = container.run(["cat", f"/proc/{pid}/status"]).stdout
    return dict(line.split(":\t", 1) for line in text.splitlines() if ":\t" in line)


def _peers(container: Container) -> dict[str, int]:
    runner = container.main_pid()
    found = {"runner": runner}
    for pid in container.run(["pgrep", "-P", str(runner)]).stdout.split():
        line = container.run(["cat", f"/proc/{pid}/cmdline"]).stdout
        role = re.search(r"jobworkerd\.(\w+)", line)
        if role:
            found[role[1]] = int(pid)
    return found


def test_the_service_runs_at_once(container: Container) -> None:
    """Active and enabled, and says where it serves."""
    assert container.run(["systemctl", "is-active", "jobworker"]).stdout == "active\n"
    assert container.run(["systemctl", "is-enabled", "jobworker"]).stdout == "enabled\n"
    assert "serving on 127.0.0.1:50051" in container.run(["systemctl", "status", "jobworker"]).stdout


def test_each_process_is_its_own_user_and_has_no_more_than_it_needs(container: Container) -> None:
    """The runner is root with one thread; recorder and API have other uids and no capability."""
    peers = _peers(container)
    assert set(peers) == {"runner", "recorder", "api"}
    uids = {name: _status(container, pid)["Uid"].split()[0] for name, pid in peers.items()}
    names = {
        name: container.run(["getent", "passwd", uid]).stdout.partition(":")[0] for name, uid in uids.items()
    }
    assert names == {"runner": "root", "recorder": "jobworker-log", "api": "jobworker"}
    assert _status(container, peers["runner"])["Threads"] == "1"
    for name in ("recorder", "api"):
        status = _status(container, peers[name])
        capabilities = {status[f"Cap{which}"] for which in ("Inh", "Prm", "Eff", "Bnd", "Amb")}
        assert capabilities == {"0000000000000000"}
        assert status["NoNewPrivs"] == "1"


def test_the_runner_has_loaded_nothing_that_speaks_to_the_network(container: Container) -> None:
    """No grpc, protobuf, ssl or sqlite in its memory map, and no socket of the internet family."""
    runner = container.main_pid()
    maps = container.run(["cat", f"/proc/{runner}/maps"]).stdout
    assert not re.search(r"grpc|protobuf|_ssl|libssl|sqlite|_asyncio", maps)
    listening = container.run(["ss", "-Hltnp"]).stdout
    assert f"pid={runner}," not in listening


def test_a_job_runs_with_no_further_set_up(container: Container) -> None:
    """Both streams, the exit code, and /dev/stderr of another user."""
    done = container.jobctl("run", "--", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\n", 3)
    done = container.jobctl("run", "--", "sh", "-c", "echo err >/dev/stderr")
    assert (done.stdout, done.stderr, done.returncode) == ("", "err\n", 0)


def test_a_job_is_its_user_and_nothing_more(container: Container) -> None:
    """Ids, groups, capabilities, new privileges, its own cgroup."""
    done = container.jobctl("run", "--", "sh", "-c", "id -un; cat /proc/self/status /proc/self/cgroup; umask")
    assert done.stdout.startswith("jobworker-job\n")
    status = dict(line.split(":\t", 1) for line in done.stdout.splitlines() if ":\t" in line)
    assert {status[f"Cap{which}"] for which in ("Inh", "Prm", "Eff", "Bnd", "Amb")} == {"0000000000000000"}
    assert status["NoNewPrivs"] == "1"
    assert re.search(r"0::/system.slice/jobworker.service/jobs/[0-9a-f-]{36}\n", done.stdout)
    assert done.stdout.endswith("0027\n")


def test_start_list_status_stop_leave_no_process(container: Container) -> None:
    """The four verbs of an operator's day."""
    job = container.jobctl("start", "--", "sleep", "600").stdout.strip()
    record = json.loads(container.jobctl("status", "-o", "json", job).stdout)
    assert record["state"] == "RUNNING"
    assert job in container.jobctl("list", "--running", "-o", "id").stdout
    stopped = container.jobctl("stop", job)
    assert stopped.returncode == 0
    assert "nothing is left" in stopped.stdout
    assert container.run(["pgrep", "-u", "jobworker-job"], check=False).stdout == ""


def test_a_job_as_a_named_user_and_never_as_the_workers_own(container: Container) -> None:
    """run_as `*` is default_user and ordinary users; the worker's users and root are refused."""
    container.run(["useradd", "--create-home", "deploy"], check=False)
    done = container.jobctl(
        "run", "--user", "deploy", "--", "sh", "-c", "id -un; pwd; echo x >~/file; echo y >/tmp/deploy"
    )
    assert (done.stdout, done.returncode) == ("deploy\n/home/deploy\n", 0)
    assert Path(f"{container.root}/home/deploy/file").read_text() == "x\n"
    container.run(["rm", "-f", "/tmp/deploy"])
    for user, why in (
        ("jobworker", "; jobworker is the worker's own user"),
        ("jobworker-log", "; jobworker-log is the worker's own user"),
        ("root", "; allow_root is false"),
        ("daemon", ""),
    ):
        done = container.jobctl("run", "--user", user, "--", "id")
        assert (done.returncode, done.stdout) == (125, "")
        assert f"jobworker://local/root may not run anything as {user}{why}\n" in done.stderr


@pytest.mark.parametrize("command", ["ip addr", "rsync --version", "python3 -c 'print(6*7)'", "ls /home /tmp"])
def test_programs_that_people_run_work(container: Container, command: str) -> None:
    """As jobworker-job, on the real file system."""
    done = container.jobctl("run", "--shell", command)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout


def test_the_journal_tells_a_jobs_story_and_the_runner_says_it(container: Container) -> None:
    """By job id, of root's processes alone: no job can forge it."""
    job = container.jobctl("start", "--", "echo", "line\nMESSAGE=forged").stdout.strip()
    container.jobctl("wait", job)
    entries = container.run(
        ["journalctl", "-u", "jobworker", "_UID=0", f"JOBWORKER_JOB_ID={job}", "-o", "json", "--no-pager"]
    ).stdout
    events = [json.loads(line) for line in entries.splitlines()]
    assert [event["JOBWORKER_EVENT"] for event in events] == ["started", "finished"]
    assert events[0]["JOBWORKER_CALLER"] == "jobworker://local/root"
    assert events[0]["JOBWORKER_RULE"].startswith("/etc/jobworker/jobworker.toml:")
    assert events[1]["JOBWORKER_EXIT"] == "exit code 0"


def test_the_worker_and_its_files_have_the_modes_they_need(container: Container) -> None:
    """Key material, state and output."""
    listing = container.run(
        ["stat", "-c", "%n %U:%G %a", "/etc/jobworker/pki/ca.key", "/etc/jobworker/pki/server.key",
         "/etc/jobworker/pki/revoked.d", "/root/.config/jobctl/config.toml", "/var/lib/jobworker",
         "/var/log/jobworker/jobs", "/etc/jobworker/jobworker.toml"]
    ).stdout  # fmt: skip
    assert listing.splitlines() == [
        "/etc/jobworker/pki/ca.key root:root 600",
        "/etc/jobworker/pki/server.key root:jobworker 640",
        "/etc/jobworker/pki/revoked.d root:root 755",
        "/root/.config/jobctl/config.toml root:root 600",
        "/var/lib/jobworker jobworker:jobworker 750",
        "/var/log/jobworker/jobs jobworker-log:jobworker-log 750",
        "/etc/jobworker/jobworker.toml root:root 644",
    ]
    job = container.jobctl("start", "--", "true").stdout.strip()
    container.jobctl("wait", job)
    folder = json.loads(container.jobctl("status", "-o", "json", job).stdout)["log_path"]
    assert container.run(["stat", "-c", "%U:%G %a", folder]).stdout == "jobworker-log:jobworker-log 750\n"


def test_a_reload_changes_grants_and_a_bad_file_changes_nothing(container: Container) -> None:
    """Jobs go on; a bad reload fails, and its reason is in the journal."""
    job = container.jobctl("start", "--", "sleep", "60").stdout.strip()
    runner = container.main_pid()
    drop_in = Path(f"{container.root}/etc/jobworker/jobworker.toml.d/test.toml")
    try:
        drop_in.write_text("[jobs]\nmax_runing = 3\n")
        done = container.run(["systemctl", "reload", "jobworker"], check=False)
        assert done.returncode != 0
        journal = container.run(["journalctl", "-u", "jobworker", "--no-pager"]).stdout
        assert "test.toml:2: jobs.max_runing: unknown key; did you mean 'max_running'?" in journal
        drop_in.write_text("[jobs]\nmax_running = 1\n")
        assert container.run(["systemctl", "reload", "jobworker"]).returncode == 0
        refused = container.jobctl("start", "--", "true")
        assert (refused.returncode, refused.stdout) == (1, "")
        assert "1 jobs are running (max_running)" in refused.stderr
    finally:
        drop_in.unlink()
        container.run(["systemctl", "reload", "jobworker"])
    assert container.main_pid() == runner
    assert container.jobctl("stop", job).returncode == 0


def test_a_restart_ends_the_jobs_and_says_so(container: Container) -> None:
    """With grace, recorded as SHUTDOWN, nothing left; then a start serves again."""
    job = container.jobctl("start", "--", "sleep", "600").stdout.strip()
    assert container.run(["systemctl", "restart", "jobworker"]).returncode == 0
    assert container.run(["pgrep", "-u", "jobworker-job"], check=False).stdout == ""
    record = json.loads(container.jobctl("status", "-o", "json", job).stdout)
    assert (record["state"], record["reason"], record["exit_signal"]) == ("STOPPED", "SHUTDOWN", 15)
    container.run(["systemctl", "stop", "jobworker"])
    assert container.run(["systemctl", "is-active", "jobworker"], check=False).stdout == "inactive\n"
    assert container.run(["systemctl", "show", "-p", "Result", "--value", "jobworker"]).stdout == "success\n"
    down = container.jobctl("--connect-timeout", "0", "list")
    assert down.returncode == 5
    assert (
        down.stderr
        == "jobctl: nothing listens on 127.0.0.1:50051\ntry: systemctl status jobworker, on the server\n"
    )
    container.run(["systemctl", "start", "jobworker"])
    assert container.jobctl("run", "--", "true").returncode == 0


def test_a_killed_runner_takes_its_jobs_along_and_comes_back(container: Container) -> None:
    """Nothing of a job is left, also not what left its group; the record says LOST."""
    job = container.jobctl("start", "--shell", "sleep 601 & setsid sleep 602 & wait").stdout.strip()
    container.run(["sh", "-c", "until pgrep -f 'sleep 602'; do :; done"])
    container.run(["kill", "-9", str(container.main_pid())])
    record = json.loads(container.jobctl("status", "-o", "json", job).stdout)
    assert (record["state"], record["reason"]) == ("LOST", "RUNNER_DIED")
    assert container.run(["pgrep", "-u", "jobworker-job"], check=False).stdout == ""


def test_a_bad_configuration_is_named_and_gives_78(container: Container) -> None:
    """File, line, key, and what would be right; systemd does not try again and again."""
    drop_in = Path(f"{container.root}/etc/jobworker/jobworker.toml.d/test.toml")
    try:
        drop_in.write_text("[server]\n\nlisten = 50051\n")
        done = container.run(["jobworkerd", "--check-config"], check=False)
        assert done.returncode == 78
        assert "/etc/jobworker/jobworker.toml.d/test.toml:3: server.listen: must be a text" in done.stderr
        assert container.run(["systemctl", "restart", "jobworker"], check=False).returncode != 0
        shown = container.run(["systemctl", "show", "-p", "ExecMainStatus", "--value", "jobworker"]).stdout
        assert shown == "78\n"
    finally:
        drop_in.unlink()
        container.run(["systemctl", "restart", "jobworker"])


def test_exposure_is_as_low_as_jobs_allow(container: Container) -> None:
    """systemd-analyze security at 7.5 or below."""
    container.run(["systemd-analyze", "security", "--threshold=75", "--no-pager", "jobworker"])


def test_man_pages_are_there(container: Container) -> None:
    """Of all four."""
    listed = container.run(["dpkg", "-L", "jobworker"]).stdout
    for page in ("man1/jobctl.1", "man8/jobworkerd.8", "man5/jobworker.toml.5", "man8/jobworker-pki.8"):
        assert f"/usr/share/man/{page}.gz" in listed


def test_removing_stops_it_and_purging_leaves_nothing_but_the_users(
    bare_container: Container, package: Path
) -> None:
    """Also while a job runs."""
    before = set(
        bare_container.run(["find", "/etc", "/var", "/root", "/run", "-xdev", "-name", "*job*"]).stdout.split()
    )
    bare_container.install(package)
    bare_container.jobctl("start", "--", "sleep", "600")
    bare_container.run(["apt-get", "remove", "-y", "jobworker"])
    assert bare_container.run(["pgrep", "-f", "jobworkerd|sleep 600"], check=False).stdout == ""
    assert bare_container.run(["ls", "/var/lib/jobworker/jobs.db", "/etc/jobworker/pki/ca.key"]).returncode == 0
    bare_container.run(["apt-get", "purge", "-y", "jobworker"])
    after = set(
        bare_container.run(["find", "/etc", "/var", "/root", "/run", "-xdev", "-name", "*job*"]).stdout.split()
    )
    assert after == before
    users = bare_container.run(["grep", "-c", "^jobworker", "/etc/passwd"]).stdout
    assert users == "3\n"


def test_an_input_reaches_a_job_of_another_user(container: Container) -> None:
    """Kept by the network process, opened by the job's own process while it is root, gone afterwards."""
    script = "printf 'one\\ntwo\\n' | jobctl run --stdin - -- sh -c 'id -un; cat; wc -l </dev/stdin'"
    done = container.run(["sh", "-c", script])
    assert done.stdout == "jobworker-job\none\ntwo\n2\n"
    assert container.run(["find", "/var/lib/jobworker/input", "-type", "f"]).stdout == ""
    found = container.run(["stat", "-c", "%U %a", "/var/lib/jobworker/input"]).stdout
    assert found == "jobworker 700\n"


def test_output_is_live_and_goes_on_over_a_killed_network_process(container: Container) -> None:
    """As users have it: follow, a new API, and the end; merged output in its order, the newest of a ring."""
    script = "until [ -e /tmp/go ]; do sleep 0.1; done; echo end"
    job = container.jobctl("start", "--shell", f"echo begin; {script}").stdout.strip()
    follow = f"jobctl -q logs -f {job} >/root/followed & until [ -s /root/followed ]; do sleep 0.05; done"
    kill = "kill -KILL $(pgrep -u jobworker -f jobworkerd.api)"
    container.run(["sh", "-c", f"{follow}; {kill}; touch /tmp/go; wait; rm /tmp/go"])
    assert Path(f"{container.root}/root/followed").read_text() == "begin\nend\n"
    done = container.jobctl("run", "--merge-output", "--", "sh", "-c", "echo a; echo b >&2; echo c")
    assert (done.stdout, done.stderr) == ("a\nb\nc\n", "")
    done = container.jobctl("run", "--max-output", "64KiB", "--shell", "seq 1 200000 | tail -c 1000000", "-q")
    assert done.stdout.endswith("199999\n200000\n")
