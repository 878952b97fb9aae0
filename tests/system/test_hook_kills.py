"""A server killed at any moment of a file for a hook delivers each acknowledged file, in order, and no file twice."""

from __future__ import annotations

from pathlib import Path

from tests.support.hook_kills import play


def test_each_acknowledged_file_is_delivered_in_order_despite_random_kills(tmp_path: Path) -> None:
    target = play(tmp_path, seed=1, kills=8)
    assert target.kills == 8
    assert len(target.acknowledged) > 8
