"""The table of all hooks of a server: those of imports, and the others."""

from __future__ import annotations

from collections.abc import Iterable

from importer.archive import LOCAL, Archive
from importer.folder import FolderOf
from importer.queue.checksum import CHECKSUM_NAME
from importer.queue.queue import Queue
from importer.worker.closing import Closing
from server.files.hooks import Hooked, HookTable, On
from server.hooks.admission import Admission
from server.hooks.import_hook import ChecksumHook, ImportHook


def hook_table(
    queue: Queue,
    closing: Closing,
    folder_of: FolderOf,
    admission: Admission,
    others: Iterable[Hooked],
    on: On,
    archive: Archive = LOCAL,
) -> HookTable:
    """Return the table; `others` and `on` are those of `HookTable`."""
    parts = queue, closing, folder_of
    return HookTable(
        {
            "/sync_users.csv": ImportHook(*parts, admission, dry_run=False),
            "/test/sync_users.csv": ImportHook(*parts, admission, dry_run=True),
            f"/{CHECKSUM_NAME}": ChecksumHook(*parts, dry_run=False, archive=archive),
            f"/test/{CHECKSUM_NAME}": ChecksumHook(*parts, dry_run=True, archive=archive),
        },
        wide={"/sync_users.csv", "/test/sync_users.csv"},
        others=others,
        on=on,
    )
