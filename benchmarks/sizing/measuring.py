"""The costs of the model, measured: one real server, one real PostgreSQL with its own settings, OpenSSH's client.

Processor time is that of the processes of each, so the client and other work on the machine do not count. The cost
of a server without work is measured first, and subtracted. PostgreSQL makes a checkpoint every 30 seconds, so nearly
each page is written whole into the WAL at its first change. So it is with tenants that send once a day.
"""

from __future__ import annotations

import json
import os
import platform
import subprocess
import tempfile
import threading
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

import psycopg

from benchmarks.child import processor_s
from benchmarks.figures import MIB
from benchmarks.imports import CHANGED
from benchmarks.people import write_people
from benchmarks.servers import TENANT, Server, headcount
from benchmarks.sizing.inputs import KINDS, Cost, Costs
from tests.support.own_postgres import own_postgres

SMALL, BIG = 200, 20_000
"""Rows of the two lists of each kind. The cost between them is a line."""
SMALL_TIMES, BIG_TIMES = 15, 4
SESSIONS, FILES = 40, 40
BIG_FILES, BIG_MIB = 3, 16
IDLE_S, SETTLE_S, IMPORT_S = 60.0, 1.0, 300.0
TENANTS, INSPECTED_S = 1000, 600.0
"""Tenants that only exist, and the longest time until the server has inspected all of them."""
LOOK_S = 0.1
TRIES = 5
LOG_SHOWN = 1500
ENDED = {"completed", "unchanged"}
Act = Callable[[], float]
"""Does one piece of work; returns the seconds in which something was to be done."""

STATE = (
    "SELECT state, extract(epoch FROM finished_at::timestamptz - started_at::timestamptz) FROM imports"
    " WHERE tenant_id = (SELECT id FROM tenants WHERE name = %s) ORDER BY id DESC LIMIT 1"
)
SIZE = "SELECT pg_database_size(current_database())"
OURS = "SELECT count(*) FROM pg_stat_activity WHERE application_name LIKE 'headcount%'"
NOT_INSPECTED = (
    "SELECT count(*) FROM tenants WHERE name IS NOT NULL"
    " AND NOT EXISTS (SELECT 1 FROM figures WHERE tenant_id = id AND sound <> '')"
)
DONE = "SELECT xact_commit + xact_rollback FROM pg_stat_database WHERE datname = current_database()"


class Bench:
    """The server and its database."""

    def __init__(self, server: Server, db: psycopg.Connection[Any]) -> None:
        self.server = server
        self.db = db
        pid = self.value("SELECT pg_backend_pid()")
        self._postmaster = int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])
        self._idle = Cost()
        self.failed = 0
        """Sessions that had to be begun again."""

    def value(self, query: str, *values: object) -> Any:
        found = self.db.execute(query, values).fetchone()
        assert found
        return found[0]

    def _used(self) -> Cost:
        wal = float(self.value("SELECT pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0')"))
        return Cost(_processor_s(self.server.process.pid), _processor_s(self._postmaster), 0.0, wal)

    def idle(self, seconds: float) -> Cost:
        """Return what a second without work costs."""
        before, began = self._used(), time.monotonic()
        time.sleep(seconds)
        found = (self._used() + before * -1) * (1 / (time.monotonic() - began))
        self._idle = found
        return found

    def of(self, acts: Sequence[Act]) -> Cost:
        """Return the cost of one of these pieces of work, on average, without that of the time that passed."""
        before, began = self._used(), time.monotonic()
        took = [act() for act in acts]
        time.sleep(SETTLE_S)
        used = self._used() + before * -1 + self._idle * (began - time.monotonic())
        found = used * (1 / len(acts))
        return replace(found, waits_s=max(0.0, median(took) - found.node_s - found.postgres_s))

    def session(self, *commands: str) -> Act:
        def act() -> float:
            self._sftp(self.server.name, *commands)
            return 0.0

        return act

    def _sftp(self, tenant: str, *commands: str) -> None:
        """Run a session. On a busy machine, a login may be told to come again later."""
        for left in reversed(range(TRIES)):
            try:
                replace(self.server, name=tenant).sftp(*commands)
            except subprocess.CalledProcessError as error:
                time.sleep(SETTLE_S)
                if not left:
                    said = (self.server.folder / "server.log").read_text()[-LOG_SHOWN:]
                    raise RuntimeError(f"{tenant} cannot log in; the server says: {said}") from error
                self.failed += 1
            else:
                return

    def sends(self, file: Path, tenant: str = TENANT) -> Act:
        """Return the work: send this list, and wait for the end of its import."""

        def act() -> float:
            self._sftp(tenant, f"put {file} sync_users.csv")
            deadline = time.monotonic() + IMPORT_S
            while True:
                state, took_s = self.db.execute(STATE, (tenant,)).fetchone() or ("", None)
                if state in ENDED:
                    return float(took_s or 0)
                if time.monotonic() > deadline or state not in {"arriving", "queued", "running"}:
                    raise RuntimeError(f"the import of {tenant} is {state}")
                time.sleep(LOOK_S)

        return act

    def add_tenants(self, count: int) -> None:
        """Add tenants; return when the server has inspected them."""
        headers = {"Authorization": f"Bearer {self.server.token}", "Content-Type": "application/json"}
        for number in range(count):
            body = json.dumps({"name": f"idle-{number}"}).encode()
            urllib.request.urlopen(
                urllib.request.Request(f"{self.server.http}/api/v1/tenants", body, headers)
            ).close()
        deadline = time.monotonic() + INSPECTED_S
        while self.value(NOT_INSPECTED):
            if time.monotonic() > deadline:
                raise RuntimeError("the server has not inspected all tenants")
            time.sleep(SETTLE_S)


