"""Columns that tell who has left, but that no setting reads: count the leavers that the import keeps active.

A row of such a leaver is never known by its text, nor is one with a last day ahead in such a column. So the count is
right for the same file again too. A file without such a column has no extra cost.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from ground.words import counted
from importer.file.header import REPORT_COLUMNS, Header, heading
from importer.file.leavers import Tells, is_of_an_account, tells_beside
from importer.file.letters import visible
from importer.model import Problem, Severity, shown
from importer.reconcile.leaving import LastDay, last_day
from importer.rules.cells import FieldValue, Invalid, check_active, check_date
from importer.rules.left import NOTHING, Said, Says, said_by
from importer.rules.settings import ImportSettings

REMEMBERED = 10_000
WORDS_NAMED = 5

TARGETS = {Tells.LAST_DAY: "leave_date", Tells.ACTIVE: "active"}
"""The field that would read a kind of column; for other kinds it is `deactivate`."""

FLAGS = ("active", "deactivate")

CODES = {"t": frozenset("atilrdsupq"), "i": frozenset("ai")}
"""By letter that means "left" in a status: the only letters that the column may then have."""


@dataclass(slots=True)
class _Column:
    """One column and its counts."""

    at: int
    name: str
    tells: Tells
    of_account: bool
    said: dict[str, Said] = field(default_factory=dict)
    rows: int = 0
    against: int = 0  # of these rows, those whose user has not left by a flag or status
    line: int = 0
    words: dict[str, None] = field(default_factory=dict)
    days: bool = False
    code: str = ""  # for a status: only this letter counts here
    letters: set[str] = field(default_factory=set)

    @property
    def is_meant(self) -> bool:
        """Whether the letter says that users have left."""
        return not self.code or self.letters <= CODES[self.code]


@dataclass(frozen=True, slots=True)
class LeaverSigns:
    """The content of the unread columns in one row: those that say that the user has left, by place, with the day.

    `stays`: another of these columns, a flag or a status, says that the user has not left.
    """

    left: tuple[tuple[int, str | None], ...]
    stays: bool = False


class Unread:
    """The unread columns of one file that tell who has left. Last days before `past` are over."""

    def __init__(self, header: Header, settings: ImportSettings, past: str) -> None:
        self._settings = settings
        self._past = past
        self._fields = header.columns
        self._may_be_rejected = settings.identifier != "email"
        self._counted: dict[int, dict[int, bool]] = {}
        told = zip(header.raw, header.columns, tells_beside(header.raw), strict=True)
        flags = zip(header.raw, header.columns, strict=True)
        self._status_is_read = any(name in FLAGS and not is_of_an_account(raw) for raw, name in flags)
        self._columns = [
            _Column(at, shown(visible(raw.strip())), found, is_of_an_account(raw))
            for at, (raw, column, found) in enumerate(told)
            if found and not column and _is_unread(heading(raw), settings)
        ]
        self._columns += [
            replace(column, said={}, words={}, letters=set(), code=code)
            for column in self._columns
            if column.tells is Tells.STATUS
            for code in CODES
        ]

    @property
    def any(self) -> bool:
        """Whether there is such a column."""
        return bool(self._columns)

    def signs_in(self, cells: Sequence[str]) -> LeaverSigns | None:
        """Return what they say about a row; None if they never say that its user has left, on any day."""
        left: list[tuple[int, str | None]] = []
        ahead = stays = False
        if len(cells) != len(self._fields):
            return None
        for number, column in enumerate(self._columns):
            said = self._said(column, cells[column.at])
            if said.says is Says.LEFT:
                left.append((number, said.day))
            ahead |= said.says is Says.AHEAD
            stays |= said.says is Says.STAYS and not column.of_account
        return LeaverSigns(tuple(left), stays) if left or ahead else None

    def _said(self, column: _Column, cell: str) -> Said:
        if not cell:
            return NOTHING
        found = column.said.get(cell)
        if found is None and column.code:
            return _code(column, cell)
        if found is None:
            found = said_by(column.tells, cell, self._past, self._settings.date_format)
            if len(column.said) < REMEMBERED:
                column.said[cell] = found
        return found

    def count(
        self, signs: LeaverSigns, line: int, cells: Sequence[str], hire: FieldValue, *, stays: bool = False
    ) -> None:
        """Count a row whose user is active after it; a day before the hire date belongs to an earlier employment.

        `stays`: a flag that is read says that the user has not left; then a last day may be of an earlier contract.
        """
        found = {number: day for number, day in signs.left if last_day(day, hire, self._past) is not LastDay.EARLIER}
        stays = signs.stays or (stays and self._status_is_read)
        against = {
            number: stays and (day is not None or self._columns[number].of_account) for number, day in found.items()
        }
        if found and self._may_be_rejected:
            self._counted[line] = against
        for number, day in found.items():
            column = self._columns[number]
            column.rows += 1
            column.against += against[number]
            column.line = min(line, column.line or line)
            if day:
                column.days = True
            if len(column.words) < WORDS_NAMED:
                column.words[cells[column.at].strip()] = None

    def rejected(self, line: int) -> None:
        """Uncount the row on `line`: it was rejected, because another user has its address."""
        for number, against in self._counted.pop(line, {}).items():
            self._columns[number].rows -= 1
            self._columns[number].against -= against

    @property
    def left(self) -> int:
        """The number of users who have left by these columns and are active; by two columns, one counts twice.

        A last day or an account flag does not count if a flag or status says that the user has not left.
        """
        return sum(column.rows - column.against for column in self._columns if column.is_meant)

    def problems(self) -> list[Problem]:
        """Return a warning for each column with leavers who are active now, most rows first."""
        found = sorted(
            (each for each in self._columns if each.rows and each.is_meant), key=lambda column: -column.rows
        )
        return [self._problem(column) for column in found]

    def _problem(self, column: _Column) -> Problem:
        users = counted(column.rows, "user has", "users have")
        where, them = (f"line {column.line}", "the user")
        if column.rows > 1:
            where, them = f"first on {where}", "them"
        message = (
            f"Column “{column.name}” says that {users} left ({where}). The import creates {them} or keeps {them} "
            f"active, because no setting reads the column. {self._what_to_do(column)}"
        )
        if column.rows == column.against:
            message = (
                f"Column “{column.name}” says that {users} left ({where}), but another column says the opposite. "
                f"The import creates {them} or keeps {them} active, because no setting reads “{column.name}”. "
                "Fix the wrong cells. If they are about a previous job, there is nothing to do."
            )
        return Problem(
            Severity.WARNING, "unread_leavers", message, column.line, column.name, shown(next(iter(column.words)))
        )

    def _what_to_do(self, column: _Column) -> str:
        field_name = "leave_date" if column.days else TARGETS.get(column.tells, "deactivate")
        if column.tells is Tells.LAST_DAY and not column.days:
            field_name = "deactivate"
        taken = {"active", "deactivate"} & {*self._settings.field_mapping.values(), field_name}
        not_ours = field_name not in self._settings.targets or field_name in self._settings.own
        if field_name in self._fields or not_ours or len(taken) > 1:
            return "Fix the cells, or change the settings so that Headcount reads this column."
        does = f'Set field_mapping = {{"{column.name}": "{field_name}"}}'
        if field_name == "leave_date":
            return f"{does}{self._date_format(column)}."
        words = [word for word in column.words if self._needs_mapping(word)]
        if not words:
            blank = " A blank cell then needs an entry in value_mapping." if field_name == "active" else ""
            return f"{does}.{blank}"
        means = "no" if field_name == "active" else "yes"
        mapped = ", ".join(f'"{shown(visible(word))}": "{means}"' for word in words)
        return (
            f'{does} and value_mapping = {{"{field_name}": {{{mapped}}}}}, and add every other word of the column to '
            "value_mapping."
        )

    def _date_format(self, column: _Column) -> str:
        if not any(isinstance(check_date(word, self._settings.date_format), Invalid) for word in column.words):
            return ""
        return " and set date_format to the form of the dates in the file"

    @staticmethod
    def _needs_mapping(word: str) -> bool:
        return isinstance(check_active(word), Invalid)


def _code(column: _Column, cell: str) -> Said:
    """Return what a letter of a status says; for any but A, the row is checked again next time."""
    letter = cell.strip().lower()
    if len(letter) != 1 or not letter.isascii() or not letter.isalpha() or letter == "a":
        return NOTHING
    column.letters.add(letter)
    return Said(Says.LEFT if letter == column.code else Says.AHEAD)


def _is_unread(name: str, settings: ImportSettings) -> bool:
    """Return whether a column without a field is neither ignored on purpose nor a second column of a field."""
    on_purpose = name in settings.names.mapping or name.startswith("_") or name in REPORT_COLUMNS
    return not on_purpose and name not in settings.columns
