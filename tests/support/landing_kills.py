"""Kill a process that lands files in PostgreSQL, and stop PostgreSQL itself, at random moments.

`python -m tests.support.landing_kills --kills 200 --stops 50 --seed 1` does so 200 and 50 times and prints the
fate of the files. It exits with 1 if a file that was acknowledged is lost, half, or there twice, if one that was
not is there in part, or if the quota is not true. With `--s3`, the bytes of files are in S3: one of 25 requests
fails, and bytes that nothing needs are deleted at once and all the time. Then no object that a file needs may be
missing, and in the end there is no other one.

The process lands files by several clients at once: uploads and renames to a hook's path, and other files. It writes
each intention and each OK to a pipe, which outlives it. `OK` is what a client would have got.
"""

from __future__ import annotations

import argparse
import asyncio
import errno
import logging
import os
import random
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from itertools import count
from multiprocessing.connection import Connection
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import TextIO

from engine.postgres.database import alone
from engine.postgres.files.objects import ObjectContents
from engine.postgres.migrations import migrate
from engine.postgres.store import PostgresStore, open_store
from engine.s3.objects import S3Objects
from engine.s3.urls import parse_bucket
from engine.tenants import Tenant
from importer.errors import DatabaseUnusable, TryAgain
from importer.model import ImportState
from tests.support.bucket import bucket_of, key_file, objects_of, storage
from tests.support.engines import SINCE
from tests.support.faulty_storage import Fault, FaultyStorage, faulty_storage
from tests.support.file_house import MAKE, TENANT, FileHouse, done
from tests.support.forks import FORKS
from tests.support.own_postgres import OwnPostgres, own_postgres
from tests.support.runs import ended

CLIENTS = 4
LONGEST = 400_000
HOOKED = ["/invoices/*.csv"]
AWAY = {errno.EIO, errno.ENOENT, errno.ESTALE}
"""PostgreSQL is away; or it was, when the file to rename was uploaded. Or bytes were deleted before they landed."""
HASTE_S = 0.3
"""Bytes in S3 are deleted that nothing has needed for so long: landing a file may take longer."""
FAULTS: tuple[Fault, ...] = ("busy", "unread", "unanswered", "cut")
FAULTY = 0.04
FIRST_S, LAST_S = 0.02, 1.5
"""The shortest and the longest time from the first landing of a process to its end."""

RUNS = "SELECT id, path, state, sequence, size FROM runs ORDER BY sequence"
COUNTED = "SELECT (SELECT coalesce(sum(size), 0) FROM names WHERE counts), (SELECT count(*) FROM names WHERE counts)"


# The process that lands files.


def content(number: int) -> bytes:
    """Return the bytes of a file: different for each, and mostly short."""
    dice = random.Random(number)
    return f"{number}\n".encode() + dice.randbytes(dice.choice((0, 10, 2000, LONGEST)))


class Lander:
    """Clients that land files, one after another each, until the process ends."""

    def __init__(self, house: FileHouse, numbers: Iterator[int]) -> None:
        self.house = house
        self.numbers = numbers

    async def client(self, name: int) -> None:
        while True:
            await self.one(name, next(self.numbers))

    async def one(self, name: int, number: int) -> None:
        way = random.Random(number).choice(("put", "put", "rename", "again", "plain"))
        where = {"again": f"/invoices/again-{name}.csv", "plain": f"/plain-{name}"}.get(
            way, f"/invoices/{number}.csv"
        )
        say(f"begin {number} {way} {where}")
        try:
            if way == "rename":
                part = f"/part-{number}"
                await self.put(part, number)
                await self.house.rename(part, where)
            else:
                await self.put(where, number)
        except (OSError, TryAgain) as error:
            if isinstance(error, OSError) and error.errno not in AWAY:
                raise
            await asyncio.sleep(0.02)
        else:
            say(f"ok {number}")

    async def put(self, where: str, number: int) -> None:
        draft = await self.house.begin(where)
        await done(draft.write(0, content(number), at_once=True))
        await self.house.files.finish(draft)


def say(line: str) -> None:
    os.write(1, f"{line}\n".encode())  # one write a line: a kill leaves no half of one


async def land(url: str, folder: Path, first: int, objects: S3Objects | None) -> None:
    """Be the process: report what the one before left, then land files."""
    logging.disable()  # each stop of PostgreSQL would be told many times
    numbers = count(first)  # a number names one file, also when the store was opened again
    while True:
        with suppress(TryAgain, DatabaseUnusable, OSError):
            async with open_store(url, serving=True, login_wait_s=5, objects=objects) as store:
                house = FileHouse(store, folder / "tenants" / TENANT, MAKE["postgres"], HOOKED)
                await house.restart(f"process-{os.getpid()}-{time.time_ns()}")
                lander = Lander(house, numbers)
                say("ready")
                tidying = [collect_always(store, objects)] if objects else []
                await asyncio.gather(*(lander.client(name) for name in range(CLIENTS)), *tidying)