@dataclass(frozen=True, slots=True)
class Lists:
    """The two lists of a size: as they are, and with 1% of the rows changed. `times`: how often each is sent."""

    rows: int
    times: int
    plain: Path
    changed: Path

    @property
    def tenants(self) -> list[str]:
        """Tenants that have sent nothing."""
        return _tenants(self.rows, self.times)

    @property
    def mib(self) -> float:
        return self.plain.stat().st_size / MIB


def measured() -> dict[str, Any]:
    """Return the costs on this machine, with the facts of the measurement."""
    with tempfile.TemporaryDirectory(prefix="headcount-fleet-") as name, own_postgres() as postgres:
        folder = Path(name)
        secret = folder / "secret"
        secret.touch(mode=0o600)
        secret.write_bytes(os.urandom(32))
        env = {"HEADCOUNT_DATABASE_URL": postgres.url, "HEADCOUNT_SECRET_KEY_FILE": str(secret)}
        fresh = _tenants(SMALL, SMALL_TIMES) + _tenants(BIG, BIG_TIMES)
        with (
            headcount(folder / "server", (TENANT, *fresh), env=env) as server,
            psycopg.connect(postgres.url, autocommit=True) as db,
        ):
            bench = Bench(server, db)
            costs, facts = _all(bench, folder, postgres.url)
            version = bench.value("SHOW server_version")
    versions = f"Python {platform.python_version()}, PostgreSQL {version}"
    return {
        "machine": f"{_processor()}, {os.cpu_count()} cores, {versions}",
        "date": datetime.now(UTC).date().isoformat(),
        "load": round(os.getloadavg()[1], 1),
        "facts": facts,
        "costs": asdict(costs),
    }


def _tenants(rows: int, times: int) -> list[str]:
    return [f"rows-{rows}-{number}" for number in range(times)]


