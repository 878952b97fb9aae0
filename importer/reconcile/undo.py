"""The undo of one import: one transaction of users.db that puts back what the import had changed.

The newest applied import first, then the one before it; those that changed nobody are passed over. Users it updated
have their former values, users it deactivated are active, and users it created are deactivated and unknown to later
imports. What the undo comes to is written in the same transaction, so that after a crash nobody undoes it twice.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from operator import itemgetter
from pathlib import Path
from typing import cast

import aiosqlite

from ground.amounts import counted
from ground.moments import rfc3339
from importer.database import open_database, transaction
from importer.errors import Refused, Stopped
from importer.model import MESSAGES_IN_REPORT, ImportState, Outcome, Problem
from importer.reconcile.putback import (
    CREATED,
    Change,
    PutBack,
    address_taken_since,
    changed_since,
    nobody_left,
    put_back,
    still_protected,
    with_existing,
)
from importer.reconcile.roster import records_of
from importer.rules.identity import Identity
from importer.users.columns import LINKED, User, Value, ids_in
from importer.users.switching import refuse_switched

BATCH = 2000
KEPT = 10_000
"""So many of the messages of an undo are kept; the rest is only counted."""

INSERT_UNDONE = "INSERT INTO changes (import_id, user_id, field, old, new, undo) VALUES (?, ?, ?, ?, ?, 1)"


@dataclass(frozen=True, slots=True)
class UndoJob:
    """One import to undo. `identity` is what tells the users apart now."""

    tenant: str
    import_id: int
    by: str
    identity: Identity
    now: datetime


async def undo_import(
    job: UndoJob,
    database: Path,
    messages: Path,
    *,
    progress: Callable[[float], None] = lambda _: None,
    stopping: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Undo the import in `database`; what was left is in `messages`, as `<id>.undo.jsonl`, when it returns.

    The outcome (`undone`, with the counts of the import) is in the table `applied`, committed with its effects.
    Raises Refused if it is not the newest one that changed anybody; TryAgain, Stopped. Then nothing was changed.
    """
    db = await open_database(database, "tenant")
    try:
        async with transaction(db):
            await refuse_switched(db, job.identity)
            undo = _Undo(job, db)
            applied = await undo.judge()
            await undo.run(progress, stopping)
            outcome = await undo.outcome(applied)
            await asyncio.to_thread(_keep, messages / f"{job.import_id}.undo.jsonl", undo.left)
            await db.execute(
                "UPDATE applied SET undone = ?, undone_at = ? WHERE import_id = ?",
                (json.dumps(outcome.to_json()), rfc3339(job.now), job.import_id),
            )
            # No row of the next file is known by its text: one may name a manager who is unknown now. (Each user who
            # was written has lost the digest already, by a trigger of the table.)
            await db.execute("UPDATE meta SET revision = revision + 1")
        return outcome
    finally:
        await db.close()


async def already_undone(database: Path, import_id: int) -> Outcome | None:
    """The outcome of the undo if its effects are in `database`; None if they are not."""
    db = await open_database(database, "tenant")
    try:
        rows = list(await db.execute_fetchall("SELECT undone FROM applied WHERE import_id = ?", (import_id,)))
    finally:
        await db.close()
    return Outcome.from_json(json.loads(rows[0][0])) if rows and rows[0][0] else None


def _keep(path: Path, problems: Iterable[Problem]) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    try:
        with new.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(problem.to_json(), ensure_ascii=False) + "\n" for problem in problems)
        new.replace(path)
    finally:
        with suppress(OSError):
            new.unlink(missing_ok=True)


