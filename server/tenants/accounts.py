"""The SFTP accounts of tenants: name, folder, limits and keys, as they are now.

They are read again at every use, because the command line may change them without a notice: the existence of the
tenant every time, its settings at most every `SETTINGS_AGE_S`.
"""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engine.accounts import AccountStore
from importer.errors import DatabaseUnusable, TryAgain
from importer.folder import TenantFolder
from importer.users.users import Users
from keys.file_ring import FileRing
from server.files.contracts import KeyRing, TenantLimits
from server.seldom import Seldom
from server.tenants.inspection import inspect
from server.tenants.local.folder import users_in
from server.tenants.names import NAME
from server.tenants.settings import READ_TIMEOUT_S, TenantRefused, TenantSettings, read_settings
from server.tenants.soundness import Soundness
from server.tenants.tenants import Tenants

log = logging.getLogger(__name__)

SETTINGS_AGE_S = 0.5
BUSY_TIMEOUT_S = 0.2  # this blocks the event loop


@dataclass(frozen=True, slots=True)
class TenantAccount:
    """The SFTP account of one tenant. `broken` is why its data cannot be used; None: it can.

    `hooks` are the names of the hooks that are on; None: all are. `sure_until`: see
    `server.files.contracts.SftpTenant`.
    """

    name: str
    root: Path
    limits: TenantLimits
    ring: KeyRing
    broken: str | None = None
    hooks: tuple[str, ...] | None = None
    sure_until: float = math.inf


class Accounts:
    """The accounts of all tenants.

    `soundness` knows which tenants are broken; a tenant that cannot be read is reported to it.
    """

    def __init__(self, tenants: Tenants, soundness: Soundness | None = None) -> None:
        self._folder_of = tenants.folder
        self._soundness = soundness
        self._store = tenants.store.accounts()
        self._known: dict[str, tuple[float, TenantAccount]] = {}
        self._said = Seldom()

    def account(self, name: str) -> TenantAccount | None:
        """Return the current account; None if there is no such tenant, or it cannot be read (logged).

        The account of a broken tenant has the reason, and the last known limits.
        """
        if not NAME.fullmatch(name):
            return None
        try:
            return self._account(name)
        except (OSError, ValueError, TenantRefused, TryAgain, DatabaseUnusable) as error:
            if times := self._said.again(time.monotonic()):
                facts = {"event": "tenant_unreadable", "tenant": name, "times": times}
                log.error("Tenant %s cannot be read (%s); logins are refused.", name, error, extra=facts)
            return None

    async def renew(self, names: Iterable[str]) -> None:
        """Do nothing: `account` reads files of this machine."""

    def hooks_on(self, name: str) -> tuple[str, ...] | None:
        """Return the names of the hooks that are on for a tenant; None: all are. At most SETTINGS_AGE_S old."""
        read_at, account = self._known.get(name, (0.0, None))
        if account is None or time.monotonic() - read_at >= SETTINGS_AGE_S:
            account = self.account(name) or account
        return account.hooks if account else None

    def waiting_copies(self, name: str) -> Sequence[Path] | None:
        """See `waiting_copies`."""
        return waiting_copies(self._store, self._folder_of(name))

    async def check(self) -> None:
        """Do nothing: a file is read at once, or not at all."""

    def close(self) -> None:
        self._store.close()

    def _account(self, name: str) -> TenantAccount | None:
        folder = self._folder_of(name)
        if not self._store.has(name):
            self._known.pop(name, None)
            return None
        read_at, account = self._known.get(name, (0.0, None))
        if broken := self._soundness.why(name) if self._soundness else None:
            return _broken(folder, account, broken)
        if account is None or time.monotonic() - read_at >= SETTINGS_AGE_S:
            ring = account.ring if account else FileRing(folder.keys)
            try:
                limits, hooks = self._limits(users_in(folder), account)
            except (OSError, ValueError, TenantRefused, DatabaseUnusable):
                if not (broken := inspect(folder).why):
                    raise
                if self._soundness:
                    self._soundness.found(name, broken)
                return _broken(folder, account, broken)
            account = TenantAccount(name, folder.root, limits, ring, hooks=hooks)
            self._known[name] = (time.monotonic(), account)
        return account

    def _limits(self, users: Users, known: TenantAccount | None) -> tuple[TenantLimits, tuple[str, ...] | None]:
        """Return the current limits and hooks; the last known ones if the database is busy or the disk is full."""
        try:
            settings = read_settings(users, BUSY_TIMEOUT_S if known else READ_TIMEOUT_S)
            return limits_of(settings), settings.hooks
        except TryAgain as error:
            if known is None:
                raise
            if times := self._said.again(time.monotonic()):
                facts = {"event": "tenant_unreadable", "tenant": known.name, "times": times}
                log.error("Settings of %s cannot be read (%s); using the last known.", known.name, error, extra=facts)
            return known.limits, known.hooks


def waiting_copies(store: AccountStore, folder: TenantFolder) -> Sequence[Path] | None:
    """Return the copies of files whose imports are queued, running or held, and of queued or running runs.

    None if that cannot be read now.
    """
    tenant = folder.root.name
    try:
        imports, runs = store.copies_needed(tenant), store.run_copies_needed(tenant)
    except (TryAgain, DatabaseUnusable):
        return None
    return [*map(folder.copy, imports), *folder.run_copies(runs)]


def _broken(folder: TenantFolder, known: TenantAccount | None, why: str) -> TenantAccount:
    if known:
        return replace(known, broken=why)
    return TenantAccount(folder.root.name, folder.root, TenantLimits(), FileRing(folder.keys), why)


def limits_of(settings: TenantSettings) -> TenantLimits:
    return TenantLimits(
        quota_bytes=settings.quota_bytes,
        quota_files=settings.quota_files,
        max_file_bytes=settings.max_file_bytes,
        max_sessions=settings.max_sessions,
        allowed_networks=settings.allowed_networks,
    )
