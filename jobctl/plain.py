"""An error as text: one line and a ``try:`` line, or one JSON object. Always at hand: no protobuf here."""

from __future__ import annotations

import json

from .failure import Failure


def printable(text: str) -> str:
    """Control, right-to-left and other unprintable characters as backslash escapes, all on one line."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def error_lines(failure: Failure) -> str:
    """For people."""
    hint = f"try: {printable(failure.hint)}\n" if failure.hint else ""
    return f"jobctl: {printable(failure.message)}\n{hint}"


def error_json(failure: Failure) -> str:
    """For scripts: {"error": {code, reason, message, try}}."""
    error = {"code": failure.code, "reason": failure.reason, "message": failure.message, "try": failure.hint}
    return json.dumps({"error": error}) + "\n"
