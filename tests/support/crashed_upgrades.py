"""Upgrades of a database, killed between statements: `python -m tests.support.crashed_upgrades KIND BEFORE KILLED`.

BEFORE is a folder with a database of an older version. Afterwards KILLED has copies of BEFORE: `00`, `01`, ...
In each of them a process was killed (SIGKILL) during the upgrade: in the first before the first statement, in the
last after the last one.
"""

from __future__ import annotations

import asyncio
import shutil
import signal
import sys
from functools import partial
from pathlib import Path

from engine.sqlite.database import open_database
from tests.support.crashing import Steps, chosen, in_a_process, sqlite_steps

NAMES = {"server": "headcount.db", "tenant": "users.db"}


async def upgrade(path: Path, kind: str, steps: Steps) -> None:
    steps.begin()
    db = await open_database(path, kind)
    steps.end()
    await db.close()


def act(folder: Path, kind: str, fatal: int | None, count: Path | None = None) -> None:
    steps = Steps(fatal)
    sqlite_steps(steps)
    asyncio.run(upgrade(folder / NAMES[kind], kind, steps))
    if count:
        count.write_text(str(steps.taken))


def main(kind: str, before: Path, killed: Path) -> None:
    count, whole = killed / "steps", shutil.copytree(before, killed / "whole")
    if in_a_process(partial(act, whole, kind, None, count)) != 0:
        sys.exit("the database cannot be upgraded")
    for place, fatal in enumerate(chosen(int(count.read_text()))):
        folder = shutil.copytree(before, killed / f"{place:02}")
        if (ended := in_a_process(partial(act, folder, kind, fatal))) != -signal.SIGKILL:
            sys.exit(f"the upgrade was to be killed before step {fatal}, and ended with {ended}")


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), Path(sys.argv[3]))
