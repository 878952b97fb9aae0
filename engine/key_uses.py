"""When and from where each key was last used, as stored."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Use:
    """A connection that a key opened: when (RFC 3339 in UTC), and from which address."""

    at: str
    address: str


class KeyUseStore(Protocol):
    """The newest use of each key, by fingerprint. They are removed with their tenant."""

    async def of(self, tenant: str) -> dict[str, Use]:
        """Return the stored uses; keys that were never used are not included."""

    async def write(self, tenant: str, uses: Mapping[str, Use], keys: Collection[str] | None) -> None:
        """Write these uses if the tenant exists, and remove those of all keys except `keys` (None: remove none).

        Both happen or neither.
        """

    async def remove(self, tenant: str, fingerprint: str) -> None:
        """Remove the use of one key, if there is one."""
