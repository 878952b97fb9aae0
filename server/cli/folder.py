"""The data folder of a command: the command names it, and never creates a second one by mistake."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path

from server import process
from server.backup.identity import ID
from server.backup.restoring import ALLOWED, refuse_unfinished
from server.cli.output import tell
from server.settings import ServerSettings
from server.tenants.settings import TenantRefused
from server.tenants.tenants import refuse_lost, server_database

NAME_IT = "Name the right one with headcount --data-dir FOLDER, or in HEADCOUNT_DATA_DIR"


def has_data(settings: ServerSettings) -> bool:
    """Return whether the data folder has Headcount data. Raises TenantRefused if it is absent, lost or half restored.

    A folder that is absent is refused, because it may be the wrong one.
    """
    data_dir = settings.data_dir.absolute()
    refuse_unfinished(data_dir)
    refuse_lost(data_dir)
    if server_database(data_dir).exists():
        return True
    if not data_dir.is_dir():
        raise _absent(data_dir)
    return False


def require_data(settings: ServerSettings) -> None:
    """Raise TenantRefused if the data folder has no Headcount data."""
    if not has_data(settings):
        raise no_data_in(settings.data_dir.absolute())


def refuse_absent(settings: ServerSettings) -> None:
    """Raise TenantRefused if the operator named a folder that is absent."""
    if "data_dir" in settings.model_fields_set and not settings.data_dir.is_dir():
        raise _absent(settings.data_dir.absolute())


def target_of_restore(settings: ServerSettings) -> Path:
    """Return the data folder of a restore. Raises TenantRefused if the operator did not name it and it is absent."""
    data_dir = settings.data_dir.absolute()
    if "data_dir" not in settings.model_fields_set and not data_dir.is_dir():
        raise TenantRefused("no_data_folder", f"there is no data folder {data_dir}. {NAME_IT}")
    return data_dir


def may_be_made(settings: ServerSettings) -> bool:
    """Return whether the data folder has no data yet, and a command may create it.

    Raises TenantRefused if the operator did not name the folder and it is absent or holds other files: a command in
    another working folder would create a second installation.
    """
    data_dir = settings.data_dir.absolute()
    refuse_unfinished(data_dir)
    refuse_lost(data_dir)
    if server_database(data_dir).exists():
        return False
    if "data_dir" in settings.model_fields_set:
        return True
    if not data_dir.is_dir():
        raise _absent(data_dir)
    if other := sorted(set(os.listdir(data_dir)) - ALLOWED - {"tenants", "removed", "headcount.reserve"}):
        raise TenantRefused(
            "no_data_folder", f"{data_dir} has no Headcount data, but other files ({other[0]}). {NAME_IT}"
        )
    return True


def warn_without_server(data_dir: Path) -> None:
    """Say on stderr that no server runs on the data folder, if that is so."""
    with suppress(OSError):
        if not process.server_runs(data_dir):
            tell(f"no server runs on the data folder {data_dir}", "no_server", "warning")


def tell_without_backup(data_dir: Path) -> None:
    """Say on stderr that the data folder has no backup, if that is so, and how it takes over that of another one."""
    if not os.path.lexists(data_dir / ID):
        tell(
            f"{data_dir} has no backup yet. If it takes the place of a data folder that has one, "
            "replace that backup once: headcount backup --replace FOLDER",
            "no_backup",
        )


def no_data_in(data_dir: Path) -> TenantRefused:
    """Return the refusal of a command on a folder that has no data of Headcount."""
    return TenantRefused(
        "no_data_folder",
        f"{data_dir} has no Headcount data. {NAME_IT}. "
        "To create data there, add the first tenant: headcount tenant add NAME",
    )


def _absent(data_dir: Path) -> TenantRefused:
    return TenantRefused(
        "no_data_folder",
        f"there is no data folder {data_dir}. {NAME_IT}. To create a new one, start the server: headcount serve",
    )
