"""A thousand calls that no client of ours makes: each gets an answer that says what is wrong with it."""

from __future__ import annotations

import base64
import random
import warnings
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Any

import pytest
from conftest import Worker
from google.protobuf.message import DecodeError
from wire import SERVICE, Wire

from jobworkerd.v1 import jobworker_pb2 as pb

_UNDECODABLE = ("INVALID_ARGUMENT", "MALFORMED_REQUEST", "the request is not a message of its method")
_SEED = 20261124
_JOB = "00000000-0000-4000-8000-000000000000"
_REQUESTS: dict[str, Any] = {
    "Start": pb.StartRequest(
        command="/bin/true", args=["a", "b"], env=["A=b"], dir="/", user="root", name="n", labels={"k": "v"},
        request_id="r",
    ),
    "Stop": pb.StopRequest(uuid=_JOB, signal=15),
    "QueryOneProcess": pb.QueryOneProcessRequest(uuid=_JOB, tail_bytes=1),
    "QueryRunningProcesses": pb.QueryRunningProcessesRequest(owner="*", labels={"k": "v"}, page_token="x"),
    "Wait": pb.WaitRequest(uuid=_JOB, for_output=True),
    "StreamOutput": pb.StreamOutputRequest(uuid=_JOB, streams=[pb.STDOUT], stdout_offset=1, stderr_offset=1),
    "GetVersion": pb.GetVersionRequest(),
}  # fmt: skip
_STRINGS = [
    (method, field.number)
    for method, request in _REQUESTS.items()
    for field in request.DESCRIPTOR.fields
    if field.type == field.TYPE_STRING
]


@pytest.fixture(scope="module")
def wire(shared_worker: Worker) -> Iterator[Wire]:
    """One channel for all of them."""
    wire = Wire(shared_worker.environment())
    yield wire
    wire.channel.close()


def _decodes(method: str, data: bytes) -> bool:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # Debian's protobuf takes what ends at a stray tag, and warns
            type(_REQUESTS[method]).FromString(data)
    except DecodeError:
        return False
    return True


def _noise(rng: random.Random) -> tuple[str, bytes]:
    """Random bytes that are no message of their method."""
    while True:
        method, data = rng.choice(list(_REQUESTS)), rng.randbytes(rng.randrange(1, 300))
        if not _decodes(method, data):
            return method, data


def _truncated(rng: random.Random) -> tuple[str, bytes]:
    """A real request cut off within a field."""
    while True:
        method = rng.choice([name for name in _REQUESTS if name != "GetVersion"])
        data = _REQUESTS[method].SerializeToString()
        data = data[: rng.randrange(1, len(data))]
        if not _decodes(method, data):
            return method, data


def _not_utf8(rng: random.Random) -> tuple[str, bytes]:
    """One string field with bytes that no text has."""
    method, number = rng.choice(_STRINGS)
    text = rng.choice([b"\xff", b"\xc3", b"\xed\xa0\x80", b"a\xfe", b"\xf8\x88\x80\x80\x80", b"\xc0\x80"])
    return method, bytes([number << 3 | 2, len(text)]) + text


def _cases(make: Callable[[random.Random], tuple[str, bytes]], count: int) -> list[tuple[str, bytes]]:
    rng = random.Random(_SEED)
    return [make(rng) for _ in range(count)]


@pytest.mark.parametrize(("make", "count"), [(_noise, 300), (_truncated, 250), (_not_utf8, 200)])
def test_bytes_that_are_no_message_are_an_invalid_argument(
    wire: Wire, make: Callable[[random.Random], tuple[str, bytes]], count: int
) -> None:
    """From every method, in words of ours and not of grpc's."""
    cases = _cases(make, count)
    answers = Counter((method, wire.call(SERVICE + method, data)) for method, data in cases)
    assert answers == Counter((method, _UNDECODABLE) for method, _ in cases)


