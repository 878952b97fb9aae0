"""The SFTP accounts of tenants in a database: name, limits and keys, all of one moment.

An account is read again after `SETTINGS_AGE_S`, on the event loop itself, so with a short wait. `renew` reads those
of many open sessions in one step, while the event loop goes on: one question each takes too much of its time. If the
database does not answer, what was read less than `KNOWN_S` ago still holds. After that the account is not sure any
more: no login succeeds, and open sessions only wait. So nothing happens by a key that was revoked more than `KNOWN_S`
ago, although sessions outlive a database that is away for a moment.

Rows of a tenant that cannot be read say nothing of others. But if the table of keys has lost its file, say, no
account can be read. That counts as no answer: few questions are asked, and the server is not ready.
"""

from __future__ import annotations

import asyncio
import logging
import math
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from engine.shared.keys import Admission, AdmissionStore
from importer.errors import DatabaseDamaged, DatabaseFault, DatabaseUnusable, TryAgain
from importer.folder import FolderOf
from server.files.contracts import TOGETHER, TenantLimits
from server.seldom import Seldom
from server.tenants.accounts import SETTINGS_AGE_S, TenantAccount, limits_of, waiting_copies
from server.tenants.names import NAME
from server.tenants.settings import TenantRefused, from_texts
from server.tenants.shared.rings import KnownKeys, UnknownKeys
from server.tenants.soundness import Soundness

log = logging.getLogger(__name__)

KNOWN_S = 2.0
"""For how long an account holds without an answer of the database."""
AGAIN_S = 0.25
"""Seconds until the database is asked again after it did not answer, for any tenant: each question may take long."""
LOGGED_EVERY_S = 60.0
UNREAD = "the database cannot be used"
OF_ROWS = (DatabaseDamaged, DatabaseFault)
"""Answers of the database about the rows that were asked for: one tells nothing of other accounts."""
FEW = 5
"""If so many accounts that were chosen at random cannot be read, one by one, none can."""
UNREADABLE = (TryAgain, DatabaseUnusable, DatabaseFault)


@dataclass(frozen=True, slots=True)
class _Known:
    """An account, as it was at `read_at` (monotonic seconds) or later, and what it was made of."""

    account: TenantAccount
    read_at: float
    admission: Admission


