"""Whether the folder of a tenant can be used, and if not, why and what to do. Looks only; blocks: for a thread."""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from importer.database import newest_version
from importer.errors import DatabaseUnusable
from importer.folder import TenantFolder
from importer.unusable import FAULTS, damaged, may, not_ours, read_all, shut
from keys.errors import RingUnreadable
from keys.ring import KeyRing
from server.tenants.settings import TenantRefused, read_settings_and_version

Signature = tuple[object, ...]
"""What changes when something in a folder is replaced, or given to another user."""


@dataclass(frozen=True, slots=True)
class Found:
    """What a look at a folder came to. `why` is None if the folder can be used.

    `outdated`: its users.db has the schema of an older Headcount.
    """

    why: str | None
    outdated: bool = False


def inspect(folder: TenantFolder, *, whole: bool = False) -> Found:
    """Look at the folder; with `whole` read all of its users.db. Raises TryAgain if that cannot be read now."""
    why = _folders(folder) or shut(folder.users_db) or _ring(folder.keys)
    if why:
        return Found(why)
    try:
        _, version = read_settings_and_version(folder.users_db)
        if whole:
            read_all(folder.users_db)
        KeyRing(folder.keys).keys()
    except DatabaseUnusable as error:
        return Found(str(error))
    except RingUnreadable as error:
        return Found(f"{error}; restore it from a backup")
    except FAULTS as error:
        return Found(damaged(folder.users_db, error))
    except (TenantRefused, ValueError) as error:
        return Found(f"a setting in {folder.users_db} makes no sense ({error}); restore the file from a backup")
    return Found(None, outdated=version < newest_version("tenant"))


def unusable_copy(folder: TenantFolder, needed: Iterable[tuple[int, int]]) -> str | None:
    """Return what is wrong with the first copy that an import still needs; None if all are well.

    `needed` are the ids of these imports with the sizes of their files.
    """
    for import_id, size in needed:
        copy = folder.copy(import_id)
        what = _wrong_with(copy, size)
        if what:
            return (
                f"{copy}, the file of import {import_id}, {what}; restore it from a backup, or put the file to be "
                "imported there"
            )
    return None


def signature_of(folder: TenantFolder) -> Signature:
    """Return what the folder looks like from outside: equal as long as nothing in it was replaced."""
    # SQLite makes and empties the -wal as it reads: an empty one is none.
    log = _facts(folder.users_db.with_name(f"{folder.users_db.name}-wal"), "st_ino", "st_size")
    return (
        *(_facts(place, "st_ino", "st_mode", "st_uid") for place in _places(folder)),
        *(_facts(file, "st_ino", "st_size", "st_mtime_ns", "st_mode", "st_uid") for file in _files(folder)),
        log if log and log[-1] else None,
    )


def _places(folder: TenantFolder) -> tuple[Path, ...]:
    return folder.root, folder.files, folder.staging, folder.uploads, folder.messages


def _files(folder: TenantFolder) -> tuple[Path, ...]:
    return folder.users_db, folder.keys


def _facts(path: Path, *names: str) -> tuple[int, ...] | None:
    try:
        found = os.stat(path)
    except OSError:
        return None
    return tuple(getattr(found, name) for name in names)


def _folders(folder: TenantFolder) -> str | None:
    if not os.path.lexists(folder.root):
        name = folder.root.name
        return (
            f"the folder {folder.root} is missing; restore it from a backup, or end the removal of the tenant with: "
            f"headcount tenant remove {name} --yes"
        )
    for place in _places(folder):
        try:
            os.stat(place)
        except FileNotFoundError:
            if place == folder.files:
                return f"the folder {place} is missing; restore it from a backup"
            continue  # whoever needs it makes it
        except OSError as error:
            return not_ours(place, error.strerror)
        if not place.is_dir():
            return f"{place} is not a folder; move it away and restore the folder from a backup"
        if not may(place, os.R_OK | os.W_OK | os.X_OK):
            return not_ours(place, "Permission denied")
    return None


def _ring(path: Path) -> str | None:
    """A tenant that never had a key has no ring."""
    if KeyRing(path).is_lost():
        name = path.parent.name
        return f"{path} is missing; restore it from a backup, or add the keys again: headcount key add {name} FILE"
    if not os.path.lexists(path) or may(path, os.R_OK | os.W_OK):
        return None
    return not_ours(path, "Permission denied")


def _wrong_with(copy: Path, size: int) -> str | None:
    try:
        found = os.stat(copy)
    except FileNotFoundError:
        return "is missing"
    except OSError as error:
        return f"cannot be read ({error.strerror})"
    if not os.path.isfile(copy):
        return "is not a file"
    if size and not found.st_size:
        return "is empty"
    return None if os.access(copy, os.R_OK, effective_ids=True) else "cannot be read (Permission denied)"
