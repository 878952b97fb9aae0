"""headcount.db: how it is opened, and which part uses which connection."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import aiosqlite

from engine.nodes import ONLY_NODE, Node
from engine.sessions import OWN_SESSIONS, SessionStore
from engine.sqlite.database import in_its_thread, open_database
from engine.sqlite.server.accounts import SqliteAccountStore
from engine.sqlite.server.bans import SqliteBanStore
from engine.sqlite.server.figures import SqliteFigureStore
from engine.sqlite.server.hints import SqliteHints
from engine.sqlite.server.key_uses import SqliteKeyUseStore
from engine.sqlite.server.ledger import Ledger
from engine.sqlite.server.outbox import SqliteOutboxStore
from engine.sqlite.server.queue import SqliteQueue
from engine.sqlite.server.runs import SqliteRunStore
from engine.sqlite.server.sign_ins import SqliteSignInStore
from engine.sqlite.server.tenants import SqliteTenantStore
from engine.sqlite.server.tokens import SqliteTokenStore
from engine.sqlite.wal import mend_log_at_start
from ground.files import fsync_folder
from importer.errors import TryAgain


class SqliteStore:
    """An `engine.store.Store` on connections to headcount.db.

    A server has several connections, each for some parts and a reason:

    | connection | opened to | used by | separate because |
    |---|---|---|---|
    | `queue` | write | the queue; runs of hooks | an upload's CLOSE waits for no write but the queue's own |
    | `db` | write | lists of tenants; outbox, sign-ins, uses of keys, bans | their writes may wait |
    | `looking` | read | pages, API, metrics | a reader waits for no transaction |
    | of `accounts` | read | logins | it runs on the event loop itself, so it gives up soon |
    | of `hints`, while a page is followed | read | events | SQLite tells a connection what *others* changed |

    A command uses `db` for all of them.
    """

    def __init__(
        self,
        file: Path,
        db: aiosqlite.Connection,
        *,
        queue: aiosqlite.Connection | None = None,
        looking: aiosqlite.Connection | None = None,
    ) -> None:
        self.ledger = Ledger(db, file)
        self._queueing = Ledger(queue, file) if queue else self.ledger
        self._queue = SqliteQueue(self._queueing)
        self._runs = SqliteRunStore(self._queueing)
        self._looking = SqliteStore(file, looking) if looking else self
        self.node: Node = ONLY_NODE

    def imports(self) -> SqliteQueue:
        return self._queue

    def runs(self) -> SqliteRunStore:
        return self._runs

    def tenants(self) -> SqliteTenantStore:
        return SqliteTenantStore(self.ledger, self._reader())

    def outbox(self) -> SqliteOutboxStore:
        return SqliteOutboxStore(self.ledger)

    def tokens(self) -> SqliteTokenStore:
        return SqliteTokenStore(self.ledger, self._reader())

    def sign_ins(self) -> SqliteSignInStore:
        return SqliteSignInStore(self.ledger, self._reader())

    def key_uses(self) -> SqliteKeyUseStore:
        return SqliteKeyUseStore(self.ledger, self._reader())

    def sessions(self) -> SessionStore:
        return OWN_SESSIONS

    def bans(self) -> SqliteBanStore:
        return SqliteBanStore(self.ledger, self._reader())

    def figures(self) -> SqliteFigureStore:
        return SqliteFigureStore(self.ledger)

    def accounts(self) -> SqliteAccountStore:
        return SqliteAccountStore(self.ledger.file)

    def hints(self) -> SqliteHints:
        return SqliteHints(self.ledger.file)

    async def ask_to_write(self) -> None:
        # BEGIN IMMEDIATE alone does not fail where the file is read-only.
        await self._queueing.change("UPDATE tenants SET last_import_id = last_import_id WHERE name = ''")
        # It changes no row, so it does not detect files that cannot be written.
        database = self.ledger.file
        for file in (database, database.with_name(f"{database.name}-wal")):
            if file.exists() and not os.access(file, os.W_OK, effective_ids=True):
                raise TryAgain("disk_error", f"{file.name} is read-only for the server")

    def is_away(self) -> bool:
        return False  # a file is read at once, or not at all

    def looking(self) -> SqliteStore:
        return self._looking

    def _reader(self) -> Ledger:
        """Return a connection for one part's reads, if reads are separate: they wait for no work of another part."""
        return self.ledger if self._looking is self else Ledger(self._looking.ledger.db, self.ledger.file)


def store_file(data_dir: Path) -> Path:
    """Return the path of headcount.db."""
    return data_dir / "headcount.db"


@asynccontextmanager
async def open_store(file: Path, *, make: bool = False, serving: bool = False) -> AsyncIterator[SqliteStore]:
    """Open the store in `file`, with its schema up to date; with `make` one is created if there is none.

    `serving` is for the server, where many parts work at the same time. Raises DatabaseUnusable, TryAgain.
    """
    if make:
        file.touch(mode=0o600)
    async with AsyncExitStack() as opened:
        db = await _open(opened, file, make=make)
        if make:
            fsync_folder(file.parent)
        if serving:
            queue = await _open(opened, file)
            looking = await _open(opened, file, readonly=True)
            # A killed process may have written more than was on the disk.
            await in_its_thread(queue, lambda: mend_log_at_start(queue._conn, file))
            store = SqliteStore(file, db, queue=queue, looking=looking)
        else:
            store = SqliteStore(file, db)
        opened.push_async_callback(store.runs().keeping.end)
        yield store


async def _open(
    opened: AsyncExitStack, file: Path, *, readonly: bool = False, make: bool = False
) -> aiosqlite.Connection:
    db = await open_database(file, "server", readonly=readonly, make=make)
    opened.push_async_callback(db.close)
    return db
