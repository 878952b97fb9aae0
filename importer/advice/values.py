"""What the values of a column that is read need: words with a meaning, and words for nothing.  Pure.

A known word is proposed with its meaning; another is left to be completed, and its rows are rejected until then.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from importer.advice.headers import seen
from importer.advice.leavers import ANY_DAY, UNKNOWN
from importer.advice.model import Part
from importer.advice.words import proposed_words
from importer.file.header import fold
from importer.file.leavers import Tells
from importer.model import shown
from importer.rules.cells import Doubtful, Invalid
from importer.rules.left import Says, said_by
from importer.rules.meanings import Column
from importer.rules.nonvalues import says_nothing
from importer.rules.settings import ImportSettings

CLOSED = frozenset({"role", "language", "time_zone"})
FLAGS = frozenset({"deactivate", "active"})
LINKS = frozenset({"manager", "coach"})
NAMED = 5
OPEN_WORDS = 50
"""So many words of a column are left to be completed; a column with more is no list of values."""


@dataclass(frozen=True, slots=True)
class Values:
    """What is proposed for the values of one column: `words` that are known, and others left to be completed.

    `fit` is the part of the different values that would be taken, 0 to 1. `sure`: no word is for text that may be
    meant as it is.
    """

    words: dict[str, str] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    fit: float = 1.0
    sure: bool = True


def values_of(name: str, cells: Sequence[str], column: Column, settings: ImportSettings) -> Values:
    """Return what the cells of the column that is read as `name` need."""
    if name in settings.names.required or name == settings.identifier:
        return Values()
    different: dict[str, str] = {}
    for cell in cells:
        if cell:
            different.setdefault(fold(cell), cell)
    judged = {cell: column.judge(cell) for cell in different.values()}
    wrong = [cell for cell, found in judged.items() if isinstance(found, Invalid)]
    blanks = {cell: "" for cell in judged if name != "active" and _is_nothing(name, cell, judged[cell])}
    if not is_closed(name, settings):
        taken = [cell for cell in judged if cell not in wrong or cell in blanks]
        return Values(blanks, (), _share(len(taken), len(judged)), not any(cell not in wrong for cell in blanks))
    known = _flags(name, wrong) if name in FLAGS else proposed_words(name, wrong, settings)
    words = {**known, **blanks}
    unknown = tuple(cell for cell in wrong if cell not in words)
    return Values(words, unknown[:OPEN_WORDS], _share(len(judged) - len(unknown), len(judged)))


def is_closed(name: str, settings: ImportSettings) -> bool:
    """Whether the field takes only values of a list."""
    own = {each.key: each.type for each in settings.custom_fields}
    if name in own:
        return own[name] in ("choice", "boolean")
    return name in CLOSED or name in FLAGS


def part_of(name: str, header: str, at: int, found: Values) -> Part:
    """The part that adds the words of a column that is read already."""
    told = [f"“{shown(word)}” as {ours or 'blank'}" for word, ours in list(found.words.items())[:NAMED]]
    more = ", …" if len(found.words) > NAMED else ""
    sentence = f"In “{seen(header)}” ({name}) these are read: {', '.join(told)}{more}."
    return Part(sentence, found.sure, words={name: found.words}, column=at)


def note_of(name: str, header: str, unknown: Sequence[str]) -> str:
    """What to say of the words that are left to be completed."""
    told = ", ".join(f"“{shown(word)}”" for word in unknown[:NAMED])
    more = f" and {len(unknown) - NAMED} more" if len(unknown) > NAMED else ""
    return (
        f"In “{seen(header)}” no meaning is known of {told}{more}: rows with them are rejected until value_mapping "
        f"says what they mean for {name}."
    )


def open_words(unknown: Sequence[str]) -> dict[str, str]:
    return dict.fromkeys(unknown, UNKNOWN)


def _is_nothing(name: str, cell: str, found: object) -> bool:
    """Whether the cell is a word for nothing, and would not be read as nothing."""
    if not says_nothing(cell):
        return False
    return (
        name in LINKS or isinstance(found, Invalid) or (isinstance(found, Doubtful) and found.code == "placeholder")
    )


def _flags(name: str, wrong: Sequence[str]) -> dict[str, str]:
    """Words of a column that says who has left, where they are known beyond doubt; days are never words."""
    if name not in FLAGS:
        return {}
    kind = Tells.ACTIVE if name == "active" else Tells.LEFT
    yes, no = ("no", "yes") if name == "active" else ("yes", "no")
    found = {cell: said_by(kind, cell, ANY_DAY, "%Y-%m-%d") for cell in wrong}
    means = {Says.LEFT: yes, Says.STAYS: no}
    return {cell: means[said.says] for cell, said in found.items() if said.says in means and not said.day}


def _share(part: int, whole: int) -> float:
    return part / whole if whole else 1.0
