"""Find the uploaded files of a tenant that are still kept, newest first."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Iterable

from importer.archive import Archive
from importer.folder import TenantFolder
from importer.model import NEVER_RAN
from importer.queue.allowed import is_tested
from importer.queue.entry import Entry
from importer.queue.listing import Listing

UNREADABLE = frozenset({"not_a_csv_file", "empty_file", "blank_file"})
"""The messages about a file that no settings can read."""


async def kept_entries(
    listing: Listing, tenant: str, archive: Archive, folder: TenantFolder
) -> AsyncGenerator[Entry, None]:
    """Yield the imports of a tenant whose file is kept, newest first. Retention may delete a file at any time."""
    for import_id in _ids(await archive.names(folder, folder.uploads)):
        entry = await listing.get(tenant, import_id)
        if entry is not None and entry.state not in NEVER_RAN:
            yield entry


async def files_to_test(
    listing: Listing, tenant: str, archive: Archive, folder: TenantFolder
) -> AsyncGenerator[Entry, None]:
    """Yield the imports whose kept file can test settings: lists, and then tested files, each newest first."""
    tests = []
    async for entry in kept_entries(listing, tenant, archive, folder):
        if is_list(entry):
            yield entry
        elif is_tested(entry) and not _is_unreadable(entry):
            tests.append(entry)
    for entry in tests:
        yield entry


def is_list(entry: Entry) -> bool:
    """Return whether the file of an import is a list that is to be applied: no dry run, and no correction file.

    A file that no settings can read, such as a PDF, is not a list.
    """
    return not entry.dry_run and not entry.correction and not _is_unreadable(entry)


def _ids(names: Iterable[str]) -> list[int]:
    """Return the ids of the imports whose copies have these names, newest first."""
    copies = (name.removesuffix(".csv") for name in names if name.endswith(".csv"))
    return sorted((int(stem) for stem in copies if stem.isdecimal()), reverse=True)


def _is_unreadable(entry: Entry) -> bool:
    """Return whether the import failed because of its file, whatever the settings are."""
    return entry.outcome is not None and any(each.code in UNREADABLE for each in entry.outcome.messages)
