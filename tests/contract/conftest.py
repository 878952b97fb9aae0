"""What every engine is held to: the tests of this folder run once for each, and know none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.store import Store
from tests.support.engines import ENGINES, OpenStore


@pytest.fixture(params=ENGINES)
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    return ENGINES[request.param](tmp_path)


@pytest.fixture
async def store(engine: OpenStore) -> AsyncIterator[Store]:
    """A store in which the tenant `acme` exists."""
    async with engine("acme") as opened:
        yield opened
