"""Log in by public key only. The tenant's key ring decides each time a key is offered.

A user name that is not a tenant gets the same answers as a wrong key. The library asks about a key before it has seen
a signature, so a login counts only when authentication is complete. A connection keeps the key that opened it: the
ring is asked again while it is open, and the connection ends if the key is no longer allowed.
"""

from __future__ import annotations

import logging
import math
import re
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from ipaddress import ip_address

import asyncssh

from ground.addresses import Address
from ground.moments import Clock, utc_now
from keys.public import fingerprint
from server.files.contracts import Metrics, SftpTenant, TenantDirectory

log = logging.getLogger(__name__)

BUSY = "The server cannot accept a login now. Try again later."
"""The message to a client that is refused before its login is complete: it says nothing about the server."""

USER_NAME = re.compile(r"[a-z][a-z0-9-]{1,30}", re.ASCII)
SAFE_RSA_SIGNATURES = {b"rsa-sha2-256", b"rsa-sha2-512"}


@dataclass(frozen=True, slots=True)
class Login:
    """A key offered for a tenant: `blob` in the SSH wire format, of type `kind`."""

    tenant: str
    kind: str
    blob: bytes
    address: Address

    @property
    def fingerprint(self) -> str:
        return fingerprint(self.blob)


LoggedIn = Callable[[Login], None]


def refusal(account: SftpTenant | None, login: Login, now: datetime) -> str | None:
    """Return why this login is not, or no longer, allowed; None if it is. The reason is a clause for the log.

    `account` is that of the tenant, None if there is none.
    """
    if account is None:
        return "no tenant has this name"
    if not account.limits.admits(login.address):
        return "the tenant does not allow this address"
    verdict = account.ring.may_log_in(login.kind, login.blob, login.address, now)
    if not verdict.allowed and account.broken:
        return f"{verdict.reason}; the tenant is broken: {account.broken}"
    return None if verdict.allowed else verdict.reason


class KeyAuthentication(asyncssh.SSHServer):
    """The authentication of one connection. `login` is set when authentication is complete.

    The connection ends after `max_tries` refused attempts of any kind.
    """

    def __init__(
        self,
        directory: TenantDirectory,
        metrics: Metrics,
        *,
        max_tries: int,
        old_signatures: bool = False,
        clock: Clock = utc_now,
        logged_in: LoggedIn = lambda _: None,
    ) -> None:
        """`logged_in` is called with every complete login."""
        self.login: Login | None = None
        self._directory = directory
        self._metrics = metrics
        self._max_tries = max_tries
        self._old_signatures = old_signatures
        self._clock = clock
        self._logged_in = logged_in
        self._address: Address = ip_address("0.0.0.0")  # noqa: S104 - until there is a connection
        self._offered: Login | None = None
        self._user: str | None = None
        self._refused: SftpTenant | None = None
        """The tenant of a login that was not completed; set when the connection has ended."""
        self._reason = "no key was offered"
        self._undecided = False
        """Whether the newest key was refused although the keys of its tenant are not known now."""
        self._limited = False
        """Whether the connection was ended because of a cap or an unusable tenant, not because of its key."""

    def reason_to_end(self) -> str | None:
        """Return why a logged-in connection must end (key revoked, tenant removed); None if it may stay."""
        login = self.login
        return refusal(self._account(login.tenant), login, self._clock()) if login else None

    def connection_made(self, conn: asyncssh.SSHServerConnection) -> None:
        self._address = ip_address(conn.get_extra_info("peername")[0])
        _limit_tries(conn, self._max_tries, lambda: self._undecided)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.login is None and self._user is not None:
            known = self._user if USER_NAME.fullmatch(self._user) else ""
            self._refused = self._directory.account(known) if known else None
            is_known = self._refused is not None and self._refused.sure_until > -math.inf
            self._metrics.login(known if is_known else "", "limited" if self._limited else "refused")
            # Do not log an impossible user name: it may be a password typed in the wrong place.
            facts = {"event": "login_refused", "user": known or None, "address": str(self._address)}
            log.info("A login was refused: %s.", self._reason, extra=facts)

    def _account(self, name: str) -> SftpTenant | None:
        return self._directory.account(name) if USER_NAME.fullmatch(name) else None

    def begin_auth(self, username: str) -> bool:
        self._user = username
        return True

    def public_key_auth_supported(self) -> bool:
        return True

    def password_auth_supported(self) -> bool:
        return False

    def kbdint_auth_supported(self) -> bool:
        return False

    def validate_gss_principal(self, username: str, user_principal: str, host_principal: str) -> bool:
        return False

    def validate_public_key(self, username: str, key: asyncssh.SSHKey) -> bool:
        """Decide on an offered key, with or without a signature. Authentication completes with the newest one."""
        offered = Login(username, key.get_algorithm(), key.public_data, self._address)
        account = self._account(username)
        reason = refusal(account, offered, self._clock())
        if reason is not None:
            self._undecided = account is not None and time.monotonic() >= account.sure_until
            self._limited = self._limited or self._undecided
            self._reason = "the keys cannot be read now" if self._undecided else reason
            return False
        if offered.kind == "ssh-rsa" and not self._old_signatures:
            # The library verifies SHA-1 signatures whatever algorithms it was told to offer.
            key.all_sig_algorithms = SAFE_RSA_SIGNATURES
        self._reason = "the key is valid, but its signature is missing or wrong"
        self._offered = offered
        return True

    def auth_completed(self) -> None:
        self.login = self._offered
        if self.login is not None:
            self._metrics.login(self.login.tenant, "accepted")
            facts = {"event": "login", "tenant": self.login.tenant, "address": str(self._address)}
            log.info("%s logged in with key %s.", self.login.tenant, self.login.fingerprint, extra=facts)
            self._logged_in(self.login)


def _limit_tries(conn: asyncssh.SSHServerConnection, most: int, undecided: Callable[[], bool]) -> None:
    """End the connection at the `most`-th refused attempt, and at the first one that is `undecided`.

    The library has no callback for other attempts than keys (passwords, for example), but it answers every refused
    attempt with this method.
    """
    answer, refused = conn.send_userauth_failure, 0

    def counted(partial_success: bool) -> None:
        nonlocal refused
        refused += 1
        if undecided():
            conn.disconnect(asyncssh.DISC_SERVICE_NOT_AVAILABLE, BUSY)
        elif refused >= most:
            conn.disconnect(asyncssh.DISC_NO_MORE_AUTH_METHODS_AVAILABLE, "Too many authentication failures")
        else:
            answer(partial_success)

    conn.send_userauth_failure = counted  # type: ignore[method-assign]


def ask_before_success(conn: asyncssh.SSHServerConnection, why_not: Callable[[], Awaitable[str | None]]) -> None:
    """Disconnect with the reason that `why_not` returns, if any, instead of reporting that the login succeeded.

    After that report the client would send more, and would be reset before it could read the reason.
    """
    succeed = conn.send_userauth_success

    async def asked() -> None:
        reason = await why_not()
        if conn.is_closed():
            return
        if reason is None:
            await succeed()
        else:
            conn.disconnect(asyncssh.DISC_TOO_MANY_CONNECTIONS, reason)

    conn.send_userauth_success = asked  # type: ignore[method-assign]
