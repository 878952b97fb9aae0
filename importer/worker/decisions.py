"""Decisions about held imports: an approval covers only the users that were shown.

A held import can run and be held again at any time, with another list of users to deactivate. An import writes its
list before its row. So the row is read first and the list after it. The queue refuses unless the import is still held
as of this row: the list cannot be of another run. All three ways to decide (API, page, command line) use this.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

from importer.archive import LOCAL, Archive
from importer.folder import TenantFolder
from importer.queue.entry import Entry
from importer.queue.queue import Queue
from importer.report import TouchedJson


async def approve(
    queue: Queue,
    folder: TenantFolder,
    seen: Entry,
    *,
    by: str,
    held_at: str | None = None,
    archive: Archive = LOCAL,
) -> Entry:
    """Queue the held import `seen` again, with approval for the users on its list and no others.

    `seen` is its row, read before this call. `held_at` is the `finished_at` that was shown to the person who decides,
    if that was of another row than `seen`; "": none was shown. Raises Refused if the import is not held, or was held
    again since then.
    """
    await archive.fetch(folder, folder.touched(seen.id))
    users = await asyncio.to_thread(deactivations_shown, folder.touched(seen.id))
    # A row without an end was not held: "" matches no held import.
    held_at = (seen.finished_at or "") if held_at is None else held_at
    return await queue.approve(*seen.key, by=by, users=users, held_at=held_at)


def deactivations_shown(touched: Path) -> frozenset[int]:
    """Return the ids of the users that a held import's list (`<id>.touched.jsonl`) shows as to be deactivated."""
    if not touched.exists():
        return frozenset()
    with touched.open(encoding="utf-8") as lines:
        found: Iterator[TouchedJson] = (json.loads(line) for line in lines)
        return frozenset(each["user_id"] for each in found if each["action"] == "deactivated" and each["user_id"])
