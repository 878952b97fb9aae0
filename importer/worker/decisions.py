"""Decisions about held imports: only what was seen is approved.

A held import can run and be held again at any time, with another list of those who lose access. An import writes its
list before its row. So the row is read first and the list after it, and the queue refuses unless the import is still
held at the moment that this row names: the list cannot be of another time. The three ways to decide (API, page,
command line) all come here.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

from importer.folder import TenantFolder
from importer.queue.entry import Entry
from importer.queue.queue import Queue
from importer.report import TouchedJson


async def approve(queue: Queue, folder: TenantFolder, seen: Entry, *, by: str, held_at: str | None = None) -> Entry:
    """Queue the held import `seen` (its row, read before this call) again, for those on its list and no other user.

    `held_at` is the `finished_at` that was shown to who decides, where that was another row than `seen`. Raises
    Refused if the import is not held, or not as it was then.
    """
    users = await asyncio.to_thread(deactivations_shown, folder.touched(seen.id))
    # A row without an end was not held: "" fits no import that is held by now.
    held_at = held_at or seen.finished_at or ""
    return await queue.approve(*seen.key, by=by, users=users, held_at=held_at)


def deactivations_shown(touched: Path) -> frozenset[int]:
    """Return the ids of the users that a held import's list (`<id>.touched.jsonl`) shows as losing access."""
    if not touched.exists():
        return frozenset()
    with touched.open(encoding="utf-8") as lines:
        found: Iterator[TouchedJson] = (json.loads(line) for line in lines)
        return frozenset(each["user_id"] for each in found if each["action"] == "deactivated" and each["user_id"])
