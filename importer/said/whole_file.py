"""Which messages are about the whole file, and which of them a person must see first. Pure.

A message about the whole file comes before those of rows, wherever messages are listed, and is never cut off by them.
What makes it one is its code: it stands in `ABOUT_THE_FILE`, the gravest first, and that is the order in which such
messages are listed, whenever they were said. (Its line tells nothing: messages about the header have line 1, and one
about an absent user has none.)

A new code: enter it in `LOOK_FIRST`, where its place is, if the users may be wrong although the import was applied.
Then its sentence is part of the one-line message of the import, too. Enter it in `ALSO_ABOUT_THE_FILE` if it is about
the file, or a whole column, but no more than worth knowing. A code that is in neither is about rows, and so
is an error, whatever its code: it rejects its row. Why a file failed needs no entry: `Spool.say_first` has it before
everything else.
"""

from __future__ import annotations

from collections.abc import Iterable

from ground.words import counted
from importer.model import Problem, Severity

MANY, EACH = "identifiers_changed", "perhaps_the_same_person"
"""What is said of many users at once, and of each."""

LOOK_FIRST = (
    "unread_leavers",
    "most_rows_are_leavers",
    "reversed_flag",
    "last_admin",
    "identifiers_changed",
    "perhaps_utf_8",
    "garbled_text",
    "absent_not_deactivated",
    "perhaps_the_same_person",
)
"""The users may be wrong, and no row says so. Their sentences are in the message of the import."""

ALSO_ABOUT_THE_FILE = (
    "possibly_truncated",
    "spreadsheet_error",
    "formula",
    "placeholder",
    "html_entities",
    "unknown_column",
    "skills_column",
    "column_not_used",
    "unnamed_column",
    "header_spelling",
    "sep_line",
    "end_mark",
    "blank_lines",
)

ABOUT_THE_FILE = (*LOOK_FIRST, *ALSO_ABOUT_THE_FILE)

LOOKED_AT = 3
"""The message of an import has so many sentences of messages in it, and says how many more there are."""

_RANK = {code: rank for rank, code in enumerate(ABOUT_THE_FILE)}


def rank(problem: Problem) -> int | None:
    """The place of `problem` among those about the whole file, 0 the first; None if it is about rows."""
    return None if problem.severity is Severity.ERROR else _RANK.get(problem.code)


def is_about_the_file(severity: str, code: str) -> bool:
    return severity != Severity.ERROR and code in _RANK


def look_first(problems: Iterable[Problem], before: str = "", *, said: str = "") -> str | None:
    """What has to be looked at first, in sentences; None if `problems` have nothing of that kind.

    `before`: before what it has to be looked at, as `before you decide`. `said`: a code that was told already. What
    one message says of many users is not told of each of them.
    """
    found = sorted((problem for problem in problems if problem.code in LOOK_FIRST), key=_place)
    if any(problem.code == MANY for problem in found):
        found = [problem for problem in found if problem.code not in (EACH, said)]
    if not found:
        return None
    sentences = list(dict.fromkeys(problem.message for problem in found))
    more = len(sentences) - LOOKED_AT
    rest = f" (The report has {counted(more, 'more message', 'more messages')} like this.)" if more > 0 else ""
    return f"Look at this {before or 'first'}: {' '.join(sentences[:LOOKED_AT])}{rest}"


def _place(problem: Problem) -> int:
    return LOOK_FIRST.index(problem.code)
