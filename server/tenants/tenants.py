"""Tenants: creation, removal and look-up by name, and their settings. `home.py` says where their data is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from engine.tenants import Tenant
from importer.archive import Archive
from importer.folder import TenantFolder
from importer.model import INTEGER_MAX
from importer.users.users import Users
from importer.worker.results_folder import Results
from keys.ring import KeyRing
from server.tenants.home import Home
from server.tenants.hook_settings import KnownHooks
from server.tenants.local.home import open_folder
from server.tenants.sending import Sending
from server.tenants.settings import (
    TenantSettings,
    change_settings,
    changed,
    no_tenant,
    read_settings,
    settings_history,
)

OPERATOR = "operator"
"""The author of settings changed on the command line."""

HistoryPage = tuple[list[dict[str, Any]], int | None]


class Tenants:
    """The tenants of one installation. Changes are on disk when a method returns.

    `public_url` is the address of the page that the operator has set. `hooks` returns the hooks of the server, and
    is set later: the hooks are found with the store. It is called when a setting of hooks is to be changed.
    """

    def __init__(self, home: Home, public_url: str | None = None) -> None:
        self.home = home
        self.store = home.store
        self.hooks: Callable[[], KnownHooks] = dict
        self.archive: Archive = home.archive
        self.results: Results = home.results
        self._public_url = public_url
        self._rows = home.store.tenants()

    @property
    def data_dir(self) -> Path:
        return self.home.root

    async def list(self) -> list[Tenant]:
        """Return all tenants, by name."""
        return await self._rows.list()

    async def require(self, name: str) -> Tenant:
        """Return the tenant, with or without a folder. Raises TenantRefused if there is none of that name."""
        found = await self._rows.find(name)
        if found is None:
            raise no_tenant(name)
        return found

    async def get(self, name: str) -> Tenant:
        """Return the tenant. Raises TenantRefused if there is none of that name, or its folder is missing."""
        found = await self.require(name)
        self.home.refuse_absent(name)
        return found

    def folder(self, name: str) -> TenantFolder:
        """Return the folder of the tenant. Raises TenantRefused for an invalid name."""
        return self.home.folder(name)

    def users(self, name: str) -> Users:
        """Return the tenant's users. Raises TenantRefused for an invalid name."""
        return self.home.users(name)

    def ring(self, name: str) -> KeyRing:
        """Return the tenant's keys."""
        return self.home.ring(name)

    @property
    def sending(self) -> Sending:
        """Whether mails, webhooks and invitations are sent."""
        return Sending(self.home.marks)

    async def add(self, name: str, keys: Iterable[str] = ()) -> Tenant:
        """Create a tenant, its folder and its databases, with these public keys (lines of .pub files).

        A folder without a tenant (moved in by hand, or left by a crash) is used as it is. Raises TenantRefused or
        KeyRefused; then no tenant is created.
        """
        return await self.home.add(name, keys)

    async def remove(self, name: str) -> Path | None:
        """Put the tenant's data aside, and delete its tokens and imports. Its sessions end within seconds.

        Return where its folder is now; None if it has none. Raises TenantRefused if there is no such tenant.
        """
        return await self.home.remove(name)

    async def settings(self, name: str) -> TenantSettings:
        """Return the tenant's current settings, even while an import of it runs. Raises TenantRefused, TryAgain."""
        await self.get(name)
        return await asyncio.to_thread(read_settings, self.users(name))

    async def settings_history(self, name: str, limit: int, before: int = INTEGER_MAX) -> HistoryPage:
        """Return the `settings_history` of the tenant. For the server, which has migrated its users.db."""
        return await settings_history(self.users(name), limit, before)

    async def change_settings(
        self,
        name: str,
        changes: Mapping[str, object],
        *,
        by: str = OPERATOR,
        whole: bool = False,
        expected: str | None = None,
    ) -> TenantSettings:
        """Apply all `changes` (None resets a setting), or none. Raises TenantRefused.

        With `whole`, every setting that `changes` does not name is reset too. `by` is the author. `expected` is the
        `etag` of the settings that the author has seen: if they differ now, nothing changes.
        Raises TryAgain while an import of the tenant locks the database.
        """
        await self.get(name)
        if changes.get("paused_until"):
            await self.home.note_pause(name)
        after = await change_settings(
            *(self.users(name), changes),
            by=by,
            whole=whole,
            expected=expected,
            public_url=self._public_url,
            hooks=self.hooks(),
        )
        if after.paused_until and "paused_until" in changes:
            await self.home.note_pause(name)  # the server may have removed it before the change
        return after

    def changed(self, now: TenantSettings, changes: Mapping[str, object]) -> TenantSettings:
        """Return the settings `now` as `change_settings` would change them. Raises TenantRefused."""
        return changed(now, changes, public_url=self._public_url, hooks=self.hooks())


@asynccontextmanager
async def open_tenants(
    data_dir: Path, *, serving: bool = False, public_url: str | None = None
) -> AsyncIterator[Tenants]:
    """Open the tenants of `data_dir`, which is created if it does not exist. Works beside a running server.

    `serving` is set by the server itself, and `public_url` by the operator. Raises TenantRefused, DatabaseUnusable.
    """
    async with open_folder(data_dir, serving=serving) as home:
        yield Tenants(home, public_url)
