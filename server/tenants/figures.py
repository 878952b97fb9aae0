"""Figures of each tenant that are known without opening its databases, and their storage.

A figure is valid while size, inode and times of users.db are those of the moment when it was read. Any change of the
file (by an import, a command, SQL, a crash, a restored backup) shows at the next look, which reads that tenant again.
Every other tenant costs two calls of stat. A file that was written a moment ago may change without a new time:
it is read once more at the next look.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from engine.figures import Figures, Known, Pruned
from engine.tenants import Tenant
from importer.errors import DatabaseFault, ImporterError
from importer.users.users import Users
from server.rounds import rest_s
from server.tenants.home import Looks
from server.tenants.pauses import Span, spans
from server.tenants.settings import READ_TIMEOUT_S, TenantRefused, from_texts, settings_history
from server.tenants.tenants import Tenants
from server.trouble import tell

log = logging.getLogger(__name__)

STEP = 20
"""The number of tenants that a thread reads in one step."""

REST_S, SHARE = 0.1, 0.1
"""The rest is read in pieces of `REST_S` seconds, which take a `SHARE` of the time."""

NEWEST_CHANGES = 1000
"""The newest changes of settings among which pauses are searched."""


async def pauses_in(tenants: Tenants, tenant: str) -> Sequence[Span]:
    """Read the pauses of this tenant, oldest first. Raises the error of a read."""
    changes, _ = await settings_history(tenants.users(tenant), NEWEST_CHANGES)
    return spans(changes)


class FigureBook:
    """The figures of all tenants. `broken` names the tenants whose users.db is not read."""

    def __init__(self, tenants: Tenants, broken: Callable[[], Collection[str]] = tuple) -> None:
        self._tenants = tenants
        self._looks: Looks = tenants.home
        self._store = tenants.store.figures()
        self._broken = broken
        self._figures: dict[str, Figures] = {}
        self._seen: dict[str, str] = {}
        self._failing: set[str] = set()
        self._sound: dict[str, str] = {}
        self._pruned: dict[str, Pruned] = {}
        self._pauses: dict[str, Sequence[Span]] = {}
        self._pauses_seen: dict[str, str | None] = {}
        self._unwritten: dict[str, Known] = {}
        self._due: list[str] = []
        self._looked_at = float("-inf")
        self._loaded = False
        self._one_at_a_time = asyncio.Lock()
        self._one_write = asyncio.Lock()
        self._rest: asyncio.Task[None] | None = None

    # Known figures

    def of(self, tenant: str) -> Figures | None:
        """Return the figures as of the last look; None if they were never read."""
        return self._figures.get(tenant)

    @property
    def all(self) -> Mapping[str, Figures]:
        """The figures of all tenants that have been read, by name."""
        return self._figures

    @property
    def uncounted(self) -> Collection[str]:
        """The tenants whose figures cannot be read now."""
        return self._failing

    def seen(self, tenant: str) -> str | None:
        """Return the look of users.db when the figures were read; None if it may have changed since."""
        return self._seen.get(tenant)

    def sound(self, tenant: str) -> str | None:
        """Return the signature of the folder that `note_sound` noted last."""
        return self._sound.get(tenant)

    def pruned(self, tenant: str) -> Pruned | None:
        return self._pruned.get(tenant)

    def note_sound(self, tenant: str, signature: str) -> None:
        if self._sound.get(tenant) != signature:
            self._sound[tenant] = signature
            self._note(tenant, Known(sound=signature))

    def note_pruned(self, tenant: str, pruned: Pruned) -> None:
        if self._pruned.get(tenant) != pruned:
            self._pruned[tenant] = pruned
            self._note(tenant, Known(pruned=pruned))

    @property
    def pauses(self) -> Mapping[str, Sequence[Span]]:
        """The pauses of the tenants for which `read_pauses` read them, by name."""
        return self._pauses

    async def read_pauses(self, tenant: str) -> Sequence[Span]:
        """Return the pauses of this tenant, read only if its users.db has changed. Raises the error of a read."""
        seen = self.seen(tenant)
        if seen is None or self._pauses_seen.get(tenant) != seen:
            self._pauses[tenant], self._pauses_seen[tenant] = await pauses_in(self._tenants, tenant), seen
        return self._pauses[tenant]

    # Looking

    async def load(self) -> None:
        """Load the stored figures, once."""
        if self._loaded:
            return
        for name, known in (await self._store.read()).items():
            if known.figures:
                self._seen[name], self._figures[name] = known.figures
            if known.sound:
                self._sound[name] = known.sound
            if known.pruned:
                self._pruned[name] = known.pruned
        self._loaded = True

    async def renew(self, within_s: float = float("inf"), *, age_s: float = 0.0, write: bool = True) -> list[Tenant]:
        """Look at all tenants, and read those that changed. Return all tenants, by name.

        At least one step is read. The rest after `within_s` is read in the background, in a `SHARE` of the time;
        until then, a new tenant has no figures. A look at most `age_s` old is not repeated. Without `write`, a later
        call stores the new figures, so that this one does not wait for the disk.
        """
        until = time.monotonic() + within_s
        async with self._one_at_a_time:
            await self.load()
            tenants = await self._tenants.list()
            if time.monotonic() - self._looked_at >= age_s:
                await self._look([tenant.name for tenant in tenants])
            await self._read_due(until)
        if write:
            await self.write()
        if self._due and (self._rest is None or self._rest.done()):
            self._rest = asyncio.create_task(self._read_rest(), name="figures")
        return tenants

    async def renew_one(self, tenant: str) -> None:
        """Read the figures of this tenant again."""
        async with self._one_at_a_time:
            await self.load()
            await self._take(await self._read([tenant]))

    async def write(self) -> None:
        """Store new figures; if that fails, later. It may wait for the disk, so no look waits for it."""
        async with self._one_write:
            unwritten, self._unwritten = self._unwritten, {}
            if not unwritten:
                return
            try:
                await self._store.write(unwritten)
            except (ImporterError, DatabaseFault) as error:
                log.debug("Figures of %d tenants cannot be written: %s.", len(unwritten), error)
                for name, known in unwritten.items():
                    self._unwritten[name] = known.renewed(self._unwritten.get(name, Known()))

    async def stop(self) -> None:
        """Stop reading, and store the new figures."""
        if self._rest:
            self._rest.cancel()
            await asyncio.wait([self._rest])
        await self.write()

    # Below

    async def _look(self, names: Sequence[str]) -> None:
        self._keep_only(set(names))
        left_alone = set(self._broken())
        looks = await self._looks.looks([name for name in names if name not in left_alone])
        self._due = [name for name, look in looks.items() if self._seen.get(name) != look.text]
        if self._looked_at == float("-inf"):
            for name in self._due:  # the stored figures are outdated: none is better until they are read
                self._figures.pop(name, None)
        self._looked_at = time.monotonic()

    async def _read_due(self, until: float) -> None:
        """Read the changed tenants until the time `until`, at least one step."""
        while self._due:
            some, self._due = self._due[:STEP], self._due[STEP:]
            await self._take(await self._read(some))
            if time.monotonic() >= until:
                break

    async def _read_rest(self) -> None:
        took = REST_S
        while self._due:
            await asyncio.sleep(rest_s(took, 1 / SHARE - 1))
            start = time.monotonic()
            while self._due and time.monotonic() - start < REST_S:
                async with self._one_at_a_time:  # a caller waits for at most one step, and not for the disk
                    await self._read_due(start)
            await self.write()
            took = time.monotonic() - start

    async def _read(self, names: Sequence[str]) -> dict[str, tuple[str | None, Figures | Exception]]:
        """Return the figures of some tenants, and the looks of their users."""
        # Look before reading: a write in between then shows at the next look.
        looks = await self._looks.looks(names)
        figures = await asyncio.to_thread(self._figures_of, names)
        return {name: (looks[name].text if looks[name].settled else None, figures[name]) for name in names}

    def _figures_of(self, names: Sequence[str]) -> dict[str, Figures | Exception]:
        """In a thread: return the figures of some tenants, or the errors that prevent reading."""
        found: dict[str, Figures | Exception] = {}
        for name in names:
            try:
                found[name] = read_figures(self._tenants.users(name))
            except Exception as error:
                found[name] = error
        return found

    async def _take(self, found: Mapping[str, tuple[str | None, Figures | Exception]]) -> None:
        for name, (look, figures) in found.items():
            if isinstance(figures, Exception):
                if name not in self._failing and await self._tenants.home.exists(name):
                    facts = {"event": "users_uncounted", "tenant": name}
                    tell(log, f"The users of {name} cannot be counted", figures, facts)
                self._failing.add(name)
                self._seen.pop(name, None)
                continue
            self._failing.discard(name)
            self._figures[name] = figures
            if look is None:
                self._seen.pop(name, None)
            else:
                self._seen[name] = look
                self._note(name, Known(figures=(look, figures)))

    def _keep_only(self, names: set[str]) -> None:
        parts = self._figures, self._seen, self._sound, self._pruned, self._unwritten
        for known in (*parts, self._pauses, self._pauses_seen):
            for removed in known.keys() - names:
                known.pop(removed)
        self._failing &= names

    def _note(self, tenant: str, news: Known) -> None:
        self._unwritten[tenant] = self._unwritten.get(tenant, Known()).renewed(news)


def read_figures(users: Users) -> Figures:
    """Read the figures of `users`, whose schema must be current. Raises the error that prevents reading."""
    stock = users.take_stock(READ_TIMEOUT_S)
    try:
        settings = from_texts(stock.settings)
    except (TenantRefused, ValueError):
        settings = from_texts({})  # code that needs the settings reports the error
    return Figures(
        stock.active,
        stock.deactivated,
        settings.stale_after_days,
        settings.retention_days,
        settings.kept_bytes,
        stock.inviting,
        stock.logged,
    )
