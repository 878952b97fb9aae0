"""The standard output of a program about a delivery: a report as JSON, or plain text. Pure."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from headcount.hooks import Result
from server.runs.python.answers import from_json

MAX_CHARACTERS = 1000
"""The most characters of one text in a report."""

_EMPTY: dict[str, Any] = {"message": None, "counts": {}, "messages": []}


@dataclass(frozen=True, slots=True)
class Said:
    """An output, read. `whole`: the result has all of it, so the output need not be kept beside the report."""

    result: Result
    whole: bool


def said(output: bytes) -> Said:
    """Return the report that an output is.

    A JSON object with no fields but `message`, `counts` and `messages`, as those of `Result`, is the result. If
    the output is anything else, its first line that is not blank is the message.
    """
    text = output.decode("utf-8", "replace")
    found = _of_json(text)
    if found is not None:
        return Said(found, whole=True)
    message = first_line(output)
    return Said(Result(message), whole=text.strip() == (message or ""))


def first_line(output: bytes) -> str | None:
    """Return the first line of an output that is not blank; None if there is none."""
    lines = output.decode("utf-8", "replace").splitlines()
    return next((_clean(line.strip()) for line in lines if line.strip()), None)


def _of_json(text: str) -> Result | None:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(value, dict) or not value or not value.keys() <= _EMPTY.keys():
        return None
    try:
        answer = from_json({"done": {**_EMPTY, **_cleaned(value)}})
    except ValueError:
        return None
    return answer if isinstance(answer, Result) else None


def _cleaned(value: Any) -> Any:
    """Return a value of JSON whose texts can be shown."""
    if isinstance(value, str):
        return _clean(value)
    if isinstance(value, list):
        return [_cleaned(each) for each in value]
    if isinstance(value, dict):
        return {_clean(name): _cleaned(each) for name, each in value.items()}
    return value


def _clean(text: str) -> str:
    """Return `text` in one line without characters that cannot be shown, cut to MAX_CHARACTERS."""
    cut = text if len(text) <= MAX_CHARACTERS else text[: MAX_CHARACTERS - 1] + "…"
    return "".join(each if each.isprintable() else " " if each.isspace() else "\ufffd" for each in cut)
