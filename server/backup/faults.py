"""Find what of a tenant is lost or damaged: a backup keeps the earlier copy of it, and does not take over the fault.

Every function blocks, changes nothing, and returns why, by the path in the data folder.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from pathlib import Path

from importer.folder import TenantFolder
from server.backup.selecting import USERS_DB
from server.tenants.inspection import fault_of_file, fault_of_keys, fault_of_settings, missing, unusable_copy

Sizes = Mapping[int, int | None]
"""The sizes of the files that imports or runs still need, by their numbers; None if there may be none."""


def waiting_faults(data_dir: Path, base: str, imports: Sizes, runs: Sizes) -> dict[str, str]:
    """Return the faults of the files that these imports and runs still need."""
    folder, found = TenantFolder(data_dir / base), {}
    for number, size in imports.items():
        if size is not None and (why := unusable_copy(folder, [(number, size)])):
            found[f"{base}/uploads/{number}.csv"] = why
    for number, size in runs.items():
        if size is not None and (fault := fault_of_file(folder.run_copy(number), size)):
            why = f"{folder.run_copy(number)}, the file of run {number}, {fault}; restore it from a backup"
            found[f"{base}/runs/{number}.file"] = why
    return found


def folder_faults(data_dir: Path, base: str, had: Collection[str], *, new_users: bool) -> dict[str, str]:
    """Return the faults of the folder of a tenant, where `had` was found; of its settings only with `new_users`."""
    folder = TenantFolder(data_dir / base)
    if base not in had:
        return {base: missing(folder.root)}
    found = {
        f"{base}/files": None if f"{base}/files" in had else missing(folder.files),
        f"{base}/keys.json": fault_of_keys(folder.keys),
        f"{base}/{USERS_DB}": fault_of_settings(folder) if new_users else None,
    }
    return {path: why for path, why in found.items() if why}
