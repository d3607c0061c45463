"""What a pattern of root's matches, and above all what it does not."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from jobworkerd import rules


@pytest.mark.parametrize(
    ("pattern", "argv"),
    [
        ("*", "/any/thing"),
        ("*", "/any/thing with arguments"),
        ("/usr/bin/id", "/usr/bin/id"),
        ("/usr/bin/id *", "/usr/bin/id"),
        ("/usr/bin/id *", "/usr/bin/id -u -n"),
        ("/usr/bin/rsync -a *", "/usr/bin/rsync -a"),
        ("/usr/bin/rsync -a *", "/usr/bin/rsync -a / --delete"),
        ("/usr/bin/*", "/usr/bin/id"),
        ("/usr/*/id", "/usr/bin/id"),
        ("/opt/app-*/bin/run", "/opt/app-1.2/bin/run"),
        ("/usr/bin/tar -x*f /srv/*.tgz", "/usr/bin/tar -xzf /srv/a/b.tgz"),
        ("/bin/a * c", "/bin/a b c"),
        ("/bin/a x**y", "/bin/a xy"),
    ],
)
def test_a_command_is_allowed(pattern: str, argv: str) -> None:
    """``*`` within a word stays within one argument; a last word ``*`` takes any others."""
    executable, *args = argv.split(" ")
    assert rules.command_matches(pattern, executable, args)


@pytest.mark.parametrize(
    ("pattern", "argv"),
    [
        ("/usr/bin/id", ["/usr/bin/id", "-u"]),
        ("/usr/bin/id", ["/usr/bin/id", ""]),
        ("/usr/bin/id", ["/usr/bin/idx"]),
        ("/usr/bin/id", ["/usr/bin/ID"]),
        ("/usr/bin/id", ["/bin/usr/bin/id"]),
        ("/usr/bin/id", ["usr/bin/id"]),
        ("/usr/bin/id", ["/usr/bin/id\n"]),
        ("/usr/bin/*", ["/usr/bin/sub/id"]),
        ("/usr/bin/*", ["/usr/bin"]),
        ("/usr/bin/*", ["/usr/bin/"]),
        ("/usr/bin/*", ["/usr/bin/.."]),
        ("/opt/*/run", ["/opt/../run"]),
        ("/opt/*/run", ["/opt/./run"]),
        ("/opt/*/run", ["/opt//run"]),
        ("/*/*/run", ["//opt/run"]),
        ("/opt/*", ["/opt/a", "b"]),
        ("/usr/bin/rsync -a *", ["/usr/bin/rsync"]),
        ("/usr/bin/rsync -a *", ["/usr/bin/rsync", "-av", "/"]),
        ("/usr/bin/rsync -a *", ["/usr/bin/rsync", "/", "-a"]),
        ("/bin/a * c", ["/bin/a", "c"]),
        ("/bin/a * c", ["/bin/a", "b", "b", "c"]),
        ("/bin/a * c", ["/bin/a", "b", "c", "d"]),
        ("/bin/cat /srv/*.log", ["/bin/cat", "/srv/a.log", "/etc/shadow"]),
        ("/bin/cat /srv/*.log", ["/bin/cat", "/etc/shadow"]),
        ("/bin/echo [a]? .", ["/bin/echo", "a", "x"]),
        ("/bin/echo a.c", ["/bin/echo", "abc"]),
        ("/bin/echo 'a b'", ["/bin/echo", "a", "b"]),
        ("/bin/echo aa*aa", ["/bin/echo", "aaa"]),
        ("", ["/bin/echo"]),
    ],
)
def test_a_command_is_not_allowed(pattern: str, argv: list[str]) -> None:
    """No pattern reaches across a slash of the program, across an argument, or up a folder."""
    assert not rules.command_matches(pattern, argv[0], argv[1:])


def test_words_are_split_as_a_shell_does() -> None:
    """Quotes and backslashes keep blanks together; no other character is special."""
    assert rules.command_matches(
        "/bin/echo 'a b' c\\ d \"$x\" '[e]?'", "/bin/echo", ["a b", "c d", "$x", "[e]?"]
    )
    assert rules.command_matches("/bin/sh -c *", "/bin/sh", ["-c", "rm -rf /\nid"])
    assert rules.command_matches("/bin/echo a*b", "/bin/echo", ["a\n\0é b"])


def test_an_argument_cannot_make_matching_slow() -> None:
    """128 KiB against twenty stars; a backtracking matcher would not come back."""
    pattern = "/bin/echo " + "a*" * 20 + "b"
    assert not rules.command_matches(pattern, "/bin/echo", ["a" * 128 * 1024])
    assert rules.command_matches(pattern, "/bin/echo", ["a" * 128 * 1024 + "b"])


@given(st.lists(st.text("ab*", max_size=4)).map("*".join), st.text("ab", max_size=12))
@settings(max_examples=1000, deadline=None)
def test_a_star_is_any_run_of_characters(pattern: str, text: str) -> None:
    """As the textbook has it, one character after the other."""

    def matches(p: str, t: str) -> bool:
        if not p:
            return not t
        if p[0] == "*":
            return matches(p.lstrip("*"), t) or (bool(t) and matches(p, t[1:]))
        return bool(t) and p[0] == t[0] and matches(p[1:], t[1:])

    assert rules.text_matches(pattern, text) == matches(pattern, text)


@pytest.mark.parametrize(
    ("pattern", "identity", "matches"),
    [
        ("jobworker://ops/alice", "jobworker://ops/alice", True),
        ("jobworker://ops/alice", "jobworker://ops/alice2", False),
        ("jobworker://ops/alice", "jobworker://ops/Alice", False),
        ("jobworker://ops/*", "jobworker://ops/alice", True),
        ("jobworker://ops/*", "jobworker://ops/a/b", True),
        ("jobworker://ops/*", "jobworker://opsx/alice", False),
        ("*", "jobworker://ops/alice", True),
        ("*", "cn:alice", False),
        ("*:alice", "cn:alice", False),
        ("jobworker://*", "cn:jobworker://ops/alice", False),
        ("cn:*", "cn:alice", True),
        ("cn:alice", "cn:alice", True),
        ("cn:*", "jobworker://ops/alice", False),
        ("cn:jobworker://ops/alice", "jobworker://ops/alice", False),
    ],
)
def test_an_identity_is_matched(pattern: str, identity: str, matches: bool) -> None:
    """A caller by common name is matched by patterns for common names alone."""
    assert rules.identity_matches(pattern, identity) is matches


_OWN = ("jobworker", "jobworker-log")


@pytest.mark.parametrize(
    ("run_as", "user", "uid", "allow_root", "matches"),
    [
        (["deploy"], "deploy", 1001, False, True),
        (["deploy"], "alice", 1002, False, False),
        ([], "jobworker-job", 990, False, False),
        (["*"], "jobworker-job", 990, False, True),
        (["*"], "alice", 1000, False, True),
        (["*"], "alice", 999, False, False),
        (["*"], "www-data", 33, False, False),
        (["www-data"], "www-data", 33, False, True),
        (["*"], "nobody", 65534, False, False),
        (["nobody"], "nobody", 65534, False, True),
        (["*"], "alice", 65535, False, True),
        (["*"], "root", 0, True, False),
        (["root"], "root", 0, False, False),
        (["root"], "root", 0, True, True),
        (["*", "root"], "toor", 0, True, False),
        (["toor"], "toor", 0, False, False),
        (["jobworker"], "jobworker", 997, False, False),
        (["*"], "jobworker-log", 1500, False, False),
    ],
)
def test_a_user_is_allowed_or_not(
    run_as: list[str], user: str, uid: int, allow_root: bool, matches: bool
) -> None:
    """``*`` is default_user and people; uid 0 is named and allowed; the worker's own users never."""
    assert rules.run_as_matches(run_as, user, uid, "jobworker-job", _OWN, allow_root) is matches


