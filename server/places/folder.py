"""The data folder as the place of an installation. No command creates a second one by mistake."""

from __future__ import annotations

import asyncio
import logging
import os
import shlex
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from server import process
from server.backup.moving import RESTORING
from server.backup.newest import newest_backup
from server.backup.restoring import ALLOWED, refuse_unfinished
from server.data_disk import DataDisk, Disk
from server.doctor.findings import Finding
from server.doctor.move import of_move
from server.files.base import WhyNotStored
from server.files.contracts import Metrics
from server.files.hooks import HookTable
from server.files.local.files import AllLocalFiles
from server.places import place
from server.settings import ServerSettings
from server.tenants.accounts import Accounts
from server.tenants.home import Home
from server.tenants.local.folder import make_data_dir, refuse_lost, server_database
from server.tenants.local.home import open_folder
from server.tenants.local.marks import FileMarks
from server.tenants.moves import refuse_moved
from server.tenants.settings import TenantRefused
from server.tenants.soundness import Soundness
from server.tenants.tenants import Tenants

log = logging.getLogger(__name__)

NAME_IT = "Name the right one with headcount --data-dir FOLDER, or in HEADCOUNT_DATA_DIR"


class FolderPlace:
    """The data folder that `settings` name."""

    def __init__(self, settings: ServerSettings) -> None:
        self._data_dir = settings.data_dir.absolute()  # messages are read in other working folders
        self._is_named = "data_dir" in settings.model_fields_set

    @property
    def name(self) -> str:
        return f"the data folder {self._data_dir}"

    @property
    def where(self) -> str:
        return str(self._data_dir)

    def refuse_unready(self) -> None:
        refuse_unfinished(self._data_dir)

    @asynccontextmanager
    async def held(self, stop: asyncio.Event) -> AsyncIterator[Disk]:
        if not self._data_dir.exists():
            absent = {"event": "data_folder_absent"}
            log.warning("There is no data folder %s; it is created.", self._data_dir, extra=absent)
        await self._refuse_moved()
        make_data_dir(self._data_dir)
        with process.hold(self._data_dir):
            disk = DataDisk(self._data_dir)
            disk.begin()
            yield disk

    @asynccontextmanager
    async def opened(self, *, serving: bool = False) -> AsyncIterator[Home]:
        await self._refuse_moved()
        async with open_folder(self._data_dir, serving=serving) as home:
            yield home

    async def _refuse_moved(self) -> None:
        # A folder that this user cannot enter is refused when it is opened.
        with suppress(PermissionError, NotADirectoryError):
            await refuse_moved(self.name, FileMarks(self._data_dir))

    def accounts(self, tenants: Tenants, soundness: Soundness) -> Accounts:
        return Accounts(tenants, soundness)

    def files(
        self,
        home: Home,
        accounts: place.Accounts,
        hooks: HookTable,
        metrics: Metrics,
        longest_read: int,
        why_not_stored: WhyNotStored,
    ) -> AllLocalFiles:
        return AllLocalFiles(hooks, metrics, accounts.waiting_copies, longest_read, why_not_stored)

    async def server_runs(self) -> bool:
        return process.server_runs(self._data_dir)

    def disk_folder(self) -> Path:
        return self._data_dir

    def newest_backup(self) -> float:
        return newest_backup(self._data_dir)

    def findings(self) -> list[Finding]:
        # Imported here, as in `_refuse_other`: it needs asyncssh, whose import slows each command down.
        from server.doctor.examining import examine

        _refuse_other(self._data_dir)
        moved, is_target = asyncio.run(of_move(self.name, self.where, FileMarks(self._data_dir)))
        return moved if is_target else [*examine(self._data_dir), *moved]

    async def change_secret(self, new_file: Path) -> bool:
        raise TenantRefused(
            "no_database",
            f"the keys are in files of {self.name}, and no secret seals them. Only in a database are they sealed "
            "(HEADCOUNT_DATABASE_URL)",
        )

    def require_folder(self) -> Path:
        return self._data_dir

    def has_data(self) -> bool:
        data_dir = self._data_dir
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
        data_dir = self._data_dir
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
            raise absent(self._data_dir)

    def no_data(self) -> TenantRefused:
        return no_data_in(self._data_dir)


def _refuse_other(data_dir: Path) -> None:
    """Raise TenantRefused unless the folder has data of Headcount that belongs to this user."""
    from server.doctor.gathering import owner_of, user_name

    places = (server_database(data_dir), data_dir / "tenants", data_dir / RESTORING)
    if not any(os.path.lexists(place) for place in places):
        raise no_data_in(data_dir)
    owner = owner_of(data_dir)
    if owner != os.geteuid():  # SQLite would make files beside the databases that the server cannot use
        user = user_name(owner)
        user = f"#{user}" if user.isdecimal() else user
        raise TenantRefused(
            "not_yours",
            f"the data in {data_dir} belongs to the user {user}. Run the same command as that user: "
            f"sudo -u {shlex.quote(user)} headcount ...",
        )


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
