"""The folders of the tests of backups."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def backup(tmp_path: Path) -> Path:
    """The folder of the backup."""
    return tmp_path / "backup"


@pytest.fixture
def second(tmp_path: Path) -> Path:
    """The data folder to restore into."""
    return tmp_path / "second"
