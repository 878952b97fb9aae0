"""Changed e-mail addresses, where an address is not the identifier: set aside, and applied last, together.

Two people may swap theirs in one file, or a chain move on: row by row that would break the rule that no two users
share an address. So rows that change one wait here, whole, until all others are in. While two active users would
share an address, the later row is rejected (against somebody who is not in the file: the row), until none do; a
deactivated holder loses the address. A leaver leaves all the same, with the address of before and a warning.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Mapping
from dataclasses import dataclass

import aiosqlite

from importer.model import Problem, Severity
from importer.reconcile.roster import Roster
from importer.users.columns import Columns, User

BATCH = 2000


@dataclass(frozen=True, slots=True)
class SetAside:
    """A row that changes an address. `user` is None for one who is created by it."""

    user_id: int
    line: int
    raw: str
    columns: Columns
    state: str
    settles: bool
    waiting: Mapping[str, str]
    old_email: str | None
    old_key: str | None
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

    @property
    def any(self) -> bool:
        """Whether a row waits here."""
        return self._any

    async def open(self) -> None:
        await self._db.execute(
            "CREATE TEMP TABLE aside (user_id INTEGER PRIMARY KEY, line INTEGER NOT NULL, raw TEXT NOT NULL,"
            " columns TEXT NOT NULL, state TEXT NOT NULL, settles INTEGER NOT NULL, waiting TEXT NOT NULL,"
            " old_email TEXT, old_key TEXT, new_key TEXT, created INTEGER NOT NULL, clash INTEGER)"
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
                row.settles,
                json.dumps(row.waiting),
                row.old_email,
                row.old_key,
                row.columns["email_key"],
                row.created,
            )
            for row in rows
        ]
        if found:
            self._any = True
            await self._db.executemany("INSERT INTO aside VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)", found)

    async def settle(self) -> list[Problem]:
        """Decide which rows can't be applied, and free the addresses of those that can. Notices for who loses one."""
        if not self._any:
            return []
        await self._clash_among_rows()
        await self._clash_with_holders()
        await self._db.execute(
            "UPDATE users SET email = NULL, email_key = NULL"
            " WHERE id IN (SELECT user_id FROM aside WHERE clash IS NULL)"
        )
        return await self._take_from_deactivated()

    async def _clash_among_rows(self) -> None:
        """Of the rows that want one address the first stands; a leaver's row gives way to one that isn't."""
        await self._db.execute(
            "UPDATE aside SET clash = (SELECT first.user_id FROM aside AS first WHERE first.new_key = aside.new_key"
            " AND (first.state <> 'active', first.line) < (aside.state <> 'active', aside.line)"
            " ORDER BY first.state <> 'active', first.line LIMIT 1)"
        )

    async def _clash_with_holders(self) -> None:
        """Reject rows whose address an active user keeps: one whose row is not here, or was itself rejected.

        Who leaves by a row that is here keeps no address.
        """
        await self._db.execute(
            """
            WITH RECURSIVE refused (user_id, holder) AS (
                SELECT a.user_id, h.id FROM aside AS a JOIN users AS h ON h.email_key = a.new_key
                WHERE a.clash IS NULL AND h.id <> a.user_id AND h.state = 'active'
                    AND NOT EXISTS (SELECT 1 FROM aside AS own WHERE own.user_id = h.id
                        AND (own.clash IS NULL OR own.state <> 'active'))
                UNION
                SELECT a.user_id, h.id FROM refused JOIN users AS h ON h.id = refused.user_id
                    JOIN aside AS own ON own.user_id = h.id AND own.state = 'active'
                    JOIN aside AS a ON a.new_key = h.email_key
                WHERE a.clash IS NULL AND h.id <> a.user_id AND h.state = 'active'
            )
            UPDATE aside SET clash = refused.holder FROM refused WHERE refused.user_id = aside.user_id"""
        )

    async def _take_from_deactivated(self) -> list[Problem]:
        rows = list(
            await self._db.execute_fetchall(
                "SELECT u.id, a.line, a.created FROM aside AS a JOIN users AS u ON u.email_key = a.new_key"
                " WHERE a.clash IS NULL"
            )
        )
        users = await self._roster.load(row[0] for row in rows)
        changes = [(users[row[0]], {"email": None, "email_key": None}) for row in rows]
        await self._roster.update(changes)
        # Of a new user with the address it is said that the two may be one person (pairs.py).
        return [_lost(row[1], str(users[row[0]]["email"])) for row in rows if not row[2]]

    async def rejected(self) -> AsyncIterator[list[Rejected]]:
        """The rows that can't be applied, in the order of the file."""
        async for rows in self._pages("clash IS NOT NULL AND state = 'active'"):
            holders = await self._roster.load(row["clash"] for row in rows)
            yield [_reject(row, holders.get(row["clash"]), self._roster.named.line_of(row["clash"])) for row in rows]

    async def leavers(self) -> AsyncIterator[list[tuple[SetAside, User, Problem]]]:
        """The rows of those who leave without the address that somebody else has, each with a warning."""
        async for rows in self._pages("clash IS NOT NULL AND state <> 'active'"):
            users = await self._roster.load(user_id for row in rows for user_id in (row["user_id"], row["clash"]))
            yield [
                (
                    _restored(row, None)[0],
                    users[row["user_id"]],
                    _stays(row, users.get(row["clash"]), self._roster.named.line_of(row["clash"])),
                )
                for row in rows
            ]

    async def taken(self, keys: Iterable[str]) -> set[str]:
        """Those of `keys` that somebody has, or a row set aside wants."""
        rows = await self._db.execute_fetchall(
            "SELECT value FROM json_each(?) WHERE EXISTS (SELECT 1 FROM users WHERE email_key = value)"
            " OR EXISTS (SELECT 1 FROM aside WHERE new_key = value)",
            (json.dumps(list(keys)),),
        )
        return {row[0] for row in rows}

    async def applicable(self) -> AsyncIterator[list[tuple[SetAside, User | None]]]:
        """The rows to apply now, each with its user as before the import took the address from them."""
        async for rows in self._pages("clash IS NULL"):
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
    aside = SetAside(
        row["user_id"],
        row["line"],
        row["raw"],
        json.loads(row["columns"]),
        row["state"],
        bool(row["settles"]),
        json.loads(row["waiting"]),
        row["old_email"],
        row["old_key"],
        bool(row["created"]),
    )
    if user is None:
        return aside, None
    return aside, {**user, "email": row["old_email"], "email_key": row["old_key"]}


