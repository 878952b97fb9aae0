"""The written form of a moment: RFC 3339, UTC, milliseconds, `Z` at the end."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

Clock = Callable[[], datetime]

CLOCKS_S = 60
"""The clocks of two machines may differ by so many seconds: `headcount doctor` warns of more."""


def utc_now() -> datetime:
    return datetime.now(UTC)


def rfc3339(moment: datetime) -> str:
    """Return `moment` (with a time zone) as it is shown and stored; it sorts as text."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def from_rfc3339(text: str) -> datetime:
    return datetime.fromisoformat(text)
