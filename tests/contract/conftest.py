"""The contract of every engine: the tests of this folder run once for each engine and know none."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.store import Store
from tests.support.engines import ENGINES, ON_POSTGRES, OpenStore, each_of


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Leave out what the engine for PostgreSQL has no part for yet."""
    left_out = [each for each in items if _on_postgres(each) and not each.nodeid.startswith(ON_POSTGRES)]
    items[:] = [each for each in items if each not in left_out]
    config.hook.pytest_deselected(items=left_out)


def _on_postgres(item: pytest.Item) -> bool:
    return "postgres" in getattr(getattr(item, "callspec", None), "params", {}).values()


@pytest.fixture(params=each_of(ENGINES))
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> OpenStore:
    return ENGINES[request.param](tmp_path)


@pytest.fixture
async def store(engine: OpenStore) -> AsyncIterator[Store]:
    """Yield a store with the tenant `acme`."""
    async with engine("acme") as opened:
        yield opened
