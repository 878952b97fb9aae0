"""Broken tenants: which they are, and why. A broken tenant is refused; all others keep working.

Every tenant is inspected before the server listens, and every minute from outside (`signature_of`). A tenant with a
failure is inspected at once, a broken one every two seconds, so that it works again soon after it is repaired. Before
a tenant counts as usable for the first time, the work that the last stop left is finished.

The signature of a usable folder is kept over restarts (figures.py); a folder with the same signature is not opened.
If so many have changed that a start would take long, some are inspected later, piece by piece. They are those where
the last stop left nothing and users.db seems to have the current schema.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence

from ground.refusals import Refusal
from importer.errors import DatabaseDamaged, DatabaseUnusable, TryAgain
from importer.queue.listing import Listing
from server.data_disk import DISK_CODES
from server.rounds import again
from server.tenants.figures import FigureBook
from server.tenants.home import Found, Looks, Signature
from server.tenants.inspection import why_not_upgraded
from server.tenants.settings import TenantRefused, TenantSettings, read_settings
from server.tenants.tenants import Tenants
from server.trouble import Trouble

log = logging.getLogger(__name__)

LOOK_S = 60.0
"""Seconds between two looks at all tenants."""

AGAIN_S = 2.0
"""Seconds between two inspections of a broken tenant."""

BEFORE_S = 1.5
"""Seconds that a start spends on inspecting tenants that changed but seem to be usable."""

PIECE_S = 0.2
"""Seconds that each round spends on inspecting changed tenants; the next round takes the rest."""

COPIES_A_LOOK = 1000
"""The number of copies of queued imports that are tested each minute, in turn."""

LATELY = 100
"""The tenants of this many newest changes of imports may have unfinished work that only the queue knows."""

BEHIND = "the server is still finishing the work that its last stop left"

_UNFINISHED = "the work that the last stop left of it cannot be finished"

TakeUp = Callable[[str], Awaitable[None]]
"""Finishes the work that the last stop left of a tenant. An exception makes the tenant broken."""


def _is_recent(seen: tuple[Signature, float] | None, signature: Signature) -> bool:
    """Return whether users with this signature were read whole a short time ago. Damage may come without a change."""
    return seen is not None and seen[0] == signature and time.monotonic() < seen[1]


class TenantBroken(Refusal):
    """An operation is refused because the tenant is broken. Its sentence names no file, so any client may read it."""

    def __init__(self, tenant: str) -> None:
        super().__init__(
            "tenant_broken",
            f"the data of {tenant} cannot be used now: the operator of the server must fix it. Uploaded files are "
            "kept, and are imported afterwards",
        )


class Soundness:
    """Inspects tenants between `start()` and `stop()`; without them, only when it is asked."""

    def __init__(self, tenants: Tenants, imports: Listing) -> None:
        self.figures = FigureBook(tenants, lambda: self.broken)
        self._tenants = tenants
        self._looks: Looks = tenants.home
        self._imports = imports
        self._why: dict[str, str] = {}
        self._sound: dict[str, Signature] = {}
        self._damaged: dict[str, tuple[Signature, float]] = {}
        self._whole: dict[str, tuple[Signature, float]] = {}
        self._settings: dict[str, tuple[str, TenantSettings]] = {}
        self._owed: set[str] = set()
        self._pending: deque[str] = deque()
        self._copies_after = 0
        self._take_up: TakeUp | None = None
        self._locks: dict[str, asyncio.Lock] = {}
        self._all_due_at = 0.0
        self._trouble = Trouble(log, "Looking at tenants fails", {"event": "tenants_unseen"})
        self._ending = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    # Known states

    def why(self, tenant: str) -> str | None:
        """Return why the tenant is broken, and what to do; None if it is not known to be broken."""
        return self._why.get(tenant)

    def why_not_stored(self, tenant: str) -> str | None:
        """Return why the tenant's uploads cannot be stored yet: work of the last stop comes first. None: they can."""
        return BEHIND if tenant in self._owed else None

    @property
    def broken(self) -> Mapping[str, str]:
        """The broken tenants, each with the reason."""
        return self._why

    # Looking

    async def start(self, take_up: TakeUp, owing: Iterable[str] = ()) -> None:
        """Inspect all tenants, and call `take_up` for those with work that the last stop left.

        For a broken tenant it is called once the tenant can be used. The queue knows that `owing` have such work.
        """
        self._take_up = take_up
        await self.figures.load()
        tenants = await self._tenants.list()
        self._owed = {tenant.name for tenant in tenants}
        glances = await self._looks.glances(tenants, self.figures.sound)
        closely = {*owing, *await self._with_wrong_copies()}
        self._pending = deque()
        until = time.monotonic() + BEFORE_S
        for name, seen in glances.items():
            if seen.leftovers or name in closely:
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
        """Stop inspecting."""
        self._ending.set()
        if self._task:
            await asyncio.wait([self._task])

    def found(self, tenant: str, why: str) -> None:
        """Note that the tenant is broken; the next round inspects it again."""
        if self._why.get(tenant) != why:
            log.error("Tenant %s is broken: %s.", tenant, why, extra={"event": "tenant_broken", "tenant": tenant})
        self._why[tenant] = why
        self._sound.pop(tenant, None)
        self.figures.note_sound(tenant, "")

    async def look(self, tenant: str, error: BaseException | None = None) -> str | None:
        """Inspect the tenant now; return why it is broken, None if it is not.

        If `error` says that a database is damaged, all of users.db is read.
        """
        return await self._look(tenant, suspect=isinstance(error, DatabaseDamaged))

    async def settings(self, tenant: str) -> TenantSettings:
        """Read the current settings of the tenant. Raises TenantBroken, TryAgain."""
        why = self.why(tenant)
        try:
            if not why:
                return await self._known_settings(tenant)
        except (OSError, ValueError, TenantRefused, DatabaseUnusable) as error:
            why = await self.look(tenant, error)
            if not why:
                raise
        raise TenantBroken(tenant)

    async def _known_settings(self, tenant: str) -> TenantSettings:
        """Return the settings, read only if users.db has changed: a paused tenant needs them twice a second."""
        look, settled = await self._looks.look(tenant)
        known = self._settings.get(tenant)
        if known and known[0] == look:
            return known[1]
        settings = await asyncio.to_thread(read_settings, self._tenants.users(tenant))
        if settled:
            self._settings[tenant] = look, settings
        return settings

    async def look_at_all(self) -> None:
        """Inspect every tenant that is broken, or has changed since its last inspection."""
        await self._find_changed()
        await self._look_at_pending(float("inf"))

    async def _find_changed(self) -> None:
        names = [tenant.name for tenant in await self._tenants.list()]
        for removed in (self._why.keys() | self._sound.keys() | self._locks.keys()) - set(names):
            self._drop(removed)
        self._owed &= set(names)
        signatures = await self._looks.signatures(names)
        changed = [name for name in names if self._sound.get(name) != signatures.get(name)]
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

    async def _with_wrong_copies(self) -> Sequence[str]:
        """Return the tenants where a copy cannot be used, among the next `COPIES_A_LOOK` queued imports."""
        needed, self._copies_after = await self._imports.some_copies_needed(self._copies_after, COPIES_A_LOOK)
        return [*await self._looks.unusable_copies(needed)]

    async def _look(self, tenant: str, *, suspect: bool = False) -> str | None:
        async with self._locks.setdefault(tenant, asyncio.Lock()):
            signature = (await self._looks.signatures([tenant]))[tenant]
            if _is_recent(self._damaged.get(tenant), signature):
                return self._why.get(tenant)
            whole = tenant in self._damaged or (suspect and not _is_recent(self._whole.get(tenant), signature))
            try:
                found = await self._looks.inspect(tenant, whole=whole, noting=True)
            except TryAgain as error:
                if tenant in self._owed:  # refuse clients until the work of the last stop is finished
                    self.found(tenant, f"it cannot be inspected yet ({error.message})")
                return self._why.get(tenant)
            why = found.why or await self._unusable_copy(tenant) or await self._made_ready(tenant, found)
            if why and not await self._is_there(tenant):
                self._drop(tenant)
                return None
            if why:
                if whole and found.why:
                    self._damaged[tenant] = signature, time.monotonic() + LOOK_S
                self.found(tenant, why)
            else:
                self._can_be_used(tenant, signature, whole=whole)
            return why

    async def _unusable_copy(self, tenant: str) -> str | None:
        needed = await self._imports.copies_needed(tenant)
        if not needed or not await self._looks.unusable_copies({tenant: needed}):
            return None
        # An import may have ended in between, and its copy may be deleted.
        needed = await self._imports.copies_needed(tenant)
        return (await self._looks.unusable_copies({tenant: needed})).get(tenant)

    async def _made_ready(self, tenant: str, found: Found) -> str | None:
        """Migrate the schema and finish the work of the last stop; return why that cannot be done."""
        try:
            if found.outdated and (why := await why_not_upgraded(self._tenants.users(tenant))):
                return why
            if tenant in self._owed and self._take_up:
                await self._take_up(tenant)
                self._owed.discard(tenant)
        except TryAgain as error:
            if error.code not in DISK_CODES:
                return f"{_UNFINISHED} ({error})"
            # It can be read; uploads are refused until this is done.
            log.debug("The work that the last stop left of %s cannot be finished yet: %s.", tenant, error)
        except (OSError, DatabaseUnusable) as error:
            return f"{_UNFINISHED} ({error})"
        except Exception as error:
            if tenant not in self._why:
                log.exception(
                    "The work that the last stop left of %s cannot be finished.",
                    tenant,
                    extra={"event": "tenant_fault", "tenant": tenant},
                )
            return f"{_UNFINISHED} ({type(error).__name__}; the log has the cause)"
        return None

    async def _is_there(self, tenant: str) -> bool:
        try:
            await self._tenants.get(tenant)
        except TenantRefused as error:
            return error.code != "no_tenant"
        return True

    def _can_be_used(self, tenant: str, signature: Signature, *, whole: bool) -> None:
        if whole:
            self._whole[tenant] = signature, time.monotonic() + LOOK_S
        self._damaged.pop(tenant, None)
        self._sound[tenant] = signature
        self.figures.note_sound(tenant, signature)
        if self._why.pop(tenant, None) is not None:
            log.info("Tenant %s can be used again.", tenant, extra={"event": "tenant_mended", "tenant": tenant})

    def _drop(self, tenant: str) -> None:
        for known in (self._why, self._sound, self._damaged, self._whole, self._settings, self._locks):
            known.pop(tenant, None)
        self._owed.discard(tenant)

    def _failed(self, error: Exception) -> float:
        self._trouble.met(error)
        return AGAIN_S
