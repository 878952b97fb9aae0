"""The data folder of commands that work on nothing else: `backup` and `restore`."""

from __future__ import annotations

import os
from pathlib import Path

from server.backup.identity import ID
from server.cli.output import tell
from server.places import place_of
from server.places.folder import NAME_IT
from server.settings import ServerSettings
from server.tenants.settings import TenantRefused


def target_of_restore(settings: ServerSettings) -> Path:
    """Return the data folder of a restore. Raises TenantRefused if the operator did not name it and it is absent."""
    data_dir = place_of(settings).require_folder()
    if "data_dir" not in settings.model_fields_set and not data_dir.is_dir():
        raise TenantRefused("no_data_folder", f"there is no data folder {data_dir}. {NAME_IT}")
    return data_dir


def tell_without_backup(data_dir: Path) -> None:
    """Say on stderr that the data folder has no backup, if that is so, and how it takes over that of another one."""
    if not os.path.lexists(data_dir / ID):
        tell(
            f"{data_dir} has no backup yet. If it takes the place of a data folder that has one, "
            "replace that backup once: headcount backup --replace FOLDER",
            "no_backup",
        )
