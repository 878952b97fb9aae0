"""The public keys of tenants, as stored in a database, and what a login needs to know."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from engine.accounts import AccountStore
from importer.users.settled import Texts


@dataclass(frozen=True, slots=True)
class StoredKey:
    """One key of a tenant: `blob` in the SSH wire format, of type `kind`; networks in CIDR notation."""

    kind: str
    blob: bytes
    comment: str
    added_at: str
    expires: str | None = None
    networks: tuple[str, ...] = ()


Change = Callable[[Sequence[StoredKey]], Iterable[StoredKey]]
"""Returns the keys that a tenant has after a change, given those that it has now."""


class KeyStore(Protocol):
    """The keys of all tenants, each tenant's in the order in which they were added. They are removed with it."""

    async def of(self, tenant: str) -> list[StoredKey]:
        """Return the keys of a tenant; none if it does not exist."""

    async def change(self, tenant: str, change: Change) -> bool:
        """Store what `change` returns; no other writer comes in between. Raises what it raises, and stores nothing.

        Return whether the tenant exists; if not, `change` is not called. The change is on disk when this returns.
        """


@dataclass(frozen=True, slots=True)
class Admission:
    """The settings and keys of a tenant, all of one moment. `tenant_id` differs from that of every other tenant."""

    settings: Texts
    keys: tuple[StoredKey, ...]
    tenant_id: int


class AdmissionStore(AccountStore, Protocol):
    """An AccountStore with admissions: all that logins read on the event loop itself."""

    def admission(self, tenant: str) -> Admission | None:
        """Return the admission of a tenant; None if it does not exist. Blocks and raises as the other methods."""

    async def admissions(self, tenants: Sequence[str]) -> Mapping[str, Admission]:
        """Return the admissions of those of the tenants that exist, by name, all of one moment.

        Waits as long as the other methods block, and raises as they do. A login may block meanwhile until it is over.
        """
