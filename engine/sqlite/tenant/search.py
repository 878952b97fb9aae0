"""Searches users by the index; importer.users.search defines what a search finds.

The index (search.db, made by search_index.py) may be behind the users. Users changed since then are read anew, so an
answer always shows the users as they are; if they are too many, the index gives no answer.
"""

from __future__ import annotations

import json
import logging
import re
import sqlite3
import unicodedata
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import aiosqlite

from importer.users import search

log = logging.getLogger(__name__)

T = TypeVar("T")

FORMAT = 1
"""Raised whenever the content of an index changes: an index of another format is rebuilt."""

PREFIXES = 20
"""Word beginnings of up to this many letters are in the index; longer ones are found through all words they match."""

TABLE = (
    'CREATE VIRTUAL TABLE {name} USING fts5(text, columnsize=0, tokenize="unicode61 remove_diacritics 2",'
    f' prefix="{" ".join(map(str, range(1, PREFIXES + 1)))}")'
)
# The state is a word that no user types by chance: a private-use character, then its name.
STATE_MARK = "\ue000"
TEXT = (
    "first_name || ' ' || last_name || ' ' || coalesce(email, '') || ' ' || coalesce(external_id, '')"
    f" || ' {STATE_MARK}' || state"
)
TAKE_IN = f"INSERT INTO {{name}} (rowid, text) SELECT id, {TEXT} FROM {{users}} WHERE {{which}}"  # noqa: S608 - constants

LATE_MOST = 2000
"""If more users than this changed since the index was brought up to date, it is not used."""
WORDS = 16

STANDING = """
    SELECT i.highest, i.active, i.deactivated, l.seq = i.seq AND l.nonce = i.nonce AS same, l.user_id
    FROM indexed.state AS i JOIN main.search_log AS l ON l.seq >= i.seq
    WHERE i.one = 1 AND i.format = ? ORDER BY l.seq LIMIT ?"""
FOUND = """
    SELECT p.rowid FROM {people} AS p CROSS JOIN main.users AS u ON u.id = p.rowid
    WHERE p.{name} MATCH :match AND p.rowid > :after AND (:state IS NULL OR u.state = :state) AND u.known >= :known
        AND {filters} AND p.rowid NOT IN (SELECT value FROM json_each(:late)) ORDER BY p.rowid LIMIT :limit"""
LATE = "late_people"
FILTERS = {
    "team": "(u.primary_team_id = :team OR instr(',' || u.secondary_team_ids || ',', ',' || :team || ','))",
    "location": "u.location_id = :location",
    "protected": "u.protected = :protected",
}
"""The conditions on a user that no index answers: the users found are read."""


def match_of(search: str, state: str | None) -> str | None:
    """Return the query for the index; None if the index cannot answer it (no letter and no digit in it).

    Every piece is quoted, so that nothing in it is syntax.
    """
    words = [word for word in search.split() if any(map(_is_indexed, word))][:WORDS]
    if search and not words:
        return None
    asked = [f"{_quoted(word)}*" for word in words]
    return " ".join([*asked, _quoted(STATE_MARK + state)] if state else asked)


def _is_indexed(letter: str) -> bool:
    """Return whether SQLite knows it as a letter or digit: it knows all those of Unicode 3.2."""
    return unicodedata.ucd_3_2_0.category(letter)[0] in "LN"


def _quoted(word: str) -> str:
    return '"' + word.replace('"', '""') + '"'


def patterns_of(word: str) -> set[str]:
    """Return the LIKE patterns for `word` when all users are read: LIKE ignores the case of a to z only."""
    spellings = {word} if word.isascii() else {word, word.lower(), word.upper(), word.title()}
    escaped = (re.sub(r"[\\%_]", r"\\\g<0>", spelling) for spelling in spellings)
    return {f"%{spelling}%" for spelling in escaped}


@dataclass(frozen=True, slots=True)
class Standing:
    """The users that the index has not seen as they are now, and the counts by state (None: not known).

    `alone`: there is no index, and all users are `late`.
    """

    late: list[int]
    counts: dict[str, int] | None
    alone: bool = False


