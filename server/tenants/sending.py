"""Whether this server sends mails, webhooks and invitations. A mark of the installation turns all of them off.

`restore --drop-owed` and `headcount notify off` make the mark, and only `headcount notify on` removes it. So a drill
sends nothing, with any environment. Sign-in links do not depend on it: the person who gets one has requested it.
"""

from __future__ import annotations

import os
from contextlib import suppress
from datetime import datetime
from pathlib import Path

from engine.marks import MarkStore
from ground.files import replace_file
from ground.moments import from_rfc3339, rfc3339
from importer.errors import DatabaseUnusable, TryAgain

MARK = "sending-off"
"""The name of the mark. It has the time (RFC 3339) when sending was turned off."""


class Sending:
    """Whether the servers of an installation send. Changes are on disk when a method returns."""

    def __init__(self, marks: MarkStore) -> None:
        self._marks = marks

    async def is_off(self) -> bool:
        """Return whether nothing may be sent. A mark that cannot be read counts."""
        try:
            return await self._marks.has(MARK)
        except (OSError, TryAgain, DatabaseUnusable):
            return True

    async def off_since(self) -> str | None:
        """Return when sending was turned off (RFC 3339); None if that is not known, or sending is on."""
        with suppress(OSError, ValueError, TryAgain, DatabaseUnusable):
            if text := await self._marks.find(MARK):
                return rfc3339(from_rfc3339(text))
        return None

    async def why_off(self) -> str | None:
        """Return a sentence about sending that is off, with the command that turns it on; None if it is on."""
        if not await self.is_off():
            return None
        since = f" since {time}" if (time := await self.off_since()) else ""
        return (
            f"sending is off{since}: the server sends no mail, webhook or invitation. "
            "To turn it on: headcount notify on"
        )

    async def turn_off(self, now: datetime) -> None:
        """Turn sending off. If it is off, its time stays. Raises OSError, TryAgain."""
        if not await self._marks.has(MARK):
            await self._marks.put(MARK, rfc3339(now))

    async def turn_on(self) -> None:
        """Turn sending on. Raises OSError, TryAgain."""
        await self._marks.drop(MARK)


def is_off_in(data_dir: Path) -> bool:
    """Return whether the data folder has the mark. Blocks."""
    return os.path.lexists(data_dir / MARK)


def turn_off_in(data_dir: Path, now: datetime) -> None:
    """Make the mark in a data folder, if it has none. Blocks. Raises OSError."""
    if not is_off_in(data_dir):
        replace_file(data_dir / MARK, f"{rfc3339(now)}\n".encode())
