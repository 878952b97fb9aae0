"""What a login asks: on the event loop itself, so that it is answered soon or not at all."""

from __future__ import annotations

from typing import Protocol


class AccountStore(Protocol):
    """Tenants and the copies that their imports need, as they are now.

    Its methods block for some tenths of a second at most. They raise TryAgain and DatabaseUnusable.
    """

    def has(self, tenant: str) -> bool:
        """Whether there is such a tenant."""

    def copies_needed(self, tenant: str) -> list[int]:
        """The ids of the imports of a tenant that still have to read their copies."""

    def close(self) -> None:
        """Answer nothing more: from now on the others raise DatabaseUnusable."""
