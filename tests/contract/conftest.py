"""The contract of every engine: the tests of this folder run once for each engine and know none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.store import Store
from tests.support.engines import ENGINES, OpenStore, each_of


@pytest.fixture(params=each_of(ENGINES))
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    return ENGINES[request.param](tmp_path)


@pytest.fixture
async def store(engine: OpenStore) -> AsyncIterator[Store]:
    """Yield a store with the tenant `acme`."""
    async with engine("acme") as opened:
        yield opened
