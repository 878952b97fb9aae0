"""The table `bans`."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from engine.bans import Ban
from engine.sqlite.server.ledger import Ledger


class SqliteBanStore:
    """An `engine.bans.BanStore`. It reads through `looking`."""

    def __init__(self, ledger: Ledger, looking: Ledger) -> None:
        self._ledger = ledger
        self._looking = looking

    async def list(self, *, now: str, latest: str) -> list[Ban]:
        rows = await self._looking.read(
            "SELECT source, min(until, ?), reason FROM bans WHERE until > ? ORDER BY 2 DESC, 1", latest, now
        )
        return [Ban(*row) for row in rows]

    async def sources(self) -> set[str]:
        return {row[0] for row in await self._looking.read("SELECT source FROM bans")}

    async def remove(self, source: str) -> bool:
        return await self._ledger.change("DELETE FROM bans WHERE source = ?", source)

    async def write(self, bans: Iterable[Ban], over: Iterable[str], *, known: Collection[str]) -> set[str]:
        lifted = set()
        async with self._ledger.transaction():
            for ban in bans:
                if ban.source not in known:
                    await self._ledger.db.execute(
                        "INSERT OR REPLACE INTO bans (source, until, reason) VALUES (?, ?, ?)",
                        (ban.source, ban.until, ban.reason),
                    )
                    continue
                done = await self._ledger.db.execute(
                    "UPDATE bans SET until = ?, reason = ? WHERE source = ?", (ban.until, ban.reason, ban.source)
                )
                if not done.rowcount:
                    lifted.add(ban.source)
            await self._ledger.db.executemany("DELETE FROM bans WHERE source = ?", [(source,) for source in over])
        return lifted
