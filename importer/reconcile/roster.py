"""The users of one tenant as a running import sees and changes them: look up, write a batch, remember who was there.

Everything here happens inside the import's one transaction. Ids are given out here, so that a new user can be named
before it is written.
"""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence, Set
from itertools import islice
from typing import cast

import aiosqlite

from importer.reconcile.named import Named
from importer.reconcile.plan import NameIds, custom_changes
from importer.reconcile.seen import Seen, slots_for
from importer.rules.cells import name_key
from importer.rules.identity import Identity
from importer.users.columns import Columns, User, Value
from importer.users.runs import runs_of
from importer.users.switching import refuse_switched, switch_identity

COLUMNS = (
    "external_id",
    "email_key",
    "email",
    "first_name",
    "last_name",
    "job_title",
    "manager_id",
    "coach_id",
    "primary_team_id",
    "secondary_team_ids",
    "role",
    "language",
    "location_id",
    "time_zone",
    "hire_date",
    "leave_date",
    "custom",
    "state",
)
"""What an import writes of a user, in the order of NEW_USER."""

NEW_USER: Columns = {
    **dict.fromkeys(COLUMNS),
    "secondary_team_ids": "",
    "role": "learner",
    "language": "en",
    "custom": "{}",
    "state": "active",
}
"""A user of whom the file says nothing, by column in the order of COLUMNS."""

CREATE_AGAIN = f"UPDATE users SET {', '.join(f'{name} = ?' for name in COLUMNS)}, known = 1 WHERE id = ?"  # noqa: S608
INSERT_CHANGE = "INSERT INTO changes (import_id, user_id, field, old, new) VALUES (?, ?, ?, ?, ?)"
INSERT_CREATED = (
    "INSERT INTO changes (id, import_id, user_id, more, field)"
    " VALUES ((SELECT coalesce(max(id), 0) + 1 FROM changes) + ?3, ?1, ?2, ?3, 'created')"
)
"""One record for a run of new users. Their numbers are the next free ones, and its own is the last of these."""
NAMES_CACHED = 100_000


