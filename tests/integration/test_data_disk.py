"""A data folder that cannot be checked is logged, and used again once it can."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.data_disk import DataDisk

pytestmark = pytest.mark.only_on("sqlite", "it is about files of the engine")


@pytest.mark.logs("disk_unseen", "disk_unusable", "disk_usable")
def test_a_data_folder_that_cannot_be_checked_stores_nothing_until_it_can(tmp_path: Path) -> None:
    data = tmp_path / "data"
    disk = DataDisk(data)
    disk.begin()
    assert disk.why() == "the disk of the server fails (No such file or directory)"
    data.mkdir()
    (data / "headcount.lock").touch()
    disk.look()
    assert disk.why() is None
    assert (data / "headcount.reserve").exists()
