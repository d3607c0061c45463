from google.protobuf import duration_pb2 as _duration_pb2
from google.protobuf import timestamp_pb2 as _timestamp_pb2
from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from typing import ClassVar as _ClassVar, Iterable as _Iterable, Mapping as _Mapping, Optional as _Optional, Union as _Union

CALLER: Reason
DESCRIPTOR: _descriptor.FileDescriptor
EXEC_FAILED: Reason
EXITED: State
FAILED_TO_START: State
HOST_REBOOTED: Reason
LOST: State
NEVER_STARTED: Reason
NO_OUTPUT: Reason
OUTPUT_LIMIT: Reason
REASON_UNSPECIFIED: Reason
REFUSED: Reason
RUNNER_DIED: Reason
RUNNING: State
SHUTDOWN: Reason
STARTING: State
START_TIMEOUT: Reason
STATE_UNSPECIFIED: State
STDERR: Stream
STDOUT: Stream
STOPPED: State
STOPPING: State
STREAM_UNSPECIFIED: Stream
TIMED_OUT: State
TIMEOUT: Reason

class Escapee(_message.Message):
    __slots__ = ["caught_by", "name", "pid"]
    CAUGHT_BY_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    caught_by: str
    name: str
    pid: int
    def __init__(self, pid: _Optional[int] = ..., name: _Optional[str] = ..., caught_by: _Optional[str] = ...) -> None: ...

class ExitStatus(_message.Message):
    __slots__ = ["code", "core_dumped", "signal"]
    CODE_FIELD_NUMBER: _ClassVar[int]
    CORE_DUMPED_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    code: int
    core_dumped: bool
    signal: int
    def __init__(self, code: _Optional[int] = ..., signal: _Optional[int] = ..., core_dumped: bool = ...) -> None: ...

class GetVersionRequest(_message.Message):
    __slots__ = []
    def __init__(self) -> None: ...

class GetVersionResponse(_message.Message):
    __slots__ = ["api_version", "version"]
    API_VERSION_FIELD_NUMBER: _ClassVar[int]
    VERSION_FIELD_NUMBER: _ClassVar[int]
    api_version: str
    version: str
    def __init__(self, version: _Optional[str] = ..., api_version: _Optional[str] = ...) -> None: ...

class KillReport(_message.Message):
    __slots__ = ["escapee_count", "escapees", "left_in_group", "left_in_group_count", "nothing_left", "signals", "survivors"]
    ESCAPEES_FIELD_NUMBER: _ClassVar[int]
    ESCAPEE_COUNT_FIELD_NUMBER: _ClassVar[int]
    LEFT_IN_GROUP_COUNT_FIELD_NUMBER: _ClassVar[int]
    LEFT_IN_GROUP_FIELD_NUMBER: _ClassVar[int]
    NOTHING_LEFT_FIELD_NUMBER: _ClassVar[int]
    SIGNALS_FIELD_NUMBER: _ClassVar[int]
    SURVIVORS_FIELD_NUMBER: _ClassVar[int]
    escapee_count: int
    escapees: _containers.RepeatedCompositeFieldContainer[Escapee]
    left_in_group: _containers.RepeatedCompositeFieldContainer[Escapee]
    left_in_group_count: int
    nothing_left: bool
    signals: _containers.RepeatedCompositeFieldContainer[SignalSent]
    survivors: _containers.RepeatedCompositeFieldContainer[Survivor]
    def __init__(self, signals: _Optional[_Iterable[_Union[SignalSent, _Mapping]]] = ..., left_in_group: _Optional[_Iterable[_Union[Escapee, _Mapping]]] = ..., escapees: _Optional[_Iterable[_Union[Escapee, _Mapping]]] = ..., left_in_group_count: _Optional[int] = ..., escapee_count: _Optional[int] = ..., survivors: _Optional[_Iterable[_Union[Survivor, _Mapping]]] = ..., nothing_left: bool = ...) -> None: ...