def begin(saying: Connection, url: str, folder: Path, first: int, storage: tuple[str, Path] | None) -> None:
    """Be the process from its start, which speaks to `saying`. `storage`: the bucket, and the file of its key."""
    os.dup2(saying.fileno(), 1)
    objects = S3Objects(parse_bucket(storage[0]), storage[1]) if storage else None
    asyncio.run(land(url, folder, first, objects))


async def collect_always(store: PostgresStore, objects: S3Objects) -> None:
    """Delete what nothing needs, until the process ends."""
    contents = ObjectContents(store.database, objects, HASTE_S, 0)
    while True:
        with suppress(TryAgain):
            await contents.collect(9)
        await asyncio.sleep(0.05)


# The one that kills it.


@dataclass
class Ledger:
    """The intentions and the acknowledged files, in order."""

    begun: dict[int, tuple[str, str]] = field(default_factory=dict)
    acknowledged: list[int] = field(default_factory=list)

    def read(self, lines: Iterable[str]) -> None:
        for line in lines:
            what, *facts = line.split()
            if what == "begin":
                assert int(facts[0]) not in self.begun, f"{line}: begun twice"
                self.begun[int(facts[0])] = (facts[1], facts[2])
            elif what == "ok":
                self.acknowledged.append(int(facts[0]))


class Killer:
    """Runs the process, ends it or the server at random moments, and looks at what is left."""

    def __init__(self, server: OwnPostgres, folder: Path, seed: int, between: FaultyStorage | None) -> None:
        """`between`: a proxy in front of S3, if the bytes of files are there."""
        self.server = server
        self.folder = folder
        self.objects = objects_of(folder) if between else None
        self.storage = (bucket_of(folder, between.url), key_file(folder)) if between else None
        if between:
            faulty = random.Random(seed)
            between.choose = lambda *_: faulty.choice(FAULTS) if faulty.random() < FAULTY else None
        self.dice = random.Random(seed)
        self.ledger = Ledger()
        self.lives = 0

    def play(self, kills: int, stops: int) -> None:
        """Kill the process and stop the server so many times, in random order."""
        ends = ["kill"] * kills + ["stop"] * stops
        self.dice.shuffle(ends)
        while ends:
            self.lives += 1
            process, said = self._begin()
            try:
                self._wait_for_first(said)
                while ends:
                    time.sleep(self.dice.uniform(FIRST_S, LAST_S))
                    if process.exitcode is not None or ends.pop() == "kill":
                        break
                    self.server.stop()
                    self.server.start()
            finally:
                failed = process.exitcode is not None
                process.kill()
                with said:
                    self.ledger.read(said)
                process.join()
            assert not failed, "the process ended by itself"

    def _begin(self) -> tuple[ForkServerProcess, TextIO]:
        """Begin a process; return it and what it says."""
        said, saying = FORKS.Pipe(duplex=False)
        folder, first = self.folder / f"life-{self.lives}", self.lives * 1_000_000
        process = FORKS.Process(target=begin, args=(saying, self.server.url, folder, first, self.storage))
        process.start()
        saying.close()
        with said:
            return process, open(os.dup(said.fileno()), encoding="utf-8")

    def _wait_for_first(self, said: TextIO) -> None:
        while (line := said.readline()) != "ready\n":
            assert line, "the process does not start"

    async def look(self) -> Counter[str]:
        """Compare the database with the ledger; return how many files have which fate."""
        async with open_store(self.server.url, objects=self.objects) as store:
            house = FileHouse(store, self.folder / "last" / TENANT, MAKE["postgres"], HOOKED)
            await house.restart("last")
            assert await house.restart("after it") == 0
            await end_cut_off(store)
            fates = await Look(house, self.ledger).all()
            if self.objects:
                fates["objects"] = await only_needed(store, self.objects)
        return fates


async def end_cut_off(store: PostgresStore) -> None:
    """End runs whose process was killed while it recorded why they did not land, as the recovery of a start does."""
    for (number,) in await store.database.read("SELECT id FROM runs WHERE state = 'arriving'"):
        run = await store.runs().require(TENANT, number)
        assert await store.runs().end_upload(ended(run, ImportState.ABORTED), published=True)


