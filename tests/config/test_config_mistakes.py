"""Each mistake in the configuration is one line: file, line, key, what is wrong and what would be right."""

from __future__ import annotations

import pytest

from jobworkerd import config_load
from jobworkerd.config_load import Source

_GRANT = "[[grant]]\nidentity = 'a'\nrole = 'admin'\n"
_DURATION = 'must be a duration such as "10s", "8h" or "30d", or "0"'
_SIZE = 'must be a size such as "256MiB" or "1GiB", or 0'
_COUNT = "must be a whole number from 0 to 2147483647"
_LISTEN = 'must be HOST:PORT such as "127.0.0.1:50051" or "[::1]:50051"'
_PATH = 'must be an absolute path such as "/var/lib/jobworker"'
_TEXT = "must be a text in quotes, not empty and on one line"
_USER = 'must be the name of a Unix user such as "jobworker"'
_PREFIX = 'must be the start of a URI such as "jobworker://", without blanks or *'
_JOBS_KEYS = "default_user, allow_root, no_new_privs, max_running, max_run_time, max_output, on_max_output, max_input, stop_grace"
_HINT = "texts, sizes and durations stand in quotes, lists in brackets"


def _said(text: str) -> list[str]:
    return [str(mistake) for mistake in config_load.mistakes((Source("f.toml", text),))]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[job]\n", "1: job: unknown section; did you mean 'jobs'?"),
        ("\n[xyzzy]\na = 1\n", "2: xyzzy: unknown section; known are server, tls, jobs, retention, grant"),
        ("listen = '127.0.0.1:1'\n", "1: listen: unknown section; known are server, tls, jobs, retention, grant"),
        ("[jobs]\n\nmax_runing = 3\n", "3: jobs.max_runing: unknown key; did you mean 'max_running'?"),
        ("[jobs]\nxyzzy = 3\n", f"2: jobs.xyzzy: unknown key; known are {_JOBS_KEYS}"),
        ("[jobs]\n'a\\nb' = 3\n", f"2: jobs.a\\nb: unknown key; known are {_JOBS_KEYS}"),
        ('[jobs]\n"a\\nb" = 3\n', f'2: "jobs.a\\nb": unknown key; known are {_JOBS_KEYS}'),
        ("server = 3\n", "1: server: must be a section [server]"),
        ("[grant]\n", "1: grant: must be written [[grant]]"),
        ("[server]\nlisten = 50051\n", f"2: server.listen: {_TEXT} (is 50051)"),
        ("[server]\nlisten = []\n", "2: server.listen: must name at least one address (is [])"),
        ("[server]\nlisten = '50051'\n", f'2: server.listen: {_LISTEN} (is "50051")'),
        ("[server]\nlisten = '::1:50051'\n", f'2: server.listen: {_LISTEN} (is "::1:50051")'),
        ("[server]\nlisten = '[::x]:1'\n", f'2: server.listen: {_LISTEN} (is "[::x]:1")'),
        ("[server]\nlisten = '10.0.0.256:1'\n", f'2: server.listen: {_LISTEN} (is "10.0.0.256:1")'),
        ("[server]\nlisten = 'a*:1'\n", f'2: server.listen: {_LISTEN} (is "a*:1")'),
        ("[server]\nlisten = 'h:0'\n", '2: server.listen: must be HOST:PORT with a port from 1 to 65535 (is "h:0")'),
        ("[server]\nlisten = 'h:65536'\n", '2: server.listen: must be HOST:PORT with a port from 1 to 65535 (is "h:65536")'),
        ("[server]\nlisten = [\n  'h:1',\n  'h',\n]\n", f'2: server.listen: {_LISTEN} (is ["h:1", "h"])'),
        ("[server]\nstate_dir = 'var/lib'\n", f'2: server.state_dir: {_PATH} (is "var/lib")'),
        ("[server]\nlog_dir = '/a\\b'\nlog_dri = 1\n", "3: server.log_dri: unknown key; did you mean 'log_dir'?"),
        ('[server]\nlog_dir = "/a\\u2028b"\n', f'2: server.log_dir: {_PATH} (is "/a\\u2028b")'),
        ("[server]\nuser = 'job worker'\n", f'2: server.user: {_USER} (is "job worker")'),
        ("[server]\nuser = '1000'\n", f'2: server.user: {_USER} (is "1000")'),
        ("[server]\nlog_user = '*'\n", f'2: server.log_user: {_USER} (is "*")'),
        ("[tls]\nkey = true\n", f"2: tls.key: {_PATH} (is true)"),
        ("[tls]\nidentity_prefix = ''\n", f'2: tls.identity_prefix: {_PREFIX} (is "")'),
        ("[tls]\nidentity_prefix = 'cn:'\n", f'2: tls.identity_prefix: {_PREFIX} (is "cn:")'),
        ("[tls]\nidentity_prefix = 'a://b *'\n", f'2: tls.identity_prefix: {_PREFIX} (is "a://b *")'),
        ("[jobs]\nallow_root = 'no'\n", '2: jobs.allow_root: must be true or false (is "no")'),
        ("[jobs]\nmax_running = -1\n", f"2: jobs.max_running: {_COUNT} (is -1)"),
        ("[jobs]\nmax_running = true\n", f"2: jobs.max_running: {_COUNT} (is true)"),
        ("[jobs]\nmax_running = 1.5\n", f"2: jobs.max_running: {_COUNT} (is 1.5)"),
        ("[jobs]\nmax_running = 3000000000\n", f"2: jobs.max_running: {_COUNT} (is 3000000000)"),
        ("[jobs]\nstop_grace = 10\n", f"2: jobs.stop_grace: {_DURATION} (is 10)"),
        ("[jobs]\nstop_grace = '10'\n", f'2: jobs.stop_grace: {_DURATION} (is "10")'),
        ("[jobs]\nstop_grace = '10 s'\n", f'2: jobs.stop_grace: {_DURATION} (is "10 s")'),
        ("[jobs]\nstop_grace = false\n", f"2: jobs.stop_grace: {_DURATION} (is false)"),
        ("[jobs]\nstop_grace = '36501d'\n", '2: jobs.stop_grace: must be at most "36500d" (is "36501d")'),
        ("[jobs]\nstop_grace = 2024-01-01\n", f'2: jobs.stop_grace: {_DURATION} (is "2024-01-01")'),
        ("[jobs]\nmax_output = '1GB'\n", f'2: jobs.max_output: {_SIZE} (is "1GB")'),
        ("[jobs]\nmax_output = -1\n", f"2: jobs.max_output: {_SIZE} (is -1)"),
        ("[jobs]\nmax_output = '9999999TiB'\n",
         '2: jobs.max_output: must be at most 9223372036854775807 bytes (is "9999999TiB")'),
        ("[jobs]\non_max_output = 'rign'\n",
         "2: jobs.on_max_output: must be one of ring, stop; did you mean 'ring'? (is \"rign\")"),
        ("[[grant]]\nrole = 'admin'\n", "1: grant.identity: missing; every grant needs it"),
        (_GRANT + "[[grant]]\nidentity = 'b'\n", "4: grant.role: missing; every grant needs it"),
        (_GRANT.replace("admin", "operater"),
         "3: grant.role: must be one of viewer, operator, admin; did you mean 'operator'? (is \"operater\")"),
        (_GRANT + "run_as = 'deploy'\n", '4: grant.run_as: must be a list such as ["deploy"] (is "deploy")'),
        (_GRANT + "run_as = ['dep*']\n",
         "4: grant.run_as: must be the name of a Unix user such as \"deploy\", or \"*\", each (is [\"dep*\"])"),
        (_GRANT + "commands = ['rsync']\n",
         "4: grant.commands: 'rsync' must begin with an absolute path, or be \"*\" (is [\"rsync\"])"),
        (_GRANT + "commands = [' ']\n",
         "4: grant.commands: ' ' must begin with an absolute path, or be \"*\" (is [\" \"])"),
        (_GRANT + "commands = ['* x']\n",
         "4: grant.commands: '* x' must begin with an absolute path, or be \"*\" (is [\"* x\"])"),
        (_GRANT + 'commands = ["/bin/echo \'a"]\n',
         '4: grant.commands: "/bin/echo \'a" cannot be split into words: No closing quotation '
         '(is ["/bin/echo \'a"])'),
        (_GRANT + "env = ['A=1']\n",
         "4: grant.env: 'A=1' must be a variable's name, or the start of one and \"*\" (is [\"A=1\"])"),
        (_GRANT + "rule = 'x'\n", "4: grant.rule: unknown key; did you mean 'role'?"),
        ("[jobs]\nstop_grace = 10s\n",
         f"2: not TOML at column 16: Expected newline or end of document after a statement; {_HINT}"),
        ("[jobs]\na = 1\na = 2\n", f"3: not TOML at column 6: Cannot overwrite a value; {_HINT}"),
        ("[jobs\n", f"1: not TOML at column 6: Expected ']' at the end of a table declaration; {_HINT}"),
        ("a = 1\nb = [\n\n", f"2: not TOML: Invalid value; {_HINT}"),
        ("[jobs]\na = " + "1" * 5000, f"2: not TOML: nested too deeply, or a number of thousands of digits; {_HINT}"),
        ("a = " + "[" * 20000, f"1: not TOML: nested too deeply, or a number of thousands of digits; {_HINT}"),
    ],
    ids=lambda value: ascii(value)[:50],
)  # fmt: skip
def test_a_mistake_is_named(text: str, said: str) -> None:
    """By file, line and key, with what would be right, on one printable line."""
    assert _said(text) == [f"f.toml:{said}"]
    assert said.isprintable()


