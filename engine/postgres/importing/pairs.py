"""New users and deactivated ones who may be the same person: compared by the history of the import.

Users that this import created are compared with users that it deactivated, or whose address it gave to another user.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import AsyncIterator, Iterable
from typing import Any

from engine.postgres.importing.work import OF_IMPORT, Work
from importer.rules.cells import name_key
from importer.rules.identity import Identity
from importer.users.importing.pairs import FoundPair

PAGE = 1000
BATCH = 2000
LOOK = 1000
"""The number of users that are checked first: most fields that users share are shared by some of these."""

IS_NEW = """({user} >= %(first)s OR EXISTS (SELECT 1 FROM (SELECT * FROM changes
    WHERE tenant_id - 0 = %(tenant)s AND user_id = {user} OFFSET 0) AS c
    WHERE c.import_id = %(import)s AND c.field = 'created'))"""
BY_ADDRESS = f"""
    INSERT INTO pairs SELECT new.id, lost.user_id, 'email' FROM (
        SELECT id, user_id, old #>> '{{}}' AS email_key FROM changes
        WHERE {OF_IMPORT} AND field = 'email_key' OFFSET 0) AS lost
    CROSS JOIN LATERAL (SELECT id FROM users WHERE tenant_id + 0 = %(tenant)s AND email_key = lost.email_key
        AND state = 'active' AND id <> lost.user_id OFFSET 0) AS new
    CROSS JOIN LATERAL (SELECT state FROM users
        WHERE tenant_id = %(tenant)s AND id = lost.user_id OFFSET 0) AS old
    WHERE old.state = 'deactivated' AND {IS_NEW.format(user="new.id")} ORDER BY lost.id ON CONFLICT DO NOTHING"""  # noqa: S608
DEACTIVATED = f"""
    SELECT u.* FROM (SELECT DISTINCT user_id FROM changes WHERE {OF_IMPORT}
        AND field = 'state' AND new = '"deactivated"' OFFSET 0) AS c
    CROSS JOIN LATERAL (SELECT id, custom, first_name, last_name FROM users
        WHERE tenant_id = %(tenant)s AND id = c.user_id OFFSET 0) AS u
    WHERE NOT EXISTS (SELECT 1 FROM pairs WHERE old = u.id OFFSET 0) ORDER BY u.id"""  # noqa: S608
NEW = f"""
    SELECT id, custom, first_name, last_name FROM users AS u
    WHERE tenant_id = %(tenant)s AND state = 'active' AND {IS_NEW.format(user="u.id")}
        AND NOT EXISTS (SELECT 1 FROM pairs WHERE new = u.id OFFSET 0) ORDER BY id"""  # noqa: S608
SHARED = """
    SELECT EXISTS (SELECT 1 FROM (SELECT custom::jsonb -> %(field)s AS value FROM users
        WHERE tenant_id = %(tenant)s AND state = 'active' ORDER BY id LIMIT %(limit)s) AS each
        WHERE value IS NOT NULL GROUP BY value HAVING count(*) > 1)"""
FOUND = """
    SELECT p.new, n.{shown}, o.{shown}, p.shared, n.email, n.custom, n.first_name || ' ' || n.last_name,
        EXISTS (SELECT 1 FROM (SELECT * FROM changes
            WHERE tenant_id - 0 = %(tenant)s AND user_id = p.old OFFSET 0) AS c WHERE c.import_id = %(import)s AND c.field = 'state')
    FROM (SELECT * FROM pairs WHERE new > %(after)s ORDER BY new LIMIT %(page)s) AS p
    CROSS JOIN LATERAL (SELECT * FROM users WHERE tenant_id = %(tenant)s AND id = p.new OFFSET 0) AS n
    CROSS JOIN LATERAL (SELECT * FROM users WHERE tenant_id = %(tenant)s AND id = p.old OFFSET 0) AS o
    ORDER BY p.new"""  # noqa: E501


class PostgresFoundPairs:
    """The pairs of one import, inside its transaction."""

    def __init__(self, work: Work, identity: Identity) -> None:
        self._work = work
        self._found = FOUND.format(shown=identity.shown_column)

    async def _make(self) -> None:
        await self._work.make("pairs", "new bigint PRIMARY KEY, old bigint NOT NULL UNIQUE, shared text NOT NULL")

    async def find_by_address(self, first_new_id: int) -> None:
        await self._make()
        await self._work.change(BY_ADDRESS, first=first_new_id)

    async def find_by_fields(self, fields: Iterable[str], first_new_id: int) -> None:
        await self._make()
        for field in fields:
            await self._pair(field, first_new_id)
        await self._pair(None, first_new_id)

    async def _pair(self, field: str | None, first_new_id: int) -> None:
        """Pair users who share a value of `field`, unless two active users do; with None those of one full name.

        If several have one value, the first new user is paired with the first old one, and so on.
        """
        olds: dict[Any, list[int]] = {}
        async for user_id, value in self._values(DEACTIVATED, field, first_new_id):
            olds.setdefault(value, []).append(user_id)
        if not olds:
            return
        found: list[tuple[int, int, str]] = []
        taken = Counter[Any]()
        async for user_id, value in self._values(NEW, field, first_new_id):
            if taken[value] < len(olds.get(value, ())):
                found.append((user_id, olds[value][taken[value]], field or "name"))
                taken[value] += 1
        if found and not (field and await self._is_shared(field)):
            await self._work.copy("pairs", ("new", "old", "shared"), found)

    async def _values(self, users: str, field: str | None, first_new_id: int) -> AsyncIterator[tuple[int, Any]]:
        """Yield the value of `field`, or else the full name as it is compared, of each user who has one."""
        async for rows in self._work.pages(users, BATCH, first=first_new_id):
            for user_id, custom, first_name, last_name in rows:
                value = json.loads(custom).get(field) if field else name_key(f"{first_name} {last_name}")
                if value is not None:
                    yield user_id, value

    async def _is_shared(self, field: str) -> bool:
        """Return whether two active users have the same value of this field."""
        for limit in (LOOK, None):
            ((shared,),) = await self._work.rows(SHARED, field=field, limit=limit)
            if shared:
                return True
        return False

    async def has(self, user_id: int | None) -> bool:
        return bool(await self._work.rows("SELECT 1 FROM pairs WHERE old = %(user)s", user=user_id))

    async def page(self, after: int) -> list[FoundPair]:
        return [_pair(*row) for row in await self._work.rows(self._found, after=after, page=PAGE)]


def _pair(
    new_id: int, new: object, old: object, shared: str, email: str | None, custom: str, name: str, now: bool
) -> FoundPair:
    value = {"email": email, "name": name}[shared] if shared in ("email", "name") else json.loads(custom)[shared]
    return FoundPair(new_id, str(new), str(old), shared, str(value), now)
