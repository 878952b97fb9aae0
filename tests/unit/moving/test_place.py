"""A data folder with the mark of a move is not used, whatever the mark looks like."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.places.folder import FolderPlace
from server.settings import ServerSettings
from server.tenants.local.marks import FileMarks
from server.tenants.moves import SOURCE, TARGET, Move
from server.tenants.settings import TenantRefused

BEGUN = Move("one", "the database b", "2026-01-01T00:00:00Z")


async def test_a_data_folder_whose_mark_cannot_be_read_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / SOURCE).mkdir()  # as the mark of another user, it can be seen and not read
    with pytest.raises(TenantRefused, match="has the mark of a move, and it cannot be read"):
        async with FolderPlace(ServerSettings(data_dir=tmp_path)).opened():
            pass


@pytest.mark.parametrize(
    ("name", "mark", "code"),
    [(TARGET, BEGUN, "move_unfinished"), (SOURCE, BEGUN, "move_unfinished"), (SOURCE, BEGUN.end(), "moved")],
)
async def test_a_data_folder_with_the_mark_of_a_move_is_not_opened(
    tmp_path: Path, name: str, mark: Move, code: str
) -> None:
    await FileMarks(tmp_path).put(name, mark.to_text())
    with pytest.raises(TenantRefused) as refused:
        async with FolderPlace(ServerSettings(data_dir=tmp_path)).opened():
            pass
    assert refused.value.code == code
