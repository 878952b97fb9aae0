"""Check one row: its valid values, and a problem for each invalid cell. Pure.

`meanings` reads each cell. This module combines the cells of a row: an invalid cell is an error, or a warning in the
row of a leaver. It also reports rows that are not users and rows with another number of cells than the header.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import getitem, itemgetter
from typing import cast

from ground.words import listed
from importer.file.header import Header
from importer.file.letters import visible
from importer.file.non_users import why_not_a_user
from importer.model import Problem, Severity, shown
from importer.rules.cells import LEAVE, Doubtful, FieldValue, Invalid
from importer.rules.doubts import doubt
from importer.rules.emails import email_key, email_keys, plain_address
from importer.rules.identity import identity_of
from importer.rules.meanings import WHEN_CLEARED, Addresses, Meanings, Note, columns_under, tidy
from importer.rules.ragged import why_ragged
from importer.rules.settings import ImportSettings

FLAGS = {"deactivate": True, "active": False}
"""Flags that make a row a leaver's, and the value that does."""

TEAMS = ("primary_team", "secondary_team")
"""Fields whose values depend on each other."""

_STAYS = " The user was deactivated; this field was not changed."

Doubt = tuple[int, tuple[str, str, Doubtful]]
"""A note of one row, by its place among others, that makes one message for its column."""


@dataclass(slots=True)
class CheckedRow:
    """The result of checking one row.

    - `key`: the identifier as it is compared; None if the row does not identify a user.
    - `identifier`: the identifier as it is stored, or the text of an invalid cell; None if the cell is blank.
    - `deactivate`: a flag makes the row a leaver's.
    - `values`: the valid fields of the file. None for a cleared one, a tuple of names for `secondary_team` (empty if
      cleared), the trimmed text for `manager` and `coach`, the default for a cleared role or language. A blank cell
      that leaves its field unchanged is not in it.
    - `problems`, made from `notes`: errors, which reject the row. They are warnings if the value is only doubtful, or
      if `deactivate` is set and the row identifies a user.
    - `left_by`: the flags that make the row a leaver's; `stays_by`: those that say the opposite. A blank flag is in
      neither.
    - `not_a_user`: the row is a total, an end mark or a repeated header, and its only problem says so.
    """

    line: int
    key: str | None
    identifier: str | None
    deactivate: bool
    values: dict[str, FieldValue]
    problems: list[Problem] = field(default_factory=list)
    left_by: tuple[str, ...] = ()
    stays_by: tuple[str, ...] = ()
    notes: list[Note] = field(default_factory=list)
    not_a_user: bool = False


@dataclass(slots=True)
class CheckedColumns:
    """The result of checking many rows, a list for each field, in the order of the rows.

    `values` and `keys` are as in `CheckedRow`, but flags are values too. `odd` has the places of rows that need
    messages of their own: their values do not count. `doubts` are notes that make one message for a column.
    """

    values: dict[str, list[FieldValue]]
    keys: list[str | None]
    odd: set[int]
    doubts: list[Doubt]


