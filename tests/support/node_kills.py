"""Kill servers of a cluster at random moments of uploads and imports: what a client had its OK for is imported once.

`python -m tests.support.node_kills --kills 100 --seed 1` kills one of three servers 100 times, and starts it again.
It exits with 1 at the first lost, doubled or half import. Each file has a user of its own, so the users show which
were applied, and how often.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import random
import tempfile
import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import asyncssh
import psycopg

from tests.support.cluster import ClusterNode, cluster
from tests.support.importing import people
from tests.support.own_postgres import own_postgres
from tests.support.waiting import eventually

TENANTS = ("acme", "bolt", "crew")
CLIENTS = 2
"""Clients of each tenant."""
FIRST_S, LAST_S = 0.3, 2.0
"""The time between two kills."""
SEND_S = 20.0
QUIET_S = 90.0
"""The longest wait for the end of all imports after the last kill."""

NOT_ENDED = "SELECT count(*) FROM imports WHERE state IN ('arriving', 'queued', 'running')"
IMPORTS = """
    SELECT name, sha256, state, sequence, applied_number, imports.id
    FROM imports JOIN tenants ON tenants.id = tenant_id
    WHERE state NOT IN ('aborted', 'ignored') ORDER BY tenant_id, sequence"""
USERS = "SELECT name, email FROM users JOIN tenants ON tenants.id = users.tenant_id"
CREATED = """
    SELECT name, email, count(*) FROM changes JOIN tenants ON tenants.id = changes.tenant_id
    JOIN users ON users.tenant_id = changes.tenant_id AND users.id BETWEEN changes.user_id - more AND changes.user_id
    WHERE field = 'created' GROUP BY 1, 2"""


@dataclass
class Ledger:
    """The files that were sent, by tenant and hash: the user in each, and whether its client had an OK."""

    sent: dict[tuple[str, str], str] = field(default_factory=dict)
    acknowledged: set[tuple[str, str]] = field(default_factory=set)


class Game:
    """Clients that send files, and a killer."""

    def __init__(self, nodes: list[ClusterNode], seed: int) -> None:
        self.nodes = nodes
        self.dice = random.Random(seed)
        self.ledger = Ledger()
        self.up = set(range(len(nodes)))
        self.over = asyncio.Event()
        self._number = 0

    async def play(self, kills: int) -> None:
        async with asyncio.TaskGroup() as group:
            for tenant in TENANTS * CLIENTS:
                group.create_task(self._client(tenant))
            for _ in range(kills):
                await asyncio.sleep(self.dice.uniform(FIRST_S, LAST_S))
                await self._kill(self.dice.choice(sorted(self.up)))
            self.over.set()

    async def _kill(self, number: int) -> None:
        self.up.discard(number)
        await asyncio.to_thread(self.nodes[number].kill)
        await asyncio.sleep(self.dice.uniform(0, LAST_S))
        await asyncio.to_thread(self.nodes[number].start)
        self.up.add(number)

    async def _client(self, tenant: str) -> None:
        while not self.over.is_set():
            self._number += 1
            user = f"user{self._number}"
            content = people(user)
            key = tenant, hashlib.sha256(content).hexdigest()
            self.ledger.sent[key] = user
            with suppress(OSError, asyncssh.Error, TimeoutError):
                async with asyncio.timeout(SEND_S):
                    await self._send(tenant, content)
                    self.ledger.acknowledged.add(key)
            await asyncio.sleep(self.dice.uniform(0, 0.2))

    async def _send(self, tenant: str, content: bytes) -> None:
        node = self.nodes[self.dice.choice(sorted(self.up))]
        async with node.connect(tenant) as connection, connection.start_sftp_client() as client:
            file = await client.open("/sync_users.csv", "wb")
            await file.write(content)
            await file.close()


async def compare(url: str, ledger: Ledger) -> Counter[str]:
    """Compare what is stored with the ledger; return how many files have which fate."""
    db = await psycopg.AsyncConnection.connect(url, autocommit=True)
    async with db:

        async def at_rest() -> bool:
            return (await (await db.execute(NOT_ENDED)).fetchone()) == (0,)

        await eventually(at_rest, QUIET_S, "the end of all imports")
        imports = await (await db.execute(IMPORTS)).fetchall()
        users = set(await (await db.execute(USERS)).fetchall())
        created = {(tenant, email): count for tenant, email, count in await (await db.execute(CREATED)).fetchall()}
    found = Counter((tenant, sha256) for tenant, sha256, *_ in imports)
    lost = ledger.acknowledged - found.keys()
    assert not lost, f"an OK, and no import: {lost}"
    for tenant, sha256, state, *_, number in imports:
        key, where = (tenant, sha256), f"import {number} of {tenant}"
        assert state == "completed", f"{where} is {state}"
        assert found[key] == 1, f"{where} is there {found[key]} times"
        user = tenant, f"{ledger.sent[key]}@example.com"
        assert user in users, f"{where} has not created its user"
        assert created[user] == 1, f"{where} has created its user {created[user]} times"
    assert len(users) == len(imports), "a user of no import"
    for tenant in TENANTS:
        order = [applied for name, _, _, _, applied, _ in imports if name == tenant]
        assert order == sorted(order), f"imports of {tenant} were applied in another order than they came"
    return Counter("with OK" if (row[0], row[1]) in ledger.acknowledged else "without OK" for row in imports)


async def play(folder: Path, url: str, kills: int, seed: int, count: int = 3) -> Counter[str]:
    """Play, and return how many imports there were."""
    with cluster(folder, url, count) as nodes:
        for tenant in TENANTS:
            nodes[0].add_tenant(tenant, deactivate_missing="false", max_sessions="50")
        game = Game(nodes, seed)
        await game.play(kills)
        return await compare(url, game.ledger)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, own_postgres() as server:
        fates = asyncio.run(play(Path(folder), server.url, asked.kills, asked.seed))
    print(f"{asked.kills} kills in {time.monotonic() - began:.0f} s: {dict(fates)}")


if __name__ == "__main__":
    main()
