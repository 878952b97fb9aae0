"""That something of an import has changed, for those that follow: hints, of which some may be missed."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from importer.model import ImportState


@dataclass(frozen=True, slots=True)
class Move:
    """A change of an import, and how the import is now. `progress` is 0 to 1 while it runs, else None."""

    number: int
    tenant: str
    import_id: int
    state: ImportState
    progress: float | None


class Watch(Protocol):
    """One look after the other at what happens to the imports of all tenants, in whatever process."""

    async def changed(self) -> bool:
        """Whether anything may have changed since this was asked before; the first time it may."""

    async def newest(self) -> int:
        """The number of the last move, 0 if there was none."""

    async def moves(self, after: int) -> list[Move]:
        """Of each import its newest move, if its number is above `after`; the oldest first."""

    async def running(self) -> set[tuple[str, int]]:
        """The imports that run, by tenant and id."""


class Hints(Protocol):
    """What tells that something has changed."""

    def watch(self) -> AbstractAsyncContextManager[Watch]:
        """Watch until the context is left. Raises TryAgain and DatabaseUnusable, as `Watch` does."""
