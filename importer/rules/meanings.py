"""Read the cells of one column: trim them, apply value_mapping, and handle blank cells. Pure.

The rule of each column is in `cells`, `emails`, `timezones` and `custom`. Most cells of a file repeat, so the meaning
of a cell is cached.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from importer.file.formulas import unescape_formula
from importer.file.header import fold
from importer.file.letters import BLANKS
from importer.rules.cells import DEFAULT_LANGUAGE, DEFAULT_ROLE, LEAVE, Doubtful, FieldValue, Invalid
from importer.rules.custom import Rule
from importer.rules.emails import plain_address, plain_addresses
from importer.rules.nonvalues import FREE, GARBLED, NEED_A_VALUE, is_garbled, sift
from importer.rules.rulebook import rules_of, with_words_named
from importer.rules.settings import ImportSettings

WHEN_CLEARED: dict[str, FieldValue] = {"role": DEFAULT_ROLE, "language": DEFAULT_LANGUAGE, "secondary_team": ()}

REMEMBERED = 10_000
REMEMBERED_LENGTH = 64
"""The size of the cache of a column, in cells of at most so many characters; a full cache is cleared."""

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_NEEDS_TIDYING = " '"
"""The first characters of a printable ASCII cell that `tidy` may change."""
_ESCAPED = ("=", "+", "-", "@")

Note = tuple[str, str, Invalid | Doubtful]
"""A cell that needs a message: its column, its text, and why."""


def tidy(cell: str) -> str:
    """Return `cell` in NFC, trimmed, without the `'` that escapes a formula."""
    if not cell.isascii():
        cell = unicodedata.normalize("NFC", cell)
    cell = cell.strip(BLANKS)
    return unescape_formula(cell).strip(BLANKS) if cell.startswith("'") else cell


@dataclass(frozen=True, slots=True)
class Column:
    """How the cells of one column are read. `values` maps words of the file, folded, to values; `blank` is a blank
    cell.

    `rule` reads values. `sifted` also recognizes what systems write in place of a value.
    """

    name: str
    rule: Rule
    sifted: Rule
    blank: FieldValue | Invalid | Doubtful
    values: Mapping[str, str] = field(default_factory=dict)

    def read(self, cell: str) -> tuple[str, FieldValue | Invalid | Doubtful]:
        """Return `cell` made tidy, and its meaning. A text that a `'` escaped is a value, not a formula."""
        text = tidy(cell)
        return text, self.judge(text, certain=text[:1] in _ESCAPED and cell.lstrip(BLANKS).startswith("'"))

    def judge(self, text: str, *, certain: bool = False) -> FieldValue | Invalid | Doubtful:
        """Return the meaning of the tidy `text`. `certain`: it is a value, whatever it looks like."""
        if text and self.values:
            ours = self.values.get(fold(text))
            text, certain = (text, certain) if ours is None else (ours, True)
        if not text:
            return self.blank
        if not text.isprintable() and _CONTROL.search(text):
            if is_garbled(text):
                return GARBLED
            return Invalid(
                "control_character",
                "Invisible control character. Type the text instead of pasting it.",
            )
        return self.rule(text) if certain else self.sifted(text)

    def cell(self, text: str) -> str:
        """Return a cell that is read as `text` would be without value_mapping."""
        if not text or fold(text) not in self.values:
            return text
        meant = self.rule(text)
        return next((theirs for theirs in (text, *self.values) if self.judge(theirs) == meant), text)


def columns_under(settings: ImportSettings) -> dict[str, Column]:
    """Return the column of every field, by name."""
    columns = {}
    required = settings.names.required
    blank_leaves = settings.blank_cells == "keep"
    own, texts = settings.own, {each.key for each in settings.custom_fields if each.type == "text"}
    for name, rule in rules_of(settings.date_format, settings.custom_fields).items():
        mapped = settings.value_mapping.get(name, {})
        values = {fold(tidy(theirs)): tidy(ours) for theirs, ours in mapped.items()}
        needs_value = name in required or (name in NEED_A_VALUE and name not in own)
        sifted = sift(name, with_words_named(rule, mapped), needed=needs_value, free=name in FREE or name in texts)
        blank = rule(values[""]) if "" in values else _blank(name, name in required, blank_leaves, name in own)
        columns[name] = Column(name, rule, sifted, blank, values)
    return columns


def _blank(name: str, required: bool, blank_leaves: bool, own: bool) -> FieldValue | Invalid | Doubtful:
    if required:
        one_name = " For a person with one name, write it in first_name and - in last_name."
        advice = f"Fill it in.{one_name if name in ('first_name', 'last_name') else ''}"
        return Invalid("missing_value", f"The cell must not be blank. {advice}")
    if name == "active" and not own:
        return Invalid(
            "missing_value",
            "The cell must not be blank. Write yes or no, or say in value_mapping what a blank cell means.",
        )
    if name in ("deactivate", "leave_date") and not own:
        return None
    return LEAVE if blank_leaves else WHEN_CLEARED.get(name)


class Meanings(dict[str, FieldValue]):
    """A cache of the meanings of the cells of one column, by their text in the file.

    An invalid or doubtful cell is added to `notes` each time. Only those that make one warning for a
    column are cached, in `odd`, since a column may be full of them.
    """

    def __init__(self, column: Column, notes: list[Note]) -> None:
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
        if len(cell) <= REMEMBERED_LENGTH:
            if len(self) >= REMEMBERED:
                self.clear()  # the same cells are often near each other
            self[cell] = found
        return found

    def column(self, cells: Sequence[str]) -> list[FieldValue]:
        """Return the meaning of each of `cells`."""
        return list(map(self.__getitem__, cells))


class Addresses(Meanings):
    """Email addresses: few repeat, and most are plain."""

    def __missing__(self, cell: str) -> FieldValue:
        return plain_address(cell) or super().__missing__(cell)

    def column(self, cells: Sequence[str]) -> list[FieldValue]:
        return [
            address or super(Addresses, self).__missing__(cell)
            for address, cell in zip(plain_addresses(cells), cells, strict=True)
        ]
