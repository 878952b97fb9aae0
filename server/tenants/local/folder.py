"""The data folder: its paths, how it is made, and when it is refused."""

from __future__ import annotations

import os
import pwd
from contextlib import suppress
from pathlib import Path

from engine.sqlite.store import store_file
from engine.sqlite.tenant.users import SqliteUsers
from ground.files import fsync_folder
from importer.folder import TenantFolder
from importer.users.users import Users
from server.tenants.settings import TenantRefused


def users_in(folder: TenantFolder) -> Users:
    """Return the users of the tenant in `folder`."""
    return SqliteUsers(folder)


def server_database(data_dir: Path) -> Path:
    return store_file(data_dir)


def make_data_dir(data_dir: Path) -> None:
    """Create the data folder and its fixed folders if missing, readable only by this user. They are on disk then.

    Raises TenantRefused if it belongs to another user, or if it has tenants but no headcount.db.
    """
    _refuse_foreign(data_dir)
    refuse_lost(data_dir)
    places = [*reversed(data_dir.parents), data_dir, data_dir / "tenants", data_dir / "removed"]
    missing = [place for place in places if not place.exists()]
    data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    for place in places[-2:]:
        place.mkdir(mode=0o700, exist_ok=True)
    for above in dict.fromkeys(place.parent for place in missing):
        with suppress(PermissionError):  # a folder in which this user may make another one, and that it may not read
            fsync_folder(above)


def refuse_lost(data_dir: Path) -> None:
    """Raise TenantRefused if headcount.db is missing or empty but there are folders of tenants: it was lost."""
    database = server_database(data_dir)
    try:
        lost = None if database.stat().st_size else "empty"
    except FileNotFoundError:
        lost = "missing"
    if lost and had_tenants(data_dir):
        log = "Move headcount.db-wal away. " if os.path.exists(f"{database}-wal") else ""
        raise TenantRefused(
            "database_lost",
            f"{database} is {lost}, but {data_dir} has folders of tenants. {log}Restore headcount.db from a backup, "
            "and do not delete the folders: their files and users are complete",
        )


def had_tenants(data_dir: Path) -> bool:
    """Return whether a tenant was ever created here. Its folder gets its name after headcount.db gets its schema."""
    for place in (data_dir / "tenants", data_dir / "removed"):
        with suppress(FileNotFoundError), os.scandir(place) as entries:
            if any(entry.is_dir() and not entry.name.startswith(".") for entry in entries):
                return True
    return False


def _refuse_foreign(data_dir: Path) -> None:
    """Refuse a data folder of another user: the server of that user could not read files made here."""
    try:
        owner = server_database(data_dir).stat().st_uid
    except FileNotFoundError:
        return
    if owner != os.geteuid():
        try:
            name = pwd.getpwuid(owner).pw_name
        except KeyError:
            name = f"#{owner}"
        raise TenantRefused(
            "not_yours",
            f"the data in {data_dir} belongs to the user {name}. Run the same command as that user: "
            f"sudo -u {name} headcount ...",
        )