class OutputChunk(_message.Message):
    __slots__ = ["data", "offset", "stream", "time"]
    DATA_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    data: bytes
    offset: int
    stream: Stream
    time: _timestamp_pb2.Timestamp
    def __init__(self, stream: _Optional[_Union[Stream, str]] = ..., offset: _Optional[int] = ..., data: _Optional[bytes] = ..., time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class OutputGone(_message.Message):
    __slots__ = ["next_offset", "offset", "stream"]
    NEXT_OFFSET_FIELD_NUMBER: _ClassVar[int]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    STREAM_FIELD_NUMBER: _ClassVar[int]
    next_offset: int
    offset: int
    stream: Stream
    def __init__(self, stream: _Optional[_Union[Stream, str]] = ..., offset: _Optional[int] = ..., next_offset: _Optional[int] = ...) -> None: ...

class OutputInfo(_message.Message):
    __slots__ = ["bytes", "first_offset", "held"]
    BYTES_FIELD_NUMBER: _ClassVar[int]
    FIRST_OFFSET_FIELD_NUMBER: _ClassVar[int]
    HELD_FIELD_NUMBER: _ClassVar[int]
    bytes: int
    first_offset: int
    held: bool
    def __init__(self, bytes: _Optional[int] = ..., first_offset: _Optional[int] = ..., held: bool = ...) -> None: ...

class OutputTail(_message.Message):
    __slots__ = ["offset", "truncated"]
    OFFSET_FIELD_NUMBER: _ClassVar[int]
    TRUNCATED_FIELD_NUMBER: _ClassVar[int]
    offset: int
    truncated: bool
    def __init__(self, offset: _Optional[int] = ..., truncated: bool = ...) -> None: ...

class OutputTrailer(_message.Message):
    __slots__ = ["exit_status", "output_closed", "output_complete", "state", "stderr_bytes", "stdout_bytes"]
    EXIT_STATUS_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_CLOSED_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_COMPLETE_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STDERR_BYTES_FIELD_NUMBER: _ClassVar[int]
    STDOUT_BYTES_FIELD_NUMBER: _ClassVar[int]
    exit_status: ExitStatus
    output_closed: bool
    output_complete: bool
    state: State
    stderr_bytes: int
    stdout_bytes: int
    def __init__(self, state: _Optional[_Union[State, str]] = ..., exit_status: _Optional[_Union[ExitStatus, _Mapping]] = ..., stdout_bytes: _Optional[int] = ..., stderr_bytes: _Optional[int] = ..., output_closed: bool = ..., output_complete: bool = ...) -> None: ...

class ProcessInfo(_message.Message):
    __slots__ = ["args", "caller", "command", "dir", "end_time", "errno_name", "error", "exit_status", "is_running", "kill_report", "labels", "log_path", "merge_output", "name", "output_closed", "output_complete", "output_paused", "pid", "process_name", "reason", "reason_by", "rule", "stage", "start_time", "state", "stderr", "stderr_path", "stdout", "stdout_path", "user", "uuid"]
    class LabelsEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ARGS_FIELD_NUMBER: _ClassVar[int]
    CALLER_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    DIR_FIELD_NUMBER: _ClassVar[int]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    ERRNO_NAME_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    EXIT_STATUS_FIELD_NUMBER: _ClassVar[int]
    IS_RUNNING_FIELD_NUMBER: _ClassVar[int]
    KILL_REPORT_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    LOG_PATH_FIELD_NUMBER: _ClassVar[int]
    MERGE_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_CLOSED_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_COMPLETE_FIELD_NUMBER: _ClassVar[int]
    OUTPUT_PAUSED_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    PROCESS_NAME_FIELD_NUMBER: _ClassVar[int]
    REASON_BY_FIELD_NUMBER: _ClassVar[int]
    REASON_FIELD_NUMBER: _ClassVar[int]
    RULE_FIELD_NUMBER: _ClassVar[int]
    STAGE_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    STDERR_FIELD_NUMBER: _ClassVar[int]
    STDERR_PATH_FIELD_NUMBER: _ClassVar[int]
    STDOUT_FIELD_NUMBER: _ClassVar[int]
    STDOUT_PATH_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    UUID_FIELD_NUMBER: _ClassVar[int]
    args: _containers.RepeatedScalarFieldContainer[str]
    caller: str
    command: str
    dir: str
    end_time: _timestamp_pb2.Timestamp
    errno_name: str
    error: str
    exit_status: ExitStatus
    is_running: bool
    kill_report: KillReport
    labels: _containers.ScalarMap[str, str]
    log_path: str
    merge_output: bool
    name: str
    output_closed: bool
    output_complete: bool
    output_paused: str
    pid: int
    process_name: str
    reason: Reason
    reason_by: str
    rule: str
    stage: str
    start_time: _timestamp_pb2.Timestamp
    state: State
    stderr: OutputInfo
    stderr_path: str
    stdout: OutputInfo
    stdout_path: str
    user: str
    uuid: str
    def __init__(self, uuid: _Optional[str] = ..., pid: _Optional[int] = ..., start_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., end_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., process_name: _Optional[str] = ..., is_running: bool = ..., exit_status: _Optional[_Union[ExitStatus, _Mapping]] = ..., state: _Optional[_Union[State, str]] = ..., reason: _Optional[_Union[Reason, str]] = ..., reason_by: _Optional[str] = ..., error: _Optional[str] = ..., errno_name: _Optional[str] = ..., command: _Optional[str] = ..., args: _Optional[_Iterable[str]] = ..., dir: _Optional[str] = ..., user: _Optional[str] = ..., name: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., caller: _Optional[str] = ..., rule: _Optional[str] = ..., log_path: _Optional[str] = ..., stdout_path: _Optional[str] = ..., stderr_path: _Optional[str] = ..., stdout: _Optional[_Union[OutputInfo, _Mapping]] = ..., stderr: _Optional[_Union[OutputInfo, _Mapping]] = ..., output_closed: bool = ..., output_complete: bool = ..., output_paused: _Optional[str] = ..., kill_report: _Optional[_Union[KillReport, _Mapping]] = ..., stage: _Optional[str] = ..., merge_output: bool = ...) -> None: ...

class QueryOneProcessRequest(_message.Message):
    __slots__ = ["tail_bytes", "uuid"]
    TAIL_BYTES_FIELD_NUMBER: _ClassVar[int]
    UUID_FIELD_NUMBER: _ClassVar[int]
    tail_bytes: int
    uuid: str
    def __init__(self, uuid: _Optional[str] = ..., tail_bytes: _Optional[int] = ...) -> None: ...

class QueryOneProcessResponse(_message.Message):
    __slots__ = ["process_info", "stderr", "stderr_tail", "stdout", "stdout_tail"]
    PROCESS_INFO_FIELD_NUMBER: _ClassVar[int]
    STDERR_FIELD_NUMBER: _ClassVar[int]
    STDERR_TAIL_FIELD_NUMBER: _ClassVar[int]
    STDOUT_FIELD_NUMBER: _ClassVar[int]
    STDOUT_TAIL_FIELD_NUMBER: _ClassVar[int]
    process_info: ProcessInfo
    stderr: bytes
    stderr_tail: OutputTail
    stdout: bytes
    stdout_tail: OutputTail
    def __init__(self, process_info: _Optional[_Union[ProcessInfo, _Mapping]] = ..., stdout: _Optional[bytes] = ..., stderr: _Optional[bytes] = ..., stdout_tail: _Optional[_Union[OutputTail, _Mapping]] = ..., stderr_tail: _Optional[_Union[OutputTail, _Mapping]] = ...) -> None: ...

class QueryRunningProcessesRequest(_message.Message):
    __slots__ = ["labels", "owner", "page_size", "page_token", "running_only", "since", "states", "until"]
    class LabelsEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    LABELS_FIELD_NUMBER: _ClassVar[int]
    OWNER_FIELD_NUMBER: _ClassVar[int]
    PAGE_SIZE_FIELD_NUMBER: _ClassVar[int]
    PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    RUNNING_ONLY_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    STATES_FIELD_NUMBER: _ClassVar[int]
    UNTIL_FIELD_NUMBER: _ClassVar[int]
    labels: _containers.ScalarMap[str, str]
    owner: str
    page_size: int
    page_token: str
    running_only: bool
    since: _timestamp_pb2.Timestamp
    states: _containers.RepeatedScalarFieldContainer[State]
    until: _timestamp_pb2.Timestamp
    def __init__(self, running_only: bool = ..., states: _Optional[_Iterable[_Union[State, str]]] = ..., owner: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., since: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., until: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., page_size: _Optional[int] = ..., page_token: _Optional[str] = ...) -> None: ...

class QueryRunningProcessesResponse(_message.Message):
    __slots__ = ["next_page_token", "process_table"]
    NEXT_PAGE_TOKEN_FIELD_NUMBER: _ClassVar[int]
    PROCESS_TABLE_FIELD_NUMBER: _ClassVar[int]
    next_page_token: str
    process_table: _containers.RepeatedCompositeFieldContainer[ProcessInfo]
    def __init__(self, process_table: _Optional[_Iterable[_Union[ProcessInfo, _Mapping]]] = ..., next_page_token: _Optional[str] = ...) -> None: ...

class SignalSent(_message.Message):
    __slots__ = ["signal", "target", "time"]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    TARGET_FIELD_NUMBER: _ClassVar[int]
    TIME_FIELD_NUMBER: _ClassVar[int]
    signal: int
    target: str
    time: _timestamp_pb2.Timestamp
    def __init__(self, signal: _Optional[int] = ..., time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., target: _Optional[str] = ...) -> None: ...

class StartRequest(_message.Message):
    __slots__ = ["args", "command", "dir", "env", "labels", "max_output", "merge_output", "name", "request_id", "user"]
    class LabelsEntry(_message.Message):
        __slots__ = ["key", "value"]
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    ARGS_FIELD_NUMBER: _ClassVar[int]
    COMMAND_FIELD_NUMBER: _ClassVar[int]
    DIR_FIELD_NUMBER: _ClassVar[int]
    ENV_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    MAX_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    MERGE_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    NAME_FIELD_NUMBER: _ClassVar[int]
    REQUEST_ID_FIELD_NUMBER: _ClassVar[int]
    USER_FIELD_NUMBER: _ClassVar[int]
    args: _containers.RepeatedScalarFieldContainer[str]
    command: str
    dir: str
    env: _containers.RepeatedScalarFieldContainer[str]
    labels: _containers.ScalarMap[str, str]
    max_output: int
    merge_output: bool
    name: str
    request_id: str
    user: str
    def __init__(self, command: _Optional[str] = ..., args: _Optional[_Iterable[str]] = ..., env: _Optional[_Iterable[str]] = ..., dir: _Optional[str] = ..., user: _Optional[str] = ..., name: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ..., request_id: _Optional[str] = ..., merge_output: bool = ..., max_output: _Optional[int] = ...) -> None: ...

class StartResponse(_message.Message):
    __slots__ = ["pid", "repeated_request", "start_time", "state", "uuid"]
    PID_FIELD_NUMBER: _ClassVar[int]
    REPEATED_REQUEST_FIELD_NUMBER: _ClassVar[int]
    START_TIME_FIELD_NUMBER: _ClassVar[int]
    STATE_FIELD_NUMBER: _ClassVar[int]
    UUID_FIELD_NUMBER: _ClassVar[int]
    pid: int
    repeated_request: bool
    start_time: _timestamp_pb2.Timestamp
    state: State
    uuid: str
    def __init__(self, pid: _Optional[int] = ..., uuid: _Optional[str] = ..., start_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., state: _Optional[_Union[State, str]] = ..., repeated_request: bool = ...) -> None: ...

class StartWithInputRequest(_message.Message):
    __slots__ = ["input", "request"]
    INPUT_FIELD_NUMBER: _ClassVar[int]
    REQUEST_FIELD_NUMBER: _ClassVar[int]
    input: bytes
    request: StartRequest
    def __init__(self, request: _Optional[_Union[StartRequest, _Mapping]] = ..., input: _Optional[bytes] = ...) -> None: ...

class StopRequest(_message.Message):
    __slots__ = ["grace", "signal", "uuid"]
    GRACE_FIELD_NUMBER: _ClassVar[int]
    SIGNAL_FIELD_NUMBER: _ClassVar[int]
    UUID_FIELD_NUMBER: _ClassVar[int]
    grace: _duration_pb2.Duration
    signal: int
    uuid: str
    def __init__(self, uuid: _Optional[str] = ..., grace: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., signal: _Optional[int] = ...) -> None: ...

class StopResponse(_message.Message):
    __slots__ = ["end_time", "exit_status", "is_killed", "kill_report", "process_info", "stderr", "stderr_tail", "stdout", "stdout_tail"]
    END_TIME_FIELD_NUMBER: _ClassVar[int]
    EXIT_STATUS_FIELD_NUMBER: _ClassVar[int]
    IS_KILLED_FIELD_NUMBER: _ClassVar[int]
    KILL_REPORT_FIELD_NUMBER: _ClassVar[int]
    PROCESS_INFO_FIELD_NUMBER: _ClassVar[int]
    STDERR_FIELD_NUMBER: _ClassVar[int]
    STDERR_TAIL_FIELD_NUMBER: _ClassVar[int]
    STDOUT_FIELD_NUMBER: _ClassVar[int]
    STDOUT_TAIL_FIELD_NUMBER: _ClassVar[int]
    end_time: _timestamp_pb2.Timestamp
    exit_status: ExitStatus
    is_killed: bool
    kill_report: KillReport
    process_info: ProcessInfo
    stderr: bytes
    stderr_tail: OutputTail
    stdout: bytes
    stdout_tail: OutputTail
    def __init__(self, stdout: _Optional[bytes] = ..., stderr: _Optional[bytes] = ..., is_killed: bool = ..., end_time: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ..., exit_status: _Optional[_Union[ExitStatus, _Mapping]] = ..., kill_report: _Optional[_Union[KillReport, _Mapping]] = ..., stdout_tail: _Optional[_Union[OutputTail, _Mapping]] = ..., stderr_tail: _Optional[_Union[OutputTail, _Mapping]] = ..., process_info: _Optional[_Union[ProcessInfo, _Mapping]] = ...) -> None: ...

class StreamOutputRequest(_message.Message):
    __slots__ = ["follow", "in_order", "since", "stderr_offset", "stdout_offset", "streams", "uuid"]
    FOLLOW_FIELD_NUMBER: _ClassVar[int]
    IN_ORDER_FIELD_NUMBER: _ClassVar[int]
    SINCE_FIELD_NUMBER: _ClassVar[int]
    STDERR_OFFSET_FIELD_NUMBER: _ClassVar[int]
    STDOUT_OFFSET_FIELD_NUMBER: _ClassVar[int]
    STREAMS_FIELD_NUMBER: _ClassVar[int]
    UUID_FIELD_NUMBER: _ClassVar[int]
    follow: bool
    in_order: bool
    since: _timestamp_pb2.Timestamp
    stderr_offset: int
    stdout_offset: int
    streams: _containers.RepeatedScalarFieldContainer[Stream]
    uuid: str
    def __init__(self, uuid: _Optional[str] = ..., streams: _Optional[_Iterable[_Union[Stream, str]]] = ..., stdout_offset: _Optional[int] = ..., stderr_offset: _Optional[int] = ..., follow: bool = ..., in_order: bool = ..., since: _Optional[_Union[_timestamp_pb2.Timestamp, _Mapping]] = ...) -> None: ...

class StreamOutputResponse(_message.Message):
    __slots__ = ["chunk", "gone", "trailer"]
    CHUNK_FIELD_NUMBER: _ClassVar[int]
    GONE_FIELD_NUMBER: _ClassVar[int]
    TRAILER_FIELD_NUMBER: _ClassVar[int]
    chunk: OutputChunk
    gone: OutputGone
    trailer: OutputTrailer
    def __init__(self, chunk: _Optional[_Union[OutputChunk, _Mapping]] = ..., trailer: _Optional[_Union[OutputTrailer, _Mapping]] = ..., gone: _Optional[_Union[OutputGone, _Mapping]] = ...) -> None: ...

class Survivor(_message.Message):
    __slots__ = ["name", "pid", "process_state"]
    NAME_FIELD_NUMBER: _ClassVar[int]
    PID_FIELD_NUMBER: _ClassVar[int]
    PROCESS_STATE_FIELD_NUMBER: _ClassVar[int]
    name: str
    pid: int
    process_state: str
    def __init__(self, pid: _Optional[int] = ..., name: _Optional[str] = ..., process_state: _Optional[str] = ...) -> None: ...

class WaitRequest(_message.Message):
    __slots__ = ["for_output", "timeout", "uuid"]
    FOR_OUTPUT_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_FIELD_NUMBER: _ClassVar[int]
    UUID_FIELD_NUMBER: _ClassVar[int]
    for_output: bool
    timeout: _duration_pb2.Duration
    uuid: str
    def __init__(self, uuid: _Optional[str] = ..., timeout: _Optional[_Union[_duration_pb2.Duration, _Mapping]] = ..., for_output: bool = ...) -> None: ...

class WaitResponse(_message.Message):
    __slots__ = ["ended", "process_info"]
    ENDED_FIELD_NUMBER: _ClassVar[int]
    PROCESS_INFO_FIELD_NUMBER: _ClassVar[int]
    ended: bool
    process_info: ProcessInfo
    def __init__(self, process_info: _Optional[_Union[ProcessInfo, _Mapping]] = ..., ended: bool = ...) -> None: ...

class State(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class Reason(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []

class Stream(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = []
