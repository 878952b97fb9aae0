"""One row -> the values that are valid and the problems that are not.  Pure.

Each column's rule is in `cells`, `emails`, `timezones` and `custom`; here they are put together: cells are tidied,
values get what the tenant says they mean, blank cells theirs, and what is wrong becomes an error, or, in the row of a
leaver, a warning.

Most cells of a file have come before: what a cell means is remembered, so that most need only be looked up.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from operator import getitem, itemgetter

from importer.file.formulas import unescape_formula
from importer.file.header import Header, fold
from importer.file.letters import BLANKS, visible
from importer.file.nobody import about_nobody
from importer.model import Problem, Severity, shown
from importer.rules.cells import DEFAULT_LANGUAGE, DEFAULT_ROLE, LEAVE, Doubtful, FieldValue, Invalid
from importer.rules.custom import Rule
from importer.rules.doubts import doubt
from importer.rules.emails import email_key, plain_address
from importer.rules.identity import identity_of
from importer.rules.nonvalues import FREE, MUST_SAY, sift
from importer.rules.rulebook import rules_of, telling_words
from importer.rules.settings import ImportSettings

WHEN_CLEARED: dict[str, FieldValue] = {"role": DEFAULT_ROLE, "language": DEFAULT_LANGUAGE, "secondary_team": ()}

REMEMBERED = 10_000
REMEMBERED_LENGTH = 64
"""What so many cells of a column mean, of at most so many characters each, is remembered."""

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_NEEDS_TIDYING = " '"
"""What a cell of printable ASCII may begin with if tidying may change it."""
_ESCAPED = ("=", "+", "-", "@")

_Note = tuple[str, str, Invalid | Doubtful]
"""What is to be said of a cell: its column, its text, and why."""

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
    a doubtful value. `about_nobody`: it is a total, an end mark or the header again, and its only problem says so.
    """

    line: int
    key: str | None
    identifier: str | None
    deactivate: bool
    values: dict[str, FieldValue]
    problems: list[Problem] = field(default_factory=list)
    about_nobody: bool = False


def tidy(cell: str) -> str:
    """`cell` in NFC, trimmed, without the `'` that keeps a spreadsheet from taking it for a formula."""
    if not cell.isascii():
        cell = unicodedata.normalize("NFC", cell)
    cell = cell.strip(BLANKS)
    return unescape_formula(cell).strip(BLANKS) if cell.startswith("'") else cell


@dataclass(frozen=True, slots=True)
class Column:
    """What the cells of one column mean: `values` from theirs (as `fold` gives them) to ours, and a `blank` cell.

    `rule` is for values, `sifted` for what a system may write in the place of one as well.
    """

    name: str
    rule: Rule
    sifted: Rule
    blank: FieldValue | Invalid
    values: Mapping[str, str] = field(default_factory=dict)

    def read(self, cell: str) -> tuple[str, FieldValue | Invalid | Doubtful]:
        """`cell` made tidy, and what it means. Text that had a `'` to keep it from being a formula is a value."""
        text = tidy(cell)
        return text, self.judge(text, certain=text[:1] in _ESCAPED and cell.lstrip(BLANKS).startswith("'"))

    def judge(self, text: str, *, certain: bool = False) -> FieldValue | Invalid | Doubtful:
        """What the tidy `text` means; `certain`: it is a value, whatever it looks like."""
        if text and self.values:
            ours = self.values.get(fold(text))
            text, certain = (text, certain) if ours is None else (ours, True)
        if not text:
            return self.blank
        if not text.isprintable() and _CONTROL.search(text):
            return Invalid(
                "control_character",
                "There is an invisible control character in the cell. Type the text anew instead of copying it.",
            )
        return self.rule(text) if certain else self.sifted(text)

    def cell(self, text: str) -> str:
        """What to write so that it is read as `text` would be, were there no words of the tenant's."""
        if not text or fold(text) not in self.values:
            return text
        meant = self.rule(text)
        return next((theirs for theirs in (text, *self.values) if self.judge(theirs) == meant), text)


