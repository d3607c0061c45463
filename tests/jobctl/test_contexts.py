"""Which worker and with which key: options, variables, files, in that order, field by field."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from jobctl import contexts
from jobctl.contexts import Context
from jobctl.failure import Failure

PEM = "-----BEGIN {0}-----\n{0}\n-----END {0}-----\n"
CA, CERT, KEY = PEM.format("CA"), PEM.format("CERT"), PEM.format("PRIVATE KEY")
WHOLE = f"server = 'file:1'\nca = '''{CA}'''\ncert = '''{CERT}'''\nkey = '''{KEY}'''\n"


class Host:
    """A home, a system file, and what is given on the command line and in the environment."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / "home/.config/jobctl/config.toml"
        self.system = folder / "client.toml"
        self.home.parent.mkdir(parents=True)

    def write(self, path: Path, text: str, mode: int = 0o600) -> Path:
        """A file with a mode."""
        path.write_text(text)
        path.chmod(mode)
        return path

    def find(self, options: dict[str, Any] | None = None, **environ: str) -> Context:
        """What jobctl would use."""
        return contexts.find(options or {}, {"HOME": str(self.folder / "home")} | environ, str(self.system))

    def refused(self, options: dict[str, Any] | None = None, **environ: str) -> tuple[int, str, str, str]:
        """Code, reason, message and hint."""
        with pytest.raises(Failure) as caught:
            self.find(options, **environ)
        return caught.value.code, caught.value.reason, caught.value.message, caught.value.hint


@contextlib.contextmanager
def unprivileged() -> Iterator[None]:
    """As whoever runs the tests; as nobody where that is root, who can read everything."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(before)


@pytest.fixture
def host(tmp_path: Path) -> Host:
    """Where nothing is configured yet."""
    return Host(tmp_path)


def test_one_file_is_a_whole_access(host: Host) -> None:
    """PEM text in the file itself."""
    path = host.write(host.folder / "alice.toml", f"current = 'a'\n[contexts.a]\n{WHOLE}server_name = 'x'\n")
    expected = Context("file:1", CA.encode(), CERT.encode(), KEY.encode(), "x")
    assert host.find({"config": str(path)}) == expected
    assert host.find(JOBCTL_CONFIG=str(path)) == expected
    host.write(host.home, path.read_text())
    assert host.find() == expected


def test_each_field_is_taken_from_the_first_source_that_has_it(host: Host) -> None:
    """Option before variable before the file of --config before home before system."""
    host.write(host.system, f"current = 's'\n[contexts.s]\n{WHOLE}")
    host.write(host.home, "current = 'h'\n[contexts.h]\nserver = 'home:1'\n")
    given = host.write(host.folder / "given.toml", "current = 'g'\n[contexts.g]\nserver = 'given:1'\n")
    assert host.find().server == "home:1"
    assert host.find().key == KEY.encode()
    assert host.find({"config": str(given)}).server == "given:1"
    assert host.find({"config": str(given)}, JOBCTL_SERVER="variable:1").server == "variable:1"
    both = host.find({"config": str(given), "server": "option:1"}, JOBCTL_SERVER="variable:1")
    assert (both.server, both.ca) == ("option:1", CA.encode())
    assert host.find(JOBCTL_CA=PEM.format("X")).ca == PEM.format("X").encode()


def test_no_file_is_needed(host: Host) -> None:
    """Four variables, or four options."""
    names = {"SERVER": "[::1]:50051", "CA": CA, "CERT": CERT, "KEY": KEY}
    found = host.find({}, **{f"JOBCTL_{name}": value for name, value in names.items()})
    assert found == host.find({name.lower(): value for name, value in names.items()})
    assert found.address == ("::1", 50051)


def test_a_context_is_chosen_by_name(host: Host) -> None:
    """--context before JOBCTL_CONTEXT before the file's current."""
    text = "current = 'a'\n" + "".join(
        f"[contexts.{name}]\n{WHOLE.replace('file', name)}" for name in ("a", "b", "c")
    )
    host.write(host.home, text)
    assert host.find().server == "a:1"
    assert host.find(JOBCTL_CONTEXT="b").server == "b:1"
    assert host.find({"context": "c"}, JOBCTL_CONTEXT="b").server == "c:1"


def test_server_name_belongs_to_the_server_it_stands_beside(host: Host) -> None:
    """Another server has another name."""
    host.write(host.home, f"current = 'a'\n[contexts.a]\n{WHOLE}server_name = 'inner'\n")
    assert host.find().server_name == "inner"
    assert host.find({"server": "other:1"}).server_name == ""


def test_paths_are_relative_to_the_file_they_stand_in(host: Host) -> None:
    """And ~ is one's home; those of options and variables are as any program takes them."""
    for name, text in (("ca.pem", CA), ("cert.pem", CERT), ("key.pem", KEY)):
        host.write(host.folder / name, text)
    paths = "ca = 'ca.pem'\ncert = 'cert.pem'\nkey = 'key.pem'\n"
    path = host.write(host.folder / "it.toml", f"current = 'a'\n[contexts.a]\nserver = 'x:1'\n{paths}", 0o644)
    assert host.find({"config": str(path)}).key == KEY.encode()
    option = os.path.relpath(host.folder / "ca.pem")
    assert host.find({"config": str(path), "ca": option}).ca == CA.encode()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o620])