def test_a_value_is_shown_cut_short_and_escaped() -> None:
    """Whatever it does to a terminal."""
    (found,) = _said('[jobs]\nstop_grace = "\\u009b31m' + "x" * 999 + '"\n')
    assert found.startswith(f'f.toml:2: jobs.stop_grace: {_DURATION} (is "\\u009b31mxxx')
    assert found.endswith("xxx…)")
    assert len(found) < 200


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("[[grant]]\nidentity = 'a'\nrole = 'viewer'\njobs = 'own'\n[jobs]\nstop_grace = 5\n", 6),
        ("[jobs]\nmax_output = '''\n[jobs]\nstop_grace = 5'''\nstop_grace = 5\n", 5),
        ("[tls]\nca = '/a'\n[jobs]\n# stop_grace = 5\n  'stop_grace'  = 5\n", 5),
        ("server.user = 'a'\njobs.stop_grace = 5\n", 2),
        ("jobs = { max_running = 3, stop_grace = 5 }\n", 1),
        ("[jobs]\n[jobs.stop_grace]\na = 1\n", 2),
        ("[server]\nlisten = [\n 'h:1',\n '[jobs]:1',\n]\n[jobs]\r\nstop_grace = 5\r\n", 7),
        ('[jobs]\nmax_running = 3 # """\nstop_grace = 5\n', 3),
        ('[server]\nstate_dir = "/a\\"[{"\n[jobs]\nstop_grace = 5\n', 4),
    ],
)
def test_the_line_is_where_the_key_stands(text: str, line: int) -> None:
    """And not where something looks like it."""
    said = [each for each in _said(text) if ": jobs.stop_grace: " in each]
    assert [each.split(":")[1] for each in said] == [str(line)]


def test_all_mistakes_of_all_files_are_found() -> None:
    """A file that is no TOML does not hide those of the next; parse stops at the first."""
    files = (Source("a", "[jobs]\nmax_running = -1\nx = 1\n"), Source("b", "="), Source("c", "[tsl]\n"))
    found = [str(mistake) for mistake in config_load.mistakes(files)]
    assert [each[:5] for each in found] == ["a:2: ", "a:3: ", "b:1: ", "c:1: "]
    with pytest.raises(config_load.ConfigError, match=r"^a:2: "):
        config_load.parse(files)
