"""Kill and freeze servers behind HAProxy at random moments of files for hooks: each acknowledged file is delivered.

`python -m tests.support.hook_node_kills --kills 100 --stops 10 --freezes 5 --seed 1` does so and prints the fates of
the files. It exits with 1 at the first file that a hook never got, got out of order, or got again without a fault.
Two hooks, one in the event loop and one in a process, get the files of two tenants on every server, and write down
each of them. A run is delivered at least once: it may be repeated where a fault interrupted it, and is given up after
five attempts, each of which a fault interrupted.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import time
from collections import Counter, defaultdict
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import asyncssh
import psycopg

from ground.moments import from_rfc3339
from server.runs.ends import ATTEMPTS
from server.runs.recovery import STOPPED
from tests.support import ROOT
from tests.support.balanced import QUICK, Balanced, balanced
from tests.support.hook_kills import LINES, MODULE, TENANTS, File, Line
from tests.support.node_faults import FROZEN_S, Faults
from tests.support.node_kills import QUIET_S, SEND_S, main, require_connected, require_health
from tests.support.notes import Notes
from tests.support.own_postgres import OwnPostgres
from tests.support.waiting import eventually

ROUNDED_S = 1.0
LONGEST = 5000
"""The most bytes of a file."""
STATES = "SELECT state, count(*) FROM runs GROUP BY state"
GIVEN_UP = "SELECT sha256, error, attempts, uploaded_at, finished_at FROM runs WHERE state = 'failed'"
RUNS = """
    SELECT sha256, state FROM runs JOIN tenants ON tenants.id = tenant_id
    WHERE state NOT IN ('aborted', 'ignored') ORDER BY tenant_id, hook, sequence"""
WAITING = {"arriving", "queued", "running"}


class HookGame:
    """One client for each tenant and hook, which sends one file after another."""

    def __init__(self, house: Balanced, notes: Notes, seed: int) -> None:
        self.house = house
        self.notes = notes
        self.dice = random.Random(seed)
        self.over = asyncio.Event()
        self.sent: dict[Line, list[File]] = {line: [] for line in LINES}
        self.acknowledged: set[str] = set()
        self.faults: Faults | None = None

    async def play(self, postgres: OwnPostgres, kills: int, stops: int, freezes: int) -> None:
        """Send files until all faults have happened, and wait until all are processed."""
        dice = random.Random(self.dice.random())
        self.faults = Faults(self.house.nodes, postgres, dice, lambda: len(self.acknowledged))
        async with asyncio.TaskGroup() as group:
            for line in LINES:
                group.create_task(self._client(line))
            await self.faults.play(kills, stops, freezes)
            self.over.set()

    async def _client(self, line: Line) -> None:
        while not self.over.is_set():
            path = f"/{line[1]}/{self.dice.choice('abc')}"
            file = File(line, path, self.dice.randbytes(self.dice.randrange(1, LONGEST)), self.dice.random() < 0.3)
            self.sent[line].append(file)
            with suppress(OSError, asyncssh.Error, TimeoutError):
                async with asyncio.timeout(SEND_S):
                    await self._send(file)
            await asyncio.sleep(self.dice.uniform(0, 0.3))

    async def _send(self, file: File) -> None:
        tenant, hook = file.line
        part = f"/part for {hook}"
        async with self.house.connect(tenant) as connection, connection.start_sftp_client() as client:
            remote = await client.open(part if file.renamed else file.path, "wb")
            await remote.write(file.content)
            require_connected(client)
            await remote.close()
            if file.renamed:
                require_connected(client)
                await client.posix_rename(part, file.path)
            self.acknowledged.add(file.sha256)

    async def compare(self, url: str) -> Counter[str]:
        """Compare what the hooks wrote down with what was sent; return how many files have which fate."""
        async with await psycopg.AsyncConnection.connect(url, autocommit=True) as db:

            async def at_rest() -> bool:
                return not WAITING & {row[0] for row in await (await db.execute(STATES)).fetchall()}

            await eventually(at_rest, QUIET_S, "the end of all runs")
            runs = await (await db.execute(RUNS)).fetchall()
            given_up = {row[0]: row[1:] for row in await (await db.execute(GIVEN_UP)).fetchall()}
        assert {state for _, state in runs} <= {"completed", "failed"}
        self.check_given_up(given_up.values())
        assert max(Counter(sha256 for sha256, _ in runs).values()) == 1, "a file has two runs"
        times = self.delivered()
        delivered = {sha256 for sha256, state in runs if state == "completed"}
        assert delivered == set(times) - set(given_up), "the list of runs differs from what the hooks wrote down"
        order = {sha256: number for number, (sha256, _) in enumerate(runs)}
        for line, files in self.sent.items():
            acknowledged = [file.sha256 for file in files if file.sha256 in self.acknowledged]
            lost = set(acknowledged) - set(times) - set(given_up)
            assert not lost, f"{line}: lost {lost}"
            assert acknowledged == sorted(acknowledged, key=order.__getitem__), f"{line}: the runs are out of order"
            mine = [file.sha256 for file in files if file.sha256 in times]
            firsts = sorted(mine, key=lambda sha256: times[sha256][0])
            assert firsts == sorted(mine, key=order.__getitem__), f"{line}: delivered out of order"
        self.check_repeated(times)
        fates = {"acknowledged": len(self.acknowledged), "without OK": len(set(times) - self.acknowledged)}
        repeated = sum(len(each) > 1 for each in times.values())
        return Counter({**fates, "repeated": repeated, "given up": len(given_up)})

    def delivered(self) -> dict[str, list[float]]:
        """Return the times at which each file was delivered, by its hash."""
        times: dict[str, list[float]] = defaultdict(list)
        for at, note in self.notes.begun():
            if note.startswith("delivered: "):
                times[note.split()[-1]].append(at)
        return times

    def check_given_up(self, runs: Iterable[tuple[str, int, str, str]]) -> None:
        """Check that so many faults as it had attempts came between the upload and the end of each of these runs."""
        assert self.faults
        now = time.time() - time.monotonic()
        faults = [(now + fault.began, now + fault.ended) for fault in self.faults.interruptions()]
        for error, attempts, *moments in runs:
            assert (error, attempts) == (STOPPED, ATTEMPTS)
            uploaded, ended = (from_rfc3339(each).timestamp() for each in moments)
            meanwhile = [began <= ended + ROUNDED_S and uploaded - ROUNDED_S <= over for began, over in faults]
            assert sum(meanwhile) >= ATTEMPTS

    def check_repeated(self, times: dict[str, list[float]]) -> None:
        """Check that each file was delivered again only where a fault may have interrupted its run."""
        assert self.faults
        faults = self.faults.interruptions()
        for sha256, delivered in times.items():
            for first, again in itertools.pairwise(delivered):
                interrupted = any(each.began <= again and first - FROZEN_S <= each.ended for each in faults)
                assert interrupted, f"{sha256} was delivered again, and nothing had happened"


async def play(
    folder: Path, postgres: OwnPostgres, kills: int, seed: int, *, stops: int = 0, freezes: int = 0
) -> Counter[str]:
    """Play, and return how many files have which fate."""
    notes = Notes(folder / "notes")
    (folder / "hooks_that_note.py").write_text(MODULE)
    env = {"NOTES": str(notes.path), "PYTHONPATH": f"{ROOT}{os.pathsep}{folder}"}
    with balanced(folder, postgres.url, QUICK, HEADCOUNT_HOOKS="hooks_that_note", **env) as house:
        for tenant in TENANTS:
            house.add_tenant(tenant)
        game = HookGame(house, notes, seed)
        await game.play(postgres, kills, stops, freezes)
        fates = await game.compare(postgres.url)
        require_health(house)
        return fates


if __name__ == "__main__":
    main(play, __doc__)
