"""One row -> the values that are valid and the problems that are not.  Pure.

Each column's rule is in `rules`, `emails` and `timezones`; here they are put together: cells are tidied, blank
cells get their meaning, and what is wrong becomes an error, or, in the row of a leaver, a warning.

Most cells of a file have come before: what a cell means is remembered, so that most need only be looked up.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import getitem, itemgetter

from importer.csvfile import unescape_formula
from importer.emails import check_email, email_key, plain_address
from importer.header import REQUIRED, Header
from importer.model import Problem, Severity, shown
from importer.rules import (
    BLANKS,
    DEFAULT_LANGUAGE,
    DEFAULT_ROLE,
    FieldValue,
    Invalid,
    check_date,
    check_deactivate,
    check_language,
    check_reference,
    check_role,
    check_teams,
    check_text,
    visible,
)
from importer.settings import ImportSettings
from importer.timezones import check_time_zone

__all__ = ["CheckedRow", "FieldValue", "RowChecker", "email_key"]

RULES: dict[str, Callable[[str], FieldValue | Invalid]] = {
    "first_name": check_text,
    "last_name": check_text,
    "email": check_email,
    "job_title": check_text,
    "manager": check_reference,
    "coach": check_reference,
    "primary_team": check_text,
    "secondary_team": check_teams,
    "role": check_role,
    "language": check_language,
    "location": check_text,
    "time_zone": check_time_zone,
    "hire_date": check_date,
    "deactivate": check_deactivate,
}
WHEN_CLEARED: dict[str, FieldValue] = {"role": DEFAULT_ROLE, "language": DEFAULT_LANGUAGE, "secondary_team": ()}

REMEMBERED = 10_000
REMEMBERED_LENGTH = 64
"""What so many cells of a column mean, of at most so many characters each, is remembered."""

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_NEEDS_TIDYING = " '"
"""What a cell of printable ASCII may begin with if tidying may change it."""

_LEAVE = "\0"
"""The meaning of a blank cell that leaves its field as it is: no cell's value can be this."""


@dataclass(slots=True)
class CheckedRow:
    """What one row says.

    `key` is the identifier as compared, None if nobody can tell who is meant; `identifier` is it as it is kept,
    or what stands in the cell if that is not valid, None if it is blank.
    `values` has the fields that are in the file and valid: None for a cleared one, a tuple of names for
    `secondary_team` (empty when cleared), the trimmed text for `manager` and `coach`, the default for a cleared
    role or language; a blank cell that leaves its field as it is, is absent. `problems` are errors, and the row
    is rejected, unless `deactivate` is set and it is known who leaves: then they are warnings.
    """

    line: int
    key: str | None
    identifier: str | None
    deactivate: bool
    values: dict[str, FieldValue]
    problems: list[Problem] = field(default_factory=list)


def tidy(cell: str) -> str:
    """`cell` in NFC, trimmed, without the `'` that keeps a spreadsheet from taking it for a formula."""
    if not cell.isascii():
        cell = unicodedata.normalize("NFC", cell)
    cell = cell.strip(BLANKS)
    return unescape_formula(cell).strip(BLANKS) if cell.startswith("'") else cell


def judge(name: str, text: str, *, blank_leaves: bool) -> FieldValue | Invalid:
    """What the tidy `text` means in the column `name`."""
    if not text:
        return _blank(name, blank_leaves)
    if not text.isprintable() and _CONTROL.search(text):
        return Invalid(
            "control_character",
            "There is an invisible control character in the cell. Type the text anew instead of copying it.",
        )
    return RULES[name](text)


def _blank(name: str, blank_leaves: bool) -> FieldValue | Invalid:
    if name in REQUIRED:
        return Invalid("missing_value", "The cell must not be blank.")
    if name == "deactivate":
        return False
    return _LEAVE if blank_leaves else WHEN_CLEARED.get(name)


class _Meanings(dict[str, FieldValue]):
    """What the cells of one column mean, each as it is in the file; found out when first asked for.

    An invalid cell has no meaning: it is added to `wrong`, and looked at anew when it comes again.
    """

    def __init__(self, name: str, wrong: list[tuple[str, str, Invalid]], *, blank_leaves: bool) -> None:
        super().__init__()
        self._name = name
        self._rule = RULES[name]
        self._wrong = wrong
        self._blank_leaves = blank_leaves

    def __missing__(self, cell: str) -> FieldValue:
        if cell and cell.isascii() and cell.isprintable() and cell[0] not in _NEEDS_TIDYING and cell[-1] != " ":
            text = cell
            found = self._rule(cell)
        else:
            text = tidy(cell)
            found = judge(self._name, text, blank_leaves=self._blank_leaves)
        if isinstance(found, Invalid):
            self._wrong.append((self._name, text, found))
            return None
        if len(cell) <= REMEMBERED_LENGTH and len(self) < REMEMBERED:
            self[cell] = found
        return found


