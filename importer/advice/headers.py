"""Find the field that each column of a file is, by its header and its cells.  Pure.

For proposals only. If a message of the import suggests a field for a column, this module finds the same one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from importer.advice.names import not_a_field
from importer.file.header import Names, fold, match_columns, nearest_column
from importer.file.leavers import tells_beside
from importer.file.letters import visible
from importer.file.synonyms import MANAGERS_NUMBERS, NUMBERS, SYNONYMS, plain
from importer.model import shown
from importer.rules.identity import identity_of
from importer.rules.meanings import tidy
from importer.rules.settings import ImportSettings

MOSTLY = 0.9
"""The share of a column's cells that must be of a kind for the column to be."""

PLAIN_WORDS = frozenset({"first_name", "last_name", "email", "hire_date", "language", "time_zone"})
"""Fields whose other names have no second meaning. (Office or Division may be one of several fields.)"""


@dataclass(frozen=True, slots=True)
class Likely:
    """A column that looks like a field. `certain`: its name leaves no doubt."""

    at: int
    certain: bool


def seen(cell: str) -> str:
    """Return a header as a sentence shows it."""
    return shown(visible(cell.strip()))


def is_free(name: str, names: Names) -> bool:
    """Return whether the folded header `name` has no field yet, and is not ignored on purpose."""
    return bool(name) and not name.startswith("_") and name not in names.mapping and not names.field(name)


def cells_of(rows: Sequence[Sequence[str]], at: int) -> list[str]:
    """Return the tidy cells of a column below the header; a row without one has a blank."""
    return [tidy(row[at]) if at < len(row) else "" for row in rows[1:]]


def meant_by_name(header: Sequence[str], settings: ImportSettings) -> dict[str, Likely]:
    """Return the column of each field in `header`: by its name or the settings, or else by a similar header."""
    names = settings.names
    folded = [fold(cell) for cell in header]
    found = {name: Likely(at, True) for at, name in enumerate(match_columns(folded, names)) if name}
    kinds = tells_beside(header)
    free = {at: plain(cell) for at, cell in enumerate(header) if is_free(folded[at], names) and not kinds[at]}
    free = {at: word for at, word in free.items() if not not_a_field(header[at])}
    hints = {at: nearest_column(folded[at], names.columns) for at in free}
    for name, words in _words(settings).items():
        if name in found or name not in names.columns:
            continue
        rank = {word: number for number, word in enumerate(words)}
        fitting = [at for at, word in free.items() if word in rank and hints[at] in (None, name)]
        if fitting:
            at = min(fitting, key=lambda at: rank[free[at]])
            found[name] = Likely(at, name in PLAIN_WORDS or free[at] == plain(name) or name in settings.own)
            del free[at]
    for at in free:
        hint = hints[at]
        if hint and hint not in found:
            found[hint] = Likely(at, False)
    return found


def _words(settings: ImportSettings) -> Mapping[str, Sequence[str]]:
    """Return the likely headers of each field. If a number is the identifier, numbers name managers."""
    own: dict[str, tuple[str, ...]] = {
        each.key: (plain(each.key), plain(each.label)) for each in settings.custom_fields
    }
    if identity_of(settings).by_address:
        return {**own, **SYNONYMS}
    own[settings.identifier] = (*own[settings.identifier], *NUMBERS)
    return {**own, **SYNONYMS, "manager": (*MANAGERS_NUMBERS, *SYNONYMS["manager"])}


def addresses_at(rows: Sequence[Sequence[str]], positions: Sequence[int]) -> int | None:
    """Return the first of these columns that holds email addresses; None if none does."""
    for at in positions:
        cells = [row[at].strip() for row in rows[1:] if at < len(row)]
        if rows[0][at].strip() and cells and sum("@" in cell for cell in cells) >= MOSTLY * len(cells):
            return at
    return None
