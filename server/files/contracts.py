"""What the SFTP side has to know of the rest of the house: accounts, their keys and limits, and who counts.

Protocols only: the tenants and their key rings, and the metrics, are built elsewhere and handed in.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from ground.addresses import Address, Network, plain


@dataclass(frozen=True, slots=True)
class TenantLimits:
    """What one tenant may use. No networks: from anywhere."""

    quota_bytes: int = 10 * 1024**3
    quota_files: int = 10_000
    max_file_bytes: int = 2 * 1024**3
    max_sessions: int = 10
    allowed_networks: tuple[Network, ...] = ()

    def admits(self, address: Address) -> bool:
        """Whether a client may come from `address` (an IPv4 address inside IPv6 counts as the former)."""
        return not self.allowed_networks or any(plain(address) in network for network in self.allowed_networks)


class Verdict(Protocol):
    """Whether a key may log in; `reason` is for the log."""

    @property
    def allowed(self) -> bool: ...
    @property
    def reason(self) -> str: ...


class KeyRing(Protocol):
    """The keys of one tenant; read again when they change."""

    def may_log_in(self, kind: str, blob: bytes, address: Address, now: datetime) -> Verdict:
        """Judge the public key `blob` (SSH wire format, of type `kind`), offered from `address` at `now`."""


class Account(Protocol):
    """One tenant as the SFTP side sees it. `root` is its folder (`tenants/<name>`), not what the client sees."""

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
        """Why the tenant cannot be used now: its clients are refused. None: it can."""


class TenantDirectory(Protocol):
    """All accounts. Called on the event loop, at every login and once a second per session: quick."""

    def account(self, name: str) -> Account | None:
        """The account as it is now; None if there is none of that name."""

    def waiting_copies(self, name: str) -> Sequence[Path] | None:
        """Return the kept copies of files whose imports wait, run or are held; None if that cannot be read now."""


UploadResult = Literal["completed", "aborted", "refused", "ignored"]
LoginResult = Literal["accepted", "refused", "limited"]
"""`limited`: refused for a cap or a ban, not for a key."""


class Metrics(Protocol):
    """What is counted. `tenant` is "" for names that are no tenant's."""

    def session_opened(self, tenant: str) -> None: ...
    def session_closed(self, tenant: str) -> None: ...
    def login(self, tenant: str, result: LoginResult) -> None: ...
    def source_banned(self) -> None: ...
    def transferred(self, tenant: str, direction: Literal["in", "out"], size: int) -> None:
        """`size` bytes of file content; added up before, not called for every packet."""

    def upload(self, tenant: str, result: UploadResult) -> None: ...
