"""Hints that an import or a run of a hook has changed, for pages that follow them: of each only the newest change."""

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


@dataclass(frozen=True, slots=True)
class RunMove:
    """A change of a run of a hook, with its present state. Imports and runs share the numbers."""

    number: int
    tenant: str
    run_id: int
    state: ImportState


class Watch(Protocol):
    """Polls the changes of the imports and runs of hooks of all tenants, by any process."""

    async def changed(self) -> bool:
        """Return whether anything may have changed since the previous call; true on the first."""

    async def newest(self) -> int:
        """Return the number of the newest move, 0 if there was none.

        No move of this number or a lower one becomes visible later. One of a higher number may be visible already.
        """

    async def moves(self, after: int) -> list[Move]:
        """Return the newest move of each import, if its number is above `after`; the oldest first."""

    async def run_moves(self, after: int) -> list[RunMove]:
        """Return the newest move of each run, if its number is above `after`; the oldest first."""

    async def running(self) -> dict[tuple[str, int], float]:
        """Return the imports that run, by tenant and id, with their stored progress: 0 to 1, a second old at most."""


class Hints(Protocol):
    """Announces changes of imports and runs."""

    def watch(self) -> AbstractAsyncContextManager[Watch]:
        """Watch until the context is left. Raises TryAgain and DatabaseUnusable, as `Watch` does."""
