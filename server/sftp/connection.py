"""One connection of a client: what it may open, whether it gets a session, and when it must end."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Collection, Hashable
from typing import TYPE_CHECKING

import asyncssh

from ground.addresses import source_of
from importer.errors import DatabaseUnusable, TryAgain
from server.files.contracts import TenantLimits
from server.sftp.algorithms import explain
from server.sftp.auth import BUSY, KeyAuthentication, ask_before_success
from server.sftp.bans.penalties import Offense
from server.sftp.channel import SftpSession
from server.sftp.front import ACCEPTED_AT
from server.sftp.handler import Confirmed, SftpHandler
from server.sftp.handles import LEAST_READ, ConnectionHandles, read_at_once
from server.sftp.wire import Corked, make_lean

if TYPE_CHECKING:
    from server.sftp.sessions import Sessions

log = logging.getLogger(__name__)

BROKEN = "The files of your company cannot be used now; tell the operator of the server, and try again later"
"""The message to clients of a broken tenant. Only the operator learns which of its files is broken, and where."""

PATIENCE_S = 30.0
"""How long a session waits for an account that is not sure. Most databases are back, or replaced, sooner."""
LOOK_S = 0.2
"""Seconds between two looks at such an account."""


class Connection(KeyAuthentication):
    """One connection of a client. It may open only channels with the subsystem `sftp`."""

    def __init__(self, sessions: Sessions) -> None:
        settings = sessions.settings
        super().__init__(
            sessions.tenants,
            sessions.metrics,
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
        self._home: Hashable = None
        self._sure_until = 0.0
        self._ended = False
        self._number: int | None = None
        """The number of the session among those of all servers; None: it is not counted there."""
        self._drained = asyncio.Event()
        self._drained.set()

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        super().connection_made(conn)
        self._conn = conn
        self._transport = make_lean(conn)
        self._transport.read_at_once(LEAST_READ)
        entrance, others, loop = self.sessions.entrance, self.sessions.connections, asyncio.get_running_loop()
        exempt = self.sessions.gate.exempt(self._address)
        self._handshaking = not exempt and entrance.admit(self._address, others)
        if not self._handshaking and not (exempt and entrance.has_room(others)):
            # A client reads a reason only after the server's version line, which is sent when this returns.
            loop.call_soon(self.refuse)
            return
        others[self] = None
        spent_s = loop.time() - conn.get_extra_info(ACCEPTED_AT, loop.time())
        self._patience = loop.call_later(max(0.0, self.sessions.settings.login_grace_s - spent_s), self._run_out)
        ask_before_success(conn, self._why_not)
        # The library ignores the transport's back-pressure, which asyncio reports to these methods.
        conn.pause_writing = self._full  # type: ignore[method-assign]
        conn.resume_writing = self._not_full  # type: ignore[method-assign]

    def connection_lost(self, exc: Exception | None) -> None:
        super().connection_lost(exc)
        self._drained.set()
        self.sessions.connections.pop(self, None)
        self._leave_handshake()
        self._uncount()
        if self.login is not None:
            self._metrics.session_closed(self.login.tenant)
            self.sessions.gate.logged_out(self._address)
        elif not self._limited and not self.sessions.stopping:
            self.sessions.gate.punish(self._address, self._offense())
        if isinstance(exc, asyncssh.KeyExchangeFailed):
            explain(self._conn, self._address, exc)

    def auth_completed(self) -> None:
        offered = self._offered
        account = self.sessions.tenants.account(offered.tenant) if offered else None
        if account is None:
            self._limited = True
            self.end(BUSY)
            return
        self._leave_handshake()
        self.limits = account.limits
        self._sure_until = account.sure_until
        self.handles = ConnectionHandles(self.sessions.entrance.handles, account.name)
        self._home = self.sessions.all_files.identity(account.root)
        self.active_at = time.monotonic()
        super().auth_completed()
        self._metrics.session_opened(account.name)
        self.sessions.gate.logged_in(self._address)

    async def _why_not(self) -> str | None:
        """Return why a client with a valid key and signature gets no session; None if it gets one: it counts then."""
        refused = self._why_not_here()
        if refused or self._offered is None:
            return refused
        tenant, most = self._offered.tenant, self.limits.max_sessions
        # Whatever ends the login from here on, its key and signature are valid: it gets no penalty.
        self._reason, self._limited = "the connection ended while its session was being counted", True
        try:
            self._number = await self.sessions.shared.open(tenant, most)
        except (TryAgain, DatabaseUnusable) as error:
            why = error.in_full if isinstance(error, TryAgain) else error
            self._reason = f"its session cannot be counted ({why})"
            return BUSY
        if self._number is None:
            return self._too_many(tenant, most)
        if self not in self.sessions.connections:  # lost meanwhile
            self._uncount()
        return None

    def _why_not_here(self) -> str | None:
        """Return why this server gives the client no session, whatever the others have."""
        account = self.sessions.tenants.account(self._offered.tenant) if self._offered else None
        if account is None or time.monotonic() >= account.sure_until:
            self._reason, self._limited = "the keys cannot be read now", True
            return BUSY
        if account.broken:
            self._reason = f"the tenant is broken: {account.broken}"
            self._limited = True
            return BROKEN
        self.limits = account.limits
        most = account.limits.max_sessions
        return self._too_many(account.name, most) if self.sessions.count(account.name) >= most else None

    def _too_many(self, tenant: str, most: int) -> str:
        self._reason = f"the tenant has {most:,} sessions open, its limit"
        self._limited = True
        return f"Too many connections: {tenant} has {most:,} open, its limit. Close one and try again."

    def _uncount(self) -> None:
        """Count the session no more among those of all servers. Does not wait for it."""
        if self._number is not None:
            self.sessions.uncount(self._number)
            self._number = None

    def end_if_over(self, numbers: Collection[int]) -> None:
        """End the session if its number is one of these: the tenant has too many on all servers."""
        if self.login is not None and self._number in numbers:
            self._number = None
            reason = self._too_many(self.login.tenant, self.limits.max_sessions)
            log.info(
                "A session of %s was ended: %s.", self.login.tenant, self._reason, extra={"event": "session_ended"}
            )
            self.end(reason)

    def begins_from(self, source: str | None) -> bool:
        """Return whether this is a client from `source` (None: any source) that has not logged in."""
        return self._handshaking and source in (None, source_of(self._address))

    def refuse(self) -> None:
        """End a connection before its login, with the message `BUSY`. It gets no penalty."""
        self._limited = True
        if self._user is None:  # else its end counts it, under the name that it gave
            self._metrics.login("", "limited")
        self._leave_handshake()
        self.sessions.entrance.close_after_reason(self._transport)
        self.end(BUSY, asyncssh.DISC_TOO_MANY_CONNECTIONS)

    def session_requested(self) -> asyncssh.SSHServerSession[bytes]:
        if self.login is None or self.channels >= self.sessions.settings.max_channels:
            raise asyncssh.ChannelOpenError(
                asyncssh.OPEN_RESOURCE_SHORTAGE,
                f"Too many channels: at most {self.sessions.settings.max_channels:,} in one connection",
            )
        self.channels += 1
        return SftpSession(self)

    def check(self, now: float) -> None:
        """End the connection if it may not stay, or has been idle for too long. Call it about once a second."""
        if self.login is None:
            return
        if any(handler.serving for handler in self.handlers):
            self.active_at = now
        idle_s = self.sessions.settings.idle_timeout_s
        account = self.sessions.tenants.account(self.login.tenant)
        reason = self.reason_to_end()
        if reason is None and account is not None and self.sessions.all_files.identity(account.root) != self._home:
            reason = "the tenant was removed, and a new tenant has its name"
        broken = f"the tenant is broken: {account.broken}" if account is not None and account.broken else None
        if account is not None and now - account.sure_until >= PATIENCE_S:
            broken = f"its key could not be read for {PATIENCE_S:g} seconds"
        if broken or reason:
            why = broken or reason
            log.info("A session of %s was ended: %s.", self.login.tenant, why, extra={"event": "session_ended"})
            self.end(BROKEN if broken else "Your key, address or company is no longer allowed to log in")
        elif idle_s and now - self.active_at > idle_s:
            self.end(f"Idle for more than {idle_s:g} seconds")
        elif account is not None:
            self.limits = account.limits
            self._sure_until = account.sure_until

    async def _confirmed(self) -> bool:
        """Wait until the account is sure again, or the connection ends; return whether its requests may be served."""
        while not self._ended and self in self.sessions.connections:
            if time.monotonic() < self._sure_until:
                return True
            self.check(time.monotonic())
            if time.monotonic() >= self._sure_until:
                await asyncio.sleep(LOOK_S)
        return False

    def end(self, reason: str, code: int = asyncssh.DISC_BY_APPLICATION) -> None:
        """Disconnect. Requests being served are finished, except those that wait for a hook; no more are started."""
        self._ended = True
        for handler in self.handlers:
            handler.ending = handler.ending or reason.lower()
        if self._conn is not None:
            self._conn.disconnect(code, reason)

    def _full(self) -> None:
        """Stop reading from a client that does not take its answers.

        Handlers wait by themselves, but the library also answers requests that no handler serves.
        """
        self._drained.clear()
        self._transport.pause_reading()

    def _not_full(self) -> None:
        self._drained.set()
        self._transport.resume_reading()

    async def drained(self) -> None:
        """Wait until the client has taken the answers sent before."""
        await self._drained.wait()

    def touch(self) -> Confirmed | None:
        """Note a request: the connection is not idle. Set how much is read from it, by the number of open handles.

        Return what the request has to wait for; None: nothing.
        """
        self.active_at = now = time.monotonic()
        self._transport.read_at_once(read_at_once(self.sessions.entrance.handles.taken))
        return None if now < self._sure_until else self._confirmed

    def _run_out(self) -> None:
        """End the connection at the end of its grace time. (The library's own timer does not report that it ran.)"""
        self._late = True
        if self._conn is not None:
            self._conn.abort()

    def _offense(self) -> Offense:
        if self._late:
            return Offense.GRACE
        # No key can be valid while a tenant is broken: do not punish its clients, nor others with their address.
        blameless = self._user is None or (self._refused is not None and self._refused.broken is not None)
        return Offense.NO_LOGIN if blameless else Offense.REFUSED

    def _leave_handshake(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
        if self._handshaking:
            self._handshaking = False
            self.sessions.entrance.handshakes.leave(self._address)
