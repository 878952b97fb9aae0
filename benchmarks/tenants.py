"""Many tenants on one server: the time until it is ready, the time of /metrics, and the cost of the idle server.

The tenants are copies of one that Headcount made and filled; the server is the real process.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
import time
import urllib.request
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from benchmarks.arrivals import completed
from benchmarks.child import peak_bytes
from benchmarks.figures import MIB, Figure
from benchmarks.holds import longest_hold
from benchmarks.people import write_people
from benchmarks.servers import TENANT, Server, at_work, headcount, until

USERS = 50
IDLE_S = 60.0
"""Long enough to include the work that the server does every minute."""

QUIET_S = 2.0
QUIET = 0.05
"""Fraction of a core. Below it, the background work of a first start has ended."""

SETTLE_S = 1800.0
ASKED = 5
BUSY_ASKED, BUSY_S = 15, 3.0
HELD_S = 70.0
INDEXED, INDEXED_USERS = 300, 800
INDEXING_S, INDEXING_LOOK_S = 180.0, 5.0
TICK_S = 1 / os.sysconf("SC_CLK_TCK")


def tenants(folder: Path, count: int) -> Iterator[Figure]:
    """Measure a server of `count` tenants with 50 users each: its first start, and the next, which knows them."""
    with headcount(folder / "headcount") as server:
        file = write_people(folder / "people.csv", USERS)
        server.sftp(f"put {file} sync_users.csv")
        completed(server, 1, every_s=0.05)
    multiply(folder / "headcount" / "data", count)
    what = f"{count:,} tenants of {USERS} users"
    for which in ("first start", "start"):
        with at_work(folder / "headcount") as server:
            until(lambda: _answers(f"{server.http}/readyz"), server.process, SETTLE_S, 0.02)
            yield Figure(f"{what}: {which} to ready", "s", [time.monotonic() - server.begun], most=5, absolute=True)
            yield Figure(f"{what}: processor time of the {which}, to ready", "s", [_processor_s(server)])
            asked = [_timed(server) for _ in range(ASKED)]
            yield Figure(f"{what}: /metrics after the {which}", "s", asked, most=0.5, absolute=True)
            if which == "first start":
                asked = [_timed(server, BUSY_S) for _ in range(BUSY_ASKED)]
                yield Figure(f"{what}: /metrics beside the work after it", "s", asked, most=0.5, absolute=True)
                yield Figure(f"{what}: the longest of these", "s", [max(asked)], most=0.5, absolute=True)
            settled = _settled(server)
            yield Figure(f"{what}: processor time of the {which}, until idle", "s", [settled[0]])
            yield Figure(f"{what}: from {which} to idle", "s", [settled[1]])
            asked = [_timed(server) for _ in range(ASKED)]
            yield Figure(f"{what}: /metrics when idle", "s", asked, most=0.5, absolute=True)
            shares = [share(server, IDLE_S) * 100 for _ in range(2)]
            yield Figure(f"{what}: of a core when idle", "%", [max(shares)], most=2, absolute=True)
            yield Figure(f"{what}: memory when idle", "MiB", [resident(server) / MIB], most=200, absolute=True)
            peak = peak_bytes(server.process.pid) / MIB
            yield Figure(f"{what}: most memory until then", "MiB", [peak])
            held = len(os.listdir(f"/proc/{server.process.pid}/fd"))
            yield Figure(f"{what}: descriptors when idle", "files", [held])
    with at_work(folder / "headcount", watched=True) as server:
        yield from longest_hold(server, folder, f"{what}, /metrics", lambda: _ask_now_and_then(server))


def first_indexes(folder: Path) -> Iterator[Figure]:
    """Measure how busy a first start is with many tenants whose users have no search index yet."""
    with headcount(folder / "headcount") as server:
        server.sftp(f"put {write_people(folder / 'people.csv', INDEXED_USERS)} sync_users.csv")
        completed(server, 1, every_s=0.05)
    multiply(folder / "headcount" / "data", INDEXED)
    with at_work(folder / "headcount") as server:
        worked, start = _processor_s(server), time.monotonic()
        shares = []
        while time.monotonic() - start < INDEXING_S:
            shares.append(share(server, INDEXING_LOOK_S) * 100)
        overall = (_processor_s(server) - worked) / (time.monotonic() - start) * 100
        made = len(list((folder / "headcount" / "data" / "tenants").glob("*/search.db")))
    what = f"{INDEXED} tenants of {INDEXED_USERS} users, first start"
    yield Figure(f"{what}: of a core in {INDEXING_S:.0f} s", "%", [overall])
    yield Figure(f"{what}: the most in {INDEXING_LOOK_S:.0f} s of them", "%", [max(shares)])
    yield Figure(f"{what}: search indexes made by then", "files", [made])


def _ask_now_and_then(server: Server) -> None:
    """Request /metrics for `HELD_S`, so that all periodic work happens at least once."""
    until_s = time.monotonic() + HELD_S
    while time.monotonic() < until_s:
        _timed(server, BUSY_S)


def multiply(data: Path, count: int) -> None:
    """Make `count` tenants from the existing one, as if each had sent the same file."""
    with closing(sqlite3.connect(data / "headcount.db", isolation_level=None)) as db:
        db.execute("BEGIN IMMEDIATE")
        columns = [row[1] for row in db.execute("PRAGMA table_info(imports)")]
        others = ", ".join(name for name in columns if name not in ("tenant", "sequence"))
        for number in range(count - 2):  # two exist
            name = f"company-{number}"
            without = shutil.ignore_patterns("search.db*")
            shutil.copytree(data / "tenants" / TENANT, data / "tenants" / name, ignore=without)
            db.execute(
                "INSERT INTO tenants (name, created_at, last_import_id)"
                " SELECT ?, created_at, last_import_id FROM tenants WHERE name = ?",
                (name, TENANT),
            )
            db.execute(
                f"INSERT INTO imports (tenant, sequence, {others})"
                f" SELECT ?, (SELECT max(sequence) + 1 FROM imports), {others} FROM imports WHERE tenant = ?",
                (name, TENANT),
            )
        db.execute("COMMIT")
    os.sync()


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=60) as answer:
            return bool(answer.status == 200)
    except OSError:
        return False


def _timed(server: Server, after_s: float = 0.0) -> float:
    """Wait `after_s`, request /metrics, and return the seconds until the complete answer has arrived."""
    time.sleep(after_s)
    start = time.perf_counter()
    with urllib.request.urlopen(f"{server.http}/metrics", timeout=600) as answer:
        answer.read()
    return time.perf_counter() - start


def _settled(server: Server) -> tuple[float, float]:
    """Wait until the server is idle. Return its processor time until then, and the seconds of the wait."""
    start = time.monotonic()
    while time.monotonic() - start < SETTLE_S:
        if max(share(server, QUIET_S) for _ in range(5)) < QUIET:
            break
    return _processor_s(server), time.monotonic() - start


def share(server: Server, seconds: float) -> float:
    """Return the fraction of a core that the server takes in the next `seconds`."""
    start, before = time.monotonic(), _processor_s(server)
    time.sleep(seconds)
    return (_processor_s(server) - before) / (time.monotonic() - start)


def _processor_s(server: Server) -> float:
    """Return the processor time of the server's process, user and system."""
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) * TICK_S


def resident(server: Server) -> int:
    """Return the memory of the process now, in bytes."""
    return int(Path(f"/proc/{server.process.pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
