"""A move that is killed goes on when it is run again."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.clients import POSTGRES, needs
from tests.support.moving_kills import play

pytestmark = [needs(POSTGRES, "sftp"), pytest.mark.only_on("sqlite", "it uses both engines")]


def test_a_move_that_is_killed_at_any_moment_goes_on(tmp_path: Path) -> None:
    mover = play(tmp_path, seed=1, kills=8)
    assert mover.kills >= 8
