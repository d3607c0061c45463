"""Durations, signals, instants, numbers and pairs as they are typed."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from jobctl import values


@pytest.mark.parametrize(
    ("convert", "text", "value"),
    [
        (values.duration, "10s", 10),
        (values.duration, "0", 0),
        (values.duration, "250ms", 0.25),
        (values.duration, "1.5m", 90),
        (values.duration, "8h", 28800),
        (values.duration, "30d", 2592000),
        (values.count, "0", 0),
        (values.count, "18446744073", 18446744073),
        (values.signal_number, "TERM", 15),
        (values.signal_number, "sigint", 2),
        (values.signal_number, "9", 9),
        (values.signal_number, "64", 64),
        (values.signal_name, 15, "SIGTERM"),
        (values.signal_name, 35, "signal 35"),
        (values.pair, "a=b=c", ("a", "b=c")),
        (values.pair, "a=", ("a", "")),
        (values.instant, "2026-11-24T02:43:00Z", datetime(2026, 11, 24, 2, 43, tzinfo=UTC)),
        (values.instant, "2026-11-24T02:43:00", datetime(2026, 11, 24, 2, 43, tzinfo=UTC)),
        (values.instant, "2026-11-24T02:43:00+02:00", datetime(2026, 11, 24, 0, 43, tzinfo=UTC)),
        (values.instant, "2026-11-24", datetime(2026, 11, 24, tzinfo=UTC)),
    ],
)
def test_a_value_is_read_as_people_write_it(convert: Callable[[Any], Any], text: Any, value: Any) -> None:
    """Units, names with or without SIG, times with and without offset."""
    assert convert(text) == value


def test_an_age_counts_back_from_now() -> None:
    """As in --since 7d."""
    before = datetime.now(UTC)
    when = values.instant("7d")
    assert before - timedelta(days=7) <= when <= datetime.now(UTC) - timedelta(days=7)


@pytest.mark.parametrize(
    ("convert", "text", "message"),
    [
        (values.duration, "10", "'10' is not a duration such as 10s, 8h or 30d"),
        (values.duration, "", "'' is not a duration such as 10s, 8h or 30d"),
        (values.duration, "-1s", "'-1s' is not a duration such as 10s, 8h or 30d"),
        (values.duration, "1w", "'1w' is not a duration such as 10s, 8h or 30d"),
        (values.duration, "100001d", "'100001d' is more than 100000d"),
        (values.duration, "9" * 400 + "d", f"'{'9' * 400}d' is more than 100000d"),
        (values.count, "x", "'x' is not a number, 0 or more"),
        (values.count, "²", "'²' is not a number, 0 or more"),
        (values.count, "9" * 19, f"'{'9' * 19}' is not a number, 0 or more"),
        (values.signal_number, "0", "'0' is not a signal such as TERM, INT or 15"),
        (values.signal_number, "65", "'65' is not a signal such as TERM, INT or 15"),
        (values.signal_number, "SIG_IGN", "'SIG_IGN' is not a signal such as TERM, INT or 15"),
        (values.pair, "a", "'a' is not of the form K=V"),
        (values.pair, "=a", "'=a' is not of the form K=V"),
        (values.instant, "7", "'7' is neither a time such as 2026-11-24T02:43:00Z nor an age such as 7d"),
        (values.instant, "0001-01-01T00:00:00+14:00",
         "'0001-01-01T00:00:00+14:00' is neither a time such as 2026-11-24T02:43:00Z nor an age such as 7d"),
    ],
)  # fmt: skip
def test_a_value_that_cannot_be_is_told_with_what_can(
    convert: Callable[[str], Any], text: str, message: str
) -> None:
    """No traceback of a conversion reaches anybody."""
    with pytest.raises(ValueError, match=re.escape(message)) as caught:
        convert(text)
    assert str(caught.value) == message
