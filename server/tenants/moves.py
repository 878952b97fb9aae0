"""The marks of an installation that `headcount migrate` moves: no server and no command uses it meanwhile.

The source has the mark `SOURCE` from the beginning on, also when it has been moved. The target has the mark `TARGET`
until all is there and was compared.
"""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import asdict, dataclass, replace

from engine.marks import MarkStore
from server.tenants.settings import TenantRefused

SOURCE, TARGET = "moved-to", "moved-from"
"""The names of the marks."""


@dataclass(frozen=True, slots=True)
class Move:
    """One move: `id` is random. `other` is the other place in words, `at` when it began (RFC 3339 in UTC)."""

    id: str
    other: str
    at: str
    ended: bool = False

    def to_text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str | None) -> Move:
        """Return the move in a mark. One that cannot be read has no id, and counts."""
        try:
            found = json.loads(text or "")
            return cls(str(found["id"]), str(found["other"]), str(found["at"]), bool(found["ended"]))
        except (ValueError, KeyError, TypeError):
            return cls("", "another place", "an unknown time")

    def end(self) -> Move:
        return replace(self, ended=True)


@dataclass(frozen=True, slots=True)
class Marks:
    """The marks of one place; None: it has none."""

    source: Move | None = None
    target: Move | None = None


async def marks_in(store: MarkStore) -> Marks:
    """Return the marks of a place. One that is there and cannot be read counts."""
    return Marks(*[await _move_in(store, name) for name in (SOURCE, TARGET)])


async def _move_in(store: MarkStore, name: str) -> Move | None:
    if not await store.has(name):
        return None
    text = None
    with suppress(OSError):
        text = await store.find(name)
    return Move.from_text(text)


def is_same(one: Move | None, other: Move | None) -> bool:
    """Return whether two marks are of one move. Marks that cannot be read are of none."""
    return one is not None and other is not None and one.id == other.id != ""


async def refuse_moved(name: str, store: MarkStore) -> None:
    """Raise TenantRefused if the place with this name is being moved, was moved, or is not all there yet."""
    found = await marks_in(store)
    if found.target:
        raise TenantRefused(
            "move_unfinished",
            f"{name} does not have all data yet: it is the target of a move from {found.target.other}, which has not "
            "ended. Run the same headcount migrate again: it goes on where it stopped",
        )
    if found.source and not found.source.ended:
        raise TenantRefused(
            "move_unfinished",
            f"{name} is being moved to {found.source.other} (since {found.source.at}). To go on, run the same "
            "headcount migrate again. To give the move up, add --cancel to it",
        )
    if found.source:
        raise TenantRefused(
            "moved",
            f"{name} was moved to {found.source.other} (on {found.source.at}): use that. To use this place again, "
            "without what has changed since: headcount migrate --to TARGET --cancel",
        )
