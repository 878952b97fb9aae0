"""Which messages are about the whole file, and which of them a person must see first. Pure.

A message about the whole file comes before those about rows in every list, and they never push it out. Its code
decides: `ABOUT_THE_FILE` lists these codes, the most serious first, in the order in which the messages are shown.
(Its line does not decide: messages about the header have line 1, and one about an absent user has none.)

To add a code: enter it in `LOOK_FIRST`, by weight, if users may be wrong although the import was applied. Its
sentence is then also part of the one-line message of the import. Enter it in `ALSO_ABOUT_THE_FILE` if it is about the
file or a whole column, but only worth knowing. A code in neither is about rows. So is every error, whatever its code:
it rejects its row. The reasons of a failure need no entry: `Spool.say_first` puts them before everything else.
"""

from __future__ import annotations

from collections.abc import Iterable

from ground.words import counted
from importer.model import Problem, Severity

MANY, EACH = "identifiers_changed", "perhaps_the_same_person"
"""The code about many users at once, and the code about each of them."""

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
"""Codes that mean that users may be wrong, though no row says so. Their sentences are in the import's message."""

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
"""The most such sentences in the message of an import; it counts the others."""

_RANK = {code: rank for rank, code in enumerate(ABOUT_THE_FILE)}


def rank(problem: Problem) -> int | None:
    """Return the place of `problem` among those about the whole file, 0 the first; None if it is about rows."""
    return None if problem.severity is Severity.ERROR else _RANK.get(problem.code)


def is_about_the_file(severity: str, code: str) -> bool:
    return severity != Severity.ERROR and code in _RANK


def look_first(problems: Iterable[Problem], before: str = "", *, said: str = "") -> str | None:
    """Return the sentences that a person must read first; None if `problems` have none.

    `before` says when, as `before you decide`. `said`: a code that was reported already. If a message is about many
    users at once, those about each of them are left out.
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
