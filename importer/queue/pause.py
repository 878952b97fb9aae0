"""A pause of a tenant's feed: files land, and their imports wait until it ends. Pure."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from ground.moments import rfc3339
from importer.model import ImportState
from importer.queue.entry import Entry, Waiting

BEGINNING = "Paused until "


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause that lasts until a time; `because` is the reason that its author gave, "" for none."""

    until: datetime
    because: str = ""

    @property
    def ends_at(self) -> str:
        """Return the end in RFC 3339, in UTC."""
        return rfc3339(self.until)

    @property
    def message(self) -> str:
        """Return the message of an import that waits because of this pause."""
        return f"{BEGINNING}{self._end}"

    @property
    def sentence(self) -> str:
        """Return a sentence about the feed that is paused."""
        return f"The feed is paused until {self._end}"

    @property
    def _end(self) -> str:
        why = f": {self.because}" if self.because else "."
        return f"{self.until.astimezone(UTC):%Y-%m-%d %H:%M} UTC{why}"


def waits_by(pause: Pause | None, import_: Entry | Waiting) -> bool:
    """Return whether `pause` keeps a queued import from running.

    It keeps none that a person decided: an undo and an approved import run, as do dry runs.
    """
    decided = import_.undo or (import_.approved if isinstance(import_, Waiting) else import_.approval)
    return pause is not None and not import_.dry_run and not decided


def in_the_way(pause: Pause | None, entry: Entry | Waiting) -> bool:
    """Return whether an undo or retention has to wait for `entry`, an import that is queued or runs."""
    return entry.state is ImportState.RUNNING or not waits_by(pause, entry)


def of_pause(message: str | None) -> bool:
    """Return whether `message` is that of an import that waits, or waited, because of a pause."""
    return message is not None and message.startswith(BEGINNING)
