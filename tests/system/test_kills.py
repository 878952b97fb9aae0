"""Killed at any moment of an import, and not only at its steps, the server leaves nothing half, lost or twice."""

from __future__ import annotations

from pathlib import Path

from tests.support.clients import needs
from tests.support.kills import play

pytestmark = needs("sftp")


def test_killed_at_random_moments_each_import_is_applied_exactly_once(tmp_path: Path) -> None:
    assert play(tmp_path, seed=1, kills=8, rows=6000).hits.total() == 8
