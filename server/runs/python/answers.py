"""The answers of a hook, the same in the event loop, in a thread and in a process of its own. Pure.

Between processes an answer is JSON: a process that runs the code of a hook is not believed to send anything else.
"""

from __future__ import annotations

import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from pydantic import BaseModel, ValidationError

from headcount.hooks import Declared, Delivery, Message, Refuse, Result, Retry
from importer.model import INTEGER_MAX
from server.runs.registry import Attempt
from server.setting_errors import place, reason

MOST_MESSAGES = 10_000
MOST_COUNTS = 100
LONGEST_TEXT = 1000
"""In characters: of a sentence, and of every other text in an answer. The rest of a longer one is cut off."""

LARGEST_NUMBER = INTEGER_MAX

LONGEST_ANSWER = 16 * 1024 * 1024
"""In bytes of JSON."""

LONGEST_ERROR = 300
DEEPEST_TRACE = 40
LONGEST_CHAIN = 5

SEVERITIES = ("error", "warning", "notice")


@dataclass(frozen=True, slots=True)
class Raised:
    """An exception of a hook. `error` is its type and first line; `trace` the calls that led to it, without its text.

    If it is `final`, another attempt cannot succeed.
    """

    error: str
    trace: str
    final: bool = False


@dataclass(frozen=True, slots=True)
class Unfit:
    """The model of a hook refuses the tenant's values, which an older model took. The value is in neither text.

    `fields` are the wrong fields, "" if only the values together are wrong; `rules` are the fields with their rules.
    """

    fields: str
    rules: str


class UnfitSettings(Exception):  # noqa: N818 - what is the case
    """The values are `unfit`."""

    def __init__(self, unfit: Unfit) -> None:
        super().__init__(unfit.rules)
        self.unfit = unfit


Answer = Result | Retry | Refuse | Raised | Unfit


def delivery_of(declared: Declared, attempt: Attempt) -> Delivery:
    """Return what a hook gets. Raises UnfitSettings, and what else the model raises for the tenant's values."""
    return Delivery(
        tenant=attempt.tenant,
        id=attempt.run_id,
        path=attempt.path,
        name=attempt.path.rsplit("/", 1)[-1],
        size=attempt.size,
        sha256=attempt.sha256,
        uploaded_at=datetime.fromisoformat(attempt.uploaded_at),
        attempt=attempt.attempt,
        settings=_settings(declared.settings, attempt.settings) if declared.settings else None,
        _copy=attempt.copy,
        _reports=attempt.reports,
    )


def _settings(model: type[BaseModel], values: Mapping[str, Any]) -> BaseModel:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        found = [
            (place({**each, "loc": ("", *each["loc"])}), reason(each, secret=True))
            for each in error.errors(include_url=False)
        ]
    fields = ", ".join(dict.fromkeys(where for where, _ in found if where))
    raise UnfitSettings(Unfit(_text(fields), _text("; ".join(f"{where} {why}".strip() for where, why in found))))


def returned(value: object) -> Answer:
    """Return what a hook's return value means."""
    try:
        return _checked(value)
    except TypeError as error:
        return Raised(f"TypeError: {error}", "", final=True)


def accepted(value: object) -> Answer:
    """Return what the return value of `accept` means. One that may be meant as a refusal accepts nothing."""
    if value is None:
        return Result()
    return Raised(f"TypeError: accept returns None or raises Refuse, not {type(value).__name__}", "", final=True)


def raised(error: BaseException) -> Answer:
    """Return what an exception of a hook means."""
    if isinstance(error, UnfitSettings):
        return error.unfit
    if isinstance(error, Refuse):
        return Refuse(_text(str(error.message)))
    if isinstance(error, Retry):
        try:
            return _retry(error.after_s, error.why)
        except TypeError as wrong:
            return Raised(f"TypeError: {wrong}", trace_of(error))
    return Raised(_first_line(error), trace_of(error))


def _retry(after_s: object, why: object) -> Retry:
    number = after_s if isinstance(after_s, int | float) and not isinstance(after_s, bool) else -1
    if not 0 <= number <= LARGEST_NUMBER:  # NaN fails both
        raise TypeError("the after_s of a Retry is a number of seconds from 0")
    return Retry(float(number), _text(str(why)))


