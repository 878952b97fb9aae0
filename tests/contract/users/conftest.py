"""A company on each engine: these tests know no other way to its users."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.engines import COMPANIES, each_of
from tests.support.importing import Company


@pytest.fixture(params=each_of(COMPANIES))
def company(request: pytest.FixtureRequest, tmp_path: Path) -> Company:
    return COMPANIES[request.param](tmp_path)
