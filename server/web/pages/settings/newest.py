"""Read the beginning of the file that the form takes its examples from."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from contextlib import aclosing
from pathlib import Path

from importer.errors import TryAgain
from importer.file.kinds import SNIFFED, another_kind
from importer.queue.entry import Entry
from importer.rules.settings import ImportSettings
from server.hooks.kept_files import is_list, kept_entries
from server.web.office import Visit
from server.web.pages.settings.sample import SAMPLE_BYTES, Sample, sample_from

LOOKED_AT = 50
"""The most imports that are looked at to find one with a list."""

SAMPLED = 5
"""The most files that are read to find one with a header."""


async def newest_sample(visit: Visit, settings: ImportSettings, typed: Mapping[str, str]) -> Sample | None:
    """Return a sample of the newest list that is kept and has a header, or else of the newest such dry run's file.

    If none has a header, return the sample of the newest; None if no file is kept. `typed` is that of `sample_from`.
    A file that is not CSV, that cannot be opened or that was just deleted is skipped.
    """
    first = None
    try:
        for entry in await _newest(visit):
            copy = visit.folder.copy(entry.id)
            await visit.archive.fetch(visit.folder, copy)
            sample = await asyncio.to_thread(_sample, entry.id, copy, settings, typed)
            if sample and sample.header:
                return sample
            first = first or sample
    except (OSError, TryAgain):
        return None
    return first


async def _newest(visit: Visit) -> list[Entry]:
    """Return the imports to take examples from: lists before dry runs, then the newest first."""
    lists, tried, looked_at = [], [], 0
    async with aclosing(kept_entries(visit.office.reader, visit.tenant, visit.archive, visit.folder)) as entries:
        async for entry in entries:
            looked_at += 1
            if is_list(entry):
                lists.append(entry)
            elif entry.dry_run:
                tried.append(entry)
            if looked_at == LOOKED_AT or len(lists) == SAMPLED:
                break
    return [*lists, *tried][:SAMPLED]


def _sample(number: int, file: Path, settings: ImportSettings, typed: Mapping[str, str]) -> Sample | None:
    try:
        with file.open("rb") as opened:
            content = opened.read(SAMPLE_BYTES)
            whole = os.fstat(opened.fileno()).st_size <= SAMPLE_BYTES
    except OSError:
        return None
    if another_kind(content[:SNIFFED]):
        return None
    return sample_from(number, content, settings, whole=whole, typed=typed)
