"""Fixtures that several integration tests share."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from importer.users import search
from tests.support.sftp import SftpHouse, sftp_house


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[SftpHouse]:
    """A listening SFTP side with the tenant `acme`. A module may have its own `house`."""
    async with sftp_house(tmp_path) as house:
        yield house


@pytest.fixture
def indexed_however_few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Give users an index however few they are."""
    monkeypatch.setattr(search, "FEW", -1)
