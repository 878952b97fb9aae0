"""Keep bans across restarts and servers: write the bans of the gate to a table every 0.5 seconds, lift those that are
not there any more, and adopt those of other servers.

So a flood costs the disk two short transactions a second, and `headcount ban lift` takes effect within a second.
"""

from __future__ import annotations

import asyncio
import logging
from datetime import timedelta

from engine.bans import Ban
from ground.moments import Clock, from_rfc3339, rfc3339, utc_now
from server.rounds import again
from server.sftp.bans.gate import Gate, HeldBan
from server.tenants.access.bans import BanBook
from server.trouble import Trouble

log = logging.getLogger(__name__)

ROUND_S = 0.5
MOVED_S = 1.0
"""Seconds. A written end that is off by more is written again: the ban grew, or the system clock was set."""


class BanKeeper:
    """Keeps the gate and the table of bans equal, between `start()` and `stop()`."""

    def __init__(self, gate: Gate, book: BanBook, clock: Clock = utc_now, *, shares: bool = False) -> None:
        """`shares`: other servers may write to the same table."""
        self._shares = shares
        self._gate = gate
        self._book = book
        self._clock = clock
        self._written: dict[str, Ban] = {}
        self._trouble = Trouble(log, "Bans cannot be written", {"event": "bans_unwritten"})
        self._ending = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def restore(self) -> None:
        """Load the bans of the table into the gate, and delete those that are over."""
        for ban in await self._book.list():
            self._restore(ban)
        if over := await self._book.sources() - self._written.keys():
            await self._book.write([], over, known=())

    def start(self) -> None:
        self._task = asyncio.create_task(again(self._round, self._not_kept, self._ending), name="bans")

    async def stop(self) -> None:
        """Stop the rounds, then write the bans once more; a failure is logged."""
        self._ending.set()
        if self._task is None:
            return
        await asyncio.wait([self._task])
        try:
            await self.settle()
        except Exception as error:
            self._not_kept(error)

    async def settle(self) -> None:
        """Lift the bans that were removed from the table; then write the bans that are new, changed or over."""
        if self._written or self._shares:
            self._lift(self._written.keys() - await self._book.sources())
        if self._shares:
            await self._adopt()
        now, held = self._clock(), self._gate.bans()
        bans = [Ban(name, rfc3339(now + timedelta(seconds=ban.rest_s)), ban.reason) for name, ban in held.items()]
        changed = [ban for ban in bans if _differs(ban, self._written.get(ban.source))]
        over = self._written.keys() - held.keys()
        if changed or over:
            lifted = await self._book.write(changed, over, known=self._written.keys())
            self._written |= {ban.source: ban for ban in changed}
            for source in over:
                del self._written[source]
            self._lift(lifted)

    def _restore(self, ban: Ban) -> None:
        rest = from_rfc3339(ban.until) - self._clock()
        self._gate.restore(ban.source, HeldBan(rest.total_seconds(), ban.reason))
        self._written[ban.source] = ban

    async def _adopt(self) -> None:
        """Adopt the bans that other servers wrote, unless this one holds a longer one."""
        held, now = self._gate.bans(), self._clock()
        for ban in await self._book.list():
            rest_s = (from_rfc3339(ban.until) - now).total_seconds()
            if ban != self._written.get(ban.source):
                if ban.source not in held or held[ban.source].rest_s < rest_s:
                    self._restore(ban)
                else:
                    self._written[ban.source] = ban

    def _lift(self, sources: set[str]) -> None:
        held = self._gate.bans()
        for source in sources:
            self._written.pop(source, None)
            self._gate.forgive(source)
            if self._shares and (source not in held or held[source].rest_s < MOVED_S):
                continue  # it has ended, and another server was the first to see it
            log.info("The ban of %s was lifted.", source, extra={"event": "ban_lifted", "source": source})

    async def _round(self) -> float:
        await self.settle()
        return ROUND_S

    def _not_kept(self, error: Exception) -> float:
        self._trouble.met_unless_busy(error)
        return ROUND_S


def _differs(ban: Ban, written: Ban | None) -> bool:
    if written is None or written.reason != ban.reason:
        return True
    return abs((from_rfc3339(ban.until) - from_rfc3339(written.until)).total_seconds()) > MOVED_S
