"""Find users in the list of an import (`<id>.touched.jsonl`): by words, by action, sorted, page by page.

The list of a large import has a million lines. So a search reads the file once, and keeps only the places of the
users up to the end of its page. Run these functions in a thread.
"""

from __future__ import annotations

import heapq
import json
import unicodedata
from collections.abc import Collection, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import IO

from importer.messages.spool import Touched

ACTIONS = ("deactivated", "created", "reactivated", "updated")
"""The actions, the gravest first."""

SHOWN_MOST = 10_000
"""The most users on all pages together: a page further back would need the places of all users before it."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """The users to find: with all words of `search` in name, address or identifier, and this action ("": any).

    They are sorted by name; with `by_action` the gravest action comes first.
    """

    search: str = ""
    action: str = ""
    by_action: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """One page of users, the number of users before it, and the number of all users that were found."""

    users: list[Touched]
    before: int
    total: int

    @property
    def next(self) -> int | None:
        """The number of users before the next page; None if this page is the last one."""
        after = self.before + len(self.users)
        return after if after < min(self.total, SHOWN_MOST) else None

    @property
    def are_all(self) -> bool:
        """Whether no user follows this page."""
        return self.before + len(self.users) >= self.total


def find_touched(path: Path, wanted: Wanted, *, before: int, limit: int) -> Found:
    """Return up to `limit` users of the list at `path`, after the first `before`. Without a file there are none.

    If there are not so many users, or the page would end after SHOWN_MOST, return the first page.
    """
    if before + limit > SHOWN_MOST:
        before = 0
    with suppress(FileNotFoundError), path.open("rb") as file:
        numbers = count()
        # zip takes a number only for a place: the next number is the number of places.
        places = (place for place, _ in zip(_places(file, wanted), numbers, strict=False))
        page = heapq.nsmallest(before + limit, places)[before:]
        total = next(numbers)
        if before and not page:
            return find_touched(path, wanted, before=0, limit=limit)
        return Found([_at(file, start) for _, _, start in page], before, total)
    return Found([], 0, 0)


def has_words(user: Touched, words: Collection[str]) -> bool:
    """Return whether all these words are in the user's name, address or identifier. Pure."""
    text = folded(" ".join(filter(None, (user["name"], user["email"], user["identifier"]))))
    return all(word in text for word in words)


def folded(text: str) -> str:
    """Return `text` without case and accents, for a comparison. Pure."""
    if text.isascii():
        return text.lower()
    apart = unicodedata.normalize("NFKD", text.casefold())
    return "".join(letter for letter in apart if not unicodedata.combining(letter))


def with_another_domain(users: Iterable[Touched]) -> list[tuple[str, str]]:
    """Return the addresses of deactivated users, each with that of a created user which differs only in the domain.

    Pure.
    """
    old: dict[str, str] = {}
    new: dict[str, str] = {}
    for user in users:
        local, _, domain = (user["email"] or "").rpartition("@")
        if local and domain and user["action"] in ("deactivated", "created"):
            (new if user["action"] == "created" else old).setdefault(local.lower(), user["email"] or "")
    return [(address, new[local]) for local, address in old.items() if local in new]


def all_touched(path: Path) -> Iterator[Touched]:
    """Yield all users of the list at `path`. Without a file there are none."""
    with suppress(FileNotFoundError), path.open(encoding="utf-8") as lines:
        yield from map(json.loads, lines)


def _places(file: IO[bytes], wanted: Wanted) -> Iterator[tuple[int, str, int]]:
    """Yield the place in the order and the place in the file of each user that is wanted."""
    words, action = folded(wanted.search).split(), f'"{wanted.action}"'.encode() if wanted.action else b""
    start = 0
    file.seek(0)
    for line in file:
        at, start = start, start + len(line)
        if action not in line:
            continue
        user: Touched = json.loads(line)
        if wanted.action in ("", user["action"]) and has_words(user, words):
            yield ACTIONS.index(user["action"]) if wanted.by_action else 0, folded(user["name"]), at


def _at(file: IO[bytes], start: int) -> Touched:
    file.seek(start)
    user: Touched = json.loads(file.readline())
    return user