class _Addresses(_Meanings):
    """E-mail addresses: hardly one comes twice, and most are plain."""

    def __missing__(self, cell: str) -> FieldValue:
        return plain_address(cell) or super().__missing__(cell)


class RowChecker:
    """Checks the rows of one file. Not for several threads at once."""

    def __init__(self, header: Header, settings: ImportSettings) -> None:
        positions = [position for position, name in enumerate(header.columns) if name]
        self._expected = len(header.columns)
        self._pick = itemgetter(*positions) if len(positions) < self._expected else None
        self._fields = [header.columns[position] for position in positions]
        self._blank_leaves = settings.blank_cells == "keep"
        self._wrong: list[tuple[str, str, Invalid]] = []  # of the row that is being checked
        self._meanings = [
            (_Addresses if name == "email" else _Meanings)(name, self._wrong, blank_leaves=self._blank_leaves)
            for name in self._fields
        ]
        self._identifier = settings.identifier
        self._identifier_at = header.columns.index(settings.identifier)

    def key(self, cells: Sequence[str]) -> str | None:
        """The identifier of a row as compared, without looking at its other cells; None if it has no valid one."""
        if len(cells) != self._expected:
            return None
        cell = cells[self._identifier_at]
        address = plain_address(cell) or judge(self._identifier, tidy(cell), blank_leaves=False)
        return email_key(address) if isinstance(address, str) else None

    def check_columns(self, rows: Sequence[Sequence[str]]) -> dict[str, list[FieldValue]] | None:
        """The values of these rows, a list a field; None if anything about one of them needs to be said.

        They are those of `check`, which tells what is wrong with which.
        """
        if any(len(cells) != self._expected for cells in rows):
            return None
        columns = zip(*(map(self._pick, rows) if self._pick else rows), strict=True)
        values = {
            name: [meanings[cell] for cell in column]
            for name, meanings, column in zip(self._fields, self._meanings, columns, strict=True)
        }
        if self._wrong:
            self._wrong.clear()
            return None
        if self._blank_leaves and any(_LEAVE in column for column in values.values()):
            return None
        return values

    def check(self, line: int, cells: Sequence[str], raw: str) -> CheckedRow:
        """What the record `raw` on `line`, taken apart into `cells`, says: every problem it has, at once."""
        if len(cells) != self._expected:
            return _ragged(line, len(cells), self._expected, raw)
        ours = self._pick(cells) if self._pick else cells
        values = dict(zip(self._fields, map(getitem, self._meanings, ours)))  # noqa: B905 - strict costs, a row each
        wrong: list[tuple[str, str, Invalid]] = []
        if self._wrong:
            wrong += self._wrong
            self._wrong.clear()
            for name, _, _ in wrong:
                del values[name]
        if self._blank_leaves:
            values = {name: value for name, value in values.items() if value != _LEAVE}
        deactivate = values.pop("deactivate", False) is True
        identifier = values.get(self._identifier)
        if isinstance(identifier, str):
            key = email_key(identifier)
        else:
            key, identifier = None, tidy(cells[self._identifier_at]) or None
        problems = _problems(line, wrong, leaver=deactivate and key is not None) if wrong else []
        return CheckedRow(line, key, identifier, deactivate, values, problems)


def _ragged(line: int, came: int, expected: int, raw: str) -> CheckedRow:
    message = (
        f"The row has {came} cells, but the header has {expected} columns, so nobody can tell which is which. "
        "Look for a delimiter too many or too few; a text with a delimiter in it must be in quotes."
    )
    problem = Problem(Severity.ERROR, "ragged_row", message, line, None, shown(visible(raw)))
    return CheckedRow(line, None, None, False, {}, [problem])


def _problems(line: int, wrong: list[tuple[str, str, Invalid]], *, leaver: bool) -> list[Problem]:
    severity = Severity.WARNING if leaver else Severity.ERROR
    stays = " The user is deactivated all the same; this field stays as it was." if leaver else ""
    return [
        Problem(severity, why.code, f"{_place(name, cell)}: {why.message}{stays}", line, name, shown(visible(cell)))
        for name, cell, why in wrong
    ]


def _place(name: str, cell: str) -> str:
    return f"{name} “{shown(visible(cell))}”" if cell else name