def columns_under(settings: ImportSettings) -> dict[str, Column]:
    """Every column that means something, by name."""
    columns = {}
    required = settings.names.required
    blank_leaves = settings.blank_cells == "keep"
    own = {each.key for each in settings.custom_fields if each.type == "text"}
    for name, rule in rules_of(settings.date_format, settings.custom_fields).items():
        mapped = settings.value_mapping.get(name, {})
        values = {fold(tidy(theirs)): tidy(ours) for theirs, ours in mapped.items()}
        must_say = name in required or name in MUST_SAY
        sifted = sift(name, telling_words(rule, mapped), needed=must_say, free=name in FREE or name in own)
        columns[name] = Column(name, rule, sifted, _blank(name, name in required, blank_leaves), values)
    return columns


def _blank(name: str, required: bool, blank_leaves: bool) -> FieldValue | Invalid:
    if required:
        one_name = " For a person with one name write it in first_name, and - in last_name."
        advice = f"Fill it in.{one_name if name in ('first_name', 'last_name') else ''}"
        return Invalid("missing_value", f"The cell must not be blank. {advice}")
    if name == "deactivate":
        return False
    return LEAVE if blank_leaves else WHEN_CLEARED.get(name)


class _Meanings(dict[str, FieldValue]):
    """What the cells of one column mean, each as it is in the file; found out when first asked for.

    An invalid or doubtful cell is added to `notes` each time that it comes. Only those of which there is one warning
    a column are remembered, in `odd`, as they may fill it.
    """

    def __init__(self, column: Column, notes: list[_Note]) -> None:
        super().__init__()
        self._name = column.name
        self._read = column.read
        self._judge_plain = column.judge if column.values else column.sifted
        self._notes = notes
        self.odd: dict[str, tuple[str, str, Doubtful]] = {}

    def __missing__(self, cell: str) -> FieldValue:
        if cell in self.odd:
            self._notes.append(self.odd[cell])
            return self.odd[cell][2].value
        if cell and cell.isascii() and cell.isprintable() and cell[0] not in _NEEDS_TIDYING and cell[-1] != " ":
            text = cell
            found = self._judge_plain(cell)
        else:
            text, found = self._read(cell)
        if isinstance(found, Invalid):
            self._notes.append((self._name, text, found))
            return None
        if isinstance(found, Doubtful):
            self._notes.append((self._name, text, found))
            if found.least and len(cell) <= REMEMBERED_LENGTH and len(self.odd) < REMEMBERED:
                self.odd[cell] = (self._name, text, found)
            return found.value
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
        columns = columns_under(settings)
        self._header = header
        self._expected = len(header.columns)
        self._pick = itemgetter(*positions) if len(positions) < self._expected else None
        self._fields = [header.columns[position] for position in positions]
        self._blank_leaves = settings.blank_cells == "keep"
        self._notes: list[_Note] = []  # of the row that is being checked
        self._meanings = [
            (_Addresses if name == "email" else _Meanings)(columns[name], self._notes) for name in self._fields
        ]
        self._identity = identity_of(settings)
        self._by_address = self._identity.by_address
        self._identifier = columns[settings.identifier]
        self._identifier_at = header.columns.index(settings.identifier)
        self._email_at = header.columns.index("email")

    def key(self, cells: Sequence[str]) -> str | None:
        """The identifier of a row as compared, without looking at its other cells; None if it has no valid one."""
        if len(cells) != self._expected:
            return None
        cell = cells[self._identifier_at]
        if self._by_address and (address := plain_address(cell)):
            return email_key(address)
        _, found = self._identifier.read(cell)
        return self._key_of(found.value if isinstance(found, Doubtful) else found)

    def address(self, cells: Sequence[str]) -> str | None:
        """The e-mail address of a row as compared, if it is a plain one; None if it takes more to tell."""
        if len(cells) != self._expected:
            return None
        address = plain_address(cells[self._email_at])
        return email_key(address) if address else None

    def _key_of(self, identifier: FieldValue | Invalid) -> str | None:
        """Return an identifier as it is compared; None if the cell has no valid one."""
        return self._identity.key(identifier) if isinstance(identifier, str) else None

    def check_columns(
        self, rows: Sequence[Sequence[str]], doubts: list[Doubt] | None = None
    ) -> dict[str, list[FieldValue]] | None:
        """The values of these rows, a list a field; None if anything about one of them needs to be said.

        They are those of `check`, which tells what is wrong with which. What is said once for a column is added to
        `doubts` if that is given: then the rows must be of new users, for whom a field that stays is blank.
        """
        if any(len(cells) != self._expected for cells in rows):
            return None
        columns = list(zip(*(map(self._pick, rows) if self._pick else rows), strict=True))
        values = {
            name: [meanings[cell] for cell in column]
            for name, meanings, column in zip(self._fields, self._meanings, columns, strict=True)
        }
        blank_leaves = self._blank_leaves and any(LEAVE in column for column in values.values())
        if self._notes:
            said = len(self._notes)
            self._notes.clear()
            found = self._doubts(columns)
            if doubts is None or blank_leaves or len(found) < said:
                return None
            doubts += found
            for name, column in values.items():
                if LEAVE in column:
                    values[name] = [WHEN_CLEARED.get(name) if value == LEAVE else value for value in column]
        return None if blank_leaves else values

    def _doubts(self, columns: Sequence[Sequence[str]]) -> list[Doubt]:
        return [
            (at, meanings.odd[cell])
            for meanings, column in zip(self._meanings, columns, strict=True)
            if meanings.odd
            for at, cell in enumerate(column)
            if cell in meanings.odd
        ]

    def check(self, line: int, cells: Sequence[str], raw: str) -> CheckedRow:
        """What the record `raw` on `line`, taken apart into `cells`, says: every problem it has, at once."""
        if len(cells) != self._expected:
            return self._of_nobody(line, cells, raw) or self._ragged(line, cells, raw)
        ours = self._pick(cells) if self._pick else cells
        values = dict(zip(self._fields, map(getitem, self._meanings, ours)))  # noqa: B905 - strict costs, a row each
        notes: list[_Note] = []
        if self._notes:
            notes += self._notes
            self._notes.clear()
            for name, _, why in notes:
                if isinstance(why, Invalid):
                    del values[name]
        if notes or self._blank_leaves:
            values = {name: value for name, value in values.items() if value != LEAVE}
        deactivate = values.pop("deactivate", False) is True
        identifier = values.get(self._identifier.name)
        key = self._key_of(identifier)
        if key is None or not isinstance(identifier, str):
            identifier = tidy(cells[self._identifier_at]) or None
        if notes and (key is None or self._may_be_nobody(cells)) and (nobody := self._of_nobody(line, cells, raw)):
            return nobody
        problems = _problems(line, notes, leaver=deactivate and key is not None) if notes else []
        return CheckedRow(line, key, identifier, deactivate, values, problems)

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

    def _ragged(self, line: int, cells: Sequence[str], raw: str) -> CheckedRow:
        came, expected = len(cells), self._expected
        counted = f"The row has {_cells(came)}, but the header has {expected} columns"
        fits = self._begins_like_a_row(cells)
        if came < expected and fits:
            message = (
                f"{counted}: {_cells(expected - came)} {'is' if expected - came == 1 else 'are'} missing at the end. "
                "Have the export write every cell, blank ones too, or add the delimiters at the end of the row."
            )
        elif came > expected and fits and not any(map(tidy, cells[expected:])):
            message = (
                f"{counted}: {_cells(came - expected)} at the end {'is' if came - expected == 1 else 'are'} too "
                "many, and blank. Remove the delimiters at the end of the row."
            )
        else:
            message = (
                f"{counted}, so nobody can tell which is which. Look for a delimiter too many or too few; a text "
                "with a delimiter in it must be in quotes."
            )
        problem = Problem(Severity.ERROR, "ragged_row", message, line, None, shown(visible(raw)))
        return CheckedRow(line, None, None, False, {}, [problem])

    def _begins_like_a_row(self, cells: Sequence[str]) -> bool:
        """Whether the cells of a ragged row fit the first columns: its address stands where it should."""
        at = self._email_at
        if at >= len(cells) or not any(cells):
            return False
        address = plain_address(tidy(cells[at]))
        return address is not None and sum("@" in cell for cell in cells[: at + 1]) == 1


def _cells(number: int) -> str:
    return "1 cell" if number == 1 else f"{number} cells"


def _problems(line: int, notes: list[_Note], *, leaver: bool) -> list[Problem]:
    stays = " The user is deactivated all the same; this field stays as it was." if leaver else ""
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