def test_a_key_that_others_can_read_is_refused(host: Host, mode: int) -> None:
    """In a context file, and in a file of its own."""
    path = host.write(host.folder / "open", f"current = 'a'\n[contexts.a]\n{WHOLE}", mode)
    expected = (
        2, "KEY_READABLE", f"{path} holds a private key and can be read by others", f"chmod 600 {path}"
    )  # fmt: skip
    assert host.refused({"config": str(path)}) == expected
    host.write(path, KEY, mode)
    given = {"server": "x:1", "ca": CA, "cert": CERT, "key": str(path)}
    assert host.refused(given) == expected


def test_without_any_source_it_says_what_is_missing_and_where_it_comes_from(host: Host) -> None:
    """Also where only a part is known."""
    hint = "jobctl --config FILE, with a file made by: jobworker-pki client URI --out FILE"
    assert host.refused() == (
        2, "NO_CONTEXT", "no usable context: server, ca, cert, key of the worker not known", hint
    )  # fmt: skip
    assert host.refused({"server": "x:1", "ca": CA}) == (
        2, "NO_CONTEXT", "no usable context: cert, key of the worker not known", hint
    )  # fmt: skip


@pytest.mark.parametrize(
    ("text", "options", "reason", "message", "hint"),
    [
        ("[contexts.a]\n[contexts.b]\n", {}, "NO_CONTEXT", "no context is the current one",
         "jobctl --context NAME, one of: a, b"),
        ("[contexts.a]\n", {"context": "z"}, "NO_CONTEXT", "there is no context 'z'",
         "jobctl --context NAME, one of: a"),
        ("", {"context": "z"}, "NO_CONTEXT", "there is no context 'z'", "jobctl --context NAME, one of: none"),
        ("current = 'z'\n[contexts.a]\n", {}, "NO_CONTEXT",
         "current of FILE is 'z', and it has no such context", "jobctl --context NAME, one of: a"),
        ("contexts = 3", {}, "BAD_CONTEXT", "FILE: contexts must be sections: [contexts.NAME]", ""),
        ("[contexts]\na = 3", {}, "BAD_CONTEXT", "FILE: contexts must be sections: [contexts.NAME]", ""),
        ("[contexts.a]\nserver = 3", {}, "BAD_CONTEXT", "FILE: server of [contexts.a] must be a string", ""),
        ("a = ", {}, "BAD_CONTEXT", "FILE is not TOML: Invalid value (at end of document)", ""),
        (f"current = 'a'\n[contexts.a]\n{WHOLE}", {"server": "x"}, "BAD_CONTEXT",
         "server 'x' is not of the form HOST:PORT", "HOST:50051, as a rule"),
        (f"current = 'a'\n[contexts.a]\n{WHOLE}", {"server": "x:99999"}, "BAD_CONTEXT",
         "server 'x:99999' is not of the form HOST:PORT", "HOST:50051, as a rule"),
        (f"current = 'a'\n[contexts.a]\n{WHOLE}", {"server": "::1:50051"}, "BAD_CONTEXT",
         "server '::1:50051' is not of the form HOST:PORT", "HOST:50051, as a rule"),
        (f"current = 'a'\n[contexts.a]\n{WHOLE}", {"key": "/nosuch/key"}, "BAD_CONTEXT",
         "cannot read key /nosuch/key: No such file or directory", ""),
    ],
)  # fmt: skip
def test_a_file_that_cannot_be_used_is_named_with_what_is_wrong(
    host: Host, text: str, options: dict[str, str], reason: str, message: str, hint: str
) -> None:
    """One line each."""
    path = host.write(host.folder / "it.toml", text)
    told = host.refused({"config": str(path)} | options)
    assert told == (2, reason, message.replace("FILE", str(path)), hint)


def test_a_file_that_was_named_must_be_there(host: Host) -> None:
    """Those that are only looked for need not be."""
    assert host.refused({"config": "/nosuch"}) == (
        2, "NO_CONTEXT", "there is no file /nosuch", "check --config and JOBCTL_CONFIG"
    )  # fmt: skip
    path = host.folder / "bytes"
    path.write_bytes(b"\xff")
    assert host.refused({"config": str(path)}) == (2, "BAD_CONTEXT", f"cannot read {path}: not UTF-8", "")
    assert host.refused({"config": str(host.folder)})[2] == f"cannot read {host.folder}: Is a directory"


def test_a_file_that_may_not_be_read_is_named(host: Host) -> None:
    """One that was asked for; the system's, which may be another group's, is passed over."""
    path = host.write(host.folder / "it.toml", "", 0)
    with unprivileged():
        assert host.refused({"config": str(path)}) == (
            2, "BAD_CONTEXT", f"cannot read {path}: permission denied", ""
        )  # fmt: skip
        assert host.refused()[2] == "no usable context: server, ca, cert, key of the worker not known"