def _wrong_type(rng: random.Random) -> tuple[str, bytes]:
    """A number, a fixed32 or a fixed64 where a text belongs: to protobuf that is an unknown field."""
    method, number = rng.choice(
        [(m, n) for m, n in _STRINGS if m not in ("QueryRunningProcesses", "GetVersion")]
    )
    kind, value = rng.choice([(0, b"\x01"), (5, b"\1\2\3\4"), (1, b"\1\2\3\4\5\6\7\x08")])
    return method, bytes([number << 3 | kind]) + value


def test_fields_of_another_type_are_as_good_as_none(wire: Wire) -> None:
    """What a method needs is missing then, and its field is named."""
    for method, data in _cases(_wrong_type, 100):
        code, why, text = wire.call(SERVICE + method, data)
        if method == "Start":
            assert (code, why, text) == (
                "INVALID_ARGUMENT",
                "INVALID_FIELD",
                "command: is empty; name a program",
            )
        else:
            assert (code, why) == ("INVALID_ARGUMENT", "MALFORMED_ID")
            assert text.startswith("'' is neither a job id, nor 4 or more characters of one")


def test_unknown_methods_are_unimplemented(wire: Wire) -> None:
    """Of this service, of health, of one that is not there, and paths that are none."""
    rng = random.Random(_SEED)
    paths = [SERVICE + "".join(rng.choices("abcXYZ", k=8)) for _ in range(94)]
    paths += ["/nosuch.Service/Start", "/jobworker.v1.JobWorker", SERVICE, "/", "/grpc.health.v1.Health/Look"]
    paths += ["/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo"]
    assert {wire.call(path, rng.randbytes(20))[:2] for path in paths} == {("UNIMPLEMENTED", "")}
    assert wire.call("/grpc.health.v1.Health/Check", b"\xff" * 20) == _UNDECODABLE
    assert wire.call("/grpc.health.v1.Health/Watch", b"\xff" * 20) == _UNDECODABLE


@pytest.mark.parametrize("size", [(1 << 20) + 1, (4 << 20) + 1, 8 << 20])
def test_oversize_messages_are_refused_by_their_size(wire: Wire, size: int) -> None:
    """Before they are decoded; one of exactly 1 MiB is decoded."""
    for method in _REQUESTS:
        code, why, text = wire.call(SERVICE + method, b"\xff" * size)
        assert (code, why) == ("RESOURCE_EXHAUSTED", "")
        assert text.removeprefix("SERVER: ") == f"Received message larger than max ({size} vs. 1048576)"
        assert wire.call(SERVICE + method, b"\xff" * (1 << 20)) == _UNDECODABLE


_LIST, _QUERY = "QueryRunningProcesses", "QueryOneProcess"
_BAD_TOKEN = "page_token: is not one that an earlier page gave"


