"""A data folder that cannot be looked at is told of, and used again when it can."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.room import Room


@pytest.mark.logs("disk_unseen", "disk_unusable", "disk_usable")
def test_a_folder_that_cannot_be_looked_at_takes_nothing_until_it_can(tmp_path: Path) -> None:
    data = tmp_path / "data"
    room = Room(data)
    room.begin()
    assert room.why() == "the disk of the server fails (No such file or directory)"
    data.mkdir()
    (data / "headcount.lock").touch()
    room.look()
    assert room.why() is None
    assert (data / "headcount.reserve").exists()
