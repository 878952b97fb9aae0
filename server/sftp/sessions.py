"""All connections of clients, the parts that they share, and their sessions among those of all servers.

A connection serves only channels with the subsystem `sftp`. `auth.py` decides which keys may log in, and
`connection.py` which connections may be open.
"""

from __future__ import annotations

import asyncio
from contextlib import suppress
from pathlib import Path

from engine.sessions import OWN_SESSIONS, SessionStore
from importer.errors import DatabaseUnusable, TryAgain
from server.files.contracts import Metrics, TenantDirectory
from server.files.files import AllFiles, Files
from server.settings import ServerSettings
from server.sftp.auth import LoggedIn
from server.sftp.bans.gate import Gate
from server.sftp.connection import Connection
from server.sftp.entrance import Entrance


class Sessions:
    """All open connections, and the parts that they share."""

    def __init__(
        self,
        settings: ServerSettings,
        tenants: TenantDirectory,
        files: AllFiles,
        metrics: Metrics,
        gate: Gate,
        logged_in: LoggedIn = lambda _: None,
        shared: SessionStore = OWN_SESSIONS,
    ) -> None:
        """`shared` has the sessions of all servers."""
        self.shared = shared
        self.settings = settings
        self.gate = gate
        self.stopping = False
        self.tenants = tenants
        self.all_files = files
        self.metrics = metrics
        self.logged_in = logged_in
        self.entrance = Entrance(settings)
        self.connections: dict[Connection, None] = {}
        """In the order in which they connected."""
        self.tasks: set[asyncio.Task[None]] = set()
        self._opened: dict[str, Files] = {}

    def connection(self) -> Connection:
        """Return a connection for a client that has just connected."""
        return Connection(self)

    def count(self, tenant: str) -> int:
        """Return the number of connections logged in as `tenant`."""
        return sum(1 for each in self.connections if each.login is not None and each.login.tenant == tenant)

    def files(self, tenant: str, root: Path) -> Files:
        """Return the tenant's files for one session, which must `leave` them. For a replaced folder they are new."""
        files = self._opened.get(tenant)
        if files is None or not files.is_at(root):
            if files is not None:
                files.retire()
            files = self._opened[tenant] = self.all_files.open(tenant, root)
        files.enter()
        return files

    def retire_files(self, unused_s: float = 0.0) -> None:
        """Close the files of tenants without a session for `unused_s` seconds; the next use measures the quota."""
        for tenant, files in list(self._opened.items()):
            if files.unused_s() >= unused_s:
                files.retire()
                del self._opened[tenant]

    def uncount(self, number: int) -> None:
        """Count a session no more among those of all servers. Does not wait for it."""
        task = asyncio.ensure_future(self._uncounted(number))
        self.tasks.add(task)
        task.add_done_callback(self.tasks.discard)

    async def _uncounted(self, number: int) -> None:
        with suppress(TryAgain, DatabaseUnusable):  # `agree` does it later
            await self.shared.close(number)

    async def agree(self) -> None:
        """Let all servers know the sessions of this one, and end those above a limit. Call it about once a second."""
        with suppress(TryAgain, DatabaseUnusable):
            over = await self.shared.agree()
            for each in [*self.connections] if over else []:
                each.end_if_over(over)

    async def follow_copies(self) -> None:
        """Measure the copies of tenants with a session again, for their quota. Call it about once a second."""
        for files in list(self._opened.values()):
            await files.follow_copies()
