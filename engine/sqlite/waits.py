"""SQL for rows that wait for their next try."""

from __future__ import annotations

STILL_WAITS = "not_before > ? AND not_before <= ?"
"""SQL: the wait of a row is not over. The two values come from `ground.waits.Growing.on`."""