class RowChecker:
    """Checks the rows of one file. Not thread-safe.

    `flags` has those of FLAGS that are in the file, and `days` its columns `leave_date` and `hire_date`. Last days
    before `past` are over.
    """

    def __init__(self, header: Header, settings: ImportSettings, past: str = "") -> None:
        positions = [position for position, name in enumerate(header.columns) if name]
        columns = columns_under(settings)
        self._header = header
        self._expected = len(header.columns)
        self._pick = itemgetter(*positions) if len(positions) < self._expected else None
        self._positions = positions
        self._fields = [header.columns[position] for position in positions]
        self._required = settings.names.required
        self._blank_leaves = settings.blank_cells == "keep"
        self._notes: list[Note] = []  # of the row that is being checked
        self._meanings = [
            (Addresses if name == "email" else Meanings)(columns[name], self._notes) for name in self._fields
        ]
        self.flags = {name: left for name, left in FLAGS.items() if name in self._fields and name not in settings.own}
        self.past = past
        self.days = ({"leave_date", "hire_date"} & set(self._fields)) - set(settings.own)
        self._identity = identity_of(settings)
        self._by_address = self._identity.by_address
        self._identifier = columns[settings.identifier]
        self._identifier_at = header.columns.index(settings.identifier)
        self._email = columns["email"]
        self._email_at = header.columns.index("email")
        self._cells = dict(zip(positions, zip(self._fields, self._meanings, strict=True), strict=True))
        self._teams = {at for at, (name, _) in self._cells.items() if name in TEAMS}
        whole = {*FLAGS, "leave_date", "hire_date", "email"}
        self._whole_row = {at for at, (name, _) in self._cells.items() if name in whole} - {self._identifier_at}

    def key(self, cells: Sequence[str]) -> str | None:
        """Return the identifier of a row as it is compared; None if it is not valid. Reads no other cell."""
        if len(cells) != self._expected:
            return None
        cell = cells[self._identifier_at]
        if self._by_address and (address := plain_address(cell)):
            return email_key(address)
        _, found = self._identifier.read(cell)
        return self._key_of(found.value if isinstance(found, Doubtful) else found)

    def address(self, cells: Sequence[str]) -> str | None:
        """Return the email address of a row as it is compared; None if it is not valid. Reads no other cell."""
        if len(cells) != self._expected:
            return None
        cell = cells[self._email_at]
        if address := plain_address(cell):
            return email_key(address)
        _, found = self._email.read(cell)
        found = found.value if isinstance(found, Doubtful) else found
        return email_key(found) if isinstance(found, str) and found != LEAVE else None

    def _key_of(self, identifier: FieldValue | Invalid) -> str | None:
        """Return an identifier as it is compared; None if it is not valid."""
        return self._identity.key(identifier) if isinstance(identifier, str) else None

    def check_columns(self, rows: Sequence[Sequence[str]]) -> CheckedColumns:
        """Check all these rows as rows of new users: a cell that leaves its field unchanged counts as blank.

        The result is that of `check` for each row, except the rows that are `odd`: use `check` for those.
        """
        if not rows:
            return CheckedColumns({name: [] for name in self._fields}, [], set(), [])
        odd = set()
        if set(map(len, rows)) - {self._expected}:
            odd = {at for at, cells in enumerate(rows) if len(cells) != self._expected}
            blank = [""] * self._expected
            rows = [cells if len(cells) == self._expected else blank for cells in rows]
        columns = list(zip(*(map(self._pick, rows) if self._pick else rows), strict=True)) or [()] * len(self._fields)
        checked = CheckedColumns({}, [], odd, [])
        for name, meanings, column in zip(self._fields, self._meanings, columns, strict=True):
            values = meanings.column(column)
            noted = bool(self._notes)
            if noted:
                self._notes.clear()
                self._find_notes(meanings, column, checked)
            if (noted or self._blank_leaves) and LEAVE in values:
                values = [WHEN_CLEARED.get(name) if value == LEAVE else value for value in values]
            checked.values[name] = values
        identifiers = checked.values[self._identifier.name]
        if self._by_address:
            checked.keys = email_keys(cast(Sequence[str | None], identifiers))
        else:
            checked.keys = [self._key_of(identifier) for identifier in identifiers]
        return checked

    def _find_notes(self, meanings: Meanings, column: Sequence[str], checked: CheckedColumns) -> None:
        """Find the cells of `column` that need a message."""
        for at, cell in enumerate(column):
            meanings[cell]
            if self._notes:
                note = self._notes.pop()
                if isinstance(note[2], Doubtful) and note[2].least:
                    checked.doubts.append((at, note))  # type: ignore[arg-type]
                else:
                    checked.odd.add(at)

    def check(self, line: int, cells: Sequence[str], raw: str) -> CheckedRow:
        """Check the record `raw` on `line`, which has these `cells`; report all of its problems."""
        if len(cells) != self._expected:
            return self._not_a_user(line, cells, raw) or self._ragged(line, cells, raw)
        ours = self._pick(cells) if self._pick else cells
        values = dict(zip(self._fields, map(getitem, self._meanings, ours)))  # noqa: B905 - strict costs, a row each
        notes: list[Note] = []
        if self._notes:
            notes += self._notes
            self._notes.clear()
            for name, _, why in notes:
                if isinstance(why, Invalid):
                    del values[name]
        if notes or self._blank_leaves:
            values = {name: value for name, value in values.items() if value != LEAVE}
        left_by, stays_by = self._take_flags(values) if self.flags else ((), ())
        identifier = values.get(self._identifier.name)
        key = self._key_of(identifier)
        if key is None or not isinstance(identifier, str):
            identifier = tidy(cells[self._identifier_at]) or None
        if (
            notes
            and (key is None or self._may_not_be_a_user(cells))
            and (other := self._not_a_user(line, cells, raw))
        ):
            return other
        if notes and identifier is None and not left_by and self._has_one_cell(cells, notes):
            problems = [self._one_cell(line, cells)]
        else:
            problems = _problems(line, notes, leaver=bool(left_by) and key is not None) if notes else []
        return CheckedRow(line, key, identifier, bool(left_by), values, problems, left_by, stays_by, notes)

    def names_the_same(self, cells: Sequence[str], before: Sequence[str]) -> bool:
        """Return whether two complete rows have the same identifier cell."""
        at = self._identifier_at
        return len(cells) == len(before) == self._expected and cells[at] == before[at]

    def check_changed(self, line: int, key: str, cells: Sequence[str], before: Sequence[str]) -> CheckedRow | None:
        """Check only the cells of a row that differ from the row `before`.

        That row has the same identifier cell and settled its user, who is active. Return None if the whole row must
        be checked: it needs a message, or it may be a leaver's.
        """
        changed = {at for at, (cell, other) in enumerate(zip(cells, before, strict=True)) if cell != other}
        changed &= self._cells.keys()
        if changed & self._whole_row:
            return None
        if changed & self._teams:
            changed |= self._teams
        values = {self._cells[at][0]: self._cells[at][1][cells[at]] for at in changed}
        if self._notes:
            self._notes.clear()
            return None
        if self._blank_leaves:
            values = {name: value for name, value in values.items() if value != LEAVE}
        return CheckedRow(line, key, key, False, values)

    def _take_flags(self, values: dict[str, FieldValue]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """Remove the flags from `values`; return those that make the row a leaver's, and the others."""
        said = {
            name: value is left for name, left in self.flags.items() if (value := values.pop(name, None)) is not None
        }
        return tuple(name for name in said if said[name]), tuple(name for name in said if not said[name])

    def is_person(self, line: int, cells: Sequence[str], raw: str) -> bool:
        """Return whether a row has a valid identifier and does not look like a total or an end mark."""
        if self.key(cells) is None:
            return False
        if self._by_address:
            return True
        ours = self._pick(cells) if self._pick else cells
        return sum(bool(tidy(cell)) for cell in ours) > 1 and not why_not_a_user(line, cells, self._header, raw)

    def _may_not_be_a_user(self, cells: Sequence[str]) -> bool:
        """Return whether a row with a valid identifier may still be a total: a word can be an identifier."""
        if self._by_address or "@" in cells[self._email_at]:
            return False
        return not any(letter.isdigit() for letter in cells[self._identifier_at])

    def _not_a_user(self, line: int, cells: Sequence[str], raw: str) -> CheckedRow | None:
        """Return the result for a row that is not a user; None if it may be one."""
        problem = why_not_a_user(line, cells, self._header, raw)
        return CheckedRow(line, None, None, False, {}, [problem], not_a_user=True) if problem else None

    @staticmethod
    def _has_one_cell(cells: Sequence[str], notes: Sequence[Note]) -> bool:
        """Return whether the only fault of a row is that all cells but one are blank."""
        return sum(bool(tidy(cell)) for cell in cells) == 1 and not any(text for _, text, _ in notes)

    def _one_cell(self, line: int, cells: Sequence[str]) -> Problem:
        """Return the error of a row with one filled cell, which is not the identifier."""
        (text,) = filter(None, map(tidy, cells))
        message = (
            f"The row has text in one cell only: “{shown(visible(text))}”. If this is a title or a note, delete the "
            f"row. If it is a user, fill in {listed(self._required)}."
        )
        name = self._identifier.name
        return Problem(Severity.ERROR, "missing_value", f"{name}: {message}", line, name, "")

    def _ragged(self, line: int, cells: Sequence[str], raw: str) -> CheckedRow:
        message = why_ragged(cells, raw, self._header, fits=self._begins_like_a_row(cells))
        problem = Problem(Severity.ERROR, "ragged_row", message, line, None, shown(visible(raw)))
        return CheckedRow(line, None, None, False, {}, [problem])

    def _begins_like_a_row(self, cells: Sequence[str]) -> bool:
        """Return whether the cells of a ragged row fit the first columns: all are valid, and one is the address."""
        at = self._email_at
        if at >= len(cells) or not any(cells):
            return False
        address = plain_address(tidy(cells[at]))
        if address is None or sum("@" in cell for cell in cells[: at + 1]) != 1:
            return False
        for position, meanings in zip(self._positions, self._meanings, strict=True):
            if position < len(cells):
                meanings[cells[position]]
        invalid = any(isinstance(why, Invalid) for _, _, why in self._notes)
        self._notes.clear()
        return not invalid


def as_leaver(row: CheckedRow) -> None:
    """Make `row` a leaver's: problems of its cells become warnings."""
    row.problems = _problems(row.line, row.notes, leaver=True)


def _problems(line: int, notes: list[Note], *, leaver: bool) -> list[Problem]:
    stays = _STAYS if leaver else ""
    rejected = not leaver and any(isinstance(why, Invalid) for _, _, why in notes)
    problems = []
    for name, cell, why in notes:
        invalid = isinstance(why, Invalid)
        if isinstance(why, Doubtful) and why.least:
            problems.append(doubt(line, name, cell, why, rejected=rejected))
            continue
        severity = Severity.ERROR if invalid and not leaver else Severity.WARNING
        sentence = why.if_rejected if rejected and isinstance(why, Doubtful) else why.message
        if not sentence:
            continue
        message = f"{_place(name, cell)}: {sentence}{stays if invalid else ''}"
        problems.append(Problem(severity, why.code, message, line, name, shown(visible(cell))))
    return problems


def _place(name: str, cell: str) -> str:
    return f"{name} “{shown(visible(cell))}”" if cell else name
