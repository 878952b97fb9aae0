"""Faults of servers on one database, at any moment: a kill, a freeze, and a crash of PostgreSQL.

Each is started again, as a service manager does. The faults overlap: all servers may be away at once.
"""

from __future__ import annotations

import asyncio
import random
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import httpx

from tests.support.cluster import ClusterNode
from tests.support.own_postgres import OwnPostgres
from tests.support.waiting import DEADLINE_S, eventually

Kind = Literal["kill", "stop", "freeze"]

FIRST_S, LAST_S = 0.1, 1.2
"""The shortest and the longest time between two faults, and until what was killed or stopped is started again."""
IN_A_START = 0.2
"""The share of kills after which the next start is killed, too."""
START_MOST_S = 0.8
AGAIN_S = 60.0
"""The longest time until a client has an OK again."""
SHORT_S, FROZEN_S = 2.0, 10.0
"""A freeze is shorter or longer than the time after which PostgreSQL and the other servers take a server for gone."""


@dataclass
class Faults:
    """The faults of a game. `happened` has those until now, with their times on the monotonic clock."""

    nodes: Sequence[ClusterNode]
    postgres: OwnPostgres
    dice: random.Random
    acknowledged: Callable[[], int]
    """Returns how many files have their OK. A fault waits for one more: it hits servers at work."""
    happened: list[tuple[float, Kind]] = field(default_factory=list)
    up: set[int] = field(default_factory=set)

    async def play(self, kills: int, stops: int, freezes: int) -> None:
        """Let so many of each happen, in random order. Then all servers are ready."""
        self.up = set(range(len(self.nodes)))
        kinds: list[Kind] = [*["kill"] * kills, *["stop"] * stops, *["freeze"] * freezes]
        self.dice.shuffle(kinds)
        async with asyncio.TaskGroup() as group:
            for kind in kinds:
                await self._work()
                await asyncio.sleep(self.dice.uniform(FIRST_S, LAST_S))
                self.happened.append((time.monotonic(), kind))
                if kind == "stop":
                    await self._stop()
                    continue
                await eventually(lambda: self.up, what="a server to be up")
                number = self.dice.choice(sorted(self.up))
                self.up.discard(number)
                group.create_task(self._kill(number) if kind == "kill" else self._freeze(number))
        for node in self.nodes:
            await self._ready(node)

    async def _work(self) -> None:
        before = self.acknowledged()
        await eventually(lambda: self.acknowledged() > before, AGAIN_S, "an OK after the faults before")

    async def _stop(self) -> None:
        await asyncio.to_thread(self.postgres.stop)
        await asyncio.sleep(self.dice.uniform(0, LAST_S))
        await asyncio.to_thread(self.postgres.start)

    async def _kill(self, number: int) -> None:
        node = self.nodes[number]
        await asyncio.to_thread(node.kill)
        await asyncio.sleep(self.dice.uniform(0, LAST_S))
        if self.dice.random() < IN_A_START:
            node.launch()
            await asyncio.sleep(self.dice.uniform(0, START_MOST_S))
            self.happened.append((time.monotonic(), "kill"))
            await asyncio.to_thread(node.kill)
        await started(node)
        self.up.add(number)

    async def _freeze(self, number: int) -> None:
        node = self.nodes[number]
        assert node.process
        node.process.send_signal(signal.SIGSTOP)
        await asyncio.sleep(self.dice.uniform(SHORT_S, FROZEN_S))
        node.process.send_signal(signal.SIGCONT)
        await self._ready(node)
        self.up.add(number)

    async def _ready(self, node: ClusterNode) -> None:
        await eventually(lambda: asyncio.to_thread(is_ready, node), what=f"{node.folder.name} to be ready")


async def started(node: ClusterNode) -> None:
    """Start a server, and again if it ends because PostgreSQL is away."""
    deadline = time.monotonic() + DEADLINE_S
    while True:
        try:
            await asyncio.to_thread(node.start)
        except AssertionError:
            assert node.process
            if node.process.poll() is None or time.monotonic() > deadline:
                raise
        else:
            return


def is_ready(node: ClusterNode) -> bool:
    """Ask /readyz."""
    try:
        return node.get("/readyz").status_code == 200
    except httpx.HTTPError:
        return False
