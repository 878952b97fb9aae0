"""A process killed between two steps of an operation has done it completely or not at all."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from tests.contract.operations import OPERATIONS
from tests.support import crashing
from tests.support.engines import ENGINES, each_of
from tests.support.forks import FORKS
from tests.support.waiting import eventually


@pytest.mark.parametrize("engine", each_of(ENGINES))
@pytest.mark.parametrize("name", OPERATIONS)
async def test_an_operation_of_a_killed_process_is_done_completely_or_not_at_all(
    engine: str, name: str, tmp_path: Path
) -> None:
    before, killed = tmp_path / "before", tmp_path / "killed"
    for folder in (before, killed):
        folder.mkdir()
    await OPERATIONS[name].prepare(engine, before)
    await eventually(lambda: not [*before.rglob("*-shm")], what="its databases to be closed")
    process = FORKS.Process(target=crashing.kill_in_each_step, args=(engine, name, before, killed))
    process.start()
    await asyncio.to_thread(process.join)
    assert process.exitcode == 0
    undone, done = ((killed / note).read_text() for note in ("undone", "done"))
    assert undone != done
    found = [note.read_text() for note in sorted(killed.glob("[0-9]*"))]
    assert [each == done for each in found] == sorted(each == done for each in found), "done, then not done"
    assert [each for each in found if each not in (undone, done)] == []
    assert (found[0], found[-1]) == (undone, done)
