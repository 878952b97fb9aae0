"""One row -> the values that are valid and the problems that are not.  Pure.

What each cell means is in `meanings`. Here the cells of a row are put together: what is wrong becomes an error, or,
in the row of a leaver, a warning; and it is told what a row is that is about no person, or has not as many cells as
the header.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from operator import getitem, itemgetter
from typing import cast

from ground.words import counted
from importer.file.header import DELIMITERS, Header
from importer.file.letters import visible
from importer.file.misread import stands_in_quotes
from importer.file.nobody import about_nobody
from importer.model import Problem, Severity, shown
from importer.rules.cells import LEAVE, Doubtful, FieldValue, Invalid
from importer.rules.doubts import doubt
from importer.rules.emails import email_key, email_keys, plain_address
from importer.rules.identity import identity_of
from importer.rules.meanings import WHEN_CLEARED, Addresses, Meanings, Note, columns_under, tidy
from importer.rules.settings import ImportSettings

FLAGS = {"deactivate": True, "active": False}
"""Fields that say by a word whether a row is a leaver's, and the value that says so."""

TEAMS = ("primary_team", "secondary_team")
"""What one of them comes to hangs on the other."""

_STAYS = " The user is deactivated all the same; this field stays as it was."

Doubt = tuple[int, tuple[str, str, Doubtful]]
"""The same of a row by its place among others, where it is said once for the column."""


