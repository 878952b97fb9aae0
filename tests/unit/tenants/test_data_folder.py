"""A data folder that was made survives a power cut: its name is on disk before anything is stored in it."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.tenants.local.folder import make_data_dir
from tests.support.disk import DiskLog


def test_a_new_data_folder_is_on_disk_with_all_that_leads_to_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = DiskLog(monkeypatch)
    made = tmp_path / "new" / "data"
    make_data_dir(made)
    places = {"above": tmp_path, "new": tmp_path / "new", "data": made}
    assert disk.of(**places) == ["fsync above", "fsync new", "fsync data"]
    make_data_dir(made)
    assert len(disk.steps) == 3


def test_a_folder_that_is_there_already_gets_its_fixed_folders_on_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    disk = DiskLog(monkeypatch)
    make_data_dir(tmp_path)
    assert disk.of(data=tmp_path, above=tmp_path.parent) == ["fsync data"]