def _token(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode()


@pytest.mark.parametrize(
    ("method", "sent", "text"),
    [
        (_LIST, pb.QueryRunningProcessesRequest(page_token="é"), _BAD_TOKEN),
        (_LIST, pb.QueryRunningProcessesRequest(page_token=_token("1")), _BAD_TOKEN),
        (_LIST, pb.QueryRunningProcessesRequest(page_token=_token("x x")), _BAD_TOKEN),
        (_LIST, pb.QueryRunningProcessesRequest(page_token=_token(f"-1 {_JOB}")), _BAD_TOKEN),
        (_LIST, pb.QueryRunningProcessesRequest(page_token=_token(f"{1 << 63} {_JOB}")), _BAD_TOKEN),
        (_LIST, pb.QueryRunningProcessesRequest(page_token=_token("9" * 5000 + " x")), _BAD_TOKEN),
        (_LIST, pb.QueryRunningProcessesRequest(page_token="/" * 100_000), _BAD_TOKEN),
        (_LIST, pb.QueryRunningProcessesRequest(page_size=-1), "page_size: must not be negative"),
        (_LIST, pb.QueryRunningProcessesRequest(labels={str(n): "" for n in range(33)}), "labels: at most 32"),
        (_QUERY, pb.QueryOneProcessRequest(uuid=_JOB, tail_bytes=-1), "tail_bytes: must be 0 to 262144"),
        (_QUERY, pb.QueryOneProcessRequest(uuid=_JOB, tail_bytes=262145), "tail_bytes: must be 0 to 262144"),
        ("Stop", pb.StopRequest(uuid=_JOB, signal=-1), "signal: must be 1 to 64"),
        ("Stop", pb.StopRequest(uuid=_JOB, grace={"seconds": -1}), "grace: must not be negative"),
        ("Wait", pb.WaitRequest(uuid=_JOB, timeout={"seconds": -1}), "timeout: must not be negative"),
        ("Start", pb.StartRequest(command="x" * 2049), "command: command and dir may have 2048 bytes each"),
    ],
)
def test_values_that_cannot_be_are_named(wire: Wire, method: str, sent: Any, text: str) -> None:
    """Messages as messages are, with a field out of its range."""
    answer = wire.call(SERVICE + method, sent.SerializeToString())
    assert answer == ("INVALID_ARGUMENT", "INVALID_FIELD", text)


@pytest.mark.parametrize(
    ("sent", "why", "text"),
    [
        (pb.StartRequest(command="id", user="u" * 100_000), "INVALID_FIELD", "user: there is no user 'uuu"),
        (pb.StartRequest(command="id", env=["é" * 50_000]), "INVALID_FIELD", "env: 'éééé"),
        (pb.StartRequest(command="id", labels={"ü" * 50_000: ""}), "INVALID_FIELD", "labels: the key 'üüü"),
        (pb.StopRequest(uuid="z" * 900_000), "MALFORMED_ID", "'zzzz"),
    ],
)
def test_an_error_that_quotes_much_is_cut_and_keeps_its_code(
    wire: Wire, sent: Any, why: str, text: str
) -> None:
    """Whole, it would not fit the headers that a client takes, which then sees no error of ours at all."""
    method = "Stop" if isinstance(sent, pb.StopRequest) else "Start"
    code, told, said = wire.call(SERVICE + method, sent.SerializeToString())
    assert (code, told) == ("INVALID_ARGUMENT", why)
    assert said.startswith(text)
    assert said.endswith("…")
    assert len(said.encode()) <= 1024 + len("…".encode())


@pytest.mark.parametrize("seconds", [-(1 << 63), -1, 253402300799, (1 << 63) - 1])
def test_any_time_at_all_is_a_filter(wire: Wire, seconds: int) -> None:
    """Also one that no 64 bits of nanoseconds hold, as the last second of the year 9999."""
    for field in ("since", "until"):
        request = pb.QueryRunningProcessesRequest()
        getattr(request, field).seconds = seconds
        assert wire.call(SERVICE + _LIST, request.SerializeToString()) == ("OK", "", "")


def test_who_has_no_grant_learns_nothing_else(shared_worker: Worker) -> None:
    """Not even that a request is malformed."""
    stranger = shared_worker.client("jobworker://ops/stranger")
    wire = Wire(shared_worker.environment(stranger))
    for method in _REQUESTS:
        code, why, _ = wire.call(SERVICE + method, b"\xff")
        assert (code, why) == ("PERMISSION_DENIED", "NOT_GRANTED")
    wire.channel.close()


def test_after_all_that_the_worker_serves(shared_worker: Worker, wire: Wire) -> None:
    """The same API on the same connection, with no bug in its journal, and nothing was started by noise."""
    api = shared_worker.peer("api")
    for data in (b"\xff", _REQUESTS["Stop"].SerializeToString()[:-1]):
        assert wire.call(SERVICE + "Stop", data) == _UNDECODABLE
    assert wire.stub.GetVersion(pb.GetVersionRequest()).api_version == "v1"
    done = shared_worker.jobctl("run", "--", "echo", "served")
    assert (done.stdout, done.returncode) == ("served\n", 0)
    assert shared_worker.peer("api") == api
    said = shared_worker.journal.read_text()
    assert "jobworker-api: bug: " not in said
    assert "peer_" not in said
    assert len(shared_worker.jobctl("list", "-o", "id").stdout.split()) == 1
