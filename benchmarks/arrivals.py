"""From the client's last byte to `completed`, in the real process: how long a company waits, and what it costs."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from time import perf_counter

import asyncssh

from benchmarks.child import measure, peak_bytes
from benchmarks.figures import MIB, Figure
from benchmarks.imports import CHANGED, FLOOR
from benchmarks.people import write_people
from benchmarks.servers import TENANT, Server, headcount, until

QUICK_ROWS = 10_000
BLOCK = 32 * 1024
IMPORT_S = 600.0


def quick(folder: Path, runs: int) -> Iterator[Figure]:
    """A company of 10,000: its first list, and the same with 1% changed."""
    whole = write_people(folder / "people.csv", QUICK_ROWS)
    changed = write_people(folder / "changed.csv", QUICK_ROWS, changed=CHANGED)
    first, again, floor = [], [], []
    for turn in range(runs):
        with headcount(folder / f"turn-{turn}") as server:
            first.append(asyncio.run(_send_and_wait(server, whole, 1)))
            again.append(asyncio.run(_send_and_wait(server, changed, 2)))
        floor.append(measure("insert", whole, folder / f"floor-{turn}.db").seconds)
    what = f"{QUICK_ROWS:,} rows, last byte to completed"
    yield Figure(what, "s", first, FLOOR, floor, most=0.5, absolute=True)
    yield Figure(f"{what}, 1% changed", "s", again, FLOOR, floor)


def memory(folder: Path, rows: int) -> Iterator[Figure]:
    """The most memory the server's process held while it took in a big list, its first time and its second."""
    whole = write_people(folder / "people.csv", rows)
    changed = write_people(folder / "changed.csv", rows, changed=CHANGED)
    with headcount(folder / "headcount") as server:
        idle = peak_bytes(server.process.pid) / MIB
        peaks = []
        for number, file in enumerate((whole, changed), start=1):
            server.sftp(f"put {file} sync_users.csv")
            completed(server, number, every_s=0.2)
            peaks.append(peak_bytes(server.process.pid) / MIB)
    yield Figure(f"memory of the server, {rows:,} rows", "MiB", [max(peaks)], "idle", [idle], most=300, absolute=True)


async def _send_and_wait(server: Server, file: Path, number: int) -> float:
    """Seconds from handing the last block to the network until import `number` is `completed` in the database."""
    data = file.read_bytes()
    end = (len(data) - 1) // BLOCK * BLOCK
    key = str(server.folder / "key")
    async with (
        asyncssh.connect("127.0.0.1", server.port, username=TENANT, client_keys=[key], known_hosts=None, config=None,
                         agent_path=None) as connection,
        connection.start_sftp_client() as sftp,
    ):  # fmt: skip
        remote = await sftp.open("sync_users.csv", "wb")
        await remote.write(data[:end])
        start = perf_counter()
        await remote.write(data[end:], end)
        await remote.close()
        await asyncio.to_thread(completed, server, number, every_s=0.002)
        return perf_counter() - start


def import_state(server: Server, number: int) -> str | None:
    """The state of import `number` as another process sees it; None if there is no such import."""
    database = (server.folder / "data" / "headcount.db").as_uri() + "?mode=ro"
    with closing(sqlite3.connect(database, uri=True, isolation_level=None)) as db:
        row = db.execute("SELECT state FROM imports WHERE tenant = ? AND id = ?", (TENANT, number)).fetchone()
    return None if row is None else str(row[0])


def completed(server: Server, number: int, *, every_s: float) -> None:
    """Wait until import `number` has ended, and raise unless it was applied."""
    state = until(lambda: _ended(import_state(server, number)), server.process, IMPORT_S, every_s)
    if state != "completed":
        raise RuntimeError(f"import {number} ended {state}")


def _ended(state: str | None) -> str | None:
    return None if state in (None, "arriving", "queued", "running") else state
