"""The tables of users and of the names beside them, as an import reads and writes them: a batch in one statement."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from itertools import count
from typing import cast

from engine.postgres.importing.work import AT_IDS, KEYS, Work, numbers, texts
from engine.postgres.tenant.switching import refuse_switched, switch_identity
from importer.reconcile.roster import records_of
from importer.rules.identity import Identity
from importer.users.columns import COLUMNS, User, Value
from importer.users.importing.roster import Beginning, Names
from importer.users.runs import runs_of

BEGINNING = """
    SELECT greatest(
        (SELECT id FROM users WHERE tenant_id = %(tenant)s ORDER BY id DESC LIMIT 1),
        (SELECT user_id FROM changes WHERE tenant_id - 0 = %(tenant)s ORDER BY user_id DESC LIMIT 1),
        (SELECT user_id FROM invitations WHERE tenant_id = %(tenant)s ORDER BY user_id DESC LIMIT 1), 0),
        (SELECT count(*) FROM users WHERE tenant_id = %(tenant)s),
        (SELECT count(*) FROM users WHERE tenant_id + 0 = %(tenant)s AND state = 'deactivated'),
        (SELECT count(*) FROM users WHERE tenant_id + 0 = %(tenant)s AND state = 'deactivated' AND NOT known),
        (SELECT revision FROM meta WHERE tenant_id = %(tenant)s)"""
"""The highest id is never used again, also if that user was removed by hand: history and invitations refer to it."""

FIND = f"""
    SELECT wanted.key, u.id FROM {KEYS} CROSS JOIN LATERAL (
        SELECT id FROM users
        WHERE tenant_id + 0 = %(tenant)s AND {{column}} = wanted.key AND known = {{known}} OFFSET 0) AS u"""  # noqa: S608
LOAD = """
    SELECT u.* FROM unnest(%(ids)s::bigint[]) AS wanted (id) CROSS JOIN LATERAL (
        SELECT {columns} FROM users
        WHERE tenant_id = %(tenant)s AND id = wanted.id {which} OFFSET 0) AS u"""
USER = tuple(User.__annotations__)

NAMES = f"""
    SELECT wanted.key, n.id FROM {KEYS} CROSS JOIN LATERAL (
        SELECT id FROM {{what}} WHERE tenant_id + 0 = %(tenant)s AND key = wanted.key OFFSET 0) AS n"""  # noqa: S608
MAKE = """
    INSERT INTO {what} (tenant_id, key, name) SELECT %(tenant)s, key, name
    FROM ROWS FROM (json_array_elements_text(%(keys)s::json), json_array_elements_text(%(names)s::json))
        WITH ORDINALITY AS new (key, name, place) ORDER BY place"""
UPDATE = f"UPDATE users SET {{setters}} WHERE {AT_IDS}"  # noqa: S608

TEXTS = ("first_name", "last_name", "secondary_team_ids", "role", "language", "custom", "state")
"""The columns of users that have a text always: it may be empty."""
TYPES = {**dict.fromkeys(("manager_id", "coach_id", "primary_team_id", "location_id"), "bigint"), "known": "boolean"}
"""The types of the columns that are not text."""
CHANGE = ("tenant_id", "id", "import_id", "user_id", "field", "old", "new", "undo")
CREATED = ("tenant_id", "id", "import_id", "user_id", "more", "field")


class PostgresStoredUsers:
    """The users in PostgreSQL, inside the transaction of an import."""

    changes_are_undo = False
    """Whether the history has the changes as those of the undo of the import."""

    def __init__(self, work: Work, identity: Identity) -> None:
        self._work = work
        self._identity = identity
        self._find = FIND.format(column=identity.column, known="true")
        self._find_unknown = FIND.format(column=identity.column, known="false")

    async def use_identity(self, *, tried: bool) -> None:
        if tried:
            await switch_identity(self._work.steps, self._work.tenant, self._identity)
        else:
            await refuse_switched(self._work.steps, self._work.tenant, self._identity)

    async def beginning(self) -> Beginning:
        (found,) = await self._work.rows(BEGINNING)
        return Beginning(*found)

    async def expect_all_new(self) -> None:
        """Do nothing: other tenants need the indexes."""

    async def index_links(self) -> None:
        """Do nothing: the indexes are always there."""

    async def deactivated(self) -> list[int]:
        rows = await self._work.rows(
            "SELECT id FROM users WHERE tenant_id + 0 = %(tenant)s AND state = 'deactivated'"
        )
        return [row[0] for row in rows]

    # Looking up.

    async def find(self, keys: Iterable[str]) -> dict[str, int]:
        wanted = sorted(keys)  # neighboring keys are on one page of the index
        return dict(await self._work.rows(self._find, keys=texts(wanted))) if wanted else {}

    async def find_unknown(self, keys: Iterable[str]) -> dict[str, int]:
        return dict(await self._work.rows(self._find_unknown, keys=texts(keys)))

    async def load(self, ids: Iterable[int], *, active: bool = False) -> dict[int, User]:
        which = "AND state = 'active'" if active else ""
        rows = await self._work.rows(LOAD.format(columns=", ".join(USER), which=which), ids=numbers(ids))
        return {row[0]: cast(User, dict(zip(USER, row, strict=True))) for row in rows}

    # Keys of rows that identify no user.

    async def strangers(self, keys: Iterable[str]) -> dict[str, int]:
        if not self._work.has("strangers"):
            return {}
        rows = await self._work.rows(
            f"SELECT wanted.key, s.line FROM {KEYS} CROSS JOIN LATERAL ("  # noqa: S608
            " SELECT line FROM strangers WHERE key = wanted.key LIMIT 1) AS s",
            keys=texts(keys),
        )
        return dict(rows)

    async def add_strangers(self, lines: Mapping[str, int]) -> None:
        await self._work.make("strangers", 'key text COLLATE "C" PRIMARY KEY, line bigint NOT NULL')
        await self._work.copy("strangers", ("key", "line"), lines.items(), ("key",))

    # Teams and locations.

    async def ids_of(self, what: Names, keys: Iterable[str]) -> dict[str, int]:
        return dict(await self._work.rows(NAMES.format(what=what), keys=texts(keys)))

    async def make(self, what: Names, names: Mapping[str, str]) -> None:
        await self._work.change(MAKE.format(what=what), keys=texts(names), names=texts(names.values()))

    # Writing.

    async def create(self, users: Iterable[tuple[Value, ...]], columns: Sequence[str] = COLUMNS) -> None:
        filled = [name for name in TEXTS if name in columns]
        rows = map((self._work.tenant,).__add__, users)
        await self._work.copy("users", ("tenant_id", "id", *columns), rows, filled)

    async def note_created(self, ids: Sequence[int], others: Sequence[int]) -> None:
        """Write one record for each run of ids: its number is the last of as many numbers as it has users."""
        runs = list(runs_of(sorted([*ids, *others]) if others else ids))
        number = await self._work.numbers.take(sum(more + 1 for _, more in runs)) - 1
        records = []
        for last, more in runs:
            number += more + 1
            records.append((self._work.tenant, number, self._work.import_id, last, more, "created"))
        await self._work.copy("changes", CREATED, records)

    async def create_again(self, users: Sequence[tuple[Value, ...]]) -> None:
        if not users:
            return
        columns = dict(zip(("id", *COLUMNS), zip(*users, strict=True), strict=True))
        await self._update({**columns, "known": [True] * len(users)})
        await self._note((user[0], "created", None, None) for user in users)

    async def update(self, changes: Sequence[tuple[User, Mapping[str, Value]]]) -> None:
        by_columns: dict[tuple[str, ...], list[tuple[Value, ...]]] = {}
        for user, changed in changes:
            by_columns.setdefault(tuple(changed), []).append((user["id"], *changed.values()))
        for columns, rows in by_columns.items():
            await self._update(dict(zip(("id", *columns), zip(*rows, strict=True), strict=True)))
        await self._note((user["id"], *record) for user, changed in changes for record in records_of(user, changed))

    async def _update(self, values: Mapping[str, Sequence[Value]]) -> None:
        """Write these values of users, given by column."""
        columns = [name for name in values if name != "id"]
        if not columns:
            return
        setters = (f"{name} = (%({name})s::jsonb ->> id::text)::{TYPES.get(name, 'text')}" for name in columns)
        ids = values["id"]
        await self._work.change_users(
            UPDATE.format(setters=", ".join(setters)),
            ids,
            **{name: json.dumps(dict(zip(ids, values[name], strict=True)), ensure_ascii=False) for name in columns},
        )

    async def _note(self, records: Iterable[tuple[object, str, object, object]]) -> None:
        """Write changes into the history: user, field, old and new value."""
        found = list(records)
        first = await self._work.numbers.take(len(found))
        rows = (
            (
                self._work.tenant,
                number,
                self._work.import_id,
                user,
                field,
                _json(old),
                _json(new),
                self.changes_are_undo,
            )
            for number, (user, field, old, new) in zip(count(first), found, strict=False)
        )
        await self._work.copy("changes", CHANGE, rows)


def _json(value: object) -> str | None:
    return None if value is None else json.dumps(value)
