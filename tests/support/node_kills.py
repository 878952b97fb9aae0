"""Kill and freeze servers behind HAProxy, and crash PostgreSQL, at random moments of uploads and imports.

`python -m tests.support.node_kills --kills 500 --stops 50 --freezes 20 --seed 1` does so, with three servers and six
clients, and prints how many files there were. It exits with 1 at the first lost, doubled or half import: each file
that a client had its OK for is imported once, in the order of the landings. All users of a file are in no other file,
so the users show which files were applied, and how often.
"""

from __future__ import annotations

import argparse
import asyncio
import hashlib
import random
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncssh
import psycopg

from tests.support.balanced import QUICK, Balanced, balanced
from tests.support.hook_kills import is_connected
from tests.support.importing import people
from tests.support.node_faults import Faults
from tests.support.own_postgres import OwnPostgres, own_postgres
from tests.support.waiting import eventually

TENANTS = ("acme", "bolt", "crew")
CLIENTS = 2
"""Clients of each tenant."""
SIZES, SHARES = (1, 40, 400), (80, 15, 5)
"""The users in a file, and how often such a file is sent."""
RENAMED = 0.2
"""The share of files that are sent under another name, and renamed."""
SEND_S = 30.0
"""The longest wait of a client; longer than any freeze."""
QUIET_S = 180.0
"""The longest wait for the end of all imports after the last fault."""

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

Key = tuple[str, str]
"""A file: its tenant and its hash."""


@dataclass
class Ledger:
    """The files that were sent, with the users in each, and those for which the client had an OK."""

    sent: dict[Key, list[str]] = field(default_factory=dict)
    acknowledged: set[Key] = field(default_factory=set)
    failed: Counter[str] = field(default_factory=Counter)
    """The errors that clients had in place of an OK."""


class Game:
    """Clients that send files, until `over`."""

    def __init__(self, house: Balanced, seed: int) -> None:
        self.house = house
        self.dice = random.Random(seed)
        self.ledger = Ledger()
        self.over = asyncio.Event()
        self._number = 0

    async def play(self, postgres: OwnPostgres, kills: int, stops: int, freezes: int) -> Faults:
        """Send files until all faults have happened."""
        dice = random.Random(self.dice.random())
        faults = Faults(self.house.nodes, postgres, dice, lambda: len(self.ledger.acknowledged))
        async with asyncio.TaskGroup() as group:
            for tenant in TENANTS * CLIENTS:
                group.create_task(self._client(tenant))
            await faults.play(kills, stops, freezes)
            self.over.set()
        return faults

    async def _client(self, tenant: str) -> None:
        while not self.over.is_set():
            self._number += 1
            number, (size,) = self._number, self.dice.choices(SIZES, SHARES)
            users = [f"file{number}user{each}" for each in range(size)]
            content = people(*users)
            key = tenant, hashlib.sha256(content).hexdigest()
            self.ledger.sent[key] = users
            try:
                async with asyncio.timeout(SEND_S):
                    await self._send(key, content, number)
            except (OSError, asyncssh.Error, TimeoutError) as error:
                self.ledger.failed[type(error).__name__] += 1
            await asyncio.sleep(self.dice.uniform(0, 0.2))

    async def _send(self, key: Key, content: bytes, number: int) -> None:
        tenant, _ = key
        part = f"/part-{number}" if self.dice.random() < RENAMED else None
        async with self.house.connect(tenant) as connection, connection.start_sftp_client() as client:
            file = await client.open(part or "/sync_users.csv", "wb")
            for piece in pieces(content, self.dice.randint(1, 4)):
                await file.write(piece)
                await asyncio.sleep(self.dice.uniform(0, 0.05))
            require_connected(client)
            await file.close()
            if part:
                require_connected(client)
                await client.posix_rename(part, "/sync_users.csv")
            self.ledger.acknowledged.add(key)


def pieces(content: bytes, count: int) -> list[bytes]:
    """Return `content` in so many pieces, or fewer."""
    size = -(-len(content) // count)
    return [content[start : start + size] for start in range(0, len(content), size)]


def require_connected(client: asyncssh.SFTPClient) -> None:
    """Raise ConnectionError where asyncssh would send nothing, and raise nothing."""
    if not is_connected(client):
        raise ConnectionError


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
        expected = {(tenant, f"{user}@example.com") for user in ledger.sent[key]}
        assert expected <= users, f"{where} has not created all of its users"
        doubled = {user: created[user] for user in expected if created[user] != 1}
        assert not doubled, f"{where} has created a user more than once: {doubled}"
    assert len(users) == sum(len(ledger.sent[tenant, sha256]) for tenant, sha256 in found), "a user of no import"
    for tenant in TENANTS:
        order = [applied for name, _, _, _, applied, _ in imports if name == tenant]
        assert order == sorted(order), f"imports of {tenant} were applied in another order than they came"
    return Counter("with OK" if (row[0], row[1]) in ledger.acknowledged else "without OK" for row in imports)


def require_health(house: Balanced) -> None:
    """Check that the doctor finds nothing: files have all their bytes, and the quotas are true."""
    found = house.cli("doctor", "--json", check=False).json
    assert found == [], found


async def play(
    folder: Path, postgres: OwnPostgres, kills: int, seed: int, *, stops: int = 0, freezes: int = 0
) -> Counter[str]:
    """Play, and return how many imports there were, and how many sends failed with which error."""
    with balanced(folder, postgres.url, QUICK) as house:
        for tenant in TENANTS:
            house.add_tenant(tenant, deactivate_missing="false", max_sessions="50")
        game = Game(house, seed)
        await game.play(postgres, kills, stops, freezes)
        fates = await compare(postgres.url, game.ledger)
        require_health(house)
        return fates + game.ledger.failed


def main(play: Callable[..., Coroutine[Any, Any, Counter[str]]], about: str | None) -> None:
    """Run the command line of a game: `play` plays it, and `about` says what it does."""
    parser = argparse.ArgumentParser(description=about)
    parser.add_argument("--kills", type=int, default=20)
    parser.add_argument("--stops", type=int, default=0)
    parser.add_argument("--freezes", type=int, default=0)
    parser.add_argument("--seed", type=int, default=1)
    asked = parser.parse_args()
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder, own_postgres() as server:
        fates = asyncio.run(
            play(Path(folder), server, asked.kills, asked.seed, stops=asked.stops, freezes=asked.freezes)
        )
    faults = f"{asked.kills} kills, {asked.stops} stops of PostgreSQL, {asked.freezes} freezes"
    print(f"seed {asked.seed}: {faults} in {time.monotonic() - began:.0f} s: {dict(fates)}")


if __name__ == "__main__":
    main(play, __doc__)
