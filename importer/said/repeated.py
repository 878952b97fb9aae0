"""What was said of the header of the last file, and is not said again every night. Pure.

A system that sends a column which Headcount does not know sends it every night. That is worth a word when it comes,
and again when the header changes. So a file that was applied leaves what was true of its header, whether it was said
or not, and the next one says only what is new. A note is the kind of message and the cell it is about: where a
setting has changed what a column means, the kind is another one, and so it is said.

Only what is of no consequence for the users is here. That an unread column says who has left, or that a whole column
is in doubt, is said with every file.
"""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable

from importer.model import Problem

SAID_ONCE = frozenset({"unknown_column", "skills_column", "column_not_used", "unnamed_column", "header_spelling"})
"""Codes of messages that are said when the header changes, not every night."""

Note = tuple[str, str]


def notes_of(problems: Iterable[Problem]) -> list[Note]:
    """What the next file need not say again, each in the order in which it stands in `problems`."""
    return [_note(problem) for problem in problems if problem.code in SAID_ONCE]


def news(problems: Iterable[Problem], before: Collection[Note]) -> list[Problem]:
    """Those of `problems` that the notes of the file before do not hold already."""
    return [problem for problem in problems if problem.code not in SAID_ONCE or _note(problem) not in before]


def notes_to_json(notes: Iterable[Note]) -> str:
    return json.dumps(list(notes), ensure_ascii=False)


def notes_from_json(text: str | None) -> frozenset[Note]:
    """The notes in `text`, as `notes_to_json` wrote them; none for None."""
    return frozenset((code, about) for code, about in json.loads(text or "[]"))


def _note(problem: Problem) -> Note:
    return problem.code, problem.value or problem.message
