"""What the cells of one column mean: made tidy, with the words of the tenant's, blank ones too.  Pure.

Each column's rule is in `cells`, `emails`, `timezones` and `custom`. Most cells of a file have come before: what a
cell means is remembered, so that most need only be looked up.
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
from importer.rules.nonvalues import FREE, GARBLED, MUST_SAY, is_garbled, sift
from importer.rules.rulebook import rules_of, telling_words
from importer.rules.settings import ImportSettings

WHEN_CLEARED: dict[str, FieldValue] = {"role": DEFAULT_ROLE, "language": DEFAULT_LANGUAGE, "secondary_team": ()}

REMEMBERED = 10_000
REMEMBERED_LENGTH = 64
"""What so many cells of a column mean, of at most so many characters each, is remembered; then it begins anew."""

_CONTROL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")
_NEEDS_TIDYING = " '"
"""What a cell of printable ASCII may begin with if tidying may change it."""
_ESCAPED = ("=", "+", "-", "@")

Note = tuple[str, str, Invalid | Doubtful]
"""What is to be said of a cell: its column, its text, and why."""


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
    blank: FieldValue | Invalid | Doubtful
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
            if is_garbled(text):
                return GARBLED
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
    own, texts = settings.own, {each.key for each in settings.custom_fields if each.type == "text"}
    for name, rule in rules_of(settings.date_format, settings.custom_fields).items():
        mapped = settings.value_mapping.get(name, {})
        values = {fold(tidy(theirs)): tidy(ours) for theirs, ours in mapped.items()}
        must_say = name in required or (name in MUST_SAY and name not in own)
        sifted = sift(name, telling_words(rule, mapped), needed=must_say, free=name in FREE or name in texts)
        blank = rule(values[""]) if "" in values else _blank(name, name in required, blank_leaves, name in own)
        columns[name] = Column(name, rule, sifted, blank, values)
    return columns


def _blank(name: str, required: bool, blank_leaves: bool, own: bool) -> FieldValue | Invalid | Doubtful:
    if required:
        one_name = " For a person with one name write it in first_name, and - in last_name."
        advice = f"Fill it in.{one_name if name in ('first_name', 'last_name') else ''}"
        return Invalid("missing_value", f"The cell must not be blank. {advice}")
    if name == "active" and not own:
        return Invalid(
            "missing_value",
            "The cell must not be blank. Write yes or no; or ask the operator to set in value_mapping what a blank "
            "cell means.",
        )
    if name in ("deactivate", "leave_date") and not own:
        return None
    return LEAVE if blank_leaves else WHEN_CLEARED.get(name)


class Meanings(dict[str, FieldValue]):
    """What the cells of one column mean, each as it is in the file; found out when first asked for.

    An invalid or doubtful cell is added to `notes` each time that it comes. Only those of which there is one warning
    a column are remembered, in `odd`, as they may fill it.
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
                self.clear()  # the cells of neighbours are alike
            self[cell] = found
        return found

    def column(self, cells: Sequence[str]) -> list[FieldValue]:
        """What each of `cells` means."""
        return list(map(self.__getitem__, cells))


class Addresses(Meanings):
    """E-mail addresses: hardly one comes twice, and most are plain."""

    def __missing__(self, cell: str) -> FieldValue:
        return plain_address(cell) or super().__missing__(cell)

    def column(self, cells: Sequence[str]) -> list[FieldValue]:
        return [
            address or super(Addresses, self).__missing__(cell)
            for address, cell in zip(plain_addresses(cells), cells, strict=True)
        ]