def _reject(row: aiosqlite.Row, holder: User | None, holder_line: int) -> Rejected:
    message = (
        f"This address belongs to {_whose(holder, holder_line)}, and two active users can't share one. "
        "Correct one of the two."
    )
    problem = Problem(
        Severity.ERROR, "email_taken", message, row["line"], "email", json.loads(row["columns"])["email"]
    )
    return Rejected(row["line"], row["raw"], bool(row["created"]), problem)


def _stays(row: aiosqlite.Row, holder: User | None, holder_line: int) -> Problem:
    message = (
        f"This address belongs to {_whose(holder, holder_line)}. "
        "The user is deactivated all the same; the address stays as it was."
    )
    return Problem(
        Severity.WARNING, "email_taken", message, row["line"], "email", json.loads(row["columns"])["email"]
    )


def _whose(holder: User | None, line: int) -> str:
    where = f", on line {line}" if line else ", who is not in this file"
    if holder is None:
        return f"somebody else{where}"
    return f"{holder['first_name']} {holder['last_name']} ({holder['external_id']}){where}"


def _lost(line: int, email: str) -> Problem:
    message = (
        "A deactivated user had this address and has lost it to the person on this line. Nothing needs to be done."
    )
    return Problem(Severity.NOTICE, "address_taken_over", message, line, "email", email)
