"""A column of numbers that tells people apart better than addresses do: where managers are named by it.  Pure.

Told apart by a number, users may change their addresses. It is proposed only for a company whose users can be told
apart so from the first: one without users, or one that has the number as a field already.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from importer.advice.headers import MOSTLY, Likely, cells_of, is_free, seen
from importer.advice.model import Part
from importer.advice.synonyms import MANAGERS_NUMBERS, NUMBERS, plain
from importer.file.header import fold
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
    at, key = _numbers_at(rows, meant, settings)
    if at is None:
        return Numbers()
    numbers = set(cells_of(rows, at))
    manager = _managers_at(rows, meant, settings, numbers)
    if manager is None:
        return Numbers()
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


def _numbers_at(
    rows: Sequence[Sequence[str]], meant: Mapping[str, Likely], settings: ImportSettings
) -> tuple[int | None, str | None]:
    """The column with a number for each person, and the custom field that it is already."""
    own = {each.key for each in settings.custom_fields if each.type == "text"}
    for key in own:
        if key in meant and _tells_apart(cells_of(rows, meant[key].at)):
            return meant[key].at, key
    taken = {likely.at for likely in meant.values()}
    for at, cell in enumerate(rows[0]):
        is_number = at not in taken and is_free(fold(cell), settings.names) and plain(cell) in NUMBERS
        if is_number and _tells_apart(cells_of(rows, at)):
            return at, None
    return None, None


def _tells_apart(cells: Sequence[str]) -> bool:
    return len(set(cells)) == len(cells) and all(_NUMBER.fullmatch(cell) for cell in cells)


def _managers_at(
    rows: Sequence[Sequence[str]], meant: Mapping[str, Likely], settings: ImportSettings, numbers: set[str]
) -> int | None:
    """The column that names managers by these numbers."""
    likely = [meant["manager"].at] if "manager" in meant else []
    names = settings.names
    likely += [
        at for at, cell in enumerate(rows[0]) if is_free(fold(cell), names) and plain(cell) in MANAGERS_NUMBERS
    ]
    for at in likely:
        filled = [cell for cell in cells_of(rows, at) if cell]
        if filled and sum(cell in numbers for cell in filled) >= MOSTLY * len(filled):
            return at
    return None
