"""What routes work with: the Office, put together once in server/app.py, and the Visit, a request that was let in."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from engine.tokens import Role, Token
from importer.errors import TryAgain
from importer.folder import TenantFolder
from importer.queue.entry import Entry
from importer.queue.listing import Listing
from importer.queue.queue import Queue
from importer.rules.identity import identity_of
from importer.users.directory import Directory
from importer.users.history import History
from importer.users.users import Users
from keys.host import ShownHostKey
from keys.ring import KeyRing
from server.hooks.trials import Trials
from server.settings import ServerSettings
from server.tenants.bans import BanBook
from server.tenants.key_uses import KeyUses
from server.tenants.settings import TenantSettings
from server.tenants.sign_ins import SignIns
from server.tenants.soundness import Soundness
from server.tenants.tenants import Tenants
from server.tenants.tokens import Tokens
from server.upkeep.overview import Overview
from server.web.live import Live
from server.web.slowing import Slowing


@dataclass(frozen=True, slots=True)
class Office:
    """The tenants, their imports and keys as the web side reaches them.

    `queue` is the server's own: a decision taken there wakes the worker. Lists and reports are read through `reader`,
    on a connection of its own, so that nobody who looks holds up an upload. `sftp_port` gives the port that SFTP is
    listening on, and `host_keys` are what it proves itself with. `parts_up` says which parts of the server are up,
    by name.
    """

    settings: ServerSettings
    tenants: Tenants
    tokens: Tokens
    sign_ins: SignIns
    queue: Queue
    reader: Listing
    trials: Trials
    live: Live
    key_uses: KeyUses
    overview: Overview
    bans: BanBook
    soundness: Soundness
    host_keys: Sequence[ShownHostKey]
    sftp_port: Callable[[], int]
    parts_up: Callable[[], Awaitable[dict[str, bool]]]
    slowing: Slowing = field(default_factory=Slowing)


@dataclass(frozen=True, slots=True)
class Visit:
    """One request of somebody who may make it. `tenant` is the one it is about, empty if it is about none."""

    office: Office
    token: Token
    tenant: str

    @property
    def may_change(self) -> bool:
        """Whether they are more than a viewer."""
        return self.token.role is not Role.VIEWER

    @property
    def is_operator(self) -> bool:
        return self.token.role is Role.OPERATOR

    @property
    def folder(self) -> TenantFolder:
        """Return the folder of the tenant."""
        return self.office.tenants.folder(self.tenant)

    @property
    def users(self) -> Users:
        """Return the users of the tenant."""
        return self.office.tenants.users(self.tenant)

    @property
    def ring(self) -> KeyRing:
        """Return the keys of the tenant."""
        return self.office.tenants.ring(self.tenant)

    async def settings(self) -> TenantSettings:
        """Read the settings of the tenant as they are now. Raises TenantRefused, TryAgain."""
        return await self.office.tenants.settings(self.tenant)

    async def entry(self, import_id: int) -> Entry:
        """Read an import of the tenant. Raises Refused if there is none of this id."""
        return await self.office.reader.require(self.tenant, import_id)

    @asynccontextmanager
    async def directory(self) -> AsyncIterator[Directory]:
        """Open the users of the tenant, told apart as its settings say now."""
        async with self.users.directory(identity_of(await self.settings())) as directory:
            yield directory

    @asynccontextmanager
    async def history(self) -> AsyncIterator[History]:
        """Open what imports changed of the tenant's users, told apart as its settings say now."""
        async with self.users.history(identity_of(await self.settings())) as history:
            yield history

    async def revoke_key(self, fingerprint: str) -> None:
        """Take a key from the tenant, and forget when it was used. Raises KeyRefused if there is none."""
        key = await asyncio.to_thread(self.ring.revoke, fingerprint)
        with suppress(TryAgain):  # what is left of its use goes with the next one that is written
            await self.office.key_uses.forget(self.tenant, key.fingerprint)
