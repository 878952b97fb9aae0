"""Changed e-mail addresses, where an address is not the identifier: set aside, and applied last, together.

Two people may swap theirs in one file, or a chain move on: row by row that would break the rule that no two users
share an address. So rows that change one wait here, whole, until all others are in. While two active users would
share an address, the later row is rejected (against somebody who is not in the file: the row), until none do; a
deactivated holder loses the address. A leaver's row is never rejected: if the address is taken, the leaver goes
without it.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import aiosqlite

from importer.model import Problem, Severity
from importer.plan import User
from importer.roster import Roster

BATCH = 2000


@dataclass(frozen=True, slots=True)
class SetAside:
    """A row that changes an address. `user` is None for one who is created by it."""

    user_id: int
    line: int
    raw: str
    columns: Mapping[str, Any]
    state: str
    digest: bytes | None
    waiting: Mapping[str, str]
    old_email: str | None
    old_key: str | None
    old_state: str | None
    created: bool


@dataclass(frozen=True, slots=True)
class Rejected:
    """A row that was set aside and can't be applied."""

    line: int
    raw: str
    created: bool
    problem: Problem


class Addresses:
    """The rows of one import that change an address."""

    def __init__(self, db: aiosqlite.Connection, roster: Roster) -> None:
        self._db = db
        self._roster = roster
        self._any = False

    async def open(self) -> None:
        await self._db.execute(
            "CREATE TEMP TABLE aside (user_id INTEGER PRIMARY KEY, line INTEGER NOT NULL, raw TEXT NOT NULL,"
            " columns TEXT NOT NULL, state TEXT NOT NULL, digest BLOB, waiting TEXT NOT NULL, old_email TEXT,"
            " old_key TEXT, old_state TEXT, new_key TEXT, created INTEGER NOT NULL, clash INTEGER)"
        )
        await self._db.execute("CREATE INDEX temp.aside_new ON aside (new_key, line)")
        await self._db.execute("CREATE INDEX temp.aside_old ON aside (old_key)")

    async def add(self, rows: Iterable[SetAside]) -> None:
        """Keep these rows until all others are in."""
        found = [
            (
                row.user_id,
                row.line,
                row.raw,
                json.dumps(row.columns),
                row.state,
                row.digest,
                json.dumps(row.waiting),
                row.old_email,
                row.old_key,
                row.old_state,
                row.columns["email_key"],
                row.created,
            )
            for row in rows
        ]
        if found:
            self._any = True
            await self._db.executemany("INSERT INTO aside VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)", found)

    async def settle(self) -> list[Problem]:
        """Decide which rows can't be applied, and free the addresses of those that can.

        Returns notices for who loses one, and warnings for leavers who can't have theirs.
        """
        if not self._any:
            return []
        # Whoever leaves keeps an address from nobody.
        await self._db.execute(
            "UPDATE users SET state = 'deactivated' WHERE id IN (SELECT user_id FROM aside WHERE state <> 'active')"
        )
        await self._clash_among_rows()
        await self._clash_with_holders()
        await self._db.execute(
            "UPDATE users SET email = NULL, email_key = NULL, digest = NULL"
            " WHERE id IN (SELECT user_id FROM aside WHERE clash IS NULL)"
        )
        refused = [row async for rows in self._refused("state <> 'active'") for row in rows]
        return [*(_without_address(row.problem) for row in refused), *await self._take_from_deactivated()]

    async def _clash_among_rows(self) -> None:
        """Of the rows that want one address, the first stands; leavers give way to all others."""
        await self._db.execute(
            "UPDATE aside SET clash = (SELECT first.user_id FROM aside AS first WHERE first.new_key = aside.new_key"
            " AND first.user_id <> aside.user_id AND CASE WHEN first.state = aside.state"
            " THEN first.line < aside.line ELSE first.state = 'active' END ORDER BY first.line LIMIT 1)"
        )

    async def _clash_with_holders(self) -> None:
        """Reject rows whose address an active user keeps: one whose row is not here, or was itself rejected."""
        await self._db.execute(
            """
            WITH RECURSIVE refused (user_id, holder) AS (
                SELECT a.user_id, h.id FROM aside AS a JOIN users AS h ON h.email_key = a.new_key
                WHERE a.clash IS NULL AND h.id <> a.user_id AND h.state = 'active'
                    AND NOT EXISTS (SELECT 1 FROM aside AS own WHERE own.user_id = h.id AND own.clash IS NULL)
                UNION
                SELECT a.user_id, h.id FROM refused JOIN users AS h ON h.id = refused.user_id
                    JOIN aside AS a ON a.new_key = h.email_key
                WHERE a.clash IS NULL AND h.id <> a.user_id AND h.state = 'active'
            )
            UPDATE aside SET clash = refused.holder FROM refused WHERE refused.user_id = aside.user_id"""
        )

    async def _take_from_deactivated(self) -> list[Problem]:
        rows = list(
            await self._db.execute_fetchall(
                "SELECT u.id, a.line FROM aside AS a JOIN users AS u ON u.email_key = a.new_key WHERE a.clash IS NULL"
            )
        )
        users = await self._roster.load(row[0] for row in rows)
        changes = [(users[row[0]], {"email": None, "email_key": None}) for row in rows]
        await self._roster.update(changes, {})
        return [_lost(row[1], str(users[row[0]]["email"])) for row in rows]

    async def rejected(self) -> AsyncIterator[list[Rejected]]:
        """The rows that can't be applied, in the order of the file."""
        async for rows in self._refused("state = 'active'"):
            yield rows

    async def _refused(self, condition: str) -> AsyncIterator[list[Rejected]]:
        async for rows in self._pages(f"clash IS NOT NULL AND {condition}"):
            holders = await self._roster.load(row["clash"] for row in rows)
            yield [_reject(row, holders.get(row["clash"]), self._roster.line_of(row["clash"])) for row in rows]

    async def applicable(self) -> AsyncIterator[list[tuple[SetAside, User | None]]]:
        """The rows to apply now, each with its user as before the import took the address from them."""
        async for rows in self._pages("(clash IS NULL OR state <> 'active')"):
            users = await self._roster.load(row["user_id"] for row in rows if not row["created"])
            yield [_restored(row, users.get(row["user_id"])) for row in rows]

    async def _pages(self, condition: str) -> AsyncIterator[list[aiosqlite.Row]]:
        after = 0
        while self._any:
            rows = list(
                await self._db.execute_fetchall(
                    f"SELECT * FROM aside WHERE {condition} AND line > ? ORDER BY line LIMIT {BATCH}",  # noqa: S608
                    (after,),
                )
            )
            if not rows:
                return
            after = rows[-1]["line"]
            yield rows


