"""The data folder as the place of an installation. No command creates a second one by mistake."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from server import process
from server.backup.newest import newest_backup
from server.backup.restoring import ALLOWED, refuse_unfinished
from server.data_disk import DataDisk, Disk
from server.settings import ServerSettings
from server.tenants.home import Home
from server.tenants.local.folder import make_data_dir, refuse_lost, server_database
from server.tenants.local.home import open_folder
from server.tenants.settings import TenantRefused

NAME_IT = "Name the right one with headcount --data-dir FOLDER, or in HEADCOUNT_DATA_DIR"


class FolderPlace:
    """The data folder that `settings` name."""

    def __init__(self, settings: ServerSettings) -> None:
        self._data_dir = settings.data_dir
        self._is_named = "data_dir" in settings.model_fields_set

    @property
    def name(self) -> str:
        return f"the data folder {self._data_dir.absolute()}"

    @property
    def where(self) -> str:
        return str(self._data_dir.absolute())

    @asynccontextmanager
    async def held(self, stop: asyncio.Event) -> AsyncIterator[Disk]:
        refuse_unfinished(self._data_dir)
        make_data_dir(self._data_dir)
        with process.hold(self._data_dir):
            disk = DataDisk(self._data_dir)
            disk.begin()
            yield disk

    @asynccontextmanager
    async def opened(self, *, serving: bool = False) -> AsyncIterator[Home]:
        async with open_folder(self._data_dir, serving=serving) as home:
            yield home

    async def server_runs(self) -> bool:
        return process.server_runs(self._data_dir)

    def newest_backup(self) -> float:
        return newest_backup(self._data_dir)

    def has_data(self) -> bool:
        data_dir = self._data_dir.absolute()
        refuse_unfinished(data_dir)
        refuse_lost(data_dir)
        if server_database(data_dir).exists():
            return True
        if not data_dir.is_dir():
            raise absent(data_dir)
        return False

    def may_be_made(self) -> bool:
        """Return whether the data folder has no data yet, and a command may create it.

        Raises TenantRefused if the operator did not name the folder and it is absent or holds other files: a command
        in another working folder would create a second installation.
        """
        data_dir = self._data_dir.absolute()
        refuse_unfinished(data_dir)
        refuse_lost(data_dir)
        if server_database(data_dir).exists():
            return False
        if self._is_named:
            return True
        if not data_dir.is_dir():
            raise absent(data_dir)
        if other := sorted(set(os.listdir(data_dir)) - ALLOWED - {"tenants", "removed", "headcount.reserve"}):
            raise TenantRefused(
                "no_data_folder", f"{data_dir} has no Headcount data, but other files ({other[0]}). {NAME_IT}"
            )
        return True

    def exists(self) -> bool:
        return server_database(self._data_dir).exists()

    def refuse_absent(self) -> None:
        if self._is_named and not self._data_dir.is_dir():
            raise absent(self._data_dir.absolute())

    def no_data(self) -> TenantRefused:
        return no_data_in(self._data_dir.absolute())


def no_data_in(data_dir: Path) -> TenantRefused:
    """Return the refusal of a command on a folder that has no data of Headcount."""
    return TenantRefused(
        "no_data_folder",
        f"{data_dir} has no Headcount data. {NAME_IT}. "
        "To create data there, add the first tenant: headcount tenant add NAME",
    )


def absent(data_dir: Path) -> TenantRefused:
    return TenantRefused(
        "no_data_folder",
        f"there is no data folder {data_dir}. {NAME_IT}. To create a new one, start the server: headcount serve",
    )
