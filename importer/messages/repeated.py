"""Report messages about the header only when they are new, not every night. Pure.

A system that sends an unknown column sends it every night. The message comes with the first such file, and again when
the header changes. So an applied file leaves notes of all such messages about its header, reported or not, and the
next file reports only new ones. A note is the code of a message and the cell it is about: if a setting changes the
meaning of a column, the code changes, and the message is reported.

Only messages without consequences for users are here. Others are reported with every file, such as leavers in an
unread column, or doubts about a whole column.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable

from importer.model import Problem

SAID_ONCE = frozenset({"unknown_column", "skills_column", "column_not_used", "unnamed_column", "header_spelling"})
"""Codes of messages that are reported when the header changes, not every night."""

Note = tuple[str, str]


def notes_of(problems: Iterable[Problem]) -> list[Note]:
    """Return the notes of the messages that the next file need not report again, in the order of `problems`."""
    return [_note(problem) for problem in problems if problem.code in SAID_ONCE]


def news(problems: Iterable[Problem], before: Collection[Note]) -> list[Problem]:
    """Return those of `problems` that are not in the notes of the previous file."""
    return [problem for problem in problems if problem.code not in SAID_ONCE or _note(problem) not in before]


def notes_to_json(notes: Iterable[Note]) -> str:
    return json.dumps(list(notes), ensure_ascii=False)


def notes_from_json(text: str | None) -> frozenset[Note]:
    """Return the notes in `text`, as `notes_to_json` wrote them; none for None."""
    return frozenset((code, about) for code, about in json.loads(text or "[]"))


def _note(problem: Problem) -> Note:
    return problem.code, problem.value or problem.message
