"""The files of imports and runs, kept by each engine."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.archives import HOUSES, House, OpenHouse
from tests.support.engines import each_of


@pytest.fixture(params=each_of(HOUSES))
def open_house(request: pytest.FixtureRequest, tmp_path: Path) -> OpenHouse:
    return HOUSES[request.param](tmp_path)


@pytest.fixture
async def house(open_house: OpenHouse) -> AsyncIterator[House]:
    async with open_house() as opened:
        yield opened
