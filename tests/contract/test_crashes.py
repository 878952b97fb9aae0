"""A process killed between two steps of an operation has done it completely or not at all."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

import pytest

from tests.contract.operations import OPERATIONS
from tests.support import ROOT
from tests.support.engines import ENGINES, each_of


@pytest.mark.parametrize("engine", each_of(ENGINES))
@pytest.mark.parametrize("name", OPERATIONS)
async def test_an_operation_of_a_killed_process_is_done_completely_or_not_at_all(
    engine: str, name: str, tmp_path: Path
) -> None:
    operation, before, killed = OPERATIONS[name], tmp_path / "before", tmp_path / "killed"
    for folder in (before, killed):
        folder.mkdir()
    await operation.prepare(engine, before)
    command = (sys.executable, "-m", "tests.support.crashing", engine, name, before, killed)
    crashing = await asyncio.create_subprocess_exec(*command, cwd=ROOT)
    assert await crashing.wait() == 0
    undone, done = await operation.seen(engine, before), await operation.seen(engine, killed / "whole")
    assert undone != done
    found = [await operation.seen(engine, folder) for folder in sorted(killed.glob("[0-9]*"))]
    assert [each == done for each in found] == sorted(each == done for each in found), "done, then not done"
    assert [each for each in found if each not in (undone, done)] == []
    assert (found[0], found[-1]) == (undone, done)
