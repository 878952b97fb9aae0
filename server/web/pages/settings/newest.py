"""Read the beginning of the file that the form takes its examples from."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path

from importer.errors import TryAgain
from importer.queue.entry import Entry
from importer.rules.settings import ImportSettings
from server.hooks.kept_files import is_list, kept_entries
from server.web.office import Visit
from server.web.pages.settings.sample import SAMPLE_BYTES, Sample, sample_from

LOOKED_AT = 50
"""The most imports that are looked at to find one with a list."""


async def newest_sample(visit: Visit, settings: ImportSettings, typed: Mapping[str, str]) -> Sample | None:
    """Return a sample of the newest list that is kept, or else of the newest dry run's; None if there is none.

    `typed` is that of `sample_from`. A file that cannot be read, or that was just deleted, is none.
    """
    try:
        entry = await _newest(visit)
    except TryAgain:
        return None
    if entry is None:
        return None
    return await asyncio.to_thread(_sample, entry.id, visit.folder.copy(entry.id), settings, typed)


async def _newest(visit: Visit) -> Entry | None:
    tried, looked_at = None, 0
    async with aclosing(kept_entries(visit.office.reader, visit.tenant, visit.folder)) as entries:
        async for entry in entries:
            looked_at += 1
            if is_list(entry):
                return entry
            if entry.dry_run and tried is None:
                tried = entry
            if looked_at == LOOKED_AT:
                break
    return tried


def _sample(number: int, file: Path, settings: ImportSettings, typed: Mapping[str, str]) -> Sample | None:
    try:
        with file.open("rb") as opened:
            content = opened.read(SAMPLE_BYTES)
            whole = os.fstat(opened.fileno()).st_size <= SAMPLE_BYTES
    except OSError:
        return None
    return sample_from(number, content, settings, whole=whole, typed=typed)
