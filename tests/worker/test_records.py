"""What a job's record says is what happened."""

from __future__ import annotations

import os
import stat
from pathlib import Path

import pytest
from conftest import Worker


def test_run_prints_both_streams_and_exits_as_the_job(shared_worker: Worker) -> None:
    """Stdout to stdout, stderr to stderr, and the job's own exit code."""
    done = shared_worker.jobctl(
        "run", "--", "sh", "-c", "echo out; echo err >&2; echo more >/dev/stderr; exit 3"
    )
    assert (done.stdout, done.stderr, done.returncode) == ("out\n", "err\nmore\n", 3)


def test_start_list_status_and_stop_tell_one_story(shared_worker: Worker) -> None:
    """A job is started, seen running, stopped, and none of its processes is left."""
    job = shared_worker.job("--name", "sleeper", "--label", "team=web", "--", "sleep", "600")
    record = shared_worker.record("sleeper")
    assert (record["id"], record["state"], record["labels"]) == (job, "RUNNING", {"team": "web"})
    assert os.path.exists(f"/proc/{record['pid']}")
    listed = shared_worker.jobctl("list", "--running", "-o", "id").stdout.split()
    assert job in listed
    stopped = shared_worker.jobctl("stop", job)
    assert (stopped.returncode, stopped.stderr) == (0, "")
    assert f"{job} STOPPED, exit SIGTERM\n" in stopped.stdout
    assert "SIGTERM to the group" in stopped.stdout
    assert stopped.stdout.endswith("  nothing is left\n")
    assert not os.path.exists(f"/proc/{record['pid']}")
    record = shared_worker.record(job)
    assert (record["state"], record["reason"], record["exit_signal"]) == ("STOPPED", "CALLER", 15)
    assert record["reason_by"] == "jobworker://local/root"


@pytest.mark.parametrize(
    ("argv", "code", "errno", "text"),
    [
        (["/nosuch"], 127, "ENOENT", "cannot execute /nosuch: no such file or directory"),
        (["nosuch"], 127, "ENOENT", "cannot execute nosuch: no such file or directory on the PATH"),
        (["/etc"], 126, "EACCES", "cannot execute /etc: permission denied"),
        (["/etc/passwd"], 126, "EACCES", "cannot execute /etc/passwd: permission denied"),
    ],
)
def test_a_program_that_cannot_be_executed_is_a_job_that_failed_to_start(
    shared_worker: Worker, argv: list[str], code: int, errno: str, text: str
) -> None:
    """The shell's exit codes, one line, and a record with pid 0."""
    done = shared_worker.jobctl("run", "--", *argv)
    assert (done.returncode, done.stdout, done.stderr) == (code, "", f"jobctl: {text}\n")
    job = shared_worker.jobctl("list", "--limit", "1", "-o", "id").stdout.strip()
    record = shared_worker.record(job)
    assert (record["state"], record["pid"], record["errno"]) == ("FAILED_TO_START", 0, errno)
    assert (record["error"], record["stage"], record["exit_code"]) == (text, "execve", None)
    assert shared_worker.jobctl("wait", job).returncode == code


def test_a_text_file_without_an_interpreter_line_is_not_executable(
    shared_worker: Worker, tmp_path: Path
) -> None:
    """Execve says ENOEXEC, and no shell is asked."""
    script = tmp_path / "script"
    script.write_text("echo no\n")
    script.chmod(0o755)
    done = shared_worker.jobctl("run", "--", str(script))
    assert (done.returncode, done.stderr) == (126, f"jobctl: cannot execute {script}: exec format error\n")


def test_a_folder_that_cannot_be_entered_is_named(shared_worker: Worker) -> None:
    """A bad --dir is not the program's fault: 125."""
    done = shared_worker.jobctl("run", "--dir", "/nosuch", "--", "true")
    assert done.returncode == 125
    assert "cannot enter /nosuch as" in done.stderr
    assert "no such file or directory" in done.stderr


def test_a_job_killed_by_a_signal_has_that_signal_and_no_exit_code(shared_worker: Worker) -> None:
    """Never 128+n inside the record; 128+n as jobctl's own exit code."""
    done = shared_worker.jobctl("run", "--", "sh", "-c", "kill -9 $$")
    assert done.returncode == 137
    job = shared_worker.jobctl("list", "--limit", "1", "-o", "id").stdout.strip()
    record = shared_worker.record(job)
    assert (record["state"], record["exit_code"], record["exit_signal"]) == ("EXITED", None, 9)


def test_a_stopped_job_that_gives_0_is_143_to_run(shared_worker: Worker) -> None:
    """Scripts must not take a stopped job for a success."""
    job = shared_worker.job("--", "sh", "-c", "trap 'exit 0' TERM; echo ready; while :; do sleep 0.1; done")
    wait = shared_worker.popen("wait", job)
    assert shared_worker.jobctl("stop", job).returncode == 0
    assert wait.wait(timeout=20) == 143
    assert shared_worker.record(job)["exit_code"] == 0


