"""The stored data of applied imports, until retention deletes it: their outcomes and their history. Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class PastEffect:
    """One applied import as stored with the users.

    `number` is its place among the applied imports. `changed`: it changed a user and was not undone. `compared`: the
    next file may be compared with it.
    """

    id: int
    number: int
    applied_at: str
    changed: bool
    undone: bool
    compared: bool


class Memory(Protocol):
    """The stored outcomes and history of one tenant. Methods raise TryAgain; then they deleted nothing."""

    async def prune_effects(self, choose: Callable[[Sequence[PastEffect]], Collection[int]]) -> set[int]:
        """Delete the outcomes that `choose` returns, given all of them; no other write comes between.

        These imports can no longer be undone. Their history stays. Returns the imports whose outcomes are still
        stored.
        """

    async def imports_with_history(self) -> list[int]:
        """Return the ids of all imports that have history."""

    async def prune_changes(self, import_id: int, most: int) -> bool:
        """Delete up to `most` records of the history of an import, in one transaction.

        Returns whether any were deleted. The history of an import whose outcome is still stored is never deleted.
        """
