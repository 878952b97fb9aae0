"""The files of a tenant, by each implementation, and with their bytes in S3."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.engines import PLACES_OF_FILES, each_of
from tests.support.file_house import FileHouse, file_house

HOOKED = ("/invoices/*.csv",)


@pytest.fixture(params=each_of(PLACES_OF_FILES))
async def house(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[FileHouse]:
    async with file_house(tmp_path, request.param, HOOKED) as opened:
        yield opened