def test_a_job_has_only_what_it_is_meant_to_have(shared_worker: Worker) -> None:
    """Session, group, descriptors, signals, umask, environment."""
    script = (
        "import os,signal,sys,json,resource\n"
        "print(json.dumps({'sid': os.getsid(0)==os.getpid(), 'pgid': os.getpgrp()==os.getpid(),"
        "'fds': sorted(int(f) for f in os.listdir('/proc/self/fd'))[:3], 'umask': os.umask(0),"
        "'null': os.readlink('/proc/self/fd/0'), 'env': dict(os.environ), 'cwd': os.getcwd(),"
        "'status': open('/proc/self/status').read(), 'argv': sys.argv,"
        "'nice': os.getpriority(os.PRIO_PROCESS, 0)}))"
    )
    done = shared_worker.jobctl("run", "--env", "A=b c", "--", "/usr/bin/python3", "-c", script, "x y", "", "ü")
    import json

    seen = json.loads(done.stdout)
    assert (seen["sid"], seen["pgid"], seen["umask"], seen["null"]) == (True, True, 0o027, "/dev/null")
    assert seen["argv"] == ["-c", "x y", "", "ü"]
    assert (seen["fds"], seen["nice"]) == ([0, 1, 2], 0)
    status = dict(line.split(":\t", 1) for line in seen["status"].splitlines() if ":\t" in line)
    assert (int(status["SigBlk"], 16), status["NoNewPrivs"]) == (0, "1")
    # python3 itself ignores PIPE and XFSZ; glibc's posix_spawn, by which make starts us, its own 32 and 33.
    assert int(status["SigIgn"], 16) & ~(1 << 12 | 1 << 24 | 3 << 31) == 0
    environment = seen["env"]
    assert environment.pop("JOBWORKER_JOB_ID")
    assert environment.pop("LC_CTYPE", "C.UTF-8") == "C.UTF-8"
    assert set(environment) == {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "A"}
    assert environment["A"] == "b c"
    assert environment["PATH"] == "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def test_no_descriptor_but_0_1_2_reaches_a_job(shared_worker: Worker) -> None:
    """Also while many others run."""
    others = [shared_worker.job("--", "sleep", "60") for _ in range(5)]
    done = shared_worker.jobctl("run", "--", "sh", "-c", "ls /proc/$$/fd")
    assert done.stdout.split() == ["0", "1", "2"]
    assert shared_worker.jobctl("stop", *others).returncode == 0


def test_the_folder_of_a_job_has_its_name_and_modes(shared_worker: Worker) -> None:
    """<uuid>-<startTimeStamp>, 0750, files 0640, and an index of 32-byte records beside them."""
    job = shared_worker.job("--", "sh", "-c", "echo out; echo err >&2")
    record = shared_worker.ended(job)
    folder = Path(record["log_path"])
    stamp = folder.name.removeprefix(f"{job}-")
    assert stamp == record["start_time"][:19].replace("-", "").replace(":", "") + "Z"
    assert stat.S_IMODE(folder.stat().st_mode) == 0o750
    assert sorted(each.name for each in folder.iterdir()) == ["index", "stderr.log", "stdout.log"]
    assert {stat.S_IMODE(each.stat().st_mode) for each in folder.iterdir()} == {0o640}
    assert (folder / "stdout.log").read_bytes() == b"out\n"
    assert (folder / "index").stat().st_size == 32 * (2 + 2)  # a head for each stream, a piece of each


def test_names_and_prefixes_mean_one_job(shared_worker: Worker) -> None:
    """A name, a prefix of four, a malformed reference, one that is unknown, an ambiguous one."""
    job = shared_worker.job("--name", "once", "--", "true")
    shared_worker.jobctl("wait", "once")
    newer = shared_worker.job("--name", "once", "--", "true")
    assert shared_worker.record("once")["id"] == newer
    assert shared_worker.record(job[:13])["id"] == job
    cases = {
        "zz!": (2, "jobctl: 'zz!' is neither a job id, nor 4 or more characters of one, nor a name\n"),
        "00000000-0000-4000-8000-000000000000": (
            3, "jobctl: there is no job 00000000-0000-4000-8000-000000000000\ntry: jobctl list\n"
        ),
    }  # fmt: skip
    for reference, (code, text) in cases.items():
        done = shared_worker.jobctl("status", reference)
        assert (done.returncode, done.stdout, done.stderr) == (code, "", text)


def test_a_name_in_use_is_refused(shared_worker: Worker) -> None:
    """Until its job has ended."""
    job = shared_worker.job("--name", "twice", "--", "sleep", "60")
    done = shared_worker.jobctl("start", "--name", "twice", "--", "true")
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith("jobctl: a job of yours named twice has not ended\n")
    shared_worker.jobctl("stop", job)
    shared_worker.job("--name", "twice", "--", "true")
