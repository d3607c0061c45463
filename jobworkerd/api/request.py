"""A StartRequest checked field by field, and what its words mean on this host (``find``: run it in a thread).

What is matched is what is executed: a bare name is looked up on the fixed PATH, a relative path is
joined with the working directory, and the result is normalised before any rule sees it.
"""

from __future__ import annotations

import hashlib
import os
import posixpath
import pwd
import re
from dataclasses import dataclass

from jobworkerd import rules
from jobworkerd.channel.messages import MAX_ARGV_AND_ENV, MAX_TEXT
from jobworkerd.v1 import jobworker_pb2 as pb

from .errors import CallError, invalid

_REQUEST_ID = re.compile(r"[A-Za-z0-9._:-]{1,64}")
_NAME = re.compile(r"[A-Za-z][A-Za-z0-9._-]{0,62}")
_HEX = re.compile(r"[0-9A-Fa-f-]+")
_LABEL_KEY = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._/-]{0,61}[A-Za-z0-9])?")
_MAX_LABELS = 32
_MAX_LABEL_VALUE = 256


@dataclass(frozen=True, slots=True)
class Program:
    """Found on this host. ``executable`` is the bare name itself where it is nowhere on the PATH."""

    executable: str
    uid: int

    @property
    def found(self) -> bool:
        """Whether there is a path to execute."""
        return self.executable.startswith("/")


def check(request: pb.StartRequest) -> None:
    """CallError for the first field that cannot be. Nothing here depends on the host."""
    if not request.command:
        raise invalid("command", "is empty; name a program")
    texts = [("command", request.command), ("dir", request.dir), ("user", request.user)]
    texts += [("args", item) for item in request.args] + [("env", item) for item in request.env]
    for field, text in texts:
        if "\0" in text:
            raise invalid(field, "holds a NUL byte, which no program can be given")
    size = rules.argv_and_env_bytes((request.command, *request.args), request.env)
    if size > MAX_ARGV_AND_ENV:
        raise invalid("args", f"argv and environment are {size} bytes together; at most {MAX_ARGV_AND_ENV}")
    if len(request.command.encode()) > MAX_TEXT // 2 or len(request.dir.encode()) > MAX_TEXT // 2:
        raise invalid("command", f"command and dir may have {MAX_TEXT // 2} bytes each")
    if request.dir and not request.dir.startswith("/"):
        raise invalid("dir", f"{request.dir!r} is not an absolute path")
    for item in request.env:
        if "=" not in item:
            raise invalid("env", f"{item!r} is not of the form K=V")
    if request.max_output < 0:
        raise invalid("max_output", "must be 0 or more")
    _check_names(request)


def _check_names(request: pb.StartRequest) -> None:
    if request.request_id and not _REQUEST_ID.fullmatch(request.request_id):
        raise invalid("request_id", "must be 1 to 64 of A-Z a-z 0-9 . _ : -")
    if request.name and (not _NAME.fullmatch(request.name) or _HEX.fullmatch(request.name)):
        raise invalid(
            "name", "must be a letter and up to 62 of A-Z a-z 0-9 . _ -, not hexadecimal digits alone"
        )
    if len(request.labels) > _MAX_LABELS:
        raise invalid("labels", f"at most {_MAX_LABELS}")
    for key, value in request.labels.items():
        if not _LABEL_KEY.fullmatch(key):
            raise invalid("labels", f"the key {key!r} must be 1 to 63 of A-Z a-z 0-9 . _ / -")
        if len(value.encode()) > _MAX_LABEL_VALUE:
            raise invalid("labels", f"the value of {key!r} may have {_MAX_LABEL_VALUE} bytes")


def digest(request: pb.StartRequest, salt: bytes, of_input: bytes = b"") -> bytes:
    """Of every field, and of the input by its own digest.

    Keyed, for environment values are not to be stored in any form.
    """
    copy = pb.StartRequest()
    copy.CopyFrom(request)
    copy.ClearField("request_id")
    data = copy.SerializeToString(deterministic=True) + of_input
    return hashlib.blake2b(data, key=salt, digest_size=32).digest()


def find(request: pb.StartRequest, user: str) -> Program:
    """Looks user and program up. CallError where the user does not exist."""
    try:
        entry = pwd.getpwnam(user)
    except KeyError:
        raise CallError(
            "INVALID_FIELD", f"user: there is no user {user!r} on this host", field="user"
        ) from None
    executable = _executable(request.command, request.dir or entry.pw_dir)
    if len(executable.encode()) > MAX_TEXT:
        raise invalid("command", f"its path has more than {MAX_TEXT} bytes")
    return Program(executable, entry.pw_uid)


def _executable(command: str, folder: str) -> str:
    if "/" in command:
        # normpath keeps two leading slashes, which POSIX lets mean something else.
        return "/" + posixpath.normpath(posixpath.join(folder, command)).lstrip("/")
    candidates = [f"{each}/{command}" for each in rules.FIXED_PATH.split(":")]
    files = [path for path in candidates if os.path.isfile(path)]
    # As a shell does: the first that may be executed, else the first there is, whose error is the true one.
    return next((path for path in files if os.access(path, os.X_OK)), files[0] if files else command)
