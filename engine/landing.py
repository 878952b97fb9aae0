"""A file that becomes a run in one call of the store, for an engine whose files are in a folder. Pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol


class Placing(Protocol):
    """Gives a file its copy and its visible name. Every method blocks: the store calls them in its own thread."""

    def content(self) -> tuple[bytes, int]:
        """Return the bytes, and when they were changed, in nanoseconds since 1970.

        The folders above the visible name are on disk on return. Raises OSError.
        """

    def copy(self, path: Path) -> None:
        """Make the copy, and all that the file needs to be made visible. Nothing of it must be on disk on return.

        The tenant cannot be removed meanwhile. Raises OSError, or what a client is told.
        """

    def show(self) -> None:
        """Make the file visible, in one step. That must not be on disk on return. Raises OSError."""

    def begin_keep(self) -> None:
        """Begin to write the bytes to the disk, so that `keep` of several files waits for less. Raises nothing."""

    def keep(self, folders: set[tuple[int, int]]) -> None:
        """Return when the bytes, the copy and the visible name are on disk. Raises OSError; then call it again.

        `folders` are those (device and inode) that were flushed since the file got its names; it adds its own.
        """

    def undo(self) -> None:
        """Remove the copy of a file that was not made visible, if there is one. Raises OSError."""


@dataclass(frozen=True, slots=True)
class Landing:
    """A file that is to become a run. `copy_of` returns the path of the copy that belongs to an id."""

    tenant: str
    hook: str
    path: str
    size: int
    uploaded_at: datetime
    placing: Placing
    copy_of: Callable[[int], Path]


class Stored(Protocol):
    """The writes of a call that did not wait until all of them were on the disk."""

    @property
    def done(self) -> bool:
        """Whether all of them are on the disk."""

    async def __call__(self) -> None:
        """Return when all of them are on the disk. Raises OSError or TryAgain; then call it again."""


@dataclass(frozen=True, slots=True)
class LandedFile:
    """The bytes of a file that became a run, while the file may not be on disk under its names."""

    tenant: str
    run_id: int
    path: str
    content: bytes
    changed_ns: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """The id of a queued run. `stored` waits until its file is on disk under its names."""

    run_id: int
    stored: Stored


Land = Callable[[Landing], Awaitable[Outcome]]
"""Makes a queued run of a file, and places the file. The run and the bytes are on disk on return.

Raises as `RunStore.arriving` does, or what the placing raises: then there is no run, and nothing was placed.
"""
