"""The marks of an installation, as stored in a database."""

from __future__ import annotations

from typing import Protocol


class MarkStore(Protocol):
    """Short texts, each under a name."""

    async def has(self, name: str) -> bool:
        """Return whether there is a mark of this name."""

    async def find(self, name: str) -> str | None:
        """Return the text of a mark; None if there is none."""

    async def put(self, name: str, text: str) -> None:
        """Store a mark in place of any other of its name: it is on disk when this returns."""

    async def add(self, name: str, text: str) -> bool:
        """Store a mark as `put` does, but only if there is none of its name. Return whether it was stored."""

    async def swap(self, name: str, old: str, new: str | None) -> bool:
        """Store `new` in place of the mark with the text `old`; None: remove that. It is on disk when this returns.

        Return whether the mark had this text.
        """

    async def drop(self, name: str) -> None:
        """Remove a mark, if there is one: that is on disk when this returns."""


class MarksAndPauses(MarkStore, Protocol):
    """The marks of an installation whose pauses need no mark: the settings are in the same database."""

    async def paused(self) -> set[str]:
        """Return the tenants whose settings have a pause, over or not."""