def _all(bench: Bench, folder: Path, url: str) -> tuple[Costs, dict[str, float]]:
    time.sleep(2 * SETTLE_S)
    done = bench.value(DONE)
    idle = bench.idle(IDLE_S)
    facts = {"idle_transactions_a_second": round((bench.value(DONE) - done) / IDLE_S, 1)}
    login = bench.of([bench.session("pwd")] * SESSIONS)
    one, many = folder / "one", folder / "many"
    one.write_bytes(b"1")
    many.write_bytes(os.urandom(BIG_MIB * MIB))
    upload = bench.of([bench.session(f"put {one} file")] * FILES) + login * -1
    upload_mib = (bench.of([bench.session(f"put {many} file")] * BIG_FILES) + (login + upload) * -1) * (1 / BIG_MIB)
    small, big = (_lists(folder, rows, times) for rows, times in ((SMALL, SMALL_TIMES), (BIG, BIG_TIMES)))
    with _counting(url) as connections:
        found = _firsts(bench, small)
        before = bench.value(SIZE)
        found |= _firsts(bench, big)
        grown = bench.value(SIZE) - before
    found |= _again(bench, small) | _again(bench, big)
    costs: dict[str, Cost] = {}
    for kind in KINDS:
        fixed, more = line(
            *(found[kind, lists.rows] + (login + upload + upload_mib * lists.mib) * -1 for lists in (small, big))
        )
        costs |= {kind: fixed, f"{kind}_1000": more}
    facts["sessions_begun_again"] = bench.failed
    bench.add_tenants(TENANTS)
    time.sleep(SETTLE_S)
    return Costs(
        login=at_least_nothing(replace(login, waits_s=0.0)),
        upload=at_least_nothing(replace(upload, waits_s=0.0)),
        upload_mib=at_least_nothing(replace(upload_mib, waits_s=0.0)),
        **costs,
        idle_node=at_least_nothing(idle),
        idle_tenants=at_least_nothing((bench.idle(IDLE_S) + idle * -1) * (1000 / TENANTS)),
        connections=float(max(connections)),
        stored_1000_bytes=round(grown / (BIG * BIG_TIMES / 1000)),
        row_bytes=round(big.mib * MIB / BIG, 1),
    ), facts


def _lists(folder: Path, rows: int, times: int) -> Lists:
    plain = write_people(folder / f"{rows}.csv", rows)
    changed = write_people(folder / f"{rows}-changed.csv", rows, changed=CHANGED)
    return Lists(rows, times, plain, changed)


def _firsts(bench: Bench, lists: Lists) -> dict[tuple[str, int], Cost]:
    """Return the cost of a first list, each of another tenant, with its session."""
    acts = [bench.sends(lists.plain, tenant) for tenant in lists.tenants]
    return {("first", lists.rows): bench.of(acts)}


def _again(bench: Bench, lists: Lists) -> dict[tuple[str, int], Cost]:
    """Return the costs of a list that is sent again: as it is, and with 1% of the rows changed each time."""
    tenant = lists.tenants[0]
    plain, changed = (bench.sends(file, tenant) for file in (lists.plain, lists.changed))
    return {
        ("unchanged", lists.rows): bench.of([plain] * lists.times),
        ("changed", lists.rows): bench.of([changed if number % 2 == 0 else plain for number in range(lists.times)]),
    }


def line(small: Cost, big: Cost) -> tuple[Cost, Cost]:
    """Return the cost of a list without rows, and of each 1,000 rows, by those of the two lists."""
    more = at_least_nothing((big + small * -1) * (1000 / (BIG - SMALL)))
    return at_least_nothing(small + more * (-SMALL / 1000)), more


def at_least_nothing(cost: Cost) -> Cost:
    """Return the cost without what is negative: differences of small times are inexact."""
    return Cost(*(max(0.0, float(f"{value:.4g}")) for value in asdict(cost).values()))


@contextmanager
def _counting(url: str) -> Iterator[list[int]]:
    """Count the connections of the server while the block runs."""
    found, ending = [0], threading.Event()

    def count() -> None:
        with psycopg.connect(url, autocommit=True, application_name="counting") as db:
            while not ending.wait(LOOK_S):
                row = db.execute(OURS).fetchone()
                found.append(int(row[0]) if row else 0)

    counting = threading.Thread(target=count)
    counting.start()
    try:
        yield found
    finally:
        ending.set()
        counting.join()


def _processor_s(process: int) -> float:
    """Return the processor time of a process and its children; again if one of them ends meanwhile."""
    while True:
        try:
            return processor_s(process)
        except (OSError, IndexError):
            time.sleep(LOOK_S)


def _processor() -> str:
    lines = Path("/proc/cpuinfo").read_text().splitlines()
    return next((each.partition(":")[2].strip() for each in lines if each.startswith("model name")), "unknown")
