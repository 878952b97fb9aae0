"""Hints that an import has changed, for pages that follow imports: of several changes only the newest is reported."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from importer.model import ImportState


@dataclass(frozen=True, slots=True)
class Move:
    """A change of an import, with its present state. `progress` is 0 to 1 while it runs, else None."""

    number: int
    tenant: str
    import_id: int
    state: ImportState
    progress: float | None


class Watch(Protocol):
    """Polls the changes of the imports of all tenants, by any process."""

    async def changed(self) -> bool:
        """Return whether anything may have changed since the previous call; true on the first."""

    async def newest(self) -> int:
        """Return the number of the newest move, 0 if there was none."""

    async def moves(self, after: int) -> list[Move]:
        """Return the newest move of each import, if its number is above `after`; the oldest first."""

    async def running(self) -> set[tuple[str, int]]:
        """Return the imports that run, by tenant and id."""


class Hints(Protocol):
    """Announces changes of imports."""

    def watch(self) -> AbstractAsyncContextManager[Watch]:
        """Watch until the context is left. Raises TryAgain and DatabaseUnusable, as `Watch` does."""