class Index:
    """Queries the index at `path`, attached to an open connection to users.db. Returns None if it has no answer.

    Few users need no index: `attached` is False if there is none.
    """

    def __init__(self, db: aiosqlite.Connection, path: Path, *, attached: bool = True) -> None:
        self._db = db
        self._path = path
        self._attached = attached

    async def find(self, asked: Mapping[str, Any]) -> list[int] | None:
        """Return the ids of the first `limit` users above `after` that `search` (made by `clean`) finds, in order.

        `asked` has these three by name, `known`, and `state` and the values of FILTERS; None: any.
        """
        match = match_of(asked["search"], asked["state"])
        return await self._excused(self._find({**asked, "match": match}, asked["limit"])) if match else None

    async def counts(self) -> dict[str, int] | None:
        """Return how many users are active and how many are deactivated."""
        standing = await self._excused(self._standing())
        return standing.counts if standing else None

    async def _excused(self, answer: Awaitable[T | None]) -> T | None:
        """Return the answer, or None if the index cannot be read; a damaged index is removed and will be rebuilt."""
        try:
            return await answer
        except sqlite3.DatabaseError as error:
            discard_if_broken(self._path, error)
            return None

    async def _find(self, asked: dict[str, object], limit: int) -> list[int] | None:
        standing = await self._standing() or await self._few()
        if standing is None:
            return None
        asked["late"] = json.dumps(standing.late)
        found = [] if standing.alone else await self._ids(_found("indexed.people", "people", asked), asked)
        if standing.late:
            found += await self._late(asked)
        return sorted(found)[:limit]

    async def _standing(self) -> Standing | None:
        """Return None if the index is of other users (an older copy of this file, for example), or too far behind."""
        if not self._attached:
            return None
        # Both files in one statement. If the index changes in between, the rows do not match: no answer this time.
        log_rows = list(await self._db.execute_fetchall(STANDING, (FORMAT, LATE_MOST + 2)))
        if not log_rows or not log_rows[0]["same"]:
            return None
        highest, active, deactivated = log_rows[0]["highest"], log_rows[0]["active"], log_rows[0]["deactivated"]
        new = await self._ids("SELECT id FROM main.users WHERE id > ? LIMIT ?", (highest, LATE_MOST + 1))
        late = {row["user_id"] for row in log_rows[1:] if row["user_id"] is not None}.union(new)
        if len(log_rows) - 1 > LATE_MOST or len(late) > LATE_MOST:
            return None
        counts = None if late or active is None else {"active": active, "deactivated": deactivated}
        return Standing(sorted(late), counts)

    async def _few(self) -> Standing | None:
        """Return None if there are too many users to search without an index."""
        ids = await self._ids("SELECT id FROM main.users LIMIT ?", (search.FEW + 1,))
        return Standing(ids, None, alone=True) if len(ids) <= search.FEW else None

    async def _late(self, asked: Mapping[str, object]) -> list[int]:
        """Return the late users that the search finds: they are put into an index of their own."""
        await self._db.execute(f"DROP TABLE IF EXISTS temp.{LATE}")
        await self._db.execute(TABLE.format(name=f"temp.{LATE}"))
        which = "id IN (SELECT value FROM json_each(:late))"
        await self._db.execute(TAKE_IN.format(name=f"temp.{LATE}", users="main.users", which=which), asked)
        return await self._ids(_found(f"temp.{LATE}", LATE, asked), {**asked, "late": "[]"})

    async def _ids(self, query: str, values: Sequence[object] | Mapping[str, object]) -> list[int]:
        return [row[0] for row in await self._db.execute_fetchall(query, values)]


def _found(people: str, name: str, asked: Mapping[str, object]) -> str:
    filters = " AND ".join(FILTERS[each] for each in FILTERS if asked[each] is not None)
    return FOUND.format(people=people, name=name, filters=filters or "1")


async def attach_index(db: aiosqlite.Connection, path: Path) -> Index:
    """Return the index at `path`, if there is one, attached to `db`, an open connection to the users.db beside it."""
    try:
        await db.execute("ATTACH ? AS indexed", (f"{path.absolute().as_uri()}?mode=ro",))
    except sqlite3.DatabaseError as error:
        discard_if_broken(path, error)
        return Index(db, path, attached=False)
    return Index(db, path)


def discard_if_broken(path: Path, error: sqlite3.DatabaseError) -> bool:
    """Remove the index at `path` if `error` says that it is damaged; return whether it did.

    An index that cannot be removed stays. The search does not fail: it reads every user.
    """
    if getattr(error, "sqlite_errorcode", 0) & 0xFF not in (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB):
        return False
    try:
        discard(path)
    except OSError as cause:
        log.debug("Search index %s is damaged and cannot be removed: %s.", path, cause)
        return False
    log.warning("Search index %s is damaged; rebuilding it.", path, extra={"event": "search_index_broken"})
    return True


def discard(path: Path) -> None:
    """Remove the index at `path`, if there is one. Raises OSError."""
    for end in ("", "-wal", "-shm"):
        path.with_name(path.name + end).unlink(missing_ok=True)
