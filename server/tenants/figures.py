"""What is known of each tenant without opening its databases, and its keeping.

A figure holds while users.db, looked at from outside, looks as it did when the figure was read in it. So whatever
changed it (an import, a command, SQL, a crash, a restored backup), the next look sees it and reads that tenant anew;
all others cost two calls of stat. A file that was written a moment ago may be written again without looking
otherwise: it is read once more at the next look.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence

from engine.figures import Figures, Known, Pruned
from engine.tenants import Tenant
from importer.errors import DatabaseFault, ImporterError
from importer.users.users import Users
from server.tenants.settings import READ_TIMEOUT_S, TenantRefused, from_texts
from server.tenants.tenants import Tenants
from server.trouble import tell

log = logging.getLogger(__name__)

STEP = 20
"""So many tenants are read in one go of a thread."""

REST_S, SHARE = 0.1, 0.1
"""The rest is read in pieces of so many seconds, a tenth of all time."""

UNSETTLED_S = 2.0
"""So long after it was written a file may change without looking otherwise: no file system counts more coarsely."""


class FigureBook:
    """The figures of all tenants. `broken` names those whose users.db is left alone."""

    def __init__(self, tenants: Tenants, broken: Callable[[], Collection[str]] = tuple) -> None:
        self._tenants = tenants
        self._store = tenants.store.figures()
        self._broken = broken
        self._figures: dict[str, Figures] = {}
        self._seen: dict[str, str] = {}
        self._paths: dict[str, str] = {}
        self._failing: set[str] = set()
        self._sound: dict[str, str] = {}
        self._pruned: dict[str, Pruned] = {}
        self._unwritten: dict[str, Known] = {}
        self._due: list[str] = []
        self._looked_at = float("-inf")
        self._loaded = False
        self._one_at_a_time = asyncio.Lock()
        self._rest: asyncio.Task[None] | None = None

    # What is known

    def of(self, tenant: str) -> Figures | None:
        """The figures as of the last look; None if they were never read."""
        return self._figures.get(tenant)

    @property
    def all(self) -> Mapping[str, Figures]:
        """The figures of all tenants of which there are some."""
        return self._figures

    @property
    def uncounted(self) -> Collection[str]:
        """The tenants whose figures cannot be read now."""
        return self._failing

    def seen(self, tenant: str) -> str | None:
        """How the users.db looked in which the figures were read; None if it may have changed unseen."""
        return self._seen.get(tenant)

    def sound(self, tenant: str) -> str | None:
        """How the folder looked when it could last be used, as `note_sound` was told."""
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

    # Looking

    async def load(self) -> None:
        """Know again what was written down, once."""
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
        """Look at all tenants and read anew which have changed. Returns all, by name.

        What is left after `within_s`, and some tenants, is read in the background, in a share of a core that hurts
        nobody; until it is read a tenant that was never seen has no figures. With `age_s` a look that was so long ago
        will do. Without `write` what is new is written down by a later call, so that the caller waits for no disk.
        """
        until = time.monotonic() + within_s
        async with self._one_at_a_time:
            await self.load()
            tenants = await self._tenants.list()
            if time.monotonic() - self._looked_at >= age_s:
                await self._look([tenant.name for tenant in tenants])
            await self._read_due(until)
            if write:
                await self._write()
        if self._due and (self._rest is None or self._rest.done()):
            self._rest = asyncio.create_task(self._read_rest(), name="figures")
        return tenants

    async def renew_one(self, tenant: str) -> None:
        """Read anew what has just changed of this tenant."""
        async with self._one_at_a_time:
            await self.load()
            self._take(await asyncio.to_thread(self._read, [tenant]))

    async def write(self) -> None:
        """Write down what is new, if that can be: what is not is found out again."""
        async with self._one_at_a_time:
            await self._write()

    async def stop(self) -> None:
        """Read nothing more, and write down what is known."""
        if self._rest:
            self._rest.cancel()
            await asyncio.wait([self._rest])
        await self.write()

    # Below

    async def _look(self, names: Sequence[str]) -> None:
        self._forget_all_but(set(names))
        left_alone = set(self._broken())
        self._due = await asyncio.to_thread(self._changed, [name for name in names if name not in left_alone])
        if self._looked_at == float("-inf"):
            for name in self._due:  # what was written down is not so any more: better nothing until it is read
                self._figures.pop(name, None)
        self._looked_at = time.monotonic()

    def _changed(self, names: Sequence[str]) -> list[str]:
        """In a thread: the tenants whose users.db looks otherwise than when it was read."""
        now, found = time.time(), []
        for name in names:
            if name not in self._paths:
                self._paths[name] = os.fspath(self._tenants.folder(name).users_db)
            if self._seen.get(name) != look_of(self._paths[name], now)[0]:
                found.append(name)
        return found

    async def _read_due(self, until: float) -> None:
        """Some tenants at least."""
        while self._due:
            some, self._due = self._due[:STEP], self._due[STEP:]
            self._take(await asyncio.to_thread(self._read, some))
            if time.monotonic() >= until:
                break

    async def _read_rest(self) -> None:
        took = REST_S
        while self._due:
            await asyncio.sleep(took * (1 / SHARE - 1))
            start = time.monotonic()
            while self._due and time.monotonic() - start < REST_S:
                async with self._one_at_a_time:  # a caller waits for one step of this at most, and for no disk
                    await self._read_due(start)
            await self._write()
            took = time.monotonic() - start

    def _read(self, names: Sequence[str]) -> dict[str, tuple[str | None, Figures | Exception]]:
        """In a thread: the figures of some tenants, and how their files look."""
        found: dict[str, tuple[str | None, Figures | Exception]] = {}
        for name in names:
            # Before it is read: what is written meanwhile makes it look otherwise.
            look, settled = look_of(os.fspath(self._tenants.folder(name).users_db), time.time())
            try:
                found[name] = look if settled else None, read_figures(self._tenants.users(name))
            except Exception as error:
                found[name] = None, error
        return found

    def _take(self, found: Mapping[str, tuple[str | None, Figures | Exception]]) -> None:
        for name, (look, figures) in found.items():
            if isinstance(figures, Exception):
                if name not in self._failing and self._tenants.folder(name).root.exists():
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

    def _forget_all_but(self, names: set[str]) -> None:
        for known in (self._figures, self._seen, self._paths, self._sound, self._pruned, self._unwritten):
            for gone in known.keys() - names:
                known.pop(gone)
        self._failing &= names

    def _note(self, tenant: str, news: Known) -> None:
        self._unwritten[tenant] = self._unwritten.get(tenant, Known()).renewed(news)

    async def _write(self) -> None:
        unwritten, self._unwritten = self._unwritten, {}
        if not unwritten:
            return
        try:
            await self._store.write(unwritten)
        except (ImporterError, DatabaseFault) as error:
            log.debug("Figures of %d tenants cannot be written: %s.", len(unwritten), error)
            for name, known in unwritten.items():
                self._unwritten[name] = known.renewed(self._unwritten.get(name, Known()))


def look_of(database: str, now: float) -> tuple[str, bool]:
    """How the users.db at `database` looks from outside at `now` (seconds since 1970).

    Beside it is whether a change from here on will show.
    """
    looks, newest = [], float("-inf")
    for name in (database, f"{database}-wal"):
        try:
            found = os.stat(name)
        except OSError:
            continue
        if name != database and not found.st_size:
            continue  # SQLite makes and empties it as it reads
        looks.append(f"{found.st_ino:x}.{found.st_size:x}.{found.st_mtime_ns:x}.{found.st_ctime_ns:x}")
        newest = max(newest, found.st_mtime, found.st_ctime)
    return "/".join(looks), now - newest > UNSETTLED_S


def read_figures(users: Users) -> Figures:
    """The figures of `users`, which are as this Headcount keeps them. Raises what they cannot be read for."""
    stock = users.take_stock(READ_TIMEOUT_S)
    try:
        settings = from_texts(stock.settings)
    except (TenantRefused, ValueError):
        settings = from_texts({})  # whoever needs them says what is wrong with them
    return Figures(
        stock.active,
        stock.deactivated,
        settings.stale_after_days,
        settings.retention_days,
        settings.kept_bytes,
        stock.inviting,
        stock.logged,
    )
