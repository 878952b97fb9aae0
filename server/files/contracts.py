"""The parts of Headcount that the SFTP side needs: tenants with their keys and limits, and metrics.

Only protocols: the tenants, their key rings and the metrics are built elsewhere and passed in.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from ground.addresses import Address, Network, plain

TOGETHER = 200
"""The most tenants whose accounts are read in one step for their open sessions. A login may wait for one step."""


@dataclass(frozen=True, slots=True)
class TenantLimits:
    """Limits of one tenant. Without networks, clients may connect from any address."""

    quota_bytes: int = 10 * 1024**3
    quota_files: int = 10_000
    max_file_bytes: int = 2 * 1024**3
    max_sessions: int = 10
    allowed_networks: tuple[Network, ...] = ()

    def admits(self, address: Address) -> bool:
        """Return whether a client may connect from `address` (an IPv4 address mapped into IPv6 counts as IPv4)."""
        return not self.allowed_networks or any(plain(address) in network for network in self.allowed_networks)


class Verdict(Protocol):
    """Whether a key may log in; `reason` is a clause for the log."""

    @property
    def allowed(self) -> bool: ...
    @property
    def reason(self) -> str: ...


class KeyRing(Protocol):
    """The keys of one tenant; reread when they change."""

    def may_log_in(self, kind: str, blob: bytes, address: Address, now: datetime) -> Verdict:
        """Decide on the public key `blob` (SSH wire format, of type `kind`), offered from `address` at `now`."""


class SftpTenant(Protocol):
    """One tenant as the SFTP side sees it. `root` is its folder (`tenants/<name>`), not the client's `/`."""

    @property
    def name(self) -> str: ...
    @property
    def root(self) -> Path: ...
    @property
    def limits(self) -> TenantLimits: ...
    @property
    def ring(self) -> KeyRing: ...
    @property
    def broken(self) -> str | None:
        """Why the tenant cannot be used now, so that its clients are refused; None if it can be used."""

    @property
    def sure_until(self) -> float:
        """Until when (monotonic seconds) this is surely how the tenant is, without another look.

        Later it may have changed, and cannot be read: no login succeeds, and requests of open sessions wait.
        """


class TenantDirectory(Protocol):
    """All tenants. Must be quick: called on the event loop, at every login and once a second for each session."""

    def account(self, name: str) -> SftpTenant | None:
        """Return the tenant as it is now, or as it was last known; None if no tenant has this name.

        A tenant that is not known and cannot be read has no keys, and is not sure.
        """

    async def renew(self, names: Iterable[str]) -> None:
        """Read these tenants together if each look at one would have to ask a database. Raises nothing.

        Call it before `account` is called for all of them. It does not block, but waits some tenths of a second at
        most.
        """

    def waiting_copies(self, name: str) -> Sequence[Path] | None:
        """Return the copies that queued, running or held imports and runs need; None if that cannot be read now."""


UploadResult = Literal["completed", "aborted", "refused", "ignored"]
LoginResult = Literal["accepted", "refused", "limited"]
"""`limited`: refused because of a cap or a ban, not because of a key."""


class Metrics(Protocol):
    """The counters of the SFTP side. `tenant` is "" for names that do not belong to a tenant."""

    def session_opened(self, tenant: str) -> None: ...
    def session_closed(self, tenant: str) -> None: ...
    def login(self, tenant: str, result: LoginResult) -> None: ...
    def source_banned(self) -> None: ...
    def transferred(self, tenant: str, direction: Literal["in", "out"], size: int) -> None:
        """Count `size` bytes of file content. The caller adds up packets first."""

    def upload(self, tenant: str, result: UploadResult) -> None: ...
