"""When and from where each key was last used, as it is kept."""

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
    """The last uses of keys, by fingerprint. They go with their tenant."""

    async def of(self, tenant: str) -> dict[str, Use]:
        """The last uses that were written; keys that were never used are not in it."""

    async def write(self, tenant: str, uses: Mapping[str, Use], keys: Collection[str] | None) -> None:
        """Write these uses, if there is such a tenant, and remove those of all but `keys` (None: of no key).

        Both happen or neither.
        """

    async def remove(self, tenant: str, fingerprint: str) -> None:
        """Remove the use of one key, if there is one."""
