"""The listener: starts and stops the SFTP side.

A stop does not count as a client's CLOSE: it discards unfinished uploads, and finishes only requests being served.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, cast

import asyncssh

from engine.sessions import OWN_SESSIONS, SessionStore
from ground.words import counted
from server.files.contracts import TOGETHER, Metrics, TenantDirectory
from server.files.files import AllFiles, Files
from server.settings import ServerSettings
from server.sftp.algorithms import host_key_pairs, offered
from server.sftp.auth import LoggedIn
from server.sftp.bans.gate import Gate
from server.sftp.connection import Connection
from server.sftp.front import Front
from server.sftp.sessions import Sessions

log = logging.getLogger(__name__)

VERSION = "Headcount"
"""The server's name in its SSH version line, without the library and its version."""

CHECK_S = 1.0
WAITING = 512
UNUSED_S = 60.0
_WINDOW = 1024 * 1024


class SftpListener:
    """Listens for SFTP clients from `start` to `close`."""

    def __init__(
        self,
        settings: ServerSettings,
        tenants: TenantDirectory,
        files: AllFiles,
        metrics: Metrics,
        host_keys: Sequence[asyncssh.SSHKey],
        logged_in: LoggedIn = lambda _: None,
        shared: SessionStore = OWN_SESSIONS,
    ) -> None:
        """`logged_in` is called with every complete login. `files` are closed by `release`.

        `shared` has the sessions of all servers.
        """
        self._settings = settings
        self._host_keys = host_keys
        self._files = files
        self.gate = Gate(settings, metrics)
        self._sessions = Sessions(settings, tenants, files, metrics, self.gate, logged_in, shared)
        self._acceptor: asyncssh.SSHAcceptor | None = None
        self._watchers: list[asyncio.Task[None]] = []

    async def start(self) -> tuple[str, int]:
        """Listen, and return the host and port. Raises OSError if that fails."""
        settings = self._settings
        legacy = settings.sftp_legacy_algorithms
        # Old clients need these, and they are still safe; cryptography warns on stderr that it may remove them.
        warnings.filterwarnings("ignore", message="Diffie-Hellman over finite fields")
        backlog = self._sessions.entrance.caps.accepted_at_once
        front = Front(self.gate, settings.trusted_balancers, settings.login_grace_s, backlog)
        self._acceptor = await asyncssh.listen(
            settings.sftp_host,
            settings.sftp_port,
            tunnel=cast(Any, front),
            server_factory=self._sessions.connection,
            server_host_keys=host_key_pairs(self._host_keys, legacy=legacy),
            server_version=VERSION,
            login_timeout=0,  # each connection has its own timer
            keepalive_interval=settings.keepalive_s,
            keepalive_count_max=settings.keepalive_misses,
            encoding=None,
            window=_WINDOW,
            **offered(legacy=legacy),
            **_NOTHING_ELSE,
        )
        _let_wait(self._acceptor.sockets, WAITING)
        self._watchers = [
            asyncio.create_task(self._watch(), name="sftp watcher"),
            asyncio.create_task(self._measure(), name="sftp quotas"),
        ]
        host, port = self._acceptor.get_addresses()[0][:2]
        return host, port

    @property
    def listening(self) -> bool:
        """Return whether the listener accepts new clients now."""
        return self._acceptor is not None and bool(self._acceptor.get_addresses())

    @property
    def port(self) -> int:
        """Return the port that clients connect to; before `start`, the configured port."""
        found = self._acceptor.get_addresses() if self._acceptor is not None else []
        return int(found[0][1]) if found else self._settings.sftp_port

    @contextmanager
    def files(self, tenant: str, root: Path) -> Iterator[Files]:
        """Yield the files of the tenant whose folder is at `root`. Its sessions share them, and their quota."""
        files = self._sessions.files(tenant, root)
        try:
            yield files
        finally:
            files.leave()

    def open_sessions(self) -> Counter[str]:
        """Return the number of logged-in connections, by tenant."""
        return Counter(each.login.tenant for each in self._sessions.connections if each.login is not None)

    async def close(self, grace_s: float) -> None:
        """Accept no new connections, and end the open ones. Publishes no file that its client had not closed.

        Requests being served may take `grace_s` seconds to finish; the rest is canceled.
        """
        self._sessions.stopping = True
        if self._acceptor is not None:
            self._acceptor.close()
        for watcher in self._watchers:
            watcher.cancel()
            with suppress(asyncio.CancelledError):
                await watcher
        for connection in list(self._sessions.connections):
            connection.end("The server is stopping")
        await self._finish_sessions(grace_s)
        self._sessions.entrance.close()
        self._sessions.retire_files()

    def release(self) -> None:
        """Let the threads of the tenants' files end. Call it after `close`, once no HTTP request uses the files."""
        self._sessions.retire_files()
        self._files.close()

    async def _finish_sessions(self, grace_s: float) -> None:
        if self._sessions.tasks:
            await asyncio.wait(self._sessions.tasks, timeout=grace_s)
        for task in (late := list(self._sessions.tasks)):
            task.cancel()
        if late:
            many = counted(len(late), "session", "sessions")
            log.warning("The server canceled %s that did not end in time.", many, extra={"event": "sessions_cut"})
            await asyncio.wait(late)

    async def _watch(self) -> None:
        """Once a second, end connections that may not stay."""
        while True:
            await asyncio.sleep(CHECK_S)
            await self._check_connections()

    async def _measure(self) -> None:
        """Update quotas and the sessions of all servers, about once a second: that waits for the database."""
        while True:
            await asyncio.sleep(CHECK_S)
            await self._sessions.agree()
            await self._sessions.follow_copies()
            self._sessions.retire_files(UNUSED_S)

    async def _check_connections(self) -> None:
        """Check all connections that are logged in, after the accounts of their tenants were read together."""
        of: dict[str, list[Connection]] = {}
        for connection in self._sessions.connections:
            if connection.login is not None:
                of.setdefault(connection.login.tenant, []).append(connection)
        names = [*of]
        for start in range(0, len(names), TOGETHER):
            some = names[start : start + TOGETHER]
            with _going_on():
                await self._sessions.tenants.renew(some)
            for connection in (each for name in some for each in of[name]):
                with _going_on():
                    connection.check(time.monotonic())
                await asyncio.sleep(0)


@contextmanager
def _going_on() -> Iterator[None]:
    """Report an exception of the block as one that no part caught: the other connections are still checked."""
    try:
        yield
    except Exception as error:
        facts = {"message": "sessions cannot be checked", "exception": error}
        asyncio.get_running_loop().call_exception_handler(facts)


def _let_wait(listening: Iterable[Any], most: int) -> None:
    """Let the kernel hold `most` connections that are not accepted yet.

    asyncio uses one number for this and for the connections that it accepts in one step. Each of these takes a
    descriptor.
    """
    for each in listening:
        with socket.socket(fileno=os.dup(each.fileno())) as same:
            same.listen(most)


_NOTHING_ELSE = {
    "config": None,
    "allow_scp": False,
    "allow_pty": False,
    "line_editor": False,
    "agent_forwarding": False,
    "x11_forwarding": False,
    "gss_host": None,
    "gss_kex": False,
    "gss_auth": False,
    "host_based_auth": False,
    "public_key_auth": True,
    "kbdint_auth": False,
    "password_auth": False,
    "rdns_lookup": False,
}
