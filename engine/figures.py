"""Facts of each tenant that can be known without opening its users, as stored. The tenant's folder is the truth."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass, fields
from typing import Protocol

from engine.imports import Row


@dataclass(frozen=True, slots=True)
class Figures:
    """The facts read from a users.db: users by state, the settings of periodic tasks, and waiting work.

    `inviting`: an invitation waits. `logged` is the number of rows in the log for the search index.
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


FIGURES = tuple(field.name for field in fields(Figures))
"""The names of the figures: those of their columns, too."""


@dataclass(frozen=True, slots=True)
class Pruned:
    """The result of the newest pruning. `what` has the facts that decided it: after a change of them, prune again.

    Prune again at `again_at` (RFC 3339), too; None: only after a change.
    """

    what: str
    again_at: str | None


@dataclass(frozen=True, slots=True)
class Known:
    """The stored facts of one tenant; None if there are none.

    `figures` come with the look of users.db (`Users.looks_like`) when they were read. `sound` is the look of the
    folder when it was last usable; empty while it is not.
    """

    figures: tuple[str, Figures] | None = None
    sound: str | None = None
    pruned: Pruned | None = None

    def renewed(self, news: Known) -> Known:
        """Return these facts, replaced by those that `news` has."""
        sound = self.sound if news.sound is None else news.sound
        return Known(news.figures or self.figures, sound, news.pruned or self.pruned)


class FigureStore(Protocol):
    """The stored facts of all tenants. They are removed with their tenant."""

    async def read(self) -> dict[str, Known]:
        """Return all stored facts, by tenant."""

    async def write(self, news: Mapping[str, Known]) -> None:
        """Write the facts in `news`, by tenant: all or none. Tenants that do not exist are skipped."""


def known_of(row: Row) -> Known:
    """Return the facts in a row of the table `figures`."""
    figures = None
    if row["seen"] and row["active"] is not None:
        values = {name: row[name] for name in FIGURES}
        figures = row["seen"], Figures(**{**values, "inviting": bool(row["inviting"])})
    pruned = Pruned(row["pruned_for"], row["prune_at"]) if row["pruned_for"] else None
    return Known(figures, row["sound"] or None, pruned)


def by_columns(news: Mapping[str, Known]) -> dict[tuple[str, ...], list[tuple[object, ...]]]:
    """Return what `news` has, by the columns to write: their values for each tenant, with its name at the end."""
    found: dict[tuple[str, ...], list[tuple[object, ...]]] = {}
    for tenant, known in news.items():
        values = _values(known)
        found.setdefault(tuple(values), []).append((*values.values(), tenant))
    return found


def _values(known: Known) -> dict[str, object]:
    """Return what `known` has, by column."""
    values: dict[str, object] = {}
    if known.figures:
        seen, figures = known.figures
        values |= {"seen": seen, **dict(zip(FIGURES, astuple(figures), strict=True))}
    if known.sound is not None:
        values["sound"] = known.sound
    if known.pruned:
        values |= {"pruned_for": known.pruned.what, "prune_at": known.pruned.again_at}
    return values
