"""The temporary tables of rows that wait until all others are written, and of the text of dropped rows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from engine.postgres.importing.work import Work
from importer.users.importing.later import DroppedRow

PAGE = 2000
DROPPED = f"""
    SELECT l.line, coalesce(l.raw, own.raw), l.first, r.raw, l.beside FROM (
        SELECT * FROM later WHERE first IS NOT NULL AND line > %(after)s ORDER BY line LIMIT {PAGE}) AS l
    CROSS JOIN LATERAL (SELECT raw FROM read_again WHERE line = l.first OFFSET 0) AS r
    LEFT JOIN LATERAL (SELECT raw FROM read_again WHERE line = l.line OFFSET 0) AS own ON true
    ORDER BY l.line"""  # noqa: S608


class PostgresRowsForLater:
    """The waiting rows of one import, inside its transaction."""

    def __init__(self, work: Work) -> None:
        self._work = work

    async def _make(self) -> None:
        # A row without `first` is a leaver's that waits; one without `raw` was recognized without being parsed.
        await self._work.make(
            "later",
            "line bigint PRIMARY KEY, raw text, first bigint, beside boolean NOT NULL",
            "(first) WHERE first IS NOT NULL",
            "(line) WHERE raw IS NULL",
            "(line) WHERE first IS NULL",
        )
        await self._work.make("read_again", "line bigint PRIMARY KEY, raw text NOT NULL")

    async def add_leavers(self, rows: Sequence[tuple[int, str]]) -> None:
        await self._add((line, raw, None, False) for line, raw in rows)

    async def add_duplicates(self, rows: Sequence[tuple[int, str, int]]) -> None:
        await self._add((line, raw, first, False) for line, raw, first in rows)

    async def _add(self, rows: Iterable[tuple[int, str, int | None, bool]]) -> None:
        await self._make()
        await self._work.copy("later", ("line", "raw", "first", "beside"), rows)

    async def add_displaced(self, rows: Sequence[tuple[int, int]]) -> int:
        await self._make()
        lines, firsts = ([row[at] for row in rows] for at in (0, 1))
        return await self._work.change(
            "INSERT INTO later SELECT line, NULL, first, true"
            " FROM unnest(%(lines)s::bigint[], %(firsts)s::bigint[]) AS row (line, first) ON CONFLICT DO NOTHING",
            lines=lines,
            firsts=firsts,
        )

    async def drop_waiting(self, rows: Sequence[tuple[int, bool, int]]) -> None:
        if not rows:
            return
        firsts, besides, lines = map(list, zip(*rows, strict=True))
        await self._work.change(
            "UPDATE later SET first = row.first, beside = row.beside"
            " FROM unnest(%(firsts)s::bigint[], %(besides)s::boolean[], %(lines)s::bigint[])"
            " AS row (first, beside, line) WHERE later.line = row.line",
            firsts=firsts,
            besides=besides,
            lines=lines,
        )

    async def leavers(self, after: int) -> list[tuple[int, str]]:
        if not self._work.has("later"):
            return []
        rows = await self._work.rows(
            f"SELECT line, raw FROM later WHERE first IS NULL AND line > %(after)s ORDER BY line LIMIT {PAGE}",  # noqa: S608
            after=after,
        )
        return [(row[0], row[1]) for row in rows]

    async def last_without_text(self) -> int:
        if not self._work.has("later"):
            return 0
        ((last,),) = await self._work.rows(
            "SELECT greatest((SELECT max(first) FROM later WHERE first IS NOT NULL),"
            " (SELECT max(line) FROM later WHERE raw IS NULL), 0)"
        )
        return int(last)

    async def without_text(self, first: int, last: int) -> list[int]:
        if not self._work.has("later"):
            return []
        rows = await self._work.rows(
            "SELECT first AS line FROM later WHERE first BETWEEN %(first)s AND %(last)s"
            " UNION SELECT line FROM later WHERE raw IS NULL AND line BETWEEN %(first)s AND %(last)s ORDER BY line",
            first=first,
            last=last,
        )
        return [row[0] for row in rows]

    async def tell(self, texts: Sequence[tuple[int, str]]) -> None:
        await self._make()
        await self._work.copy("read_again", ("line", "raw"), texts, ("raw",))

    async def dropped(self, after: int) -> list[DroppedRow]:
        if not self._work.has("later"):
            return []
        return [DroppedRow(*row) for row in await self._work.rows(DROPPED, after=after)]