def _checked(value: object) -> Result:
    if value is None:
        return Result()
    _require(value, Result, "a hook returns a Result or None")
    assert isinstance(value, Result)
    if value.message is not None:
        _require(value.message, str, "the message of a Result is a text or None")
    _require(value.counts, Mapping, "the counts of a Result are a mapping")
    _require(value.messages, Sequence, "the messages of a Result are a list")
    for name, number in value.counts.items():
        _require(name, str, "the name of a count is a text")
        _require_integer(number, "a count is an integer")
    message = None if value.message is None else _text(value.message)
    counts = {_text(name): int(number) for name, number in list(value.counts.items())[:MOST_COUNTS]}
    return Result(message, counts, tuple(_messages(value)))


def _messages(value: Result) -> Iterator[Message]:
    left = len(value.messages) - MOST_MESSAGES
    for each in value.messages[: MOST_MESSAGES - 1] if left > 0 else value.messages:
        yield _message(each)
    if left > 0:
        yield Message("notice", f"{left + 1:,} more messages were left out.", code="more_messages")


def _message(each: object) -> Message:
    _require(each, Message, "the messages of a Result are of the type Message")
    assert isinstance(each, Message)
    if each.severity not in SEVERITIES:
        raise TypeError("the severity of a Message is error, warning or notice")
    _require(each.message, str, "the message of a Message is a text")
    _require(each.code, str, "the code of a Message is a text")
    if each.line is not None:
        _require_integer(each.line, "the line of a Message is an integer or None")
    if each.column is not None:
        _require(each.column, str, "the column of a Message is a text or None")
    column = None if each.column is None else _text(each.column)
    return Message(each.severity, _text(each.message), _text(each.code), each.line, column)


def _require(value: object, kind: type, rule: str) -> None:
    if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
        raise TypeError(f"{rule}, not {type(value).__name__}")


def _require_integer(value: object, rule: str) -> None:
    """Require an integer that can be stored: Python has larger ones, even some that it cannot write as text."""
    _require(value, int, rule)
    assert isinstance(value, int)
    if abs(value) > LARGEST_NUMBER:
        raise TypeError(f"{rule} of at most 63 bits")


def _text(text: str) -> str:
    """Return a text of at most LONGEST_TEXT characters that can be stored as UTF-8."""
    return text[:LONGEST_TEXT].encode("utf-8", "replace").decode()


def _first_line(error: BaseException) -> str:
    try:
        lines = str(error).splitlines()
    except Exception:
        lines = []
    name = type(error).__name__
    return _text(f"{name}: {lines[0]}" if lines else name)[:LONGEST_ERROR]


def trace_of(error: BaseException) -> str:
    """Return the calls that led to an exception and to those before it, the newest last. It has no text of theirs."""
    texts: list[str] = []
    found: BaseException | None = error
    while found is not None and len(texts) < LONGEST_CHAIN:
        frames = traceback.StackSummary.extract(traceback.walk_tb(found.__traceback__), limit=-DEEPEST_TRACE)
        texts.append("".join([*frames.format(), type(found).__name__]))
        found = found.__cause__ or (None if found.__suppress_context__ else found.__context__)
    return "\n".join(reversed(texts))


def to_json(answer: Answer) -> dict[str, Any]:
    """Return an answer as JSON, for `from_json`."""
    match answer:
        case Result():
            messages = [asdict(each) for each in answer.messages]
            return {"done": {"message": answer.message, "counts": dict(answer.counts), "messages": messages}}
        case Retry():
            return {"retry": {"after_s": answer.after_s, "why": answer.why}}
        case Refuse():
            return {"refuse": answer.message}
        case Unfit():
            return {"unfit": asdict(answer)}
    return {"raised": asdict(answer)}


def from_json(found: Any) -> Answer:
    """Return the answer that a process sent. Raises ValueError if it is none."""
    try:
        match found:
            case {"done": {"message": message, "counts": counts, "messages": messages}}:
                return _checked(Result(message, counts, tuple(Message(**each) for each in messages)))
            case {"retry": {"after_s": after_s, "why": why}}:
                return _retry(after_s, why)
            case {"refuse": str(message)}:
                return Refuse(_text(message))
            case {"unfit": {"fields": str(fields), "rules": str(rules)}}:
                return Unfit(_text(fields), _text(rules))
            case {"raised": {"error": str(error), "trace": str(trace), "final": bool(final)}}:
                return Raised(_text(error), trace, final)
    except TypeError as error:
        raise ValueError(str(error)) from None
    raise ValueError("not an answer")
