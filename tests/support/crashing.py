"""Operations of an engine, killed between their steps."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import sys
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import psycopg

from tests.contract.operations import OPERATIONS
from tests.support.postgres import copy_database, drop_databases

MOST, LAST = int(os.environ.get("STEPS", "12")), 4
"""If an operation has more steps, only so many are chosen, and so many of the last ones. STEPS=1000 chooses all."""


class Steps:
    """Counts the steps of an operation, and kills the process before the step `fatal`."""

    def __init__(self, fatal: int | None = None) -> None:
        self.taken = 0
        self.fatal = fatal
        self.under_way = False

    def begin(self) -> None:
        self.under_way = True

    def step(self) -> None:
        if self.under_way:
            if self.taken == self.fatal:
                os.kill(os.getpid(), signal.SIGKILL)
            self.taken += 1

    def end(self) -> None:
        self.step()
        self.under_way = False


def sqlite_steps(steps: Steps) -> None:
    """Make each SQLite statement a step, also those of triggers, but not the checkpoints of the log."""
    connect = sqlite3.connect

    def traced_step(statement: str) -> None:
        if not statement.startswith("PRAGMA wal_checkpoint"):
            steps.step()

    def traced(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        db: sqlite3.Connection = connect(*args, **kwargs)
        db.set_trace_callback(traced_step)
        return db

    sqlite3.connect = traced


def postgres_steps(steps: Steps) -> None:
    """Make each statement that is sent to PostgreSQL a step, also BEGIN and COMMIT."""
    execute, execute_many = psycopg.AsyncCursor.execute, psycopg.AsyncCursor.executemany

    def counted(method: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            steps.step()
            return method(*args, **kwargs)

        return call

    psycopg.AsyncCursor.execute = counted(execute)  # type: ignore[method-assign]
    psycopg.AsyncCursor.executemany = counted(execute_many)  # type: ignore[method-assign]


def copy_postgres(before: Path, to: Path) -> Path:
    copy_database(before, to)
    return shutil.copytree(before, to)


WATCH: dict[str, Callable[[Steps], None]] = {"sqlite": sqlite_steps, "postgres": postgres_steps}
"""The function that counts the steps of each engine."""
COPY: dict[str, Callable[[Path, Path], Path]] = {"sqlite": shutil.copytree, "postgres": copy_postgres}
"""The function that copies the state of each engine."""


def in_a_process(do: Callable[[], None]) -> int:
    """Run `do` in a process of its own, and return its exit code as `waitstatus_to_exitcode` does."""
    process = os.fork()
    if process == 0:
        ended = 1
        try:
            do()
            ended = 0
        except BaseException:
            traceback.print_exc()
        finally:
            os._exit(ended)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


def chosen(steps: int) -> list[int]:
    """Return the steps before which the process is killed."""
    if steps <= MOST:
        return list(range(steps))
    return sorted({*(number * steps // MOST for number in range(MOST)), *range(steps - LAST, steps)})


def kill_in_each_step(engine: str, name: str, before: Path, killed: Path) -> None:
    """Do an operation of `tests.contract.operations` again and again, each time killed (SIGKILL) before another step.

    `before` is the state before it. Afterwards `killed` has what is seen then: `00`, `01`, ... In the first a process
    was killed before the first step, and so on, in the last after the last step. `undone` and `done` have what is
    seen before and after it. Run it in a process of its own.

    Where a kill has changed nothing, the next process goes on there. Those killed before the last steps have a copy
    each: numbers that a database gives are not given again, and most operations commit there.
    """
    operation = OPERATIONS[name]

    def act(folder: Path, fatal: int | None, count: Path | None = None) -> None:
        steps = Steps(fatal)
        WATCH[engine](steps)
        asyncio.run(operation.act(engine, folder, steps.begin, steps.end))
        if count:
            count.write_text(str(steps.taken))

    def look(folder: Path, note: str) -> str:
        seen = asyncio.run(operation.seen(engine, folder))
        (killed / note).write_text(seen)
        return seen

    count, whole = killed / "steps", COPY[engine](before, killed / "whole")
    if in_a_process(partial(act, whole, None, count)) != 0:
        sys.exit(f"{name}: it cannot be done")
    look(whole, "done")
    seen = undone = look(before, "undone")
    folder, steps = before, int(count.read_text())
    for place, fatal in enumerate(chosen(steps)):
        if folder == before or seen != undone or fatal >= steps - LAST:
            folder = COPY[engine](before, killed / f"copy-{place}")
        if (ended := in_a_process(partial(act, folder, fatal))) != -signal.SIGKILL:
            sys.exit(f"{name}: it was to be killed before step {fatal}, and ended with {ended}")
        seen = look(folder, f"{place:02}")
    drop_databases(killed)