class StoredAccounts:
    """The accounts of all tenants in `store`. `soundness` knows which are broken; `folder_of` names their folders."""

    def __init__(
        self,
        store: AdmissionStore,
        folder_of: FolderOf,
        soundness: Soundness | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._store = store
        self._folder_of = folder_of
        self._soundness = soundness
        self._clock = clock
        self._known: dict[str, _Known] = {}
        self._failed: tuple[float, TryAgain | DatabaseUnusable | DatabaseFault] | None = None
        """When the database did not answer the newest question, or no account could be read, and why."""
        self._doubted = False
        """Whether an account could not be read since the newest check: maybe none can."""
        self._failed_since = 0.0
        """When it did not answer the first one of those in a row."""
        self._together = TOGETHER
        """So many accounts are read in one step now: fewer while the database does not answer in time."""
        self._said = Seldom(LOGGED_EVERY_S)

    def account(self, name: str) -> TenantAccount | None:
        """See `server.files.contracts.TenantDirectory`."""
        found = self._account(name) if NAME.fullmatch(name) else None
        if found and self._soundness and (broken := self._soundness.why(name)):
            return replace(found, broken=broken)
        return found

    async def renew(self, names: Iterable[str]) -> None:
        """See `server.files.contracts.TenantDirectory`. A tenant that is not known is left to `account`."""
        now, known = self._clock(), self._known
        old = [name for name in names if name in known and now - known[name].read_at >= SETTINGS_AGE_S]
        for start in range(0, len(old), most := self._together):
            if self._why_not_ask():
                return
            if not await self._renew(old[start : start + most]):
                self._together = max(1, most // 2)
                return
        self._together = min(TOGETHER, self._together + 1)

    async def _renew(self, names: Sequence[str]) -> bool:
        """Read these accounts in one step. Return whether the database answered.

        If rows cannot be read, read in smaller steps: then only the accounts of these rows are left to `account`. But
        if no account can be read, that is noted as no answer is.
        """
        try:
            return await self._read_together(names)
        except OF_ROWS:
            if why := await self._why_none_can_be_read():
                self._note_failure(why)
                return True
        return await self._read_halves(names)

    async def _read_halves(self, names: Sequence[str]) -> bool:
        """Read accounts that could not be read in one step. Return whether the database answered."""
        half = len(names) // 2
        for some in (names[:half], names[half:]) if half else ():
            try:
                answers = await self._read_together(some)
            except OF_ROWS:
                answers = await self._read_halves(some)
            if not answers:
                return False
        return True

    async def _why_none_can_be_read(self) -> DatabaseDamaged | DatabaseFault | None:
        """Ask for a few known accounts, one by one; return why none can be read, None if one can.

        If fewer are known, they tell nothing of the others: ask for none, which reads the tables all the same. None
        too if the database does not answer.
        """
        why: DatabaseDamaged | DatabaseFault | None = None
        for some in [[name] for name in random.sample([*self._known], FEW)] if len(self._known) >= FEW else [[]]:
            try:
                await self._read_together(some)
            except OF_ROWS as error:
                why = error
            else:
                return None
        return why

    async def _read_together(self, names: Sequence[str]) -> bool:
        """Read these accounts in one step. Return whether the database answered. Raises those of OF_ROWS."""
        begun = self._clock()
        old = {name: self._known[name] for name in names if name in self._known}
        found = await self._asked([*old])
        if found is None:
            return False
        for name, before in old.items():
            if self._known.get(name) is before:  # else a login has read it meanwhile
                self._note(name, found.get(name), before, begun)
        return True

    async def _asked(self, names: Sequence[str]) -> Mapping[str, Admission] | None:
        """Ask for these accounts while the event loop goes on. Return None if the database does not answer.

        Raises those of OF_ROWS.
        """
        try:
            found = await self._store.admissions(names)
        except OF_ROWS as error:
            self._note_fault(error)
            raise
        except (TryAgain, DatabaseUnusable) as error:
            self._note_failure(error)
            return None
        self._failed = None
        return found

    def _note_fault(self, error: DatabaseDamaged | DatabaseFault) -> None:
        """Note that an account cannot be read: an answer, but as before if no account could be read before."""
        self._doubted = True
        if self._failed and isinstance(self._failed[1], OF_ROWS):
            self._note_failure(error)
        else:
            self._failed = None

    def _note_failure(self, error: TryAgain | DatabaseUnusable | DatabaseFault) -> None:
        now = self._clock()
        if not self._failed:
            self._failed_since = now
        self._failed = now, error

    async def check(self) -> None:
        """Check that logins get answers. If one did not, the database is asked again as a login asks.

        So neither one late answer nor the damage of one tenant counts. Raises why there is no answer.
        """
        if self._failed:
            await asyncio.sleep(self._failed[0] + AGAIN_S - self._clock())
        if (self._failed or self._doubted) and not self._why_not_ask():
            self._doubted = False
            if why := await self._why_none_can_be_read():
                self._note_failure(why)
        if self._failed:
            error = self._failed[1]
            if self._lasts():  # no login may come that tells it: a balancer takes away what is not ready
                self._log("No tenant can be read", error, "logins are refused")
            raise error.with_traceback(None)

    def identity(self, name: str) -> int | None:
        """Return the id of the tenant that has this name now, or had it when that was read; None if none has it.

        Raises TryAgain if that is not known.
        """
        try:
            known = self._renewed(name, self._known.get(name))
        except UNREADABLE as error:
            if name not in self._known and isinstance(error, TryAgain):
                raise
            if name not in self._known:
                raise TryAgain("database_busy", UNREAD, str(error)) from error
            known = self._known[name]
        return known.admission.tenant_id if known else None

    def hooks_on(self, name: str) -> tuple[str, ...] | None:
        """Return the names of the hooks that are on for a tenant; None: all are."""
        account = self.account(name)
        return account.hooks if account else None

    def waiting_copies(self, name: str) -> Sequence[Path] | None:
        """See `server.tenants.accounts.waiting_copies`."""
        return waiting_copies(self._store, self._folder_of(name))

    def close(self) -> None:
        self._store.close()

    def _account(self, name: str) -> TenantAccount | None:
        known = self._known.get(name)
        try:
            now = self._renewed(name, known)
        except UNREADABLE as error:
            account = known.account if known else _unknown(name)
            if self._clock() >= account.sure_until:
                self._tell(name, error, "logins are refused")
            return account
        return now.account if now else None

    def _renewed(self, name: str, known: _Known | None) -> _Known | None:
        """Return what is known, read again if it is too old; None if there is no such tenant."""
        begun = self._clock()
        if known and begun - known.read_at < SETTINGS_AGE_S:
            return known
        return self._note(name, self._admission(name), known, begun)

    def _note(self, name: str, admission: Admission | None, known: _Known | None, begun: float) -> _Known | None:
        """Take what was read, by a question that was asked at `begun`, as what is known now; return that."""
        if admission is None:
            self._known.pop(name, None)
            return None
        if known and known.admission == admission and not known.account.broken:
            account = known.account
        else:
            account = self._read(name, admission, known)
        now = self._known[name] = _Known(replace(account, sure_until=begun + KNOWN_S), begun, admission)
        return now

    def _why_not_ask(self) -> TryAgain | DatabaseUnusable | DatabaseFault | None:
        """Return why the database is not asked again yet; None if it is."""
        return self._failed[1] if self._failed and self._clock() - self._failed[0] < AGAIN_S else None

    def _admission(self, name: str) -> Admission | None:
        error = self._why_not_ask()
        if error and (name in self._known or not isinstance(error, OF_ROWS)):  # one that is not known may be sound
            raise error.with_traceback(None)
        try:
            found = self._store.admission(name)
        except OF_ROWS as fault:
            self._note_fault(fault)
            raise
        except (TryAgain, DatabaseUnusable) as error:
            self._note_failure(error)
            raise
        self._failed = None
        return found

    def _read(self, name: str, admission: Admission, known: _Known | None) -> TenantAccount:
        root, keys = self._folder_of(name).root, KnownKeys(admission.keys)
        try:
            settings = from_texts(admission.settings)
        except (TenantRefused, ValueError) as error:
            self._tell(name, error, "its uploads are refused")
            limits = known.account.limits if known else TenantLimits()
            return TenantAccount(name, root, limits, keys, f"a setting in the database is not valid ({error})")
        return TenantAccount(name, root, limits_of(settings), keys, hooks=settings.hooks)

    def _tell(self, name: str, error: Exception, then: str) -> None:
        if isinstance(error, TryAgain) and error.told and not self._lasts():
            return
        self._log(f"Tenant {name} cannot be read", error, then, name)

    def _lasts(self) -> bool:
        """Return whether the database has not answered for so long that logins alone may have no connection."""
        return bool(self._failed) and self._clock() - self._failed_since >= LOGGED_EVERY_S

    def _log(self, what: str, error: Exception, then: str, name: str | None = None) -> None:
        if times := self._said.again(time.monotonic()):
            facts = {"event": "tenant_unreadable", "tenant": name, "times": times}
            why = error.in_full if isinstance(error, TryAgain) else error
            log.error("%s (%s); %s.", what, why, then, extra=facts)


def _unknown(name: str) -> TenantAccount:
    """Return the account of a tenant that was never read: it opens nothing, so it needs no folder."""
    return TenantAccount(name, Path(name), TenantLimits(), UnknownKeys(), sure_until=-math.inf)
