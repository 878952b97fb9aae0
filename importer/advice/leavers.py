"""Which settings would read the columns that tell who has left: only where every cell of the sample would be taken.
Pure.

A column is known by its name and by what is in it, never by a likeness of names. One that cannot be proposed whole is
named in a sentence, so that a person can complete it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import islice

from importer.file.leavers import Tells, tells_beside
from importer.file.letters import visible
from importer.model import shown
from importer.rules.cells import Invalid, check_active, check_date
from importer.rules.left import Says, said_by, stands_for_none
from importer.rules.meanings import tidy
from importer.rules.settings import ImportSettings

ANY_DAY = "9999-12-31"
"""What a day says is not asked here: whether it is past depends on when the file is read."""

WORDS = 20
"""A column with more different words than this is not a list of states."""

NAMED = 5


@dataclass(slots=True)
class LeaversRead:
    """What to read: the field by the place of its column, the words of a field, and a sentence for each column."""

    fields: dict[int, str] = field(default_factory=dict)
    words: dict[str, dict[str, str]] = field(default_factory=dict)
    reasons: list[str] = field(default_factory=list)


def read_leavers(
    rows: Sequence[Sequence[str]],
    free: Sequence[int],
    taken: Sequence[str],
    settings: ImportSettings,
    date_format: str,
) -> LeaversRead:
    """Return how to read those of the columns `free` that tell who has left; the fields `taken` have a column."""
    found = LeaversRead()
    kinds = tells_beside(rows[0])
    for at in free:
        kind = kinds[at]
        if kind is None:
            continue
        cells = [tidy(row[at]) if at < len(row) else "" for row in rows[1:]]
        name = shown(visible(rows[0][at].strip()))
        proposed = _field(kind, cells, settings, date_format)
        if proposed and _is_free(proposed[0], [*taken, *found.fields.values()], settings):
            target, words = proposed
            found.fields[at] = target
            if words:
                found.words[target] = words
            found.reasons.append(f"“{name}” tells who has left: it is read as {target}.")
        elif said := _left(kind, cells, date_format):
            found.reasons.append(
                f"“{name}” may tell who has left ({', '.join(said)}), and is not read. Look at its values; "
                "field_mapping and value_mapping can say what they mean."
            )
    return found


def _is_free(target: str, taken: Sequence[str], settings: ImportSettings) -> bool:
    flags = {"active", "deactivate"}
    clash = flags if target in flags else {target}
    is_ours = target in settings.targets and target not in settings.own
    return is_ours and not clash & {*taken, *settings.field_mapping.values()}


def _field(
    kind: Tells, cells: Sequence[str], settings: ImportSettings, date_format: str
) -> tuple[str, dict[str, str]] | None:
    """The field that takes every one of `cells`, and what its words mean; None if none does."""
    filled = list(dict.fromkeys(cell for cell in cells if cell))
    if kind is Tells.LAST_DAY:
        days = {cell: check_date(cell, date_format) for cell in filled}
        if not days or any(isinstance(day, Invalid) for day in days.values()):
            return None
        none = {cell: "" for cell, day in days.items() if isinstance(day, str) and stands_for_none(day)}
        return "leave_date", {**settings.value_mapping.get("leave_date", {}), **none} if none else {}
    target = "active" if kind is Tells.ACTIVE else "deactivate"
    if len(filled) > WORDS or (target == "active" and not all(cells)):
        return None
    said = {cell: said_by(kind, cell, ANY_DAY, date_format) for cell in filled}
    if any(each.says not in (Says.LEFT, Says.STAYS) or each.day for each in said.values()):
        return None
    if kind is not Tells.LEFT and not any(each.says is Says.STAYS for each in said.values()):
        return None
    yes, no = ("no", "yes") if target == "active" else ("yes", "no")
    words = {cell: yes if said[cell].says is Says.LEFT else no for cell in filled}
    known = settings.value_mapping.get(target, {})
    return target, {**known, **words} if any(isinstance(check_active(cell), Invalid) for cell in filled) else {}


def _left(kind: Tells, cells: Sequence[str], date_format: str) -> list[str]:
    """Some of the cells by which users have left, or may have."""
    different = dict.fromkeys(cell for cell in cells if cell)
    left = (cell for cell in different if said_by(kind, cell, ANY_DAY, date_format).says is Says.LEFT)
    return [shown(visible(cell)) for cell in islice(left, NAMED)]
