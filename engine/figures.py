"""What is known of each tenant without opening its users, as it is kept. The tenant's folder is the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Figures:
    """What was read in a users.db: its users by state, settings that rounds go by, and what waits in it.

    `inviting`: an invitation waits. `logged` is how long the log for the search index is, in rows.
    """

    active: int
    deactivated: int
    stale_after_days: int | None
    retention_days: int
    kept_bytes: int
    inviting: bool
    logged: int

    @property
    def users(self) -> dict[str, int]:
        return {"active": self.active, "deactivated": self.deactivated}


@dataclass(frozen=True, slots=True)
class Pruned:
    """`what` was so when what was too old was deleted; `again_at` (RFC 3339) is when more of it is, None: never."""

    what: str
    again_at: str | None


@dataclass(frozen=True, slots=True)
class Known:
    """What is written down of one tenant; None where nothing is.

    `figures` come with how users.db looked when they were read in it. `sound` is how the folder looked when it could
    last be used; empty while it cannot be.
    """

    figures: tuple[str, Figures] | None = None
    sound: str | None = None
    pruned: Pruned | None = None

    def renewed(self, news: Known) -> Known:
        """The same, but for what `news` has."""
        sound = self.sound if news.sound is None else news.sound
        return Known(news.figures or self.figures, sound, news.pruned or self.pruned)


class FigureStore(Protocol):
    """What is known of all tenants. It goes with a tenant."""

    async def read(self) -> dict[str, Known]:
        """All that is written down, by tenant."""

    async def write(self, news: Mapping[str, Known]) -> None:
        """Write what `news` has of each tenant: all of it or nothing. Tenants that are not there are left out."""
