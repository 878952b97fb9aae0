"""The protocol of a place.

| part | a data folder | a database |
|---|---|---|
| `held` | a lock on a file: one server at a time | nothing: any number of servers |
| the disk of `held` | of the data folder, with a reserve | of the folder for temporary files |
| `has_data` | headcount.db | any tables: they are created when they are missing |
| `newest_backup` | the mark of `headcount backup` | unknown: PostgreSQL is backed up by its own tools |
"""

from __future__ import annotations

import asyncio
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Protocol

from server.data_disk import Disk
from server.doctor.findings import Finding
from server.files.base import WhyNotStored
from server.files.contracts import Metrics, TenantDirectory
from server.files.files import AllFiles
from server.files.hooks import HookTable
from server.tenants.home import Home
from server.tenants.settings import TenantRefused
from server.tenants.soundness import Soundness
from server.tenants.tenants import Tenants


class Accounts(TenantDirectory, Protocol):
    """The accounts of all tenants, with their hooks."""

    def hooks_on(self, name: str) -> tuple[str, ...] | None:
        """Return the names of the hooks that are on for a tenant; None: all are."""

    async def check(self) -> None:
        """Check that logins get answers. Raises why they do not."""

    def close(self) -> None: ...


class Place(Protocol):
    """The place of an installation. Nothing is open."""

    @property
    def name(self) -> str:
        """The place in words: `the data folder /srv/data`."""

    @property
    def where(self) -> str:
        """The place in short: `/srv/data`."""

    def refuse_unready(self) -> None:
        """Refuse a place whose data is not all there yet. Raises TenantRefused."""

    def held(self, stop: asyncio.Event) -> AbstractAsyncContextManager[Disk]:
        """Make the place ready for a server, and yield its disk. On a data folder, it is the only server.

        Sets `stop` if it must stop, because another server has taken its place. Raises server.process.InUse,
        TenantRefused, TryAgain, DatabaseUnusable.
        """

    def opened(self, *, serving: bool = False) -> AbstractAsyncContextManager[Home]:
        """Open the data, created if there is none. Works beside a running server; `serving` is set by the server.

        Raises TenantRefused, TryAgain, DatabaseUnusable.
        """

    def accounts(self, tenants: Tenants, soundness: Soundness) -> Accounts:
        """Return the accounts that log in; the caller closes them."""

    def files(
        self,
        home: Home,
        accounts: Accounts,
        hooks: HookTable,
        metrics: Metrics,
        longest_read: int,
        why_not_stored: WhyNotStored,
    ) -> AllFiles:
        """Return the files of all tenants, given their accounts and what receives the files.

        `longest_read` are the bytes of the longest answer to a read.
        """

    async def server_runs(self) -> bool:
        """Return whether a server runs on this place now. Raises OSError, TryAgain."""

    def disk_folder(self) -> Path | None:
        """Return a folder on the disk of the data; None if the data is not on a disk of this machine."""

    def newest_backup(self) -> float:
        """Return when the newest complete backup began (seconds since 1970); 0 if none is known. Blocks.

        NaN if Headcount does not back the place up: then no alert says that backups are missing.
        """

    def findings(self) -> list[Finding]:
        """Return what is wrong here; empty if all is well. Blocks. Raises TenantRefused, OSError, TryAgain."""

    async def change_secret(self, new_file: Path) -> bool:
        """Seal all secrets of the installation with the one in `new_file`: all or nothing.

        Return whether that was not done before. Raises TenantRefused if nothing is sealed here, or a server runs;
        SecretRefused.
        """

    def require_folder(self) -> Path:
        """Return the data folder for a command that works on nothing else. Raises TenantRefused if there is none."""

    def has_data(self) -> bool:
        """Return whether commands find data here. Raises TenantRefused if it seems to be the wrong place, or lost."""

    def may_be_made(self) -> bool:
        """Return whether there is no data yet, and a command may create it. Raises TenantRefused as `has_data`."""

    def exists(self) -> bool:
        """Return whether there is data. Refuses nothing."""

    def refuse_absent(self) -> None:
        """Raise TenantRefused if the operator named a place that is absent."""

    def no_data(self) -> TenantRefused:
        """Return the refusal of a command that needs data."""
