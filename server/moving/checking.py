"""Compares both places of a move: the rows of each table, each file, and all keys, by counts and hashes."""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass, field

from engine.moving.stored import Batches
from engine.moving.tables import OF_ALL, OF_TENANT, Table, stored
from engine.tenants import Tenant
from ground.words import counted
from server.moving.files import files_of, some_of, unlike
from server.moving.side import KEPT_MARKS, Side

NUL = re.compile(r"\\x00|\\u0000")
"""A NUL in a row as Python and JSON write it."""


@dataclass(slots=True)
class Report:
    """The result of a comparison: `rows` by table, and a sentence about each difference. Equal places have none."""

    tenants: int = 0
    rows: Counter[str] = field(default_factory=Counter)
    files: int = 0
    bytes: int = 0
    keys: int = 0
    differences: list[str] = field(default_factory=list)
    replaced: Counter[str] = field(default_factory=Counter)
    """By table, the rows of the source with a NUL that PostgreSQL does not store."""


async def compare(source: Side, target: Side, done: Callable[[int], None] = lambda _: None) -> Report:
    """Read everything at both places, and compare it. `done` gets the number of tenants that were compared."""
    report = Report()
    mine, other = await source.tables.tenants(), await target.tables.tenants()
    report.tenants = len(mine)
    if mine != other:
        report.differences.append(f"the tenants differ: {_names(set(mine) ^ set(other))}")
    for table in OF_ALL:
        await _compare_rows(report, table, None, source, target)
    for number, tenant in enumerate(mine, 1):
        if tenant in other:
            await _compare_tenant(report, tenant.name, source, target)
        done(number)
    for what, of in (
        ("the host keys", _host_keys),
        (f"the marks {' and '.join(KEPT_MARKS)}", _marks),
        ("the newest numbers of tokens and changes", lambda side: side.tables.counters()),
    ):
        await _compare_values(report, what, of, source, target)
    return report


async def _compare_tenant(report: Report, tenant: str, source: Side, target: Side) -> None:
    for table in OF_TENANT:
        await _compare_rows(report, table, tenant, source, target)
    await _compare_files(report, tenant, source, target)
    report.keys += len(await source.keys(tenant))
    of: Iterable[tuple[str, Callable[[Side], Awaitable[object]]]] = (
        ("the keys", lambda side: _keys(side, tenant)),
        ("the secret of the webhooks", lambda side: side.webhook_secret(tenant)),
        ("the numbers of changes", lambda side: side.tables.numbering(tenant)),
    )
    for what, value in of:
        await _compare_values(report, f"{what} of {tenant}", value, source, target)


async def _compare_rows(report: Report, table: Table, tenant: str | None, source: Side, target: Side) -> None:
    mine = await _digest(table, source.tables.rows(table, tenant))
    other = await _digest(table, target.tables.rows(table, tenant))
    report.rows[table.name] += mine.count
    if mine.exact == other.exact:
        return
    if mine.stored == other.exact:
        report.replaced[table.name] += mine.replaced
    else:
        count = counted(mine.count, "row", "rows")
        numbers = f"{count} and {other.count:,}" if mine.count != other.count else count
        report.differences.append(f"the table {table.name}{f' of {tenant}' if tenant else ''} differs ({numbers})")


@dataclass(frozen=True, slots=True)
class _Digest:
    """How many rows these are, and the SHA-256 of all in their order, as they are and as PostgreSQL stores them.

    `replaced` rows are others there.
    """

    count: int
    exact: str
    stored: str
    replaced: int


async def _digest(table: Table, batches: Batches) -> _Digest:
    count, replaced, exact, convert = 0, 0, hashlib.sha256(), stored(table)
    other: hashlib._Hash | None = None  # only once they differ
    async for batch in batches:
        count += len(batch)
        text = repr(batch)
        if NUL.search(text):
            kept = [convert(row) for row in batch]
            if unlike := sum(new != tuple(old) for new, old in zip(kept, batch, strict=True)):
                replaced += unlike
                other = other or exact.copy()
                other.update(repr(kept).encode(errors="surrogatepass"))
                exact.update(text.encode(errors="surrogatepass"))
                continue
        data = text.encode(errors="surrogatepass")
        exact.update(data)
        if other:
            other.update(data)
    return _Digest(count, exact.hexdigest(), (other or exact).hexdigest(), replaced)


async def _compare_files(report: Report, tenant: str, source: Side, target: Side) -> None:
    here, there = await source.facts(tenant), await target.facts(tenant)
    if paths := unlike(here, there):
        report.differences.append(f"files of {tenant} differ: {_names(paths)}")
    others = {(each.seen, each.path): each for each in there}
    for file in files_of(here):
        report.files += 1
        report.bytes += file.first.size
        other = others.get((file.first.seen, file.first.path))
        if other is None or other.is_folder or other.size != file.first.size:
            continue  # said above
        if await source.digest(tenant, file.first) != await target.digest(tenant, other):
            path = file.first.path.decode(errors="backslashreplace")
            report.differences.append(f"the content of {path} of {tenant} differs")


async def _compare_values(
    report: Report, what: str, of: Callable[[Side], Awaitable[object]], source: Side, target: Side
) -> None:
    if await of(source) != await of(target):
        report.differences.append(f"{what} differ")


async def _keys(side: Side, tenant: str) -> list[object]:
    return list(await side.keys(tenant))


async def _marks(side: Side) -> list[str | None]:
    return [(await side.marks.find(name) or "") if await side.marks.has(name) else None for name in KEPT_MARKS]


async def _host_keys(side: Side) -> list[tuple[str, str]]:
    return [(each.name, each.fingerprint) for each in await side.host_keys()]


def _names(of: Iterable[str] | Iterable[Tenant]) -> str:
    return some_of(each.name if isinstance(each, Tenant) else each for each in of)
