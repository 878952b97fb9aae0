"""The database as the server asks for it: how it is opened, and its parts."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, nullcontext

from engine.nodes import ONLY_NODE, Node
from engine.postgres.database import Database, alone, pooled
from engine.postgres.files.contents import PostgresContents
from engine.postgres.files.drafts import PostgresDraftStore
from engine.postgres.files.kept import PostgresKeptFiles
from engine.postgres.files.names import PostgresAllNames
from engine.postgres.files.objects import ObjectContents
from engine.postgres.files.objects_pulse import ObjectsPulse, feeling_objects
from engine.postgres.files.owner import require_no_objects
from engine.postgres.migrations import migrate
from engine.postgres.pulse import ASK, Heard, Pulse, feeling_pulse
from engine.postgres.server.accounts import WAIT_S, PostgresAccountStore
from engine.postgres.server.bans import PostgresBanStore
from engine.postgres.server.figures import PostgresFigureStore
from engine.postgres.server.hints import PostgresHints
from engine.postgres.server.key_uses import PostgresKeyUseStore
from engine.postgres.server.node import PostgresNode, joined
from engine.postgres.server.outbox import PostgresOutboxStore
from engine.postgres.server.queue import PostgresQueue
from engine.postgres.server.runs import PostgresRunStore
from engine.postgres.server.sessions import PostgresSessionStore
from engine.postgres.server.sign_ins import PostgresSignInStore
from engine.postgres.server.tenants import PostgresTenantStore
from engine.postgres.server.tokens import PostgresTokenStore
from engine.postgres.shared.keys import PostgresKeyStore
from engine.postgres.shared.marks import PostgresMarkStore
from engine.postgres.shared.secrets import PostgresSecretStore
from engine.sessions import OWN_SESSIONS, SessionStore
from engine.shared.files import FileStore
from engine.shared.objects import Objects

CONNECTIONS, SERVERS_CONNECTIONS, READERS_CONNECTIONS = 2, 10, 4
"""The most connections of a command, and of a server: for all its work, and for readers besides."""


class PostgresStore:
    """An `engine.store.Store` on one PostgreSQL database.

    PostgreSQL lets no read wait for a write. But writes that wait for each other may have all connections of a pool.
    So `looking` has connections of its own in a server. The parts that requests are checked with read through them,
    too, and so do hints. A login waits up to `login_wait_s` for PostgreSQL. `pulse` knows whether the database can be
    written, without a wait.
    """

    def __init__(
        self,
        database: Database,
        *,
        looking: Database | None = None,
        login_wait_s: float = WAIT_S,
        pulse: Pulse | None = None,
        node: PostgresNode | None = None,
        objects: Objects | None = None,
        objects_pulse: ObjectsPulse | None = None,
    ) -> None:
        self.database = database
        self._contents = _contents(database, looking, objects, objects_pulse)
        self.objects_pulse = objects_pulse
        """Whether the storage of files outside of the database can be used; None: there is none, or in a command."""
        self._pulse = pulse
        self.node: Node = node or ONLY_NODE
        self._check_node = node.check if node else lambda: None
        self.node_number = node.number if node else None
        """The number of this server; None for a command."""
        self._login_wait_s = login_wait_s
        self._queue = PostgresQueue(database, node=self.node_number)
        self._runs = PostgresRunStore(database, node=self.node_number)
        writing = pulse.writing if pulse else nullcontext
        self._sessions: SessionStore = PostgresSessionStore(database, node.number, writing) if node else OWN_SESSIONS
        self._looking = PostgresStore(looking, objects=objects) if looking else self

    def imports(self) -> PostgresQueue:
        return self._queue

    def runs(self) -> PostgresRunStore:
        return self._runs

    def tenants(self) -> PostgresTenantStore:
        return PostgresTenantStore(self.database, self._looking.database)

    def outbox(self) -> PostgresOutboxStore:
        return PostgresOutboxStore(self.database)

    def tokens(self) -> PostgresTokenStore:
        return PostgresTokenStore(self.database, self._looking.database)

    def sign_ins(self) -> PostgresSignInStore:
        return PostgresSignInStore(self.database, self._looking.database)

    def key_uses(self) -> PostgresKeyUseStore:
        return PostgresKeyUseStore(self.database, self._looking.database)

    def keys(self) -> PostgresKeyStore:
        return PostgresKeyStore(self.database, self._looking.database)

    def marks(self) -> PostgresMarkStore:
        return PostgresMarkStore(self.database)

    def secrets(self) -> PostgresSecretStore:
        return PostgresSecretStore(self.database)

    def sessions(self) -> SessionStore:
        return self._sessions

    def bans(self) -> PostgresBanStore:
        return PostgresBanStore(self.database, self._looking.database)

    def figures(self) -> PostgresFigureStore:
        return PostgresFigureStore(self.database)

    def accounts(self) -> PostgresAccountStore:
        return PostgresAccountStore(self.database.url, self._login_wait_s)

    def hints(self) -> PostgresHints:
        return PostgresHints(self._looking.database)

    def contents(self) -> PostgresContents | ObjectContents:
        return self._contents

    def kept_files(self) -> PostgresKeptFiles:
        return PostgresKeptFiles(self.database)

    def files(self, process: str | None = None) -> FileStore:
        """Return the files of tenants. `process`: the name of a process in place of this server."""
        drafts = PostgresDraftStore(self.database, str(self.node_number) if process is None else process)
        return FileStore(PostgresAllNames(self.database), self.contents(), self.kept_files(), drafts)

    async def ask_to_write(self) -> None:
        if self._pulse:
            self._pulse.check()
            self._check_node()
        else:
            await self.database.change(ASK)

    def is_away(self) -> bool:
        return bool(self._pulse and self._pulse.is_away)

    def looking(self) -> PostgresStore:
        return self._looking


def _contents(
    database: Database, looking: Database | None, objects: Objects | None, pulse: ObjectsPulse | None
) -> PostgresContents | ObjectContents:
    if objects is None:
        return PostgresContents(database)
    if pulse is None:
        return ObjectContents(database, objects, rows=looking)
    return ObjectContents(database, objects, rows=looking, owner=pulse.owner, doubt=pulse.doubt)


@asynccontextmanager
async def open_store(
    url: str,
    *,
    serving: bool = False,
    login_wait_s: float = WAIT_S,
    heard: Heard = lambda _: None,
    objects: Objects | None = None,
    objects_heard: Heard = lambda _: None,
    token_heard: Heard = lambda _: None,
) -> AsyncIterator[PostgresStore]:
    """Open the store at `url`, with its schema up to date; missing tables are created.

    `serving` is for the server, where many parts work at the same time; `heard` hears when the database is away, and
    `objects_heard` when `objects` are: the bytes of new files are there. `token_heard` hears when these take no new
    token. Raises DatabaseUnusable, TryAgain.
    """
    async with alone(url) as database:
        await migrate(database)
        if objects is None:
            await require_no_objects(database)
    if not serving:
        async with pooled(url, most=CONNECTIONS) as database:
            yield PostgresStore(database, login_wait_s=login_wait_s, objects=objects)
        return
    async with (
        pooled(url, most=SERVERS_CONNECTIONS) as database,
        pooled(url, most=READERS_CONNECTIONS) as looking,
        feeling_pulse(url, heard) as pulse,
        feeling_objects(looking, objects, objects_heard, token_heard) as objects_pulse,
        joined(url, looking) as node,
    ):
        yield PostgresStore(
            database,
            looking=looking,
            login_wait_s=login_wait_s,
            pulse=pulse,
            node=node,
            objects=objects,
            objects_pulse=objects_pulse,
        )
