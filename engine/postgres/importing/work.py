"""The transaction of one import, as its parts use it: statements about many rows at once.

No statement depends on what the planner knows of the tables. An import fills them in a transaction that no ANALYZE
has seen, so an estimate may be wrong by any factor, and a wrong plan is quadratic. Therefore:

- A look-up of many keys is `KEYS CROSS JOIN LATERAL (SELECT ... OFFSET 0)`: the planner cannot turn it around. It
  spells the tenant as one index only does (schema/tenant-001.sql), and has no other condition of a partial index.
- A statement that changes many users finds them by their places in the table (AT_IDS), and the new values in an
  object of JSON: nothing is joined.
- Hash and merge joins and sequential scans are off.
"""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from typing import Any

from psycopg.rows import tuple_row

from engine.postgres.database import Steps
from engine.postgres.server.node import require_claim
from importer.errors import TryAgain

SETTINGS = {
    "plan_cache_mode": "force_custom_plan",
    "enable_seqscan": "off",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "jit": "off",
    # For triggers: new users get ids above all others.
    "headcount.import": "adds",
}
"""The settings of the transaction."""


KEYS = "json_array_elements_text(%(keys)s::json) AS wanted (key)"
"""SQL: the texts in the value `keys`, which `texts` made, as a table. An array takes psycopg three times as long."""


AT_IDS = """ctid = ANY (ARRAY(SELECT place FROM unnest(%(ids)s::bigint[]) AS wanted (id) CROSS JOIN LATERAL (
        SELECT ctid AS place FROM users WHERE tenant_id = %(tenant)s AND id = wanted.id OFFSET 0) AS found))"""
"""SQL: the users with these ids."""

OF_IMPORT = """tenant_id = %(tenant)s AND import_id = %(import)s
        AND id > (SELECT last_change FROM meta WHERE tenant_id = %(tenant)s)"""
"""SQL: the changes of the import, before it ends: they have numbers after all that are stored as taken."""


class Work:
    """The transaction of the import `import_id` of the tenant with the id `tenant`.

    In each statement, these two are the values %(tenant)s and %(import)s.
    """

    def __init__(self, steps: Steps, tenant: int, import_id: int, node: int | None = None) -> None:
        self.steps = steps
        self.tenant = tenant
        self.import_id = import_id
        self._node = node
        self.numbers = Numbers(self)
        self._made: set[str] = set()
        self._cursors = 0

    async def require_claim(self) -> None:
        """Check that this server still runs the import, and keep it so. Raises Stopped if another took it up."""
        await require_claim(self.steps, self.tenant, self.import_id, self._node)

    async def rows(self, statement: str, **values: object) -> list[tuple[Any, ...]]:
        """Return the rows of a statement."""
        async with self.steps.connection.cursor(row_factory=tuple_row) as cursor:
            await cursor.execute(statement, self._all(values))
            return await cursor.fetchall()

    async def change(self, statement: str, **values: object) -> int:
        """Run a statement; return how many rows it changed."""
        return await self.steps.change(statement, **self._all(values))

    async def change_users(self, statement: str, ids: Collection[Any], **values: object) -> None:
        """Run a statement that changes the users AT_IDS. Raises TryAgain if something else changed one just now."""
        if await self.change(statement, ids=numbers(ids), **values) != len(set(ids)):
            raise TryAgain("database_busy", "users were changed by hand during the import")

    async def pages(self, statement: str, size: int, **values: object) -> AsyncIterator[list[tuple[Any, ...]]]:
        """Yield the rows of a statement, `size` at a time: the rest stays in PostgreSQL."""
        self._cursors += 1  # one that was not read to its end may still be open
        async with self.steps.connection.cursor(f"pages_{self._cursors}", row_factory=tuple_row) as cursor:
            await cursor.execute(statement, self._all(values))
            while rows := await cursor.fetchmany(size):
                yield rows

    async def copy(
        self, table: str, columns: Sequence[str], rows: Iterable[Sequence[object]], texts: Iterable[str] = ()
    ) -> None:
        """Write many rows. An empty text is NULL, but not in the columns `texts`."""
        lines = io.StringIO(newline="")
        csv.writer(lines).writerows(rows)
        if not (content := lines.getvalue()):
            return
        blank = f", FORCE_NOT_NULL ({', '.join(texts)})" if texts else ""
        into = f"COPY {table} ({', '.join(columns)}) FROM STDIN (FORMAT csv{blank})"
        async with self.steps.connection.cursor() as cursor, cursor.copy(into) as copy:
            await copy.write(content)

    async def make(self, table: str, columns: str, *indexes: str) -> None:
        """Create a temporary table unless the import has done so; it ends with the transaction."""
        if table not in self._made:
            made = f"CREATE TEMP TABLE {table} ({columns}) ON COMMIT DROP"
            await self.steps.change("; ".join([made, *(f"CREATE INDEX ON {table} {index}" for index in indexes)]))
            self._made.add(table)

    def has(self, table: str) -> bool:
        """Return whether `make` has created this table."""
        return table in self._made

    def _all(self, values: dict[str, object]) -> dict[str, object]:
        return {"tenant": self.tenant, "import": self.import_id, **values}


class Numbers:
    """The numbers of the changes of an import: those after the newest one of the tenant."""

    def __init__(self, work: Work) -> None:
        self._work = work
        self._newest: int | None = None

    async def take(self, count: int) -> int:
        """Take the next `count` numbers, and return the first."""
        if self._newest is None:
            ((self._newest,),) = await self._work.rows("SELECT last_change FROM meta WHERE tenant_id = %(tenant)s")
        first: int = self._newest + 1
        self._newest += count
        return first

    async def keep(self) -> None:
        """Store which numbers were taken, when all changes are written."""
        if self._newest is not None:
            await self._work.change(
                "UPDATE meta SET last_change = %(newest)s WHERE tenant_id = %(tenant)s", newest=self._newest
            )


def numbers(ids: Iterable[int]) -> str:
    """Return whole numbers as the text of an array; cast it to bigint[]."""
    return "{" + ",".join(map(str, ids)) + "}"


def texts(values: Iterable[str]) -> str:
    """Return texts as one value; KEYS reads it."""
    return json.dumps(list(values), ensure_ascii=False)