class Roster:
    """The users of one tenant during one import."""

    def __init__(self, db: aiosqlite.Connection, import_id: int, identity: Identity) -> None:
        self._db = db
        self._import_id = import_id
        self.identity = identity
        self._column = identity.column
        self.first_new_id = 1
        self.revision = 0
        self._next_id = 1
        self.active_before = 0
        self.users_before = 0
        self.named = Named()
        self._strangers = 0
        self._unknown = 0
        self._dropped: list[str] = []
        self._seen: Seen | None = None  # while there was no user before the import
        self.teams_created = 0
        self.locations_created = 0
        self._names: dict[str, dict[str, int]] = {"teams": {}, "locations": {}}

    @property
    def is_first(self) -> bool:
        """Whether there was no user before the import, not even one whose creation was undone."""
        return self._seen is not None

    async def tell_apart(self, *, tried: bool) -> None:
        """See to it that users are told apart by `identity`. Raises TryAgain if they are not any more.

        If it is only `tried`, they are for this transaction alone. Raises Refused if that can't be.
        """
        if tried:
            await switch_identity(self._db, self.identity)
        else:
            await refuse_switched(self._db, self.identity)

    async def open(self, size: int) -> None:
        """Take stock of the users before the import of a file of `size` bytes."""
        # Nobody gets the number, and with it the history or the invitation, of somebody who was removed by hand.
        (highest, total, gone, unknown), *_ = await self._db.execute_fetchall(
            "SELECT max(coalesce(max(id), 0), (SELECT coalesce(max(user_id), 0) FROM changes),"
            " (SELECT coalesce(max(user_id), 0) FROM invitations)), (SELECT count(*) FROM users),"
            " (SELECT count(*) FROM users WHERE state = 'deactivated'),"
            " (SELECT count(*) FROM users WHERE state = 'deactivated' AND known = 0) FROM users"
        )
        self.first_new_id = self._next_id = highest + 1
        ((self.revision,),) = await self._db.execute_fetchall("SELECT revision FROM meta")
        self.users_before = total - unknown
        self._unknown = unknown
        self.active_before = total - gone
        self.named = Named(highest)
        if not total:
            self._seen = Seen(slots_for(size))
            await self._index_later()
        # Identifiers of rows that are about nobody: rejected or ignored, but named once all the same.
        await self._db.execute(
            "CREATE TEMP TABLE strangers (key TEXT PRIMARY KEY, line INTEGER NOT NULL) WITHOUT ROWID"
        )

    async def _index_later(self) -> None:
        """Drop the indexes that only `index_links` and what follows it need: built at the end they cost half."""
        rows = await self._db.execute_fetchall(
            "SELECT name, sql FROM sqlite_master WHERE type = 'index' AND name IN ('users_manager', 'users_coach')"
        )
        for name, sql in rows:
            await self._db.execute(f"DROP INDEX {name}")
            self._dropped.append(sql)

    async def index_links(self) -> None:
        """Let users be found by their manager and coach: all are written who are new."""
        while self._dropped:
            await self._db.execute(self._dropped.pop())

    # Who was named.

    async def last_active(self) -> int | None:
        """Who was named last in the file of those who are active now; None if nobody was.

        A leaver on the last row would tell nothing: the next file may well do without.
        """
        return self.named.last_but(await self._deactivated())

    async def _deactivated(self) -> list[int]:
        return [row[0] for row in await self._db.execute_fetchall("SELECT id FROM users WHERE state = 'deactivated'")]

    async def strangers(self, keys: Iterable[str]) -> dict[str, int]:
        """Which of `keys` were named by rows about nobody, and on which line (below 0: by a leaver's row)."""
        if not self._strangers:
            return {}
        rows = await self._db.execute_fetchall(
            "SELECT key, line FROM strangers WHERE key IN (SELECT value FROM json_each(?))", (json.dumps(list(keys)),)
        )
        return {row[0]: row[1] for row in rows}

    async def add_strangers(self, found: Mapping[str, int]) -> None:
        """Keep these keys and lines; `strangers` knows none of them yet."""
        if found:
            self._strangers += len(found)
            await self._db.executemany("INSERT INTO strangers VALUES (?, ?)", list(found.items()))

    # Looking up.

    async def expect_known(self) -> None:
        """Make ready for rows that `stand` unseen: those of deactivated users are leavers'."""
        self.named.expect_known(await self._deactivated())

    async def meet(self, keys: Sequence[str]) -> dict[str, int]:
        """Whom these identifiers of rows name, as `find` says. Each row is met before its user is created."""
        if self._seen:
            keys = self._seen.meet(keys)
        return await self._find(keys)

    async def find(self, keys: Iterable[str]) -> dict[str, int]:
        """Whom these identifiers name; those of nobody are missing."""
        return await self._find(self._seen.among(list(keys)) if self._seen else keys)

    async def _find(self, keys: Iterable[str]) -> dict[str, int]:
        rows = await self._db.execute_fetchall(
            f"SELECT u.{self._column}, u.id FROM json_each(?) AS wanted"  # noqa: S608 - one of two columns
            f" JOIN users AS u ON u.{self._column} = wanted.value AND u.known = 1",
            (json.dumps(sorted(keys)),),  # neighbours are on one page of the index
        )
        return {row[0]: row[1] for row in rows}

    async def find_unknown(self, keys: Iterable[str]) -> dict[str, int]:
        """The records of those of `keys` whose creation was undone: nobody, until they are created again."""
        if not self._unknown:
            return {}
        rows = await self._db.execute_fetchall(
            f"SELECT u.{self._column}, u.id FROM json_each(?) AS wanted"  # noqa: S608 - one of two columns
            f" JOIN users AS u ON u.{self._column} = wanted.value AND u.known = 0",
            (json.dumps(list(keys)),),
        )
        return {row[0]: row[1] for row in rows}

    async def load(self, ids: Iterable[int], where: str = "") -> dict[int, User]:
        """These users, whole; with `where` only those whom it fits."""
        rows = list(
            await self._db.execute_fetchall(
                f"SELECT u.id, u.* FROM json_each(?) AS wanted JOIN users AS u ON u.id = wanted.value {where}",  # noqa: S608
                (json.dumps(list(ids)),),
            )
        )
        names = rows[0].keys() if rows else []
        return cast(dict[int, User], {row[0]: dict(zip(names, row, strict=True)) for row in rows})

    async def put_days_back(self, users: dict[int, User]) -> None:
        """Give `users` whom a row has named already the days back that were stored before the import; take those out
        whom it has created. So what is stored says the same of a row wherever batches end.
        """
        named = []
        for user_id in [user_id for user_id in users if self.named.mark_of(user_id) > 0]:
            if user_id < self.first_new_id:
                named.append(user_id)
            else:
                del users[user_id]
        if not named:
            return
        rows = await self._db.execute_fetchall(
            "SELECT c.user_id, c.field, c.old FROM json_each(?) AS wanted"
            " JOIN changes AS c ON c.user_id = wanted.value"
            " WHERE +c.import_id = ? AND c.field IN ('hire_date', 'leave_date', 'created')",
            (json.dumps(named), self._import_id),
        )
        for user_id, name, old in rows:
            if name == "created":
                users.pop(user_id, None)
            elif user_id in users:
                users[user_id] = cast(User, {**users[user_id], name: old})

    async def absent(self, batch: int = 2000) -> AsyncIterator[list[User]]:
        """The active users on no row of the file, in batches."""
        unnamed = self.named.unnamed(self.first_new_id)
        while ids := list(islice(unnamed, batch)):
            if users := await self.load(ids, "WHERE u.state = 'active'"):
                yield list(users.values())

    # Teams and locations.

    async def name_ids(self, teams: Set[str], locations: Set[str]) -> NameIds:
        """The ids of these names; teams and locations that don't exist are made in this order, as spelt first."""
        team_ids, new_teams = await self._ids_of("teams", teams)
        location_ids, new_locations = await self._ids_of("locations", locations)
        self.teams_created += new_teams
        self.locations_created += new_locations
        return NameIds(team_ids, location_ids)

    async def _ids_of(self, table: str, names: Set[str]) -> tuple[dict[str, int], int]:
        cache = self._names[table]
        if cache.keys() >= names:
            return cache, 0
        if len(cache) + len(names) > NAMES_CACHED:
            cache = self._names[table] = {}
        spellings = {name: name_key(name) for name in names if name not in cache}
        ids = await self._select_names(table, spellings.values())
        missing: dict[str, str] = {}
        for name, key in spellings.items():
            if key not in ids:
                missing.setdefault(key, name)
        if missing:
            await self._db.executemany(
                f"INSERT INTO {table} (key, name) VALUES (?, ?)",  # noqa: S608 - one of two tables
                list(missing.items()),
            )
            ids |= await self._select_names(table, missing)
        cache.update((name, ids[key]) for name, key in spellings.items())
        return cache, len(missing)

    async def _select_names(self, table: str, keys: Iterable[str]) -> dict[str, int]:
        rows = await self._db.execute_fetchall(
            f"SELECT key, id FROM {table} WHERE key IN (SELECT value FROM json_each(?))",  # noqa: S608
            (json.dumps(list(keys)),),
        )
        return {row[0]: row[1] for row in rows}

    # Writing.

    def new_ids(self, lines: Sequence[int]) -> range:
        """Ids for users who are about to be created by the rows on `lines`, in that order."""
        ids = range(self._next_id, self._next_id + len(lines))
        self._next_id = ids.stop
        self.named.add(lines)
        return ids

    async def create(self, users: Iterable[tuple[Value, ...]], columns: Sequence[str] = COLUMNS) -> None:
        """Insert users: tuples of the id and `columns`; the others are as NEW_USER has them."""
        await self._db.executemany(
            f"INSERT INTO users (id, {', '.join(columns)}) VALUES (?{', ?' * len(columns)})",  # noqa: S608 - ours
            users,
        )

    async def note_created(self, ids: Sequence[int], others: Sequence[int]) -> None:
        """Put the creation of these users into their history: one record for each run of ids."""
        runs = runs_of(sorted([*ids, *others]) if others else ids)
        await self._db.executemany(INSERT_CREATED, [(self._import_id, last, more) for last, more in runs])

    async def create_again(self, users: Sequence[tuple[Value, ...]]) -> None:
        """Unknown users have come again: the same records, as if they were new (tuples as for `create`).

        Their history is one record each: most files bring a few of them.
        """
        if users:
            await self._db.executemany(CREATE_AGAIN, [(*user[1:], user[0]) for user in users])
            await self._db.executemany(
                INSERT_CHANGE, [(self._import_id, user[0], "created", None, None) for user in users]
            )

    async def update(self, changes: Sequence[tuple[User, Mapping[str, Value]]]) -> None:
        """Write what differs of each user, with its history. Their rows settle them only if that is said after it."""
        by_columns: dict[tuple[str, ...], list[tuple[Value, ...]]] = {}
        history = []
        for user, changed in changes:
            self.named.unsettle(user["id"])
            values = (*changed.values(), user["id"])
            by_columns.setdefault(tuple(changed), []).append(values)
            history += [(self._import_id, user["id"], *record) for record in records_of(user, changed)]
        for columns, rows in by_columns.items():
            setters = ", ".join(f"{name} = ?" for name in columns)
            await self._db.executemany(f"UPDATE users SET {setters} WHERE id = ?", rows)  # noqa: S608
        await self._db.executemany(INSERT_CHANGE, history)


def records_of(user: User, changed: Mapping[str, Value]) -> Iterator[tuple[str, object, object]]:
    """Each field of `user` that becomes another by `changed`, with its old and new value."""
    before: Mapping[str, object] = user
    for name, value in changed.items():
        if name == "custom" and isinstance(value, str):
            for field, (old, new) in custom_changes(user["custom"], value).items():
                yield field, old, new
        else:
            yield name, before[name], value
