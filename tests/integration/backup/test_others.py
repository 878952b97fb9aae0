"""A backup has the folders in `tenants` that headcount.db does not know: they may hold the only users there are."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.backups import brought_back, content, saved
from tests.support.server_process import ServerProcess
from tests.support.writing import by_hand

pytestmark = pytest.mark.only_on("sqlite", "Headcount backs up no other engine")


@pytest.fixture
def source(tmp_path: Path) -> ServerProcess:
    """A data folder with two tenants; headcount.db is from before bolt was added."""
    source = ServerProcess(tmp_path)
    source.add_tenant("acme")
    source.add_tenant("bolt")
    (source.files("bolt").files / "own.txt").write_text("own")
    saved(source.data, tmp_path / "backup")
    by_hand(source.data / "headcount.db", "DELETE FROM tenants WHERE name = 'bolt'")
    return source


def test_a_folder_without_a_tenant_stays_in_a_backup(source: ServerProcess, backup: Path, tmp_path: Path) -> None:
    (source.data / "tenants" / "notes.txt").write_text("of the operator")
    (source.data / "removed").mkdir(exist_ok=True)
    (source.data / "removed" / "why.txt").write_text("of the operator")
    for _ in range(2):
        assert source.cli("backup", str(backup)).code == 0
    second = ServerProcess(tmp_path / "second")
    brought_back(backup, second.data)
    assert content(second.data) == content(source.data)
    second.cli("tenant", "add", "bolt")
    assert second.cli("tenant", "list", "--json").json[1]["broken"] is None


@pytest.mark.parametrize("damage", [b"", b"no database at all" * 1000])
def test_damaged_users_without_a_tenant_replace_no_good_copy(
    source: ServerProcess, backup: Path, tmp_path: Path, damage: bytes
) -> None:
    good = content(source.data)
    source.files("bolt").users_db.write_bytes(damage)
    for _ in range(2):
        ran = source.cli("backup", str(backup), check=False)
        assert ran.code == 1
        assert f"not backed up: {source.files('bolt').users_db}" in ran.err
    brought_back(backup, tmp_path / "second")
    assert content(tmp_path / "second") == good
