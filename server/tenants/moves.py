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
    """One move: `id` is random. `other` is the other place in words, `at` when it began (RFC 3339 in UTC).

    `canceled` is set in the mark of a target that is not to be used any more. `host` is the machine of the command,
    and so of the folder. It is only told: a container has another name each time.
    """

    id: str
    other: str
    at: str
    ended: bool = False
    canceled: bool = False
    host: str = ""

    def to_text(self) -> str:
        return json.dumps(asdict(self))

    @classmethod
    def from_text(cls, text: str | None) -> Move:
        """Return the move in a mark. One that cannot be read has no id, and counts."""
        try:
            found = json.loads(text or "")
            known = (str(found["id"]), str(found["other"]), str(found["at"]), bool(found["ended"]))
            return cls(*known, bool(found.get("canceled")), str(found.get("host") or ""))
        except (ValueError, KeyError, TypeError, AttributeError):
            return cls("", "another place", "an unknown time")

    @property
    def on_host(self) -> str:
        """The machine, for the end of a clause."""
        return f" on the machine {self.host}" if self.host else ""

    @property
    def is_known(self) -> bool:
        """Whether the mark could be read."""
        return bool(self.id)

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


async def swap_source(store: MarkStore, known: Move, new: Move | None) -> bool:
    """Put the mark of a source in place of the `known` one; None: remove that. Return whether it was still there.

    A command on another machine may move the same database, to a folder there.
    """
    text = await store.find(SOURCE)
    if text is None or Move.from_text(text) != known:
        return False
    return await store.swap(SOURCE, text, new.to_text() if new else None)


def is_same(one: Move | None, other: Move | None) -> bool:
    """Return whether two marks are of one move. Marks that cannot be read are of none."""
    return one is not None and other is not None and one.id == other.id != ""


@dataclass(frozen=True, slots=True)
class Unused:
    """Why a place is not used: a code, what is the matter, and what to do, each without a full stop."""

    code: str
    what: str
    do: str

    def refusal(self) -> TenantRefused:
        return TenantRefused(self.code, f"{self.what}. {self.do}")


def why_unused(name: str, found: Marks) -> Unused | None:
    """Return why the place with this name is not used; None: it has no mark of a move. Pure."""
    if found.target:
        return _of_target(name, found.target)
    return _of_source(name, found.source) if found.source else None


def unread(name: str) -> Unused:
    """Return what to do about a mark that cannot be read."""
    return Unused(
        "mark_unread",
        f"{name} has the mark of a move, and it cannot be read",
        "Run the command as the user of the server. If the mark is damaged, see docs/moving.md (The way back)",
    )


def _of_target(name: str, move: Move) -> Unused:
    if not move.is_known:
        return unread(name)
    if move.canceled:
        return Unused(
            "moved",
            f"{name} is not used any more: the move to it from {move.other} was canceled",
            f"Use {move.other}. If that is refused, too, run the same headcount migrate --cancel again{move.on_host}",
        )
    return Unused(
        "move_unfinished",
        f"{name} does not have all data yet: it is the target of a move from {move.other}, which has not ended",
        f"If headcount migrate still runs{move.on_host}, wait for its end. Else run the same headcount migrate "
        f"again{move.on_host}: it goes on where it stopped",
    )


def _of_source(name: str, move: Move) -> Unused:
    if not move.is_known:
        return unread(name)
    if move.ended:
        by = f", by a command{move.on_host}" if move.host else ""
        return Unused(
            "moved",
            f"{name} was moved to {move.other} (on {move.at}{by})",
            "Use that. To use this place again, without what has changed since: "
            "headcount migrate --to TARGET --cancel",
        )
    return Unused(
        "move_unfinished",
        f"{name} is being moved to {move.other} (since {move.at})",
        f"If headcount migrate still runs{move.on_host}, wait for its end. To go on, run the same headcount migrate "
        f"again{move.on_host}. To give the move up, add --cancel to it",
    )


async def refuse_moved(name: str, store: MarkStore) -> None:
    """Raise TenantRefused if the place with this name is being moved, was moved, or is not all there yet."""
    if why := why_unused(name, await marks_in(store)):
        raise why.refusal()
