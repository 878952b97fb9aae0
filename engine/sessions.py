"""The protocol of the SFTP sessions of all servers, for the limit of each tenant."""

from __future__ import annotations

from typing import Protocol


class SessionStore(Protocol):
    """The sessions that are open. Every method raises TryAgain as a `Store` does."""

    async def open(self, tenant: str, most: int) -> int | None:
        """Count a new session of a tenant, and return its number; None if all servers have `most` of them open."""

    async def close(self, number: int) -> None:
        """Count a session no more."""

    async def agree(self) -> set[int]:
        """Count the sessions of this server again that were lost, and remove those that have ended. Call it often.

        Return the numbers of those for which other servers have left no room meanwhile. They count no more: end them.
        """


class OwnSessions:
    """The sessions of a server that shares its data with no other: it counts them itself."""

    async def open(self, tenant: str, most: int) -> int | None:
        return 0

    async def close(self, number: int) -> None:
        pass

    async def agree(self) -> set[int]:
        return set()


OWN_SESSIONS = OwnSessions()
