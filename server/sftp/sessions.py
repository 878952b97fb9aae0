"""One connection of a client and the SFTP channels in it: what it may open, and when it has to end.

Nothing but the subsystem `sftp` is served. Which keys open an account is `auth`'s; which connections may be open at
all is decided here.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from pathlib import Path

import asyncssh

from ground.addresses import source_of
from server.files.contracts import TenantDirectory, TenantLimits
from server.files.space import House, Space
from server.settings import ServerSettings
from server.sftp.algorithms import unshared
from server.sftp.auth import KeyAuthentication, LoggedIn, ask_before_success
from server.sftp.channel import SftpSession
from server.sftp.entrance import Entrance
from server.sftp.front import ACCEPTED_AT
from server.sftp.gate import Gate
from server.sftp.handler import SftpHandler
from server.sftp.handles import LEAST_READ, ConnectionHandles, read_at_once
from server.sftp.penalties import Offence
from server.sftp.wire import Corked, make_lean

log = logging.getLogger(__name__)

BROKEN = "The files of this account cannot be used now: the operator of the server has to fix them. Try again later"
"""What clients of a broken tenant are told. Which of its files it is, and where, is the operator's to know."""


class Sessions:
    """All connections there are, and what they share."""

    def __init__(
        self,
        settings: ServerSettings,
        tenants: TenantDirectory,
        house: House,
        gate: Gate,
        logged_in: LoggedIn = lambda _: None,
    ) -> None:
        self.settings = settings
        self.gate = gate
        self.stopping = False
        self.tenants = tenants
        self.house = house
        self.logged_in = logged_in
        self.entrance = Entrance(settings)
        self.connections: dict[Connection, None] = {}
        """In the order in which they came."""
        self.tasks: set[asyncio.Task[None]] = set()
        self._spaces: dict[str, Space] = {}

    def connection(self) -> Connection:
        """For a client that has just connected."""
        return Connection(self)

    def count(self, tenant: str) -> int:
        """Connections logged in as `tenant`."""
        return sum(1 for each in self.connections if each.login is not None and each.login.tenant == tenant)

    def space(self, tenant: str, root: Path) -> Space:
        """The tenant's files, held for one session (which leaves them); anew if another folder is there now."""
        space = self._spaces.get(tenant)
        if space is None or not space.is_at(root):
            if space is not None:
                space.retire()
            space = self._spaces[tenant] = Space(tenant, root, self.house)
        space.enter()
        return space

    def retire_spaces(self, unused_s: float = 0.0) -> None:
        """Let go of the files of tenants without a session for so long; their quota is measured anew next time."""
        for tenant, space in list(self._spaces.items()):
            if space.unused_s() >= unused_s:
                space.retire()
                del self._spaces[tenant]

    async def follow_copies(self) -> None:
        """Count anew what copies take of the quotas of tenants with a session. To be called about once a second."""
        for space in list(self._spaces.values()):
            await space.follow_copies()


