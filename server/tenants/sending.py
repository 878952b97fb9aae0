"""Whether this server sends mails, webhooks and invitations. A mark in the data folder turns all of them off.

`restore --drop-owed` and `headcount notify off` make the mark, and only `headcount notify on` removes it. So a drill
sends nothing, with any environment. Sign-in links do not depend on it: the person who gets one has requested it.
"""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from ground.files import fsync_folder, replace_file
from ground.moments import from_rfc3339, rfc3339

MARK = "sending-off"
"""The name of the mark in the data folder. It has the time (RFC 3339) when sending was turned off."""


class Sending:
    """Whether the server on `data_dir` sends. Changes are on disk when a method returns. Blocks."""

    def __init__(self, data_dir: Path) -> None:
        self._mark = data_dir / MARK

    def is_off(self) -> bool:
        """Return whether nothing may be sent. A mark that cannot be read counts."""
        try:
            os.lstat(self._mark)
        except FileNotFoundError:
            return False
        except OSError:
            return True
        return True

    def off_since(self) -> str | None:
        """Return when sending was turned off (RFC 3339); None if that is not known, or sending is on."""
        try:
            return rfc3339(from_rfc3339(self._mark.read_text(encoding="ascii").strip()))
        except (OSError, ValueError):
            return None

    def why_off(self) -> str | None:
        """Return a sentence about sending that is off, with the command that turns it on; None if it is on."""
        if not self.is_off():
            return None
        since = f" since {time}" if (time := self.off_since()) else ""
        return (
            f"sending is off{since}: the server sends no mail, webhook or invitation. "
            "To turn it on: headcount notify on"
        )

    def turn_off(self, now: datetime) -> None:
        """Turn sending off. If it is off, its time stays. Raises OSError."""
        if not self.is_off():
            replace_file(self._mark, f"{rfc3339(now)}\n".encode())

    def turn_on(self) -> None:
        """Turn sending on. Raises OSError."""
        self._mark.unlink(missing_ok=True)
        fsync_folder(self._mark.parent)
