"""Opens both places of a move, as the settings and the option `--to` name them."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path

from pydantic import SecretStr

from importer.errors import DatabaseFault, ImporterError
from server import process
from server.backup.restoring import ALLOWED, refuse_unfinished
from server.moving.checking import Report
from server.moving.folder import FolderSide
from server.moving.moving import cancel as cancel
from server.moving.moving import move as move
from server.moving.side import Side
from server.places import objects_of, place_of
from server.settings import DATABASE_URL, ServerSettings
from server.tenants.local.folder import make_data_dir, server_database
from server.tenants.local.home import open_folder
from server.tenants.moves import Marks, is_same, marks_in
from server.tenants.settings import TenantRefused

URL = ("postgresql:", "postgres:")
DATABASES = (
    "migrate moves between a data folder and a database, and HEADCOUNT_DATABASE_URL names a database as the source. "
    "To move a data folder, unset it. For two databases, use pg_dump and pg_restore"
)
FOLDERS = (
    "migrate moves between a data folder and a database, and HEADCOUNT_DATABASE_URL is not set. To move a database, "
    "set it. For two data folders, use headcount backup and headcount restore"
)
FIRST = ("tenants", "removed")
"""The folders that are made before headcount.db. A move may be killed in between."""


@asynccontextmanager
async def both(settings: ServerSettings, target: str) -> AsyncIterator[tuple[Side, Side]]:
    """Open the source and the target. No server can start on a data folder meanwhile.

    Raises TenantRefused, process.InUse, SettingsError, TryAgain, DatabaseUnusable.
    """
    to_database = is_url(target)
    if to_database and not DATABASE_URL.fullmatch(target):
        raise TenantRefused("bad_url", "the URL must look like postgresql://USER@HOST:5432/NAME")
    if to_database == (settings.database_url is not None):
        raise TenantRefused("same_kind", DATABASES if to_database else FOLDERS)
    if settings.database_url is not None:
        async with (
            _in_database(settings, settings.database_url, "HEADCOUNT_DATABASE_URL") as source,
            _in_folder(_new_folder(Path(target))) as other,
        ):
            yield source, other
        return
    place = place_of(settings.model_copy(update={"files_url": None}))  # that is for the target
    if not place.has_data():
        raise place.no_data()
    async with (
        _in_folder(settings.data_dir.absolute()) as source,
        _in_database(settings, SecretStr(target), "--to") as other,
    ):
        yield source, other


def _in_database(settings: ServerSettings, url: SecretStr, where: str) -> AbstractAsyncContextManager[Side]:
    """Open a database; its URL is in `where`. Raises SettingsError if the driver is missing."""
    place_of(settings.model_copy(update={"database_url": url}))  # it says what to install
    from server.moving.database import in_database  # its driver is an extra

    return in_database(url.get_secret_value(), settings.secret_key_file, where, objects_of(settings))


def is_url(target: str) -> bool:
    """Return whether `target` is the URL of a database, and not a folder."""
    return target.startswith(URL)


async def is_begun(source: Side, target: Side) -> bool:
    """Return whether a move between these places has begun and can go on. It may, if a mark cannot be read."""
    try:
        begun, other = (await marks_in(source.marks)).source, await marks_in(target.marks)
        if begun is None or begun.ended:
            return False
        if other == Marks():
            return begun.other == target.name and await target.is_empty()
        return is_same(begun, other.target)
    except (OSError, ImporterError, DatabaseFault):
        return True


def to_json(report: Report, source: Side, target: Side) -> dict[str, object]:
    """Return the result of a move for programs."""
    return {
        "from": source.name,
        "to": target.name,
        "moved": not report.differences,
        "tenants": report.tenants,
        "rows": dict(sorted(report.rows.items())),
        "files": report.files,
        "bytes": report.bytes,
        "keys": report.keys,
        "replaced": dict(sorted(report.replaced.items())),
        "differences": report.differences,
    }


def _new_folder(folder: Path) -> Path:
    """Return the path of a target that is empty or absent, or that a move has made. Raises TenantRefused."""
    folder = folder.absolute()
    if folder.exists() and not folder.is_dir():
        raise TenantRefused("not_empty", f"{folder} is not a folder")
    if folder.is_dir():
        refuse_unfinished(folder)
        made = {name for name in FIRST if (folder / name).is_dir() and not os.listdir(folder / name)}
        if not server_database(folder).exists() and (other := sorted(set(os.listdir(folder)) - ALLOWED - made)):
            raise TenantRefused(
                "not_empty", f"{folder} has other files ({other[0]}). Use a folder that is empty or absent"
            )
    return folder


@asynccontextmanager
async def _in_folder(data_dir: Path) -> AsyncIterator[Side]:
    make_data_dir(data_dir)
    with process.hold(data_dir):
        async with open_folder(data_dir) as home:
            side = FolderSide(home)
            try:
                yield side
            finally:
                side.close()