class Connection(KeyAuthentication):
    """One client. Of what it may open, channels with the subsystem `sftp` are all."""

    def __init__(self, sessions: Sessions) -> None:
        settings = sessions.settings
        super().__init__(
            sessions.tenants,
            sessions.house.metrics,
            max_tries=settings.max_auth_tries,
            old_signatures=settings.sftp_legacy_algorithms,
            logged_in=sessions.logged_in,
        )
        self.sessions = sessions
        self.limits = TenantLimits()
        self.handlers: set[SftpHandler] = set()
        self.channels = 0
        self.handles: ConnectionHandles
        self.since = self.active_at = time.monotonic()
        self._conn: asyncssh.SSHServerConnection | None = None
        self._transport: Corked
        self._handshaking = False
        self._late = False
        self._patience: asyncio.TimerHandle | None = None
        self._home: tuple[int, int] | None = None
        self._room = asyncio.Event()
        self._room.set()

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        super().connection_made(conn)
        self._conn = conn
        self._transport = make_lean(conn)
        self._transport.read_at_once(LEAST_READ)
        entrance, others, loop = self.sessions.entrance, self.sessions.connections, asyncio.get_running_loop()
        exempt = self.sessions.gate.exempt(self._address)
        self._handshaking = not exempt and entrance.admit(self._address, others)
        if not self._handshaking and not (exempt and entrance.has_room(others)):
            # A client reads no reason before our version, which is sent when this returns.
            loop.call_soon(self.turn_away)
            return
        others[self] = None
        spent_s = loop.time() - conn.get_extra_info(ACCEPTED_AT, loop.time())
        self._patience = loop.call_later(max(0.0, self.sessions.settings.login_grace_s - spent_s), self._run_out)
        ask_before_success(conn, self._why_not)
        # The library ignores the transport's back-pressure; this is where asyncio tells it.
        conn.pause_writing = self._full  # type: ignore[method-assign]
        conn.resume_writing = self._has_room  # type: ignore[method-assign]

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._room.set()
        self.sessions.connections.pop(self, None)
        self._leave_handshake()
        if self.login is not None:
            self._metrics.session_closed(self.login.tenant)
            self.sessions.gate.logged_out(self._address)
        elif not self._limited and not self.sessions.stopping:
            self.sessions.gate.punish(self._address, self._offence())
        if isinstance(exc, asyncssh.KeyExchangeFailed):
            self._explain(exc)

    def auth_completed(self) -> None:
        offered = self._offered
        account = self.sessions.tenants.account(offered.tenant) if offered else None
        if account is None:
            self._limited = True
            self.end("Not now. Try again later.")
            return
        self._leave_handshake()
        self.limits = account.limits
        self.handles = ConnectionHandles(self.sessions.entrance.handles, account.name)
        self._home = _identity(account.root)
        self.active_at = time.monotonic()
        super().auth_completed()
        self._metrics.session_opened(account.name)
        self.sessions.gate.logged_in(self._address)

    def _why_not(self) -> str | None:
        """Why a client whose key fits and whose signature is right gets no session; None if it does."""
        account = self.sessions.tenants.account(self._offered.tenant) if self._offered else None
        if account is None:
            self._limited = True
            return "Not now. Try again later."
        if account.broken:
            self._reason = f"the tenant is broken: {account.broken}"
            self._limited = True
            return BROKEN
        most = account.limits.max_sessions
        if self.sessions.count(account.name) >= most:
            self._reason = "the tenant has as many sessions as it may"
            self._limited = True
            return f"Too many sessions: {account.name} has {most} open, the most it may. Close one and try again."
        return None

    def begins_from(self, source: str | None) -> bool:
        """Whether this is a client of `source` (None: of any) that has not logged in."""
        return self._handshaking and source in (None, source_of(self._address))

    def turn_away(self) -> None:
        """End a connection before its login, and tell a stranger no more than that. It earns no penalty."""
        self._limited = True
        if self._user is None:  # else its end counts it, under the name that it gave
            self._metrics.login("", "limited")
        self._leave_handshake()
        self.sessions.entrance.see_out(self._transport)
        self.end("Not now. Try again later.", asyncssh.DISC_TOO_MANY_CONNECTIONS)

    def session_requested(self) -> asyncssh.SSHServerSession[bytes]:
        if self.login is None or self.channels >= self.sessions.settings.max_channels:
            raise asyncssh.ChannelOpenError(asyncssh.OPEN_RESOURCE_SHORTAGE, "Too many channels")
        self.channels += 1
        return SftpSession(self)

    def check(self, now: float) -> None:
        """End the connection if it may not stay, or has been idle too long. To be called about once a second."""
        if self.login is None:
            return
        idle_s = self.sessions.settings.idle_timeout_s
        account = self.sessions.tenants.account(self.login.tenant)
        reason = self.unwelcome()
        if reason is None and account is not None and _identity(account.root) != self._home:
            reason = "the tenant was removed, and another has its name"
        broken = f"the tenant is broken: {account.broken}" if account is not None and account.broken else None
        if broken or reason:
            why = broken or reason
            log.info("A session of %s has to end: %s", self.login.tenant, why, extra={"event": "session_ended"})
            self.end(BROKEN if broken else "You may not stay logged in")
        elif idle_s and now - self.active_at > idle_s:
            self.end("Idle for too long")
        elif account is not None:
            self.limits = account.limits

    def end(self, reason: str, code: int = asyncssh.DISC_BY_APPLICATION) -> None:
        """Disconnect; requests being served are finished, no further one is begun."""
        for handler in self.handlers:
            handler.ending = handler.ending or reason.lower()
        if self._conn is not None:
            self._conn.disconnect(code, reason)

    def _full(self) -> None:
        """Read nothing more from a client that does not take its answers: not every request has a handler that waits
        for room, but every one may have an answer."""
        self._room.clear()
        self._transport.pause_reading()

    def _has_room(self) -> None:
        self._room.set()
        self._transport.resume_reading()

    async def room(self) -> None:
        """Wait until what was sent before has been taken."""
        await self._room.wait()

    def touch(self) -> None:
        """A request has come: the connection is not idle, and is read from as fast as the others leave room for."""
        self.active_at = time.monotonic()
        self._transport.read_at_once(read_at_once(self.sessions.entrance.handles.taken))

    def _run_out(self) -> None:
        """End the connection at the end of its grace time. (The library's own timer does not say that it did.)"""
        self._late = True
        if self._conn is not None:
            self._conn.abort()

    def _offence(self) -> Offence:
        if self._late:
            return Offence.GRACE
        # Where a tenant is broken no key can fit: its clients are not to blame, nor others behind their address.
        blameless = self._user is None or (self._refused is not None and self._refused.broken is not None)
        return Offence.NO_LOGIN if blameless else Offence.REFUSED

    def _leave_handshake(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
        if self._handshaking:
            self._handshaking = False
            self.sessions.entrance.handshakes.leave(self._address)

    def _explain(self, exc: Exception) -> None:
        """Say which algorithms are not shared: whoever has to mend a client needs both lists."""
        client, server = (getattr(self._conn, name, b"") for name in ("_client_kexinit", "_server_kexinit"))
        version = self._conn.get_extra_info("client_version", "?") if self._conn else "?"
        log.warning(
            "No key exchange with %s (%s): %s",
            *(self._address, version, "; ".join(unshared(client, server)) or exc),
            extra={"event": "key_exchange_failed"},
        )


def _identity(root: Path) -> tuple[int, int] | None:
    """Which folder this is, whatever it is called; None if it isn't there."""
    try:
        found = os.stat(root)
    except OSError:
        return None
    return found.st_dev, found.st_ino
