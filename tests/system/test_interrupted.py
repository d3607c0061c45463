"""Ctrl-C in the middle of a test that has booted a container leaves nothing of it behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

_HERE = Path(__file__).parent
_INNER = """\
import subprocess
import sys
from pathlib import Path
from container import booted

def test_waits():
    with booted(Path({archive!r})) as container:
        job = container.popen(["sleep", "infinity"])
        print("INSIDE", container.name, container.root.parent.name, flush=True)
        job.wait()
"""


def _processes_naming(name: str) -> list[str]:
    """Command lines of the processes that name it, or live in its root."""
    found = []
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if name in command or name in os.readlink(folder / "root"):
                found.append(command)
        except OSError:
            continue
    return found


def test_ctrl_c_in_the_middle_leaves_no_process_mount_file_or_cgroup(archive: Path, tmp_path: Path) -> None:
    """The signal goes to the whole group, as a terminal's does, while a program runs in the container."""
    inner, temporary = tmp_path / "test_inner.py", tmp_path / "tmp"
    inner.write_text(_INNER.format(archive=str(archive)))
    temporary.mkdir()
    pytest = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "-s", "-p", "no:cacheprovider", f"--rootdir={tmp_path}", inner],
        env=os.environ | {"TMPDIR": str(temporary), "PYTHONPATH": str(_HERE)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    with pytest:
        assert pytest.stdout is not None
        lines = iter(pytest.stdout)
        name, folder = next(line.split("INSIDE ")[1].split() for line in lines if "INSIDE" in line)
        assert _processes_naming(name)
        assert _processes_naming(folder)
        os.killpg(pytest.pid, signal.SIGINT)
        said = "".join(lines)
    assert pytest.returncode == 2, said
    assert "KeyboardInterrupt" in said
    assert _processes_naming(name) == _processes_naming(folder) == []
    assert folder not in Path("/proc/mounts").read_text()
    assert list(temporary.iterdir()) == []
    assert [path for path in Path("/sys/fs/cgroup").glob(f"**/{name}") if path.is_dir()] == []
    assert list(Path("/run/systemd/nspawn").glob(f"*/{name}")) == []
