"""A store with two tenants and their folders, for tests of runs."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

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
