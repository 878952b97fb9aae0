"""Which tenants are broken, and why: the one place that knows. A broken one is refused and left alone; others go on.

All are looked at before the server listens, and every minute by their outside; one with which something failed at
once; one that is broken every two seconds, so that it works again that soon after it was put right. What the last
stop left of a tenant is taken up before the tenant counts as sound for the first time.

How a folder looked that can be used is remembered over restarts (figures.py): one that looks the same is not opened.
Where so many look otherwise that a start would take long, the rest is opened later, piece by piece; before the server
listens it is only made sure of those that nothing was left of them and that their users.db seems to be one of now.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping
from contextlib import suppress

from engine.tenants import Tenant
from ground.refusals import Refusal
from importer.errors import DatabaseDamaged, DatabaseUnusable, TryAgain
from importer.folder import TenantFolder
from importer.queue.listing import Listing
from keys.errors import RingUnreadable
from keys.ring import KeyRing
from server.room import NO_ROOM
from server.rounds import again
from server.tenants.figures import FigureBook
from server.tenants.inspection import Found, Glance, Signature, glance, inspect, signature_of, unusable_copy
from server.tenants.settings import TenantRefused, TenantSettings, read_settings
from server.tenants.tenants import Tenants
from server.trouble import Trouble

log = logging.getLogger(__name__)

LOOK_S = 60.0
"""Between two looks at all tenants."""

AGAIN_S = 2.0
"""Between two looks at those that are broken."""

BEFORE_S = 1.5
"""So long a start looks closer at tenants which seem to be as they should."""

PIECE_S = 0.2
"""So long each round looks closer at those that changed; the rest is for the next."""

COPIES_A_LOOK = 1000
"""So many copies of imports that wait are looked at in a minute, in turn."""

LATELY = 100
"""The tenants of so many last changes of an import may have something left that only the queue knows."""

BEHIND = "the server has not yet finished what its last stop left"

TakeUp = Callable[[str], Awaitable[None]]
"""Takes up what the last stop left of a tenant. What it raises makes the tenant broken."""

Needed = Mapping[str, list[tuple[int, int]]]


class TenantBroken(Refusal):
    """Something that cannot be done because the tenant is broken. The sentence is for everyone: it names no file."""

    def __init__(self, tenant: str) -> None:
        super().__init__(
            "tenant_broken",
            f"the data of {tenant} cannot be used at the moment: the operator of the server has to fix it. "
            "Files that were uploaded are kept, and are imported afterwards",
        )


class Soundness:
    """Works between `start()` and `stop()`; without them it looks only when it is asked."""

    def __init__(self, tenants: Tenants, imports: Listing) -> None:
        self.figures = FigureBook(tenants, lambda: self.broken)
        self._tenants = tenants
        self._imports = imports
        self._why: dict[str, str] = {}
        self._sound: dict[str, Signature] = {}
        self._damaged: dict[str, tuple[Signature, float]] = {}
        self._whole: dict[str, Signature] = {}
        self._owed: set[str] = set()
        self._pending: deque[str] = deque()
        self._copies_after = 0
        self._take_up: TakeUp | None = None
        self._locks: dict[str, asyncio.Lock] = {}
        self._all_due_at = 0.0
        self._trouble = Trouble(log, "Looking at tenants fails", {"event": "tenants_unseen"})
        self._ending = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    # What is known

    def why(self, tenant: str) -> str | None:
        """Return why the tenant is broken, and what to do; None if it is not, as far as is known."""
        return self._why.get(tenant)

    def why_not_stored(self, tenant: str) -> str | None:
        """Return why nothing of the tenant may be stored: what the last stop left comes first. None: it may be."""
        return BEHIND if tenant in self._owed else None

    @property
    def broken(self) -> Mapping[str, str]:
        """The tenants that are broken, each with the reason."""
        return self._why

    # Looking

    async def start(self, take_up: TakeUp, owing: Iterable[str] = ()) -> None:
        """Look at all tenants, and call `take_up` for those of which the last stop left something: for a broken one
        as soon as it can be used. Of `owing` the queue knows that there is something."""
        self._take_up = take_up
        await self.figures.load()
        tenants = await self._tenants.list()
        self._owed = {tenant.name for tenant in tenants}
        glances = await asyncio.to_thread(self._glance, tenants)
        closely = {*owing, *await self._with_wrong_copies()}
        self._pending = deque()
        until = time.monotonic() + BEFORE_S
        for name, seen in glances.items():
            if seen.left or name in closely:
                await self._look(name)
            elif seen.signature == self.figures.sound(name):
                self._owed.discard(name)
                self._sound[name] = seen.signature
            elif seen.plain and time.monotonic() >= until:
                self._owed.discard(name)
                self._pending.append(name)
            else:
                await self._look(name)
        await self.figures.write()
        self._all_due_at = time.monotonic() + LOOK_S
        self._task = asyncio.create_task(again(self._round, self._failed, self._ending), name="soundness")

    async def stop(self) -> None:
        """Look no more."""
        self._ending.set()
        if self._task:
            await asyncio.wait([self._task])

    def found(self, tenant: str, why: str) -> None:
        """The tenant is broken: the next round looks whether it still is."""
        if self._why.get(tenant) != why:
            log.error("Tenant %s is broken: %s.", tenant, why, extra={"event": "tenant_broken", "tenant": tenant})
        self._why[tenant] = why
        self._sound.pop(tenant, None)
        self.figures.note_sound(tenant, "")

    async def look(self, tenant: str, error: BaseException | None = None) -> str | None:
        """Look at the tenant now; return why it is broken, None if it is not.

        If `error` says that a database is damaged, all of its users.db is read.
        """
        return await self._look(tenant, suspect=isinstance(error, DatabaseDamaged))

    async def settings(self, tenant: str) -> TenantSettings:
        """Read the settings of the tenant as they are now. Raises TenantBroken, TryAgain."""
        why = self.why(tenant)
        try:
            if not why:
                return await asyncio.to_thread(read_settings, self._tenants.users(tenant))
        except (OSError, ValueError, TenantRefused, DatabaseUnusable) as error:
            why = await self.look(tenant, error)
            if not why:
                raise
        raise TenantBroken(tenant)

    async def look_at_all(self) -> None:
        """Look at every tenant that is broken, or looks otherwise than when it was last looked at."""
        await self._find_changed()
        await self._look_at_pending(float("inf"))

    async def _find_changed(self) -> None:
        names = [tenant.name for tenant in await self._tenants.list()]
        for gone in (self._why.keys() | self._sound.keys() | self._locks.keys()) - set(names):
            self._forget(gone)
        self._owed &= set(names)
        changed = await asyncio.to_thread(self._changed, names)
        self._pending = deque(dict.fromkeys([*changed, *await self._with_wrong_copies()]))

    async def _look_at_pending(self, within_s: float) -> None:
        until = time.monotonic() + within_s
        while self._pending and time.monotonic() < until and not self._ending.is_set():
            await self._look(self._pending.popleft())
        await self.figures.write()

    async def _round(self) -> float:
        if time.monotonic() >= self._all_due_at:
            self._all_due_at = time.monotonic() + LOOK_S
            await self._find_changed()
        else:
            for tenant in {*self._why, *self._owed}:
                await self.look(tenant)
        await self._look_at_pending(PIECE_S)
        return AGAIN_S

    def _glance(self, tenants: Iterable[Tenant]) -> dict[str, Glance]:
        """In a thread: how all folders look from outside."""
        return {
            each.name: glance(self._tenants.folder(each.name), each.last_import_id, self.figures.sound(each.name))
            for each in tenants
        }

    def _changed(self, names: list[str]) -> list[str]:
        """In a thread: those that look otherwise than when they were last looked at."""
        folder = self._tenants.folder
        return [name for name in names if self._sound.get(name) != signature_of(folder(name))]

    async def _with_wrong_copies(self) -> list[str]:
        """The tenants where the copy of an import that waits cannot be used, of the next so many imports."""
        needed, self._copies_after = await self._imports.some_copies_needed(self._copies_after, COPIES_A_LOOK)
        return await asyncio.to_thread(self._of_wrong_copies, needed)

    def _of_wrong_copies(self, needed: Needed) -> list[str]:
        return [name for name, copies in needed.items() if unusable_copy(self._tenants.folder(name), copies)]

    async def _look(self, tenant: str, *, suspect: bool = False) -> str | None:
        async with self._locks.setdefault(tenant, asyncio.Lock()):
            signature = await asyncio.to_thread(signature_of, self._tenants.folder(tenant))
            if self._still_damaged(tenant, signature):
                return self._why.get(tenant)
            whole = tenant in self._damaged or (suspect and self._whole.get(tenant) != signature)
            try:
                found = await asyncio.to_thread(_inspect, self._tenants.folder(tenant), whole=whole)
            except TryAgain as error:
                if tenant in self._owed:  # no client may come before what the last stop left is taken up
                    self.found(tenant, f"it cannot be looked at yet ({error.message})")
                return self._why.get(tenant)
            why = found.why or await self._unusable_copy(tenant) or await self._made_ready(tenant, found)
            if why and not await self._is_there(tenant):
                self._forget(tenant)
                return None
            if why:
                if whole and found.why:
                    self._damaged[tenant] = signature, time.monotonic() + LOOK_S
                self.found(tenant, why)
            else:
                self._can_be_used(tenant, signature, whole=whole)
            return why

    def _still_damaged(self, tenant: str, signature: Signature) -> bool:
        """Whether reading all of it again would tell nothing new."""
        seen, until = self._damaged.get(tenant, (None, 0.0))
        return seen == signature and time.monotonic() < until

    async def _unusable_copy(self, tenant: str) -> str | None:
        folder = self._tenants.folder(tenant)
        needed = await self._imports.copies_needed(tenant)
        if not needed or not await asyncio.to_thread(unusable_copy, folder, needed):
            return None
        # An import may have ended meanwhile, and its copy with it.
        return await asyncio.to_thread(unusable_copy, folder, await self._imports.copies_needed(tenant))

    async def _made_ready(self, tenant: str, found: Found) -> str | None:
        """Bring the schema up to date and take up what is owed; return why that cannot be done."""
        try:
            if found.outdated:
                await self._tenants.users(tenant).prepare()
            if tenant in self._owed and self._take_up:
                await self._take_up(tenant)
                self._owed.discard(tenant)
        except TryAgain as error:
            if found.outdated or error.code not in NO_ROOM:
                return f"what the last stop left of it cannot be taken up ({error})"
            # It can be read: nothing is stored in it until this has been done.
            log.debug("What the last stop left of %s cannot be taken up yet: %s.", tenant, error)
        except (OSError, DatabaseUnusable) as error:
            return f"what the last stop left of it cannot be taken up ({error})"
        except Exception as error:
            if tenant not in self._why:
                log.exception(
                    "Tenant %s cannot be taken up.", tenant, extra={"event": "tenant_fault", "tenant": tenant}
                )
            return f"what the last stop left of it cannot be taken up ({type(error).__name__}; the log says more)"
        return None

    async def _is_there(self, tenant: str) -> bool:
        try:
            await self._tenants.get(tenant)
        except TenantRefused as error:
            return error.code != "no_tenant"
        return True

    def _can_be_used(self, tenant: str, signature: Signature, *, whole: bool) -> None:
        if whole:
            self._whole[tenant] = signature
        self._damaged.pop(tenant, None)
        self._sound[tenant] = signature
        self.figures.note_sound(tenant, signature)
        if self._why.pop(tenant, None) is not None:
            log.info("Tenant %s can be used again.", tenant, extra={"event": "tenant_mended", "tenant": tenant})

    def _forget(self, tenant: str) -> None:
        for known in (self._why, self._sound, self._damaged, self._whole, self._locks):
            known.pop(tenant, None)
        self._owed.discard(tenant)

    def _failed(self, error: Exception) -> float:
        self._trouble.met(error)
        return AGAIN_S


def _inspect(folder: TenantFolder, *, whole: bool) -> Found:
    """`inspect`; of a folder that can be used it is noted that it has a ring of keys, so that a lost one is known."""
    found = inspect(folder, whole=whole)
    if found.why is None:
        with suppress(OSError, RingUnreadable):  # told of where the broken tenants are
            KeyRing(folder.keys).note()
    return found
