"""Deeds of an engine, killed between their steps: `python -m tests.support.crashing ENGINE DEED FOLDER KILLED`.

The deed is one of `tests.contract.deeds`, and FOLDER what is there before. In KILLED there are afterwards copies of
it, `00`, `01`, ..., in each of which a process of its own was killed (SIGKILL) while it did the deed: in the first
before the first step, and so on, the last when it was done.
"""

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

from tests.contract.deeds import DEEDS

MOST = 24
"""Of a deed of more steps than this, only so many are chosen, and the last ones."""


class Steps:
    """Counts the steps of a deed from its beginning to its end, and kills the process before the one of `fatal`."""

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
    """Each statement of SQLite is a step, those of triggers too; not what tidies up the log beside the deed."""
    connect = sqlite3.connect

    def traced_step(statement: str) -> None:
        if not statement.startswith("PRAGMA wal_checkpoint"):
            steps.step()

    def traced(*args: Any, **kwargs: Any) -> sqlite3.Connection:
        db: sqlite3.Connection = connect(*args, **kwargs)
        db.set_trace_callback(traced_step)
        return db

    sqlite3.connect = traced


WATCH: dict[str, Callable[[Steps], None]] = {"sqlite": sqlite_steps}
"""How the steps of each engine are seen."""


def in_a_process(do: Callable[[], None]) -> int:
    """Do it in a process of its own, and return how that ended, as `waitstatus_to_exitcode` has it."""
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
    """The steps before which the process is killed."""
    if steps <= MOST:
        return list(range(steps))
    return sorted({*(number * steps // MOST for number in range(MOST)), *range(steps - 4, steps)})


def main(engine: str, name: str, before: Path, killed: Path) -> None:
    def act(folder: Path, fatal: int | None, count: Path | None = None) -> None:
        steps = Steps(fatal)
        WATCH[engine](steps)
        asyncio.run(DEEDS[name].act(engine, folder, steps.begin, steps.end))
        if count:
            count.write_text(str(steps.taken))

    count, whole = killed / "steps", shutil.copytree(before, killed / "whole")
    if in_a_process(partial(act, whole, None, count)) != 0:
        sys.exit(f"{name}: it cannot be done")
    for place, fatal in enumerate(chosen(int(count.read_text()))):
        folder = shutil.copytree(before, killed / f"{place:02}")
        if (ended := in_a_process(partial(act, folder, fatal))) != -signal.SIGKILL:
            sys.exit(f"{name}: it was to be killed before step {fatal}, and ended with {ended}")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), Path(sys.argv[4]))
