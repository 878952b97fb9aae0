"""The lock of a folder."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from ground.files import locked

HOLD = """
import fcntl, os, sys
fcntl.flock(os.open(sys.argv[1], os.O_RDONLY), fcntl.LOCK_EX)
print("held", flush=True)
sys.stdin.read()
"""


async def test_a_locked_folder_makes_other_processes_and_tasks_wait_until_its_holder_ends(tmp_path: Path) -> None:
    entered: list[int] = []

    async def enter() -> None:
        async with locked(tmp_path):
            entered.append(1)
            await asyncio.sleep(0)
            assert len(entered) == 1
            entered.clear()

    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as holder:
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        waiting = [asyncio.create_task(enter()) for _ in range(3)]
        await asyncio.wait(waiting, timeout=0.2)
        assert not any(task.done() for task in waiting)
        holder.kill()
    await asyncio.gather(*waiting)


async def test_a_folder_that_does_not_exist_is_not_locked(tmp_path: Path) -> None:
    async with locked(tmp_path / "runs"), locked(tmp_path / "runs"):
        assert not (tmp_path / "runs").exists()
