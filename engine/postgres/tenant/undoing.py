"""The undo of an import in PostgreSQL: its temporary tables, and what it writes, in one transaction.

The changes of the import are copied into a temporary table, each field of a user once, and processed from there.
Addresses may have moved from one user to another: they have their own table and are set back together. All statements
are look-ups by index, whatever the planner knows: see engine/postgres/importing/work.py.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Mapping, Sequence
from datetime import datetime
from itertools import groupby
from operator import itemgetter

from psycopg.types.json import Jsonb

from engine.postgres.effects import OUTCOME_STATE, changed_a_user
from engine.postgres.importing.roster import PostgresStoredUsers
from engine.postgres.importing.work import Work
from ground.moments import rfc3339
from importer.model import Outcome
from importer.rules.identity import Identity
from importer.users.columns import LINKED, Columns, User
from importer.users.runs import LONGEST
from importer.users.undoing import AddressesSetBack, AddressKept, Batch, Change

BATCH = 2000

NEWEST_CHANGE = f"""
    SELECT import_id FROM applied
    WHERE tenant_id = %(tenant)s AND undone IS NULL AND {changed_a_user(OUTCOME_STATE)}
    ORDER BY number DESC LIMIT 1"""  # noqa: S608 - a constant
UNDONE = """
    UPDATE applied SET undone = %(outcome)s, undone_at = %(at)s
    WHERE tenant_id = %(tenant)s AND import_id = %(import)s"""
# Compare every row of the next file again: a manager's creation may have been undone.
LOOK_AGAIN = "UPDATE meta SET revision = revision + 1 WHERE tenant_id = %(tenant)s"

CREATED = """
    CREATE TEMP TABLE created ON COMMIT DROP AS SELECT DISTINCT u.id, u.protected FROM (
        SELECT user_id, more FROM changes
        WHERE tenant_id + 0 = %(tenant)s AND import_id = %(import)s AND field = 'created' OFFSET 0) AS c
    CROSS JOIN LATERAL (SELECT id, protected FROM users
        WHERE tenant_id = %(tenant)s AND id BETWEEN c.user_id - c.more AND c.user_id OFFSET 0) AS u"""
PROTECTED = "SELECT id FROM created WHERE protected ORDER BY id"
AT = """ctid = ANY (ARRAY(SELECT place FROM ({} OFFSET 0) AS wanted CROSS JOIN LATERAL (
        SELECT ctid AS place FROM users WHERE tenant_id = %(tenant)s AND id = wanted.id OFFSET 0) AS found))"""
"""SQL: the users with these ids, found by their places."""
UPDATE = "UPDATE users SET {} WHERE {}"
DEACTIVATE = UPDATE.format(
    "state = 'deactivated', known = false", AT.format("SELECT id FROM created WHERE NOT protected")
)
# One record for each run of users, as in runs.py. `place` counts the users, and `id - place` stays the same in a run.
RECORD_CREATION_UNDONE = f"""
    INSERT INTO changes (tenant_id, id, import_id, user_id, more, field, undo)
    SELECT %(tenant)s, %(first)s - 1 + max(place), %(import)s, max(id), count(*) - 1, 'created', true
    FROM (SELECT id, row_number() OVER (ORDER BY id) AS place FROM created WHERE NOT protected) AS each
    GROUP BY id - place, id / {LONGEST}"""  # noqa: S608 - a constant

# A field that the import changed twice is here once, with its first old and last new value. An import may have
# spelled an address differently, then given it to another user.
TAKE_IN = """
    CREATE TEMP TABLE undoing ON COMMIT DROP AS
    SELECT user_id, field, min(id) AS id, (array_agg(old ORDER BY id))[1] AS old,
        (array_agg(new ORDER BY id DESC))[1] AS new
    FROM changes WHERE tenant_id + 0 = %(tenant)s AND import_id = %(import)s AND field <> 'created' AND NOT undo
    GROUP BY user_id, field"""
NEXT_USERS = "SELECT DISTINCT user_id FROM undoing WHERE user_id > %(after)s ORDER BY user_id LIMIT %(limit)s"
FIELDS = """
    SELECT user_id, field, old, new FROM undoing WHERE user_id > %(after)s AND user_id <= %(last)s
    ORDER BY user_id, id"""

ADDRESSES = """
    CREATE TEMP TABLE undo_address ON COMMIT DROP AS
    SELECT u.id, e.old #>> '{}' AS old_email, e.new #>> '{}' AS new_email,
        (CASE WHEN k.field IS NULL THEN u.email_key ELSE k.old #>> '{}' END) COLLATE "C" AS old_key,
        CASE WHEN u.email IS DISTINCT FROM e.new #>> '{}' THEN 1 ELSE 0 END AS refused
    FROM (SELECT * FROM undoing WHERE field = 'email' OFFSET 0) AS e
    CROSS JOIN LATERAL (SELECT id, email, email_key FROM users
        WHERE tenant_id = %(tenant)s AND id = e.user_id OFFSET 0) AS u
    LEFT JOIN LATERAL (SELECT field, old FROM undoing
        WHERE user_id = e.user_id AND field = 'email_key' OFFSET 0) AS k ON true"""
# An address that another user has and keeps; then the former one of its holder, and so on.
REFUSE_TAKEN = """
    UPDATE undo_address AS a SET refused = 2 WHERE refused = 0 AND EXISTS (
        SELECT 1 FROM (SELECT id, known FROM users
            WHERE tenant_id + 0 = %(tenant)s AND email_key = a.old_key OFFSET 0) AS h
        WHERE h.id <> a.id AND h.known
            AND NOT EXISTS (SELECT 1 FROM undo_address AS own WHERE own.id = h.id AND own.refused = 0 OFFSET 0)
        OFFSET 0)"""
REFUSED = "SELECT id, old_email, refused FROM undo_address WHERE refused <> 0 ORDER BY id"
MOVING = "SELECT id FROM undo_address WHERE refused = 0"
RECORD_MOVED = """
    INSERT INTO changes (tenant_id, id, import_id, user_id, field, old, new, undo)
    SELECT %(tenant)s, %(first)s - 1 + row_number() OVER (ORDER BY id), %(import)s, id, 'email',
        to_jsonb(new_email), to_jsonb(old_email), true
    FROM undo_address WHERE refused = 0"""
NO_ADDRESS = "email = NULL, email_key = NULL"
FREE = UPDATE.format(NO_ADDRESS, AT.format(MOVING))
# A user who still has one of them is unknown since this undo, or an earlier one.
LOSING = """
    CREATE TEMP TABLE losing ON COMMIT DROP AS
    SELECT u.id, u.email FROM (SELECT old_key FROM undo_address WHERE refused = 0 OFFSET 0) AS a
    CROSS JOIN LATERAL (SELECT id, email FROM users
        WHERE tenant_id + 0 = %(tenant)s AND email_key = a.old_key OFFSET 0) AS u"""
RECORD_LOST = """
    INSERT INTO changes (tenant_id, id, import_id, user_id, field, old, new, undo)
    SELECT %(tenant)s, %(first)s - 1 + row_number() OVER (ORDER BY id), %(import)s, id, 'email', to_jsonb(email),
        NULL, true
    FROM losing"""
LOSE = UPDATE.format(NO_ADDRESS, AT.format("SELECT id FROM losing"))
FORMER = "(email, email_key) = (SELECT old_email, old_key FROM undo_address AS a WHERE a.id = users.id)"
SET_BACK = UPDATE.format(FORMER, AT.format(MOVING))


class UsersSetBack(PostgresStoredUsers):
    """The users, whose changes go into the history as those of an undo."""

    changes_are_undo = True


class PostgresUndoing:
    """An `importer.users.undoing.Undoing`, whose transaction is `work`."""

    def __init__(self, work: Work, identity: Identity) -> None:
        self._work = work
        self._users = UsersSetBack(work, identity)

    async def outcome(self) -> tuple[Outcome, bool] | None:
        rows = await self._work.rows(
            "SELECT outcome, undone IS NOT NULL FROM applied WHERE tenant_id = %(tenant)s AND import_id = %(import)s"
        )
        return next(((Outcome.from_json(row[0]), row[1]) for row in rows), None)

    async def newest(self) -> int | None:
        return next((row[0] for row in await self._work.rows(NEWEST_CHANGE)), None)

    async def active(self) -> int:
        rows = await self._work.rows("SELECT count(*) FROM users WHERE tenant_id = %(tenant)s AND state = 'active'")
        return int(rows[0][0])

    async def record(self, outcome: Outcome, now: datetime) -> None:
        await self._work.require_claim()
        await self._work.change(UNDONE, outcome=Jsonb(outcome.to_json()), at=rfc3339(now))
        await self._work.change(LOOK_AGAIN)

    # Users it had created.

    async def deactivate_created(self) -> tuple[list[User], int]:
        await self._make("created", CREATED, "(id)")
        protected = await self._load(row[0] for row in await self._work.rows(PROTECTED))
        done = await self._work.change(DEACTIVATE)
        await self._work.change(RECORD_CREATION_UNDONE, first=await self._work.numbers.take(done))
        await self._work.change("DROP TABLE created")
        return list(protected.values()), done

    # Fields.

    async def batches(self) -> AsyncIterator[Batch]:
        await self._make("undoing", TAKE_IN, "(user_id, field)")
        ((highest,),) = await self._work.rows("SELECT max(user_id) FROM undoing")
        after = 0
        while ids := await self._work.rows(NEXT_USERS, after=after, limit=BATCH):
            last = ids[-1][0]
            rows = await self._work.rows(FIELDS, after=after, last=last)
            after = last
            changes = {user: [Change(*row[1:]) for row in found] for user, found in groupby(rows, itemgetter(0))}
            yield Batch(changes, await self._load(changes), after / highest)

    async def _load(self, ids: Iterable[int]) -> dict[int, User]:
        """Return these users with all columns, in the order of their ids; removed users are left out."""
        return dict(sorted((await self._users.load(ids)).items()))

    async def existing(self, wanted: Mapping[str, Iterable[int]]) -> dict[str, set[int]]:
        exists = {}
        for column, ids in wanted.items():
            rows = await self._work.rows(
                f"SELECT id FROM {LINKED[column]} WHERE tenant_id = %(tenant)s AND id = ANY (%(ids)s)",  # noqa: S608 - constants
                ids=list(ids),
            )
            exists[column] = {row[0] for row in rows}
        return exists

    async def update(self, changes: Sequence[tuple[User, Columns]]) -> None:
        await self._users.update(changes)

    # Addresses.

    async def set_back_addresses(self) -> AddressesSetBack:
        kept = await self._weigh_addresses()
        set_back = await self._move_addresses()
        await self._work.change("DROP TABLE undoing")
        return AddressesSetBack(set_back, kept)

    async def _weigh_addresses(self) -> list[AddressKept]:
        await self._make("undo_address", ADDRESSES, "(id)", "(old_key)")
        while await self._work.change(REFUSE_TAKEN):
            pass
        refused = await self._work.rows(REFUSED)
        users = await self._load(row[0] for row in refused)
        return [AddressKept(users[user_id], former, why == 2) for user_id, former, why in refused]

    async def _move_addresses(self) -> frozenset[int]:
        """Set back, with their history, the addresses that were not refused; return the ids of their users."""
        moved = frozenset(row[0] for row in await self._work.rows(MOVING))
        await self._work.change(RECORD_MOVED, first=await self._work.numbers.take(len(moved)))
        await self._work.change(FREE)
        await self._make("losing", LOSING, "(id)")
        ((losing,),) = await self._work.rows("SELECT count(*) FROM losing")
        await self._work.change(RECORD_LOST, first=await self._work.numbers.take(losing))
        await self._work.change(LOSE)
        await self._work.change(SET_BACK)
        await self._work.steps.change("DROP TABLE losing; DROP TABLE undo_address")
        return moved

    async def _make(self, table: str, statement: str, *indexes: str) -> None:
        """Create a temporary table from a query, with its indexes and statistics."""
        await self._work.change(statement)
        for index in indexes:
            await self._work.change(f"CREATE INDEX ON {table} {index}")
        await self._work.change(f"ANALYZE {table}")
