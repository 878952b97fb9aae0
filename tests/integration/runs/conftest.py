"""A store with two tenants and their folders, a runner, and the processes of hooks."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.runs.python.calling import Workshop
from server.runs.python.pool import Pool
from server.settings import environment_of_hooks
from tests.support.run_house import RunHouse, open_run_house
from tests.support.run_stage import Stage


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[RunHouse]:
    async with open_run_house(tmp_path, "acme", "globex") as built:
        yield built


@pytest.fixture
async def stage(house: RunHouse) -> AsyncIterator[Stage]:
    built = Stage(house)
    yield built
    if built.runner.alive:
        await built.runner.stop(0)


@pytest.fixture
async def workshop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Workshop]:
    """Return a workshop for hooks of modules in `tmp_path`."""
    monkeypatch.syspath_prepend(str(tmp_path))
    workshop = Workshop(Pool(environment_of_hooks()))
    yield workshop
    await workshop.close()
