"""A folder is the target of a move if it is empty or absent, or if a move has made it."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.backup.moving import RESTORING
from server.moving.opening import _new_folder
from server.tenants.settings import TenantRefused


def test_a_folder_that_a_killed_move_had_only_begun_to_make_is_a_target(tmp_path: Path) -> None:
    for name in ("tenants", "removed"):
        (tmp_path / name).mkdir()
        (tmp_path / "headcount.lock").touch()
        assert _new_folder(tmp_path) == tmp_path


def test_a_folder_with_other_files_is_not_a_target(tmp_path: Path) -> None:
    (tmp_path / "tenants" / "acme").mkdir(parents=True)
    with pytest.raises(TenantRefused, match=r"has other files \(tenants\)"):
        _new_folder(tmp_path)


def test_a_folder_into_which_a_restore_has_not_ended_is_not_a_target(tmp_path: Path) -> None:
    (tmp_path / RESTORING).mkdir()
    with pytest.raises(TenantRefused, match="has not ended"):
        _new_folder(tmp_path)
