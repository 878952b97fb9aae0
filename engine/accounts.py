"""The stored data that a login reads on the event loop itself, so without a long wait."""

from __future__ import annotations

from typing import Protocol


class AccountStore(Protocol):
    """Tenants, and the copies that their imports and runs of hooks need, as they are now.

    The methods block for at most some tenths of a second. They raise TryAgain and DatabaseUnusable.
    """

    def has(self, tenant: str) -> bool:
        """Return whether the tenant exists."""

    def copies_needed(self, tenant: str) -> list[int]:
        """Return the ids of the imports of a tenant that still have to read their copies."""

    def run_copies_needed(self, tenant: str) -> list[int]:
        """Return the ids of the runs of hooks of a tenant that still have to read their copies."""

    def close(self) -> None:
        """Close the store: from now on the other methods raise DatabaseUnusable."""
