"""What is remembered of the imports that were applied, until it is too old: what each came to, its history.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class PastEffect:
    """One import as it is remembered with the users.

    `number` is its place among those that were applied. `changed`: it changed somebody and was not undone.
    `compared`: the next file may be compared with it.
    """

    id: int
    number: int
    applied_at: str
    changed: bool
    undone: bool
    compared: bool


class Memory(Protocol):
    """What is remembered with the users of one tenant. Methods raise TryAgain; then nothing was forgotten by them."""

    async def forget_effects(self, choose: Callable[[Sequence[PastEffect]], Collection[int]]) -> set[int]:
        """Forget what those imports came to that `choose` names, of all that it is shown; no other comes in between.

        None of them can be undone any more. Their history is left. Returns those that are still remembered.
        """

    async def imports_with_history(self) -> list[int]:
        """The ids of all imports of which there is history."""

    async def forget_changes(self, import_id: int, most: int) -> bool:
        """Forget up to `most` records of the history of an import, all at once; whether there were any.

        There are none of one that can still be undone.
        """
