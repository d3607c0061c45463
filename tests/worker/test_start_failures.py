"""Starts that fail in the child: the record and the caller's error name the step and the kernel's reason."""

from __future__ import annotations

import os
import pwd
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from conftest import Worker
from wire import Wire, grpc

from jobworkerd.v1 import error_details_pb2, status_pb2
from jobworkerd.v1 import jobworker_pb2 as pb

_ME = pwd.getpwuid(os.geteuid()).pw_name
_AS_ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="a job of another user needs root")


@pytest.fixture(scope="module")
def wire(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Wire]:
    """To a worker whose caller may run everything, as nobody too."""
    worker = Worker(tmp_path_factory.mktemp("worker"))
    worker.configure(
        grants=f"""
[[grant]]
identity = "jobworker://local/root"
role = "admin"
run_as = ["{worker.user}", "nobody"]
commands = ["*"]
"""
    )
    try:
        worker.start()
        wire = Wire(worker.environment())
        yield wire
        wire.channel.close()
    finally:
        worker.close()


def _file(folder: Path, content: str = "", mode: int = 0o755) -> Path:
    path = folder / "program"
    path.write_text(content)
    path.chmod(mode)
    return path


def _loop(folder: Path) -> Path:
    (folder / "loop").symlink_to("loop")
    return folder / "loop"


def _removed(folder: Path) -> Path:
    (folder / "gone").mkdir()
    (folder / "link").symlink_to("gone")
    (folder / "gone").rmdir()
    return folder / "link"


def _written_to(folder: Path) -> Path:
    """A program that somebody has open for writing, for as long as this process lives."""
    path = folder / "busy"
    shutil.copy("/bin/true", path)
    os.open(path, os.O_RDWR | os.O_CLOEXEC)
    return path


def _closed(folder: Path) -> Path:
    """A folder whose parent nobody else may enter."""
    (folder / "open").mkdir(mode=0o755)
    folder.chmod(0o700)
    return folder / "open"


_DIRS: list[tuple[str, Callable[[Path], Path], str]] = [
    ("ENOENT", lambda folder: folder / "nosuch", "no such file or directory"),
    ("ENOENT", _removed, "no such file or directory"),
    ("ENOTDIR", _file, "not a directory"),
    ("ENOTDIR", lambda folder: _file(folder) / "below", "not a directory"),
    ("ELOOP", _loop, "too many levels of symbolic links"),
    ("ENAMETOOLONG", lambda folder: folder / ("x" * 256), "file name too long"),
]
_PROGRAMS: list[tuple[str, Callable[[Path], Path], str]] = [
    ("ENOENT", _removed, "no such file or directory"),
    ("ENOENT", lambda folder: _file(folder, "#!/nosuch/interpreter\n"), "no such file or directory"),
    ("EACCES", lambda folder: folder, "permission denied"),
    ("EACCES", lambda folder: _file(folder, mode=0o644), "permission denied"),
    ("EACCES", lambda folder: _file(folder, f"#!{folder}\n"), "permission denied"),
    ("ENOTDIR", lambda folder: _file(folder) / "below", "not a directory"),
    ("ENOEXEC", _file, "exec format error"),
    ("ENOEXEC", lambda folder: _file(folder, "\x7fELF" + "x" * 100), "exec format error"),
    ("ELOOP", _loop, "too many levels of symbolic links"),
    ("ENAMETOOLONG", lambda folder: folder / ("x" * 256), "file name too long"),
    ("ETXTBSY", _written_to, "text file busy"),
]


def _refused(wire: Wire, request: pb.StartRequest, stage: str, name: str, text: str) -> None:
    """The error, and the record that it leads to, say the same; nothing ran."""
    with pytest.raises(grpc.RpcError) as caught:
        wire.stub.Start(request, timeout=20)
    assert (caught.value.code(), caught.value.details()) == (grpc.StatusCode.FAILED_PRECONDITION, text)
    status = status_pb2.Status.FromString(dict(caught.value.trailing_metadata())["grpc-status-details-bin"])
    info = error_details_pb2.ErrorInfo()
    status.details[0].Unpack(info)
    assert (info.reason, info.metadata["stage"], info.metadata["errno"]) == ("EXEC_FAILED", stage, name)
    query = pb.QueryOneProcessRequest(uuid=info.metadata["job_id"])
    answer = wire.stub.QueryOneProcess(query, timeout=20)
    record = answer.process_info
    assert (record.state, record.reason, record.pid) == (pb.FAILED_TO_START, pb.EXEC_FAILED, 0)
    assert (record.stage, record.errno_name, record.error) == (stage, name, text)
    assert not record.HasField("exit_status")
    assert (answer.stdout, answer.stderr) == (b"", b"")


@pytest.mark.parametrize(("name", "make", "why"), _DIRS)
def test_a_folder_that_cannot_be_entered(
    wire: Wire, tmp_path: Path, name: str, make: Callable[[Path], Path], why: str
) -> None:
    """Stage chdir, whatever the program is."""
    path = make(tmp_path)
    _refused(
        wire,
        pb.StartRequest(command="/nosuch", dir=str(path)),
        "chdir",
        name,
        f"cannot enter {path} as {_ME}: {why}",
    )


@pytest.mark.parametrize(("name", "make", "why"), _PROGRAMS)
def test_a_program_that_cannot_be_executed(
    wire: Wire, tmp_path: Path, name: str, make: Callable[[Path], Path], why: str
) -> None:
    """Stage execve, and no shell is asked."""
    path = make(tmp_path)
    _refused(wire, pb.StartRequest(command=str(path)), "execve", name, f"cannot execute {path}: {why}")


@_AS_ROOT
def test_what_the_jobs_user_may_not_enter_or_execute_fails_though_root_might(
    wire: Wire, tmp_path: Path
) -> None:
    """The child tries as that user."""
    path = _closed(tmp_path)
    request = pb.StartRequest(command="true", dir=str(path), user="nobody")
    _refused(wire, request, "chdir", "EACCES", f"cannot enter {path} as nobody: permission denied")
    program = _file(path)
    request = pb.StartRequest(command=str(program), user="nobody")
    _refused(wire, request, "execve", "EACCES", f"cannot execute {program}: permission denied")
