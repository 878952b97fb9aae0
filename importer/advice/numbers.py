"""A column of numbers that tells people apart better than addresses do: where managers are named by it.  Pure.

Told apart by a number, users may change their addresses. It is proposed only for a company whose users can be told
apart so from the first: one without users, or one that has the number as a field already.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from importer.advice.headers import MOSTLY, Likely, cells_of, is_free, seen
from importer.advice.model import Part
from importer.file.header import fold
from importer.file.synonyms import MANAGERS_NUMBERS, NUMBERS, plain
from importer.rules.identity import identity_of
from importer.rules.settings import TAKEN_KEYS, ImportSettings

KEYS = ("employee_id", "employee_number", "personnel_number")

_NUMBER = re.compile(r"[^\s@]{0,63}\d[^\s@]{0,63}")


@dataclass(frozen=True, slots=True)
class Numbers:
    """What to change, or a sentence where only a person can."""

    part: Part | None = None
    note: str | None = None


def better_identifier(
    rows: Sequence[Sequence[str]], meant: Mapping[str, Likely], settings: ImportSettings, *, has_users: bool
) -> Numbers:
    """Return how to tell people apart by the number by which the file names managers, if it does."""
    if not identity_of(settings).by_address or len(rows) < 3:
        return Numbers()
    found = next(
        (
            (at, key, manager)
            for at, key in _numbers(rows, meant, settings)
            if (manager := _managers_at(rows, meant, settings, set(cells_of(rows, at)))) not in (None, at)
        ),
        None,
    )
    if found is None:
        return Numbers()
    at, key, manager = found
    assert manager is not None
    number, named = seen(rows[0][at]), seen(rows[0][manager])
    if has_users and key is None:
        return Numbers(
            note=f"“{named}” names managers by “{number}”, which is not read. Make “{number}” a custom field; when "
            "an import has filled it for every user, make it the identifier."
        )
    new = key is None
    key = key or next((each for each in KEYS if each not in {*settings.own, *TAKEN_KEYS}), None)
    if key is None:
        return Numbers()
    headers = {rows[0][at].strip(): key} if new else {}
    if fold(rows[0][manager]) not in settings.names.mapping and plain(rows[0][manager]) != "manager":
        headers[rows[0][manager].strip()] = "manager"
    fields: tuple[Mapping[str, object], ...] = ()
    if new:
        fields = ({"key": key, "label": rows[0][at].strip()[:255], "type": "text"},)
    sentence = (
        f"“{number}” has a different number for each person, and “{named}” names managers by it: {key}, and not the "
        "address, identifies users."
    )
    return Numbers(Part(sentence, settings={"identifier": key}, headers=headers, fields=fields, column=at))


def _numbers(
    rows: Sequence[Sequence[str]], meant: Mapping[str, Likely], settings: ImportSettings
) -> Iterator[tuple[int, str | None]]:
    """The columns with another number for each person, likely ones first; and the custom field that each is."""
    own = {each.key for each in settings.custom_fields if each.type == "text"}
    taken = {likely.at: name for name, likely in meant.items()}
    free = [
        at
        for at, cell in enumerate(rows[0])
        if taken.get(at) in own or (at not in taken and _is_free(cell, settings))
    ]
    free.sort(key=lambda at: (taken.get(at) not in own, plain(rows[0][at]) not in NUMBERS))
    yield from ((at, taken.get(at)) for at in free if _tells_apart(cells_of(rows, at)))


def _is_free(cell: str, settings: ImportSettings) -> bool:
    return is_free(fold(cell), settings.names)


def _tells_apart(cells: Sequence[str]) -> bool:
    return len(set(cells)) == len(cells) and all(_NUMBER.fullmatch(cell) for cell in cells)


def _managers_at(
    rows: Sequence[Sequence[str]], meant: Mapping[str, Likely], settings: ImportSettings, numbers: set[str]
) -> int | None:
    """The column that names managers by these numbers."""
    likely = [meant["manager"].at] if "manager" in meant else []
    likely += [at for at, cell in enumerate(rows[0]) if _is_free(cell, settings) and plain(cell) in MANAGERS_NUMBERS]
    for at in likely:
        filled = [cell for cell in cells_of(rows, at) if _NUMBER.fullmatch(cell)]
        if filled and sum(cell in numbers for cell in filled) >= MOSTLY * len(filled):
            return at
    return None
