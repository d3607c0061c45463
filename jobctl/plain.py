"""An error as text: one line and a ``try:`` line, or one JSON object. Always at hand: no protobuf here."""

from __future__ import annotations

import json

from .failure import Failure


def error_lines(failure: Failure) -> str:
    """For people."""
    message = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in failure.message)
    hint = f"try: {failure.hint}\n" if failure.hint else ""
    return f"jobctl: {message}\n{hint}"


def error_json(failure: Failure) -> str:
    """For scripts: {"error": {code, reason, message, try}}."""
    error = {"code": failure.code, "reason": failure.reason, "message": failure.message, "try": failure.hint}
    return json.dumps({"error": error}) + "\n"