class Look:
    """The comparison."""

    def __init__(self, house: FileHouse, ledger: Ledger) -> None:
        self.house = house
        self.ledger = ledger
        self.fates: Counter[str] = Counter()
        self.queued: dict[str, list[tuple[int, int]]] = {}
        self.aborted: Counter[str] = Counter()

    async def all(self) -> Counter[str]:
        store = self.house.store
        assert isinstance(store, PostgresStore)
        for number, where, state, sequence, _ in await store.database.read(RUNS):
            if state == ImportState.QUEUED:
                self.queued.setdefault(where, []).append((sequence, number))
            else:
                assert state == ImportState.ABORTED, f"run {number} is {state}"
                self.aborted[where] += 1
        acknowledged = set(self.ledger.acknowledged)
        for number, (way, where) in self.ledger.begun.items():
            if way in ("put", "rename"):
                await self.once(number, where, acknowledged=number in acknowledged)
        for name in range(CLIENTS):
            await self.newest(f"/invoices/again-{name}.csv", "again", queued=True)
            await self.newest(f"/plain-{name}", "plain", queued=False)
        ((size, files),) = await store.database.read(COUNTED)
        taken = await (await store.files("look").names.open(TENANT)).taken()
        assert (taken.size, taken.files) == (size, files), "the quota is not true"
        self.fates["files that count"] = files
        return self.fates

    async def once(self, number: int, where: str, *, acknowledged: bool) -> None:
        """Check a file whose path no other has."""
        runs = self.queued.get(where, [])
        assert len(runs) <= 1, f"{where} is queued {len(runs)} times"
        assert runs or not acknowledged, f"{where} was acknowledged and is lost"
        assert not runs or not self.aborted[where], f"{where} is queued, and reported as interrupted"
        # A process that is killed just after a report may not have removed its note.
        assert self.aborted[where] <= 2, f"{where} is reported {self.aborted[where]} times"
        there = await self.content_at(where)
        assert (there is not None) == bool(runs), f"{where}: its name and its run differ"
        if runs:
            assert there == content(number), f"{where} is half"
            assert await self.house.copy(runs[0][1]) == there, f"the copy of {where} is half"
        self.fates["acknowledged" if acknowledged else "landed without an OK" if runs else "not landed"] += 1

    async def newest(self, where: str, way: str, *, queued: bool) -> None:
        """Check a path to which a client uploaded one file after another: it has the newest that landed."""
        begun = [number for number, (how, place) in self.ledger.begun.items() if (how, place) == (way, where)]
        mine = [number for number in self.ledger.acknowledged if number in begun]
        there = await self.content_at(where)
        landed = next((number for number in begun if there == content(number)), None)
        assert landed is not None or not mine, f"{where} is lost or half"
        if mine and landed is not None:
            assert landed >= mine[-1], f"{where} is older than what was acknowledged"
        if queued:
            copies = [await self.house.copy(number) for _, number in sorted(self.queued.get(where, []))]
            order = [next(number for number in begun if copy == content(number)) for copy in copies]
            assert order == sorted(set(order)), f"{where}: {order} is twice or out of order"
            assert set(mine) <= set(order), f"{where} lost a file that was acknowledged"
            assert (order[-1] if order else None) == landed, f"{where} is not the newest that landed"
        self.fates[f"{way}, acknowledged"] += len(mine)

    async def content_at(self, where: str) -> bytes | None:
        try:
            return await self.house.get(where)
        except FileNotFoundError:
            return None


async def only_needed(store: PostgresStore, objects: S3Objects) -> int:
    """Delete what nothing needs, and check that all other objects are there, and no more; return how many."""
    contents = ObjectContents(store.database, objects, 0, 0)
    await store.database.change("UPDATE ended_objects SET tried_at = NULL")
    for _ in range(5):
        await contents.collect(100_000)
    rows = await store.database.read("SELECT object, size FROM contents WHERE unneeded_at IS NULL")
    there = {
        key: size for key, size in await objects.list("", "", 100_000) if not key.endswith(("/database", "/pulse"))
    }
    assert there == {row["object"]: row["size"] for row in rows}, "objects are missing or left over"
    assert await store.database.read("SELECT 1 FROM contents WHERE unneeded_at IS NOT NULL") == []
    return len(there)


async def prepare(url: str) -> None:
    """Make the tables and the tenant."""
    async with alone(url) as database:
        await migrate(database)
        await PostgresStore(database).tenants().add(Tenant(TENANT, SINCE, 0))


def play(kills: int, stops: int, seed: int, *, in_s3: bool = False) -> Counter[str]:
    """Kill and stop so many times; return how many files have which fate. Raises AssertionError."""
    with own_postgres() as server, tempfile.TemporaryDirectory() as folder, ExitStack() as stack:
        asyncio.run(prepare(server.url))
        between = stack.enter_context(faulty_storage(storage())) if in_s3 else None
        killer = Killer(server, Path(folder), seed, between)
        killer.play(kills, stops)
        return asyncio.run(killer.look())


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--stops", type=int, default=50)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--s3", action="store_true")
    asked = parser.parse_args()
    print(dict(play(asked.kills, asked.stops, asked.seed, in_s3=asked.s3)))


if __name__ == "__main__":
    main()
