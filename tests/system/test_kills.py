"""A server killed at any moment of an import, also between steps, leaves no half, lost or double import."""

from __future__ import annotations

from pathlib import Path

from tests.support.clients import needs
from tests.support.kills import play

pytestmark = needs("sftp")


def test_each_import_is_applied_exactly_once_despite_random_kills(tmp_path: Path) -> None:
    assert play(tmp_path, seed=1, kills=8, rows=6000).hits.total() == 8
