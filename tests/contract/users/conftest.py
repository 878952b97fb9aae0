"""A company on each engine there is: these tests know of no other way to its users."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.importing import Company

COMPANIES: dict[str, Callable[[Path], Company]] = {"sqlite": Company}
"""A company without users in a folder, by the engine that keeps them."""


@pytest.fixture(params=COMPANIES)
def company(request: pytest.FixtureRequest, tmp_path: Path) -> Company:
    return COMPANIES[request.param](tmp_path)
