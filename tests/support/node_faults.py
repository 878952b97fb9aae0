"""Faults of servers on one database, at any moment: a kill, a freeze, and a crash of PostgreSQL.

Each is started again, as a service manager does. The faults overlap: all servers may be away at once.
"""

from __future__ import annotations

import asyncio
import json
import math
import random
import signal
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Literal

import httpx

from ground.moments import from_rfc3339
from tests.support.cluster import ClusterNode
from tests.support.own_postgres import OwnPostgres
from tests.support.waiting import DEADLINE_S, eventually

Kind = Literal["kill", "stop", "freeze"]

FIRST_S, LAST_S = 0.1, 1.2
"""The shortest and the longest time between two faults, and until what was killed or stopped is started again."""
IN_A_START = 0.2
"""The share of kills after which the next start is killed, too."""
START_MOST_S = 0.8
AGAIN_S = 120.0
"""The longest time until a client has an OK again, and until a server is up or ready again."""
UNHEARD_S = 30.0
"""The longest time for which a busy machine may keep a server from being heard."""
SHORT_S, FROZEN_S = 2.0, 10.0
"""A freeze is shorter or longer than the time after which PostgreSQL and the other servers take a server for gone."""


@dataclass
class Fault:
    """A fault, from before a process was signaled until it had ended or goes on, on the monotonic clock."""

    kind: Kind
    began: float
    ended: float = math.inf


@dataclass
class Faults:
    """The faults of a game. `happened` has those until now."""

    nodes: Sequence[ClusterNode]
    postgres: OwnPostgres
    dice: random.Random
    acknowledged: Callable[[], int]
    """Returns how many files have their OK. A fault waits for one more: it hits servers at work."""
    happened: list[Fault] = field(default_factory=list)
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
                if kind == "stop":
                    await self._stop()
                    continue
                await eventually(lambda: self.up, AGAIN_S, "a server to be up")
                number = self.dice.choice(sorted(self.up))
                self.up.discard(number)
                group.create_task(self._kill(number) if kind == "kill" else self._freeze(number))
        for node in self.nodes:
            await self._ready(node)

    def interruptions(self) -> list[Fault]:
        """Return all faults, and others like a freeze: a busy machine kept a server from being heard."""
        frozen = [(fault.began, fault.ended + FROZEN_S) for fault in self.happened if fault.kind == "freeze"]
        unheard = [at for node in self.nodes for at in _came_back(node)]
        others = [at for at in unheard if not any(began <= at <= over for began, over in frozen)]
        return [*self.happened, *(Fault("freeze", at - UNHEARD_S, at) for at in others)]

    async def _work(self) -> None:
        before = self.acknowledged()
        await eventually(lambda: self.acknowledged() > before, AGAIN_S, "an OK after the faults before")

    @contextmanager
    def _happens(self, kind: Kind) -> Iterator[None]:
        fault = Fault(kind, time.monotonic())
        self.happened.append(fault)
        yield
        fault.ended = time.monotonic()

    async def _stop(self) -> None:
        with self._happens("stop"):
            await asyncio.to_thread(self.postgres.stop)
            await asyncio.sleep(self.dice.uniform(0, LAST_S))
            await asyncio.to_thread(self.postgres.start)

    async def _kill(self, number: int) -> None:
        node = self.nodes[number]
        with self._happens("kill"):
            await asyncio.to_thread(node.kill)
        await asyncio.sleep(self.dice.uniform(0, LAST_S))
        if self.dice.random() < IN_A_START:
            node.launch()
            await asyncio.sleep(self.dice.uniform(0, START_MOST_S))
            with self._happens("kill"):
                await asyncio.to_thread(node.kill)
        await started(node)
        self.up.add(number)

    async def _freeze(self, number: int) -> None:
        node = self.nodes[number]
        assert node.process
        with self._happens("freeze"):
            node.process.send_signal(signal.SIGSTOP)
            await asyncio.sleep(self.dice.uniform(SHORT_S, FROZEN_S))
            node.process.send_signal(signal.SIGCONT)
            await self._ready(node)
        self.up.add(number)

    async def _ready(self, node: ClusterNode) -> None:
        await eventually(lambda: asyncio.to_thread(is_ready, node), AGAIN_S, f"{node.folder.name} to be ready")


def _came_back(node: ClusterNode) -> list[float]:
    """Return the times, on the monotonic clock, at which the server found that it had been taken for gone."""
    since = time.monotonic() - time.time()
    lines = (json.loads(line) for line in node.log.read_text().splitlines() if '"server_unheard"' in line)
    return [from_rfc3339(line["time"]).timestamp() + since for line in lines]


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