def test_a_star_does_not_mean_root_where_that_is_the_default() -> None:
    """Also then it must be named."""
    assert not rules.run_as_matches(["*"], "root", 0, "root", (), True)


def test_in_development_the_one_plain_user_may_run_jobs() -> None:
    """The worker then names no users of its own."""
    assert rules.run_as_matches(["*"], "alice", 1000, "alice", (), False)


@pytest.mark.parametrize(
    "name",
    ["LD_PRELOAD", "LD_", "LD_AUDIT", "GCONV_PATH", "GLIBC_TUNABLES", "BASH_ENV", "ENV", "BASH_FUNC_x", "IFS", "PS4",
     "NOTIFY_SOCKET", "WATCHDOG_USEC", "WATCHDOG_PID", "LISTEN_FDS", "LISTEN_PID", "JOURNAL_STREAM", "INVOCATION_ID",
     "JOBWORKER_JOB_ID", "JOBWORKER_"],
)  # fmt: skip
def test_a_variable_is_refused_whatever_a_grant_says(name: str) -> None:
    """It would hand the job over, or let it speak as the worker."""
    assert rules.env_refusal(name, ()) == "refused by name"
    assert rules.env_refusal(name, ("*", name)) == "refused by name"


@pytest.mark.parametrize(
    ("name", "pattern"),
    [("PYTHONPATH", "PYTHON*"), ("PYTHON", "PYTHON"), ("PERL5LIB", "PERL5*"), ("PERL5OPT", "PERL5OPT"),
     ("RUBYOPT", "RUBY*"), ("NODE_OPTIONS", "NODE_OPTIONS"), ("GIT_SSH", "GIT_SSH"), ("GIT_SSH_COMMAND", "GIT_*")],
)  # fmt: skip
def test_an_interpreters_variable_needs_a_grant(name: str, pattern: str) -> None:
    """One that names it."""
    refusal = "refused by name, unless a grant's env allows it"
    assert rules.env_refusal(name, ()) == refusal
    assert rules.env_refusal(name, ("OTHER*", name[:-1])) == refusal
    assert rules.env_refusal(name, ("OTHER*", pattern)) is None


@pytest.mark.parametrize(
    "name", ["A", "_", "http_proxy", "RSYNC_RSH", "PATH", "HOME", "ENVIRONMENT", "LD", "PS1"]
)
def test_any_other_variable_may_be_set_by_anybody(name: str) -> None:
    """No grant needs to name it."""
    assert rules.env_refusal(name, ()) is None


@pytest.mark.parametrize(
    "name", ["", "1A", "A-B", "A B", "A.B", "BASH_FUNC_x%%", "É", "A\n", " LD_PRELOAD", "A\0"]
)
def test_what_is_no_variables_name_is_refused(name: str) -> None:
    """Also where a grant's pattern is ``*``."""
    assert rules.env_refusal(name, ("*",)) == "not a name of letters, digits and _"


def test_sizes_are_counted_as_execve_does() -> None:
    """In bytes of UTF-8, each string with its NUL."""
    assert rules.argv_and_env_bytes([], []) == 0
    assert rules.argv_and_env_bytes(["a", ""], ["K=é"]) == 2 + 1 + 5


def test_the_fixed_path_is_the_contracts() -> None:
    """Jobs are told the same as programs are looked up on."""
    assert rules.FIXED_PATH == "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
