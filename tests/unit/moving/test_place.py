"""A data folder with the mark of a move is not used, whatever the mark looks like."""

from __future__ import annotations

from pathlib import Path

import pytest

from server.places.folder import FolderPlace
from server.settings import ServerSettings
from server.tenants.moves import SOURCE
from server.tenants.settings import TenantRefused


async def test_a_data_folder_whose_mark_cannot_be_read_is_not_opened(tmp_path: Path) -> None:
    (tmp_path / SOURCE).mkdir()  # as the mark of another user, it can be seen and not read
    with pytest.raises(TenantRefused, match="is being moved to another place"):
        async with FolderPlace(ServerSettings(data_dir=tmp_path)).opened():
            pass