class _Undo:
    """The steps of one undo inside its transaction."""

    def __init__(self, job: UndoJob, db: aiosqlite.Connection) -> None:
        self._job = job
        self._db = db
        self.left: list[Problem] = []
        self._left = 0
        self._put_back: set[int] = set()
        self._taken_back = 0

    async def judge(self) -> Outcome:
        """What the import had come to. Raises Refused if it can't be undone now."""
        where = f"import {self._job.import_id} of {self._job.tenant}"
        rows = await self._rows("SELECT outcome, undone FROM applied WHERE import_id = ?", self._job.import_id)
        if not rows:
            raise Refused("not_kept", f"what {where} changed is not kept any more")
        if rows[0]["undone"]:
            raise Refused("already_undone", f"{where} is undone already")
        newest = await self._rows(
            "SELECT import_id FROM applied WHERE undone IS NULL AND json_extract(outcome, '$.state') <> 'unchanged'"
            " ORDER BY applied_at DESC, import_id DESC LIMIT 1"
        )
        if not newest or newest[0][0] != self._job.import_id:
            later = f": undo import {newest[0][0]} first" if newest else ""
            raise Refused("not_newest", f"{where} is not the newest import that changed anybody{later}")
        return Outcome.from_json(json.loads(rows[0]["outcome"]))

    async def run(self, progress: Callable[[float], None], stopping: Callable[[], bool]) -> None:
        """Put everything back. Raises Stopped."""
        await self._db.execute(
            "CREATE TEMP TABLE undoing (user_id INTEGER, id INTEGER, field TEXT, old, new,"
            " PRIMARY KEY (user_id, field)) WITHOUT ROWID"
        )
        # A field that the import changed twice is here once, from its first value to its last: one import may have
        # spelt an address otherwise, then given it to another user.
        await self._db.execute(
            "INSERT INTO undoing SELECT user_id, id, field, old, new FROM changes WHERE import_id = ? ORDER BY id"
            " ON CONFLICT DO UPDATE SET new = excluded.new",
            (self._job.import_id,),
        )
        (total, highest), *_ = await self._rows("SELECT count(*), max(user_id) FROM undoing")
        await self._take_back_creations()
        async for user_id, batch in self._batches():
            await self._put_back_batch(batch)
            progress(user_id / highest if total else 1.0)
            if stopping():
                raise Stopped("the server is stopping")
        await self._put_back_addresses()
        await self._db.execute("DROP TABLE undoing")

    async def outcome(self, applied: Outcome) -> Outcome:
        """What the undo came to: the counts of the import, and how many users are active now."""
        back = counted(len(self._put_back), "user is as before", "users are as before")
        taken = counted(self._taken_back, "that it had created is deactivated", "that it had created are deactivated")
        left = f"; {counted(self._left, 'field was', 'fields were')} left, as the messages say" if self._left else ""
        message = f"Undone by {self._job.by}: {back}, {taken}{left}."
        said = (*self.left, *applied.messages)[:MESSAGES_IN_REPORT]
        active = sum(row[0] for row in await self._rows("SELECT count(*) FROM users WHERE state = 'active'"))
        return replace(applied, state=ImportState.UNDONE, messages=said, message=message, active=active)

    def _leave(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            self._left += 1
            if len(self.left) < KEPT:
                self.left.append(problem)

    # Users it had created.

    async def _take_back_creations(self) -> None:
        """They are deactivated and unknown; whoever is protected since stays."""
        created = f"IN (SELECT user_id FROM undoing WHERE field = '{CREATED}')"  # noqa: S608
        protected = await self._rows(f"SELECT * FROM users WHERE protected = 1 AND id {created}")  # noqa: S608
        self._leave(still_protected(user) for user in _users(protected).values())
        done = await self._db.execute(
            "UPDATE users SET state = 'deactivated', known = 0"  # noqa: S608
            f" WHERE protected = 0 AND id {created}"
        )
        self._taken_back = done.rowcount
        await self._db.execute(
            "INSERT INTO changes (import_id, user_id, field, undo)"  # noqa: S608
            f" SELECT ?, id, '{CREATED}', 1 FROM users WHERE known = 0 AND id {created}",
            (self._job.import_id,),
        )

    # Fields.

    async def _batches(self) -> AsyncIterator[tuple[int, dict[int, list[Change]]]]:
        """What was changed, a batch of users at a time, with the highest id of each."""
        after = 0
        while True:
            ids = await self._rows(
                f"SELECT DISTINCT user_id FROM undoing WHERE user_id > ? AND field <> '{CREATED}'"  # noqa: S608
                f" ORDER BY user_id LIMIT {BATCH}",
                after,
            )
            if not ids:
                return
            rows = await self._rows(
                "SELECT user_id, field, old, new FROM undoing WHERE user_id > ? AND user_id <= ?"  # noqa: S608
                f" AND field <> '{CREATED}' ORDER BY user_id, id",
                after,
                ids[-1][0],
            )
            after = ids[-1][0]
            yield after, {user: [Change(*row[1:]) for row in found] for user, found in groupby(rows, itemgetter(0))}

    async def _put_back_batch(self, batch: dict[int, list[Change]]) -> None:
        users = await self._load(batch)
        found = {i: put_back(users[i], batch[i], self._job.identity) for i in batch if i in users}
        self._leave(nobody_left() for user_id in batch if user_id not in users)
        exists = await self._existing(found.values())
        by_columns: dict[tuple[str, ...], list[tuple[Value, ...]]] = {}
        history = []
        for user_id, one in found.items():
            user = users[user_id]
            columns = with_existing(one, user, exists).columns
            self._leave(one.left)
            if columns:
                self._put_back.add(user_id)
                by_columns.setdefault(tuple(columns), []).append((*columns.values(), user_id))
                history += [(self._job.import_id, user_id, *record) for record in records_of(user, columns)]
        for names, rows in by_columns.items():
            setters = ", ".join(f"{name} = ?" for name in names)
            await self._db.executemany(f"UPDATE users SET {setters} WHERE id = ?", rows)  # noqa: S608
        await self._db.executemany(INSERT_UNDONE, history)

    async def _existing(self, found: Iterable[PutBack]) -> dict[str, set[int]]:
        """Of the people, teams and locations that are to be named again, those that are there."""
        found = list(found)
        exists = {}
        for column, table in LINKED.items():
            wanted = {each for one in found for each in ids_in(one.columns.get(column))}
            rows = await self._rows(
                f"SELECT id FROM {table} WHERE id IN (SELECT value FROM json_each(?))",  # noqa: S608
                json.dumps(list(wanted)),
            )
            exists[column] = {row[0] for row in rows}
        return exists

    # Addresses: all together, as they may have moved from one to the next.

    async def _put_back_addresses(self) -> None:
        await self._note_addresses()
        await self._refuse_taken()
        await self._leave_addresses()
        moving = "SELECT user_id FROM undo_address WHERE refused = 0"
        await self._db.execute(
            "INSERT INTO changes (import_id, user_id, field, old, new, undo)"
            " SELECT ?, user_id, 'email', new_email, old_email, 1 FROM undo_address WHERE refused = 0",
            (self._job.import_id,),
        )
        await self._db.execute(
            f"UPDATE users SET email = NULL, email_key = NULL WHERE id IN ({moving})"  # noqa: S608
        )
        # Whoever holds one of them still is unknown since this undo, or an earlier one.
        await self._db.execute(
            "UPDATE users SET email = NULL, email_key = NULL WHERE email_key IN"
            " (SELECT old_key FROM undo_address WHERE refused = 0)"
        )
        await self._db.execute(
            "UPDATE users SET email = a.old_email, email_key = a.old_key FROM undo_address AS a"
            " WHERE a.user_id = users.id AND a.refused = 0"
        )
        self._put_back.update(row[0] for row in await self._rows(moving))
        await self._db.execute("DROP TABLE undo_address")

    async def _note_addresses(self) -> None:
        """Who gets which address back: those who still have what the import gave them."""
        await self._db.execute(
            "CREATE TEMP TABLE undo_address (user_id INTEGER PRIMARY KEY, old_email TEXT, old_key TEXT,"
            " new_email TEXT, refused INTEGER NOT NULL)"
        )
        await self._db.execute(
            """
            INSERT INTO undo_address
            SELECT u.id, e.old, iif(k.field IS NULL, u.email_key, k.old), e.new, u.email IS NOT e.new
            FROM undoing AS e JOIN users AS u ON u.id = e.user_id
                LEFT JOIN undoing AS k ON k.user_id = e.user_id AND k.field = 'email_key'
            WHERE e.field = 'email'"""
        )

    async def _refuse_taken(self) -> None:
        """An address that somebody else has and keeps can't be given back; then its holder's former one neither."""
        while True:
            done = await self._db.execute(
                """
                UPDATE undo_address SET refused = 2 WHERE refused = 0 AND EXISTS (
                    SELECT 1 FROM users AS h WHERE h.email_key = undo_address.old_key AND h.id <> undo_address.user_id
                    AND h.known = 1 AND h.id NOT IN (SELECT user_id FROM undo_address WHERE refused = 0))"""
            )
            if done.rowcount == 0:
                return

    async def _leave_addresses(self) -> None:
        refused = await self._rows("SELECT user_id, old_email, refused FROM undo_address WHERE refused <> 0")
        users = await self._load(row["user_id"] for row in refused)
        for row in refused:
            user = users[row["user_id"]]
            taken = row["refused"] == 2
            self._leave([address_taken_since(user, row["old_email"]) if taken else changed_since(user, "email")])

    async def _load(self, ids: Iterable[int]) -> dict[int, User]:
        rows = await self._rows(
            "SELECT * FROM users WHERE id IN (SELECT value FROM json_each(?))", json.dumps(list(ids))
        )
        return _users(rows)

    async def _rows(self, statement: str, *values: object) -> list[aiosqlite.Row]:
        return list(await self._db.execute_fetchall(statement, values))


def _users(rows: Iterable[aiosqlite.Row]) -> dict[int, User]:
    return cast(dict[int, User], {row["id"]: dict(row) for row in rows})
