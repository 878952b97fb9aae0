"""A file that becomes a run in one call of the store, for an engine whose files are in a folder. Pure."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Protocol


class Placing(Protocol):
    """Gives a file its copy and its visible name. Every method blocks: the store calls them in its own thread."""

    def sha256(self) -> str:
        """Return the SHA-256 of the bytes, in hexadecimal. Raises OSError."""

    def place(self, copy: Path) -> None:
        """Make the copy, when the bytes are on disk, and then the file visible.

        The visible name is on disk on return; `keep` brings the copy there.
        """

    def keep(self) -> None:
        """Return when the copy that `place` made is on disk; without one, do nothing.

        Raises OSError; then it can be called again.
        """

    def undo(self) -> None:
        """Set the visible name back and remove the copy, as far as they were made. Raises OSError."""


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


Stored = Callable[[], Awaitable[None]]
"""Returns when what was written before is on the disk. Raises OSError."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """The id of a run, and None or why its file could not be placed or queued: then that is undone.

    A queued run may not be on the disk yet: after a power cut it may arrive. `stored` waits for it.
    """

    run_id: int
    failure: Exception | None
    stored: Stored


Land = Callable[[Landing], Awaitable[Outcome]]
"""Makes a run of a file as `RunStore.arriving` and `landed` do, with its placing between them.

Raises as `arriving` does: then there is no run, and nothing was placed.
"""
