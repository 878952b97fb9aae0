"""One measured task in its own process, so that its time and memory are measured alone.

`python -m benchmarks.child TASK ARGUMENT...` prints the result of `measure` as JSON: the seconds without the start of
the interpreter, the processor time, and the peak memory of the process.
"""

from __future__ import annotations

import asyncio
import csv
import json
import os
import sqlite3
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

ROOT = Path(__file__).resolve().parents[1]


class Measured(NamedTuple):
    seconds: float
    cpu_seconds: float
    peak_bytes: int
    result: Any


def measure(task: str, *arguments: object) -> Measured:
    """Run `task` in a fresh process."""
    command = [sys.executable, "-m", "benchmarks.child", task, *map(str, arguments)]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
    return Measured(**json.loads(done.stdout))


def peak_bytes(process: int | str = "self") -> int:
    """Return the peak memory of a process since its start. (`ru_maxrss` would begin with that of its parent.)"""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def processor_s(process: int) -> float:
    """Return the processor time of a process and its children until now."""
    own = time.clock_gettime(~process << 3 | 2)  # the kernel's number of the process's clock
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    over = (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return own + over + sum(processor_s(int(child)) for child in children)


def read(file: str) -> int:
    """Read with csv.reader alone: the least cost in Python of looking at every cell."""
    with open(file, encoding="utf-8", newline="") as lines:
        return sum(1 for _ in csv.reader(lines))


def insert(file: str, database: str) -> int:
    """Do the floor: csv.reader and executemany into a table with a unique email column, in one transaction.

    A script of ten lines does this, without rules, history and teams. SQLite has its default settings: its rollback
    journal is some tenths faster here than the write-ahead log that a server needs.
    """
    db = sqlite3.connect(database, isolation_level=None)
    with open(file, encoding="utf-8", newline="") as lines:
        rows = csv.reader(lines)
        columns = next(rows)
        declared = ", ".join(f"{name} TEXT{' UNIQUE' if name == 'email' else ''}" for name in columns)
        db.execute(f"CREATE TABLE users (id INTEGER PRIMARY KEY, {declared})")
        db.execute("BEGIN IMMEDIATE")
        marks = ", ".join("?" * len(columns))
        count = db.executemany(f"INSERT INTO users ({', '.join(columns)}) VALUES ({marks})", rows).rowcount
        db.execute("COMMIT")
    db.close()
    return count


def run(file: str, database: str, messages: str, import_id: str) -> dict[str, Any]:
    """Run one import with the importer, with default settings."""
    from engine.sqlite.tenant.users import SqliteUsers
    from importer.folder import TenantFolder
    from importer.model import Outcome
    from importer.reconcile.job import Job
    from importer.reconcile.run import run_import
    from importer.rules.settings import ImportSettings

    copy = Path(messages) / f"{import_id}.csv"
    copy.hardlink_to(file)

    async def copy_of(number: int) -> Path:
        return copy.with_name(f"{number}.csv")

    job = Job(
        tenant="acme",
        import_id=int(import_id),
        file=copy,
        name="sync_users.csv",
        dry_run=False,
        written=None,
        approval=None,
        now=datetime.now(UTC),
        copy_of=copy_of,
    )

    users = SqliteUsers(TenantFolder(Path(database).parent))

    async def imported() -> Outcome:
        await users.prepare(make=True)
        return await run_import(
            job, users, ImportSettings(), Path(messages), progress=lambda _: None, stopping=lambda: False
        )

    outcome = asyncio.run(imported())
    for thread in threading.enumerate():  # these still copy committed data into the database file
        if thread is not threading.current_thread():
            thread.join()
    return {"state": outcome.state.value, **outcome.counts.to_json()}


def _worked() -> float:
    """Return the processor time of this process, in microseconds precision, and of its children that have ended."""
    children = os.times()
    return time.process_time() + children.children_user + children.children_system


TASKS: dict[str, Callable[..., Any]] = {"read": read, "insert": insert, "run": run}


def main(task: str, *arguments: str) -> None:
    if task == "run":
        import engine.sqlite.tenant.users  # noqa: F401 - loading modules is not measured
        import importer.reconcile.run  # noqa: F401
        from server import process

        process.prepare()
    start, cpu_start = time.perf_counter(), _worked()
    result = TASKS[task](*arguments)
    seconds, cpu_seconds = time.perf_counter() - start, _worked() - cpu_start
    done = Measured(seconds, cpu_seconds, peak_bytes(), result)
    print(json.dumps(done._asdict()))


if __name__ == "__main__":
    main(*sys.argv[1:])
