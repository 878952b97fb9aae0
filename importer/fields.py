"""One row -> the values that are valid and the problems that are not.  Pure.

Each column's rule is in `rules`, `emails` and `timezones`; here they are put together: cells are tidied, blank
cells get their meaning, and what is wrong becomes an error, or, in the row of a leaver, a warning.

Most cells of most files are tidy and were seen before: so a row is first looked at as a whole, and what a
repeating cell means is remembered.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from operator import itemgetter
from typing import cast

from importer.csvfile import BLANKS, unescape_formula
from importer.emails import check_email, email_key
from importer.header import REQUIRED, Header
from importer.model import Problem, Severity, shown
from importer.rules import (
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
_QUOTED_FORMULA = re.compile(r"'[=+\-@]")


class _Absent:
    """The meaning of a blank cell that leaves its field as it is."""


_ABSENT = _Absent()
_Meaning = FieldValue | Invalid | _Absent


@dataclass(slots=True)
class CheckedRow:
    """What one row says.

    `key` is the identifier as compared, None if nobody can tell who is meant; `identifier` as given, trimmed.
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


class _Column:
    """One column of a file: its field, its rule, and what cells were found to mean."""

    def __init__(self, name: str, settings: ImportSettings) -> None:
        self._rule = RULES[name]
        self.known: dict[str, _Meaning] = {"": _blank(name, settings)}

    def meaning(self, cell: str) -> _Meaning:
        """What the tidy, not blank `cell` means."""
        if not cell.isprintable() and _CONTROL.search(cell):
            return Invalid(
                "control_character",
                "There is an invisible control character in the cell. Type the text anew instead of copying it.",
            )
        found = self._rule(cell)
        if len(self.known) < REMEMBERED and len(cell) <= REMEMBERED_LENGTH:
            self.known[cell] = found
        return found


def _blank(name: str, settings: ImportSettings) -> _Meaning:
    """What a blank cell means in the column `name`."""
    if name in REQUIRED:
        return Invalid("missing_value", "The cell must not be blank.")
    if name == "deactivate":
        return False
    return _ABSENT if settings.blank_cells == "keep" else WHEN_CLEARED.get(name)


def tidy(cell: str) -> str:
    """`cell` in NFC, trimmed, without the `'` that keeps a spreadsheet from taking it for a formula."""
    if not cell.isascii():
        cell = unicodedata.normalize("NFC", cell)
    cell = cell.strip(BLANKS)
    return unescape_formula(cell).strip(BLANKS) if cell.startswith("'") else cell


class RowChecker:
    """Checks the rows of one file."""

    def __init__(self, header: Header, settings: ImportSettings) -> None:
        positions = [position for position, name in enumerate(header.columns) if name]
        self._expected = len(header.columns)
        self._pick = itemgetter(*positions) if len(positions) < self._expected else None
        columns = [(header.columns[position], _Column(header.columns[position], settings)) for position in positions]
        self._columns = [(name, column.known, column.meaning) for name, column in columns]
        self._identifier = settings.identifier
        self._identifier_at = header.columns.index(settings.identifier)
        self._loose = (f" {header.delimiter}", f"{header.delimiter} ")

    def key(self, cells: Sequence[str]) -> str | None:
        """The identifier of a row as compared, without looking at its other cells; None if it has no valid one."""
        if len(cells) != self._expected:
            return None
        cell = cells[self._identifier_at]
        address = check_email(cell)
        if isinstance(address, Invalid):
            cell = tidy(cell)
            address = check_email(cell) if not _CONTROL.search(cell) else address
        return email_key(address) if isinstance(address, str) else None

    def check(self, line: int, cells: Sequence[str], raw: str) -> CheckedRow:
        """What the record `raw` on `line`, taken apart into `cells`, says: every problem it has, at once."""
        if len(cells) != self._expected:
            return _ragged(line, len(cells), self._expected)
        ours: Sequence[str] = self._pick(cells) if self._pick else cells
        if not self._is_tidy(raw):
            ours = [tidy(cell) for cell in ours]
        values: dict[str, FieldValue] = {}
        wrong: list[tuple[str, str, Invalid]] = []
        for (name, known, find), cell in zip(self._columns, ours):  # noqa: B905 - as many as expected
            value = known[cell] if cell in known else find(cell)
            if value.__class__ is Invalid:
                wrong.append((name, cell, value))
            elif value is not _ABSENT:
                values[name] = cast(FieldValue, value)
        deactivate = values.pop("deactivate", False) is True
        address = values.get(self._identifier)
        key = email_key(address) if isinstance(address, str) else None
        row = CheckedRow(line, key, tidy(cells[self._identifier_at]) or None, deactivate, values)
        if wrong:
            row.problems = _problems(line, wrong, leaver=deactivate and key is not None)
        return row

    def _is_tidy(self, raw: str) -> bool:
        """Whether no cell of the record can need `tidy`: looked at as a whole, which is cheaper than 14 cells."""
        before, after = self._loose
        return (
            raw.isprintable()
            and (raw.isascii() or unicodedata.is_normalized("NFC", raw))
            and '"' not in raw
            and before not in raw
            and after not in raw
            and raw[0] != " "
            and raw[-1] != " "
            and ("'" not in raw or not _QUOTED_FORMULA.search(raw))
        )


def _ragged(line: int, came: int, expected: int) -> CheckedRow:
    message = (
        f"The row has {came} cells, but the header has {expected} columns, so nobody can tell which is which. "
        "Look for a delimiter too many or too few; a text with a delimiter in it must be in quotes."
    )
    return CheckedRow(line, None, None, False, {}, [Problem(Severity.ERROR, "ragged_row", message, line)])


def _problems(line: int, wrong: list[tuple[str, str, Invalid]], *, leaver: bool) -> list[Problem]:
    severity = Severity.WARNING if leaver else Severity.ERROR
    stays = " The user is deactivated all the same; this field stays as it was." if leaver else ""
    return [
        Problem(severity, why.code, f"{_place(name, cell)}: {why.message}{stays}", line, name, shown(visible(cell)))
        for name, cell, why in wrong
    ]


def _place(name: str, cell: str) -> str:
    return f"{name} “{shown(visible(cell))}”" if cell else name
