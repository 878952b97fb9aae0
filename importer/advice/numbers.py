"""Find a column of numbers that may be the identifier.  Pure.

With a number as identifier, users may change their addresses. A number is better than the address if managers are
named by it, or if addresses are missing or shared; it is as good if every row has one. It becomes the identifier only
where that is safe: for a company without users, or if every user has the number in a field already, and it is better
than the address. If the field does not exist yet, only the field is proposed.

A number of contracts is not an identifier: if two rows of one name share an address, the address identifies users.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from importer.advice.headers import MOSTLY, Likely, cells_of, is_free, seen
from importer.advice.model import Part
from importer.advice.words import proposed_words
from importer.file.header import fold, is_correction
from importer.file.synonyms import MANAGERS_NUMBERS, NUMBERS, plain
from importer.rules.cells import ISO_DATE
from importer.rules.custom import CustomField, rule_of
from importer.rules.emails import email_key
from importer.rules.identity import identity_of
from importer.rules.settings import TAKEN_KEYS, ImportSettings

KEYS = ("employee_id", "employee_number", "personnel_number")
LOGIN_KEYS = ("user_id", "login", "user_name")

_LOGINS = (
    "userid username login loginname loginid userlogin userprincipal accountname samaccountname networkid uid"
    " benutzername benutzerkennung anmeldename identifiant nomutilisateur nomdutilisateur usuario nombredeusuario"
    " nomeutente gebruikersnaam nazwauzytkownika"
)
LOGINS = frozenset(_LOGINS.split())
"""Headers of login names, as `plain` returns them."""

_NUMBER = re.compile(r"[^\s@]{0,63}\d[^\s@]{0,63}")
_check = rule_of(CustomField(key="number", label="Number", type="text"), ISO_DATE)
"""The rule of a text field. It does not take a number that a spreadsheet shortened, such as `1.2E+05`, as it is."""

_LOGIN = re.compile(r"[^\s@]{1,127}")


@dataclass(frozen=True, slots=True)
class Numbers:
    """The suggested change, or a sentence if only a person can make it."""

    part: Part | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class _Column:
    """A column with a different number, or login, in each row.

    `key` is its custom field, if it has one; `manager` the column that names managers by it, with the words `blanks`
    for "no manager". `alone`: addresses do not identify users.
    """

    at: int
    key: str | None
    is_login: bool = False
    manager: int | None = None
    blanks: Mapping[str, str] = field(default_factory=dict)
    alone: bool = False


def better_identifier(
    rows: Sequence[Sequence[str]],
    meant: Mapping[str, Likely],
    settings: ImportSettings,
    *,
    has_users: bool,
    numbered: frozenset[str] = frozenset(),
) -> Numbers:
    """Return how to read the number that every row has, and how to make it the identifier.

    `has_users`: the company has users; `numbered` are the custom fields in which each of them has a different value
    that never changed.
    """
    if not identity_of(settings).by_address or len(rows) < 3 or is_correction(rows[0]):
        return Numbers()
    found = _named_by(rows, meant, settings) or _in_every_row(rows, meant, settings)
    if found is None:
        return Numbers()
    key = found.key or _new_key(found, settings)
    if key is None:
        return Numbers()
    if not has_users:
        return Numbers(_identifier(rows, found, key, settings))
    if found.key is None:
        return Numbers(_field(rows, found, key))
    if found.manager is None and not found.alone:
        return Numbers()
    if key in numbered:
        return Numbers(_identifier(rows, found, key, settings))
    return Numbers(note=f"{_why(rows, found)} {_WHEN}")


_WHEN = "If every user has one that never changes, including deactivated users, make it the identifier."


def _new_key(found: _Column, settings: ImportSettings) -> str | None:
    taken = {*settings.own, *TAKEN_KEYS}
    return next((each for each in (LOGIN_KEYS if found.is_login else KEYS) if each not in taken), None)


def _identifier(rows: Sequence[Sequence[str]], found: _Column, key: str, settings: ImportSettings) -> Part:
    headers, fields = _reading(rows, found, key)
    words: dict[str, Mapping[str, str]] = {}
    if found.manager is not None and not settings.names.field(fold(rows[0][found.manager])):
        headers[rows[0][found.manager].strip()] = "manager"
        words = {"manager": found.blanks} if found.blanks else {}
    sentence = f"{_why(rows, found)} So {key} identifies users instead of the address."
    if words:
        told = ", ".join(f"“{seen(word)}”" for word in found.blanks)
        sentence += f" {told} is read as no manager."
    changes: dict[str, object] = {"identifier": key}
    return Part(sentence, found.alone, settings=changes, headers=headers, words=words, fields=fields, column=found.at)


def _field(rows: Sequence[Sequence[str]], found: _Column, key: str) -> Part:
    """Return the part that adds the field alone: as identifier, the number would find no existing user."""
    headers, fields = _reading(rows, found, key)
    sentence = f"{_why(rows, found)} It is read as the custom field {key}."
    if found.manager is not None or found.alone:
        sentence += f" {_WHEN}"
    return Part(sentence, headers=headers, fields=fields, column=found.at)


def _reading(
    rows: Sequence[Sequence[str]], found: _Column, key: str
) -> tuple[dict[str, str], tuple[Mapping[str, Any], ...]]:
    """Return the header and the custom field of a number that is not read yet."""
    if found.key is not None:
        return {}, ()
    header = rows[0][found.at].strip()
    return {header: key}, ({"key": key, "label": header[:255], "type": "text"},)


def _why(rows: Sequence[Sequence[str]], found: _Column) -> str:
    what = "login" if found.is_login else "number"
    sentence = f"“{seen(rows[0][found.at])}” has a different {what} for each user"
    if found.manager is not None:
        return f"{sentence}, and “{seen(rows[0][found.manager])}” names managers by it."
    if found.alone:
        return f"{sentence}, and addresses are missing or shared by different people."
    return f"{sentence}, which stays the same when an address changes."


def _named_by(rows: Sequence[Sequence[str]], meant: Mapping[str, Likely], settings: ImportSettings) -> _Column | None:
    """Return the number by which the file names managers, if there is one."""
    for at, key, is_login in _numbers(rows, meant, settings):
        numbers = set(cells_of(rows, at))
        manager = _managers_at(rows, meant, settings, numbers, is_login=is_login)
        if manager not in (None, at):
            assert manager is not None
            blanks = _blanks(cells_of(rows, manager), numbers, settings)
            known = settings.value_mapping.get("manager", {})
            new = {word: ours for word, ours in blanks.items() if word not in known}
            return _Column(at, key, is_login, manager, new)
    return None


def _in_every_row(
    rows: Sequence[Sequence[str]], meant: Mapping[str, Likely], settings: ImportSettings
) -> _Column | None:
    """Return the number that every row has, by its header and its cells, if there is one; not one of a contract."""
    if not {"first_name", "last_name", "email"} <= meant.keys():
        return None
    first, last, email = (cells_of(rows, meant[name].at) for name in ("first_name", "last_name", "email"))
    people: dict[str, set[str]] = {}
    holders: dict[str, int] = {}
    for name, address in zip(zip(first, last, strict=True), email, strict=True):
        people.setdefault(email_key(address), set()).add(" ".join(name).casefold())
        holders[email_key(address)] = holders.get(email_key(address), 0) + 1
    blank = holders.pop("", 0)
    if any(len(people[address]) < times for address, times in holders.items()):
        return None
    alone = blank > 0 or any(times > 1 for times in holders.values())
    for at, key, is_login in _numbers(rows, meant, settings):
        if plain(rows[0][at]) in NUMBERS and not is_login:
            return _Column(at, key, alone=alone)
    return None


def _numbers(
    rows: Sequence[Sequence[str]], meant: Mapping[str, Likely], settings: ImportSettings
) -> Iterator[tuple[int, str | None, bool]]:
    """Yield the columns with a different number, or login, in each row, likely ones first.

    With the custom field of each, if it has one, and whether it is a login.
    """
    own = {each.key for each in settings.custom_fields if each.type == "text"}
    taken = {likely.at: name for name, likely in meant.items()}
    free = [
        at
        for at, cell in enumerate(rows[0])
        if taken.get(at) in own or (at not in taken and _is_free(cell, settings))
    ]
    free.sort(key=lambda at: (taken.get(at) not in own, plain(rows[0][at]) not in NUMBERS))
    for at in free:
        cells = cells_of(rows, at)
        if len(set(cells)) < len(cells) or not all(isinstance(_check(cell), str) for cell in cells if cell):
            continue
        if all(map(_NUMBER.fullmatch, cells)):
            yield at, taken.get(at), False
        elif plain(rows[0][at]) in LOGINS and all(map(_LOGIN.fullmatch, cells)):
            yield at, taken.get(at), True


def _is_free(cell: str, settings: ImportSettings) -> bool:
    return is_free(fold(cell), settings.names)


def _managers_at(
    rows: Sequence[Sequence[str]],
    meant: Mapping[str, Likely],
    settings: ImportSettings,
    numbers: set[str],
    *,
    is_login: bool,
) -> int | None:
    """Return the column that names managers by these numbers or logins, if there is one."""
    likely = [meant["manager"].at] if "manager" in meant else []
    likely += [at for at, cell in enumerate(rows[0]) if _is_free(cell, settings) and plain(cell) in MANAGERS_NUMBERS]
    for at in likely:
        cells = cells_of(rows, at)
        blank = {"", *map(fold, _blanks(cells, numbers, settings))}
        filled = [cell for cell in cells if fold(cell) not in blank and (is_login or _NUMBER.fullmatch(cell))]
        if filled and sum(cell in numbers for cell in filled) >= MOSTLY * len(filled):
            return at
    return None


def _blanks(cells: Sequence[str], numbers: set[str], settings: ImportSettings) -> dict[str, str]:
    """Return the words for "no manager", as a value_mapping."""
    words = proposed_words("manager", [cell for cell in cells if cell not in numbers], settings).mapping
    return {word: ours for word, ours in words.items() if not ours}
