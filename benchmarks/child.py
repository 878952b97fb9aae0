"""One measured task in a process of its own, so that its time and its memory are its own.

`python -m benchmarks.child TASK ARGUMENT...` prints what `measure` returns as JSON: seconds without the start of the
interpreter, what of them its threads really worked, and the most memory the process ever held.
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
    """The most memory a process held since it was started. (`ru_maxrss` would begin with its parent's.)"""
    status = Path(f"/proc/{process}/status").read_text()
    return int(status.split("VmHWM:")[1].split()[0]) * 1024


def processor_s(process: int) -> float:
    """The processor time that a process took so far, with its children."""
    own = time.clock_gettime(~process << 3 | 2)  # as the kernel numbers the clocks of processes
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    over = (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")
    children = Path(f"/proc/{process}/task/{process}/children").read_text().split()
    return own + over + sum(processor_s(int(child)) for child in children)


def read(file: str) -> int:
    """csv.reader alone: what anybody in Python pays for looking at every cell."""
    with open(file, encoding="utf-8", newline="") as lines:
        return sum(1 for _ in csv.reader(lines))


def insert(file: str, database: str) -> int:
    """The floor: csv.reader and executemany into a table with a unique e-mail column, in one transaction.

    No rules, no history, no teams: what a script of ten lines does, with SQLite as it comes (its rollback journal is
    some tenths quicker here than the write-ahead log that a server needs).
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
    """One import by the importer itself, at default settings."""
    from engine.sqlite.tenant.users import SqliteUsers
    from importer.folder import TenantFolder
    from importer.model import Outcome
    from importer.reconcile.job import Job
    from importer.reconcile.run import run_import
    from importer.rules.settings import ImportSettings

    copy = Path(messages) / f"{import_id}.csv"
    copy.hardlink_to(file)
    job = Job(
        tenant="acme",
        import_id=int(import_id),
        file=copy,
        name="sync_users.csv",
        dry_run=False,
        written=None,
        approval=None,
        now=datetime.now(UTC),
        copy_of=lambda number: copy.with_name(f"{number}.csv"),
    )

    users = SqliteUsers(TenantFolder(Path(database).parent))

    async def imported() -> Outcome:
        await users.prepare(make=True)
        return await run_import(
            job, users, ImportSettings(), Path(messages), progress=lambda _: None, stopping=lambda: False
        )

    outcome = asyncio.run(imported())
    for thread in threading.enumerate():  # which still move what was committed into the file of the database
        if thread is not threading.current_thread():
            thread.join()
    return {"state": outcome.state.value, **outcome.counts.to_json()}


def _worked() -> float:
    """The processor time of this process, to the microsecond, and of its children that have ended."""
    children = os.times()
    return time.process_time() + children.children_user + children.children_system


TASKS: dict[str, Callable[..., Any]] = {"read": read, "insert": insert, "run": run}


def main(task: str, *arguments: str) -> None:
    if task == "run":
        import engine.sqlite.tenant.users  # noqa: F401 - loading modules is not what is measured
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