def _restored(row: aiosqlite.Row, user: User | None) -> tuple[SetAside, User | None]:
    taken = row["clash"] is not None
    columns = json.loads(row["columns"])
    if taken:
        columns = {name: value for name, value in columns.items() if name not in ("email", "email_key")}
    aside = SetAside(
        row["user_id"],
        row["line"],
        row["raw"],
        columns,
        row["state"],
        None if taken else row["digest"],
        json.loads(row["waiting"]),
        row["old_email"],
        row["old_key"],
        row["old_state"],
        bool(row["created"]),
    )
    if user is None:
        return aside, None
    before = {"state": row["old_state"]}
    if not taken:
        before |= {"email": row["old_email"], "email_key": row["old_key"]}
    return aside, {**user, **before}


def _reject(row: aiosqlite.Row, holder: User | None, holder_line: int) -> Rejected:
    whose = "somebody else"
    if holder is not None:
        whose = f"{holder['first_name']} {holder['last_name']} ({holder['external_id']})"
    where = f", on line {holder_line}" if holder_line else ", who is not in this file"
    message = f"This address belongs to {whose}{where}, and two active users can't share one. Correct one of the two."
    problem = Problem(
        Severity.ERROR, "email_taken", message, row["line"], "email", json.loads(row["columns"])["email"]
    )
    return Rejected(row["line"], row["raw"], bool(row["created"]), problem)


def _lost(line: int, email: str) -> Problem:
    message = "A deactivated user had this address and has lost it to the person on this line."
    return Problem(Severity.NOTICE, "address_taken_over", message, line, "email", email)


def _without_address(problem: Problem) -> Problem:
    message = f"{problem.message} The user is deactivated all the same; the address stays as it was."
    return replace(problem, severity=Severity.WARNING, message=message)