@dataclass(slots=True)
class CheckedRow:
    """What one row says.

    `key` is the identifier as compared, None if nobody can tell who is meant; `identifier` is it as it is kept,
    or what stands in the cell if that is not valid, None if it is blank.
    `values` has the fields that are in the file and valid: None for a cleared one, a tuple of names for
    `secondary_team` (empty when cleared), the trimmed text for `manager` and `coach`, the default for a cleared
    role or language; a blank cell that leaves its field as it is, is absent. `problems` are errors, and the row
    is rejected, unless `deactivate` is set and it is known who leaves: then they are warnings. So is what is said of
    a doubtful value. `deactivate`: a flag says that the row is a leaver's; which do, and which say that it is not,
    is in `left_by` and `stays_by`. A blank flag says neither. `about_nobody`: it is a total, an end mark or the
    header again, and its only problem says so. `notes` is what the problems are made of.
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
    about_nobody: bool = False


@dataclass(slots=True)
class CheckedColumns:
    """What many rows say, a list a field; rows are told by their place among them.

    `values` and `keys` are as in `CheckedRow`, but flags are values like others. Of the rows at `odd` something is to
    be said that is theirs alone: what their values are says nothing. `doubts` are what is said once for a column.
    """

    values: dict[str, list[FieldValue]]
    keys: list[str | None]
    odd: set[int]
    doubts: list[Doubt]


class RowChecker:
    """Checks the rows of one file. Not for several threads at once.

    `flags`: those of FLAGS that the file has; `has_last_day`: whether it has a column for the last day.
    Last days before `past` are over.
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
        self.has_last_day = "leave_date" in self._fields and "leave_date" not in settings.own
        self._identity = identity_of(settings)
        self._by_address = self._identity.by_address
        self._identifier = columns[settings.identifier]
        self._identifier_at = header.columns.index(settings.identifier)
        self._email = columns["email"]
        self._email_at = header.columns.index("email")
        self._cells = dict(zip(positions, zip(self._fields, self._meanings, strict=True), strict=True))
        self._teams = {at for at, (name, _) in self._cells.items() if name in TEAMS}
        told_apart = {*FLAGS, "leave_date", "hire_date", "email"}
        self._whole_row = {at for at, (name, _) in self._cells.items() if name in told_apart} - {self._identifier_at}

    def key(self, cells: Sequence[str]) -> str | None:
        """The identifier of a row as compared, without a look at its other cells; None if none is valid."""
        if len(cells) != self._expected:
            return None
        cell = cells[self._identifier_at]
        if self._by_address and (address := plain_address(cell)):
            return email_key(address)
        _, found = self._identifier.read(cell)
        return self._key_of(found.value if isinstance(found, Doubtful) else found)

    def address(self, cells: Sequence[str]) -> str | None:
        """The e-mail address of a row as compared, without a look at its other cells; None if none is valid."""
        if len(cells) != self._expected:
            return None
        cell = cells[self._email_at]
        if address := plain_address(cell):
            return email_key(address)
        _, found = self._email.read(cell)
        found = found.value if isinstance(found, Doubtful) else found
        return email_key(found) if isinstance(found, str) and found != LEAVE else None

    def _key_of(self, identifier: FieldValue | Invalid) -> str | None:
        """Return an identifier as it is compared; None if the cell has no valid one."""
        return self._identity.key(identifier) if isinstance(identifier, str) else None

    def check_columns(self, rows: Sequence[Sequence[str]]) -> CheckedColumns:
        """What all these rows say, as rows of new users: for them a field that stays is blank.

        It is what `check` says of each, which tells what is wrong with those that are `odd`.
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
                self._tell_apart(meanings, column, checked)
            if (noted or self._blank_leaves) and LEAVE in values:
                values = [WHEN_CLEARED.get(name) if value == LEAVE else value for value in values]
            checked.values[name] = values
        identifiers = checked.values[self._identifier.name]
        if self._by_address:
            checked.keys = email_keys(cast(Sequence[str | None], identifiers))
        else:
            checked.keys = [self._key_of(identifier) for identifier in identifiers]
        return checked

    def _tell_apart(self, meanings: Meanings, column: Sequence[str], checked: CheckedColumns) -> None:
        """Find the cells of `column` of which something is to be said."""
        for at, cell in enumerate(column):
            meanings[cell]
            if self._notes:
                note = self._notes.pop()
                if isinstance(note[2], Doubtful) and note[2].least:
                    checked.doubts.append((at, note))  # type: ignore[arg-type]
                else:
                    checked.odd.add(at)

    def check(self, line: int, cells: Sequence[str], raw: str) -> CheckedRow:
        """What the record `raw` on `line`, taken apart into `cells`, says: every problem it has, at once."""
        if len(cells) != self._expected:
            return self._of_nobody(line, cells, raw) or self._ragged(line, cells, raw)
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
        left_by, stays_by = self._told_by_flags(values) if self.flags else ((), ())
        identifier = values.get(self._identifier.name)
        key = self._key_of(identifier)
        if key is None or not isinstance(identifier, str):
            identifier = tidy(cells[self._identifier_at]) or None
        if notes and (key is None or self._may_be_nobody(cells)) and (nobody := self._of_nobody(line, cells, raw)):
            return nobody
        if notes and identifier is None and not left_by and self._has_one_cell(cells, notes):
            problems = [self._one_cell(line, cells)]
        else:
            problems = _problems(line, notes, leaver=bool(left_by) and key is not None) if notes else []
        return CheckedRow(line, key, identifier, bool(left_by), values, problems, left_by, stays_by, notes)

    def names_the_same(self, cells: Sequence[str], before: Sequence[str]) -> bool:
        """Whether two rows name their user by the same cell, and have all their cells."""
        at = self._identifier_at
        return len(cells) == len(before) == self._expected and cells[at] == before[at]

    def check_changed(self, line: int, key: str, cells: Sequence[str], before: Sequence[str]) -> CheckedRow | None:
        """What a row says, as `check` does, but for the cells that are as they were in the row `before`.

        That names its user by the same cell, and settles it; the user is active. None if it takes the whole row:
        where there is anything to say about it, or it may be a leaver's.
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

    def _told_by_flags(self, values: dict[str, FieldValue]) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The flags that say that the row is a leaver's, and those that say that it is not; taken out of `values`."""
        said = {
            name: value is left for name, left in self.flags.items() if (value := values.pop(name, None)) is not None
        }
        return tuple(name for name in said if said[name]), tuple(name for name in said if not said[name])

    def is_person(self, line: int, cells: Sequence[str], raw: str) -> bool:
        """Whether a row has a valid identifier, and does not look like a total or an end mark."""
        if self.key(cells) is None:
            return False
        if self._by_address:
            return True
        ours = self._pick(cells) if self._pick else cells
        return sum(bool(tidy(cell)) for cell in ours) > 1 and not about_nobody(line, cells, self._header, raw)

    def _may_be_nobody(self, cells: Sequence[str]) -> bool:
        """Whether a row with a valid identifier may be a total all the same: a word can be an identifier."""
        if self._by_address or "@" in cells[self._email_at]:
            return False
        return not any(letter.isdigit() for letter in cells[self._identifier_at])

    def _of_nobody(self, line: int, cells: Sequence[str], raw: str) -> CheckedRow | None:
        """What a row says that is about no person; None if it may be a person's."""
        problem = about_nobody(line, cells, self._header, raw)
        return CheckedRow(line, None, None, False, {}, [problem], about_nobody=True) if problem else None

    @staticmethod
    def _has_one_cell(cells: Sequence[str], notes: Sequence[Note]) -> bool:
        """Whether all that is wrong with a row is that it is blank but for one cell."""
        return sum(bool(tidy(cell)) for cell in cells) == 1 and not any(text for _, text, _ in notes)

    def _one_cell(self, line: int, cells: Sequence[str]) -> Problem:
        """What to say of a row that is blank but for one cell, which is not the identifier."""
        (text,) = filter(None, map(tidy, cells))
        message = (
            f"The row has text in one cell only: “{shown(visible(text))}”. If this is a title or a note, delete the "
            f"row. If it is a person, fill in {', '.join(self._required)}."
        )
        name = self._identifier.name
        return Problem(Severity.ERROR, "missing_value", f"{name}: {message}", line, name, "")

    def _ragged(self, line: int, cells: Sequence[str], raw: str) -> CheckedRow:
        came, expected = len(cells), self._expected
        has = f"The row has {counted(came, 'cell', 'cells')}, but the header has {expected} columns"
        fits = self._begins_like_a_row(cells)
        if stands_in_quotes(cells, raw):
            message = f"{has}: the whole line stands in quotes. Remove the quotes around the line."
        elif other := self._other_delimiter(raw):
            message = (
                f"{has}: the cells of this row are separated by {DELIMITERS[other]}, those of the header by "
                f"{DELIMITERS[self._header.delimiter]}. Save all rows with {DELIMITERS[self._header.delimiter]}."
            )
        elif came < expected and fits:
            message = (
                f"{has}: {counted(expected - came, 'cell is', 'cells are')} missing at the end. "
                "Have the export write every cell, blank ones too, or add the delimiters at the end of the row. "
                "But if the row goes on in the next line, remove the line end between the two."
            )
        elif came > expected and fits and not any(map(tidy, cells[expected:])):
            message = (
                f"{has}: {counted(came - expected, 'cell at the end is', 'cells at the end are')} too "
                "many, and blank. Remove the delimiters at the end of the row."
            )
        else:
            message = (
                f"{has}, so nobody can tell which is which. Look for a delimiter too many or too few; a text "
                "with a delimiter or a line end in it must be in quotes."
            )
        problem = Problem(Severity.ERROR, "ragged_row", message, line, None, shown(visible(raw)))
        return CheckedRow(line, None, None, False, {}, [problem])

    def _begins_like_a_row(self, cells: Sequence[str]) -> bool:
        """Whether the cells of a ragged row fit the first columns: all are valid, and one is the address."""
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

    def _other_delimiter(self, raw: str) -> str | None:
        """The delimiter by which a ragged row has as many cells as the header; None if there is none."""
        if '"' in raw:
            return None
        ours = self._header.delimiter
        return next((each for each in DELIMITERS if each != ours and raw.count(each) + 1 == self._expected > 2), None)


def as_leaver(row: CheckedRow) -> None:
    """Make `row` a leaver's whose other cells do not count: what is wrong with them is only warned of."""
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
