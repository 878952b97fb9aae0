"""Inspect the folder of a tenant: whether it can be used, else why not and what to do.

It changes nothing, but blocks: call it in a thread.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from hashlib import blake2b
from pathlib import Path

from ground.access import may, no_access
from ground.files import found_at, look_of
from importer.errors import DatabaseFault, DatabaseUnusable, TryAgain
from importer.folder import TenantFolder
from importer.users.settled import Texts
from importer.users.users import Users
from keys.errors import RingUnreadable
from keys.file_ring import FileRing
from server.tenants.home import Found, Glance, Signature
from server.tenants.local.folder import users_in
from server.tenants.settings import READ_TIMEOUT_S, TenantRefused, from_texts

PLACES = ("", "files", "staging", "uploads", "messages", "runs")


def inspect(folder: TenantFolder, *, whole: bool = False) -> Found:
    """Inspect the folder; with `whole`, read all of its users. Raises TryAgain if they cannot be read now."""
    users = users_in(folder)
    why = _folders(folder) or users.why_shut() or _ring(folder.keys)
    if why:
        return Found(why)
    try:
        texts, outdated = users.read_settings(READ_TIMEOUT_S)
        why = _fault_of_texts(folder, texts)
        if whole and not why:
            users.read_all()
    except DatabaseUnusable as error:
        return Found(str(error))
    why = why or fault_of_keys(folder.keys)
    return Found(why, outdated=outdated and not why)


def fault_of_settings(folder: TenantFolder) -> str | None:
    """Return why the settings of the tenant cannot be used; None if they can, or if users.db cannot be read now."""
    try:
        return _fault_of_texts(folder, users_in(folder).read_settings(READ_TIMEOUT_S)[0])
    except (DatabaseUnusable, DatabaseFault, TryAgain):
        return None


def _fault_of_texts(folder: TenantFolder, texts: Texts) -> str | None:
    try:
        from_texts(texts)
    except (TenantRefused, ValueError) as error:
        return f"a setting in {folder.users_db} is not valid ({error}); restore the file from a backup"
    return None


def fault_of_keys(path: Path) -> str | None:
    """Return why the key ring at `path` is lost or cannot be read; None if it can. Its owner may be wrong."""
    ring = FileRing(path)
    if ring.is_lost():
        name = path.parent.name
        return f"{path} is missing; restore it from a backup, or add the keys again: headcount key add {name} FILE"
    try:
        ring.read()
    except RingUnreadable as error:
        return f"{error}; restore it from a backup"
    return None


def missing(place: Path) -> str:
    """Return the words for a folder that is missing."""
    return f"the folder {place} is missing; restore it from a backup"


async def why_not_upgraded(users: Users) -> str | None:
    """Upgrade a users.db of an older version. Return why that cannot be done; None if it is done."""
    try:
        await users.prepare()
    except (TryAgain, OSError, DatabaseUnusable) as error:
        return f"its users.db cannot be upgraded: {error}"
    return None


def unusable_copy(folder: TenantFolder, needed: Iterable[tuple[int, int]]) -> str | None:
    """Return the fault of the first copy that an import needs and cannot use; None if all can be used.

    `needed` are the ids of these imports, with the sizes of their files.
    """
    for import_id, size in needed:
        copy = folder.copy(import_id)
        fault = fault_of_file(copy, size)
        if fault:
            return (
                f"{copy}, the file of import {import_id}, {fault}; restore it from a backup, or put the file to "
                "import there"
            )
    return None


def signature_of(folder: TenantFolder) -> Signature:
    """Return the signature of the folder, without opening its files: equal while nothing in it is replaced."""
    root = os.fspath(folder.root)
    keys = found_at(f"{root}/keys.json")
    facts = (
        *(found and (found.st_ino, found.st_mode, found.st_uid) for found in map(found_at, _names(root, PLACES))),
        *(users_in(folder).looks_like(), keys and look_of(keys), os.geteuid()),
    )
    return blake2b(repr(facts).encode(), digest_size=12).hexdigest()


def glance(folder: TenantFolder, newest_import: int, newest_run: int, known: Signature | None) -> Glance:
    """Look at the folder without opening a database, given the ids of the tenant's newest import and newest run.

    `plain` is tested only if the signature is not the `known` one.
    """
    signature, root = signature_of(folder), os.fspath(folder.root)
    return Glance(
        signature, _has_leftovers(root, newest_import, newest_run), signature == known or users_in(folder).is_plain()
    )


def _has_leftovers(root: str, newest_import: int, newest_run: int) -> bool:
    return (
        bool(_listed(f"{root}/staging"))
        or any(name.startswith(".") for name in _listed(f"{root}/messages"))
        or any(not _is_of(name, ".csv", newest_import) for name in _listed(f"{root}/uploads"))
        or any(not _is_of(name, ".file", newest_run) for name in _listed(f"{root}/runs"))
    )


def _listed(place: str) -> list[str]:
    """Return the names in a folder; none if it cannot be listed, because an inspection then reports why."""
    try:
        return os.listdir(place)
    except OSError:
        return []


def _is_of(name: str, suffix: str, newest: int) -> bool:
    """Return whether `name` is that of the copy of an import or run up to the `newest`."""
    number = name.removesuffix(suffix)
    return number.isdecimal() and int(number) <= newest


def _names(root: str, names: Iterable[str]) -> list[str]:
    return [f"{root}/{name}" for name in names]


def _places(folder: TenantFolder) -> tuple[Path, ...]:
    return folder.root, folder.files, folder.staging, folder.uploads, folder.messages, folder.runs


def _folders(folder: TenantFolder) -> str | None:
    try:
        os.lstat(folder.root)
    except FileNotFoundError:
        name = folder.root.name
        return f"{missing(folder.root)}, or finish removing the tenant: headcount tenant remove {name} --yes"
    except OSError as error:  # nothing is known about it, so it may be there
        return no_access(folder.root, error.strerror)
    for place in _places(folder):
        try:
            os.stat(place)
        except FileNotFoundError:
            if place == folder.files:
                return missing(place)
            continue  # it is created when it is needed
        except OSError as error:
            return no_access(place, error.strerror)
        if not place.is_dir():
            return f"{place} is not a folder; move it away and restore the folder from a backup"
        if not may(place, os.R_OK | os.W_OK | os.X_OK):
            return no_access(place, "Permission denied")
    return None


def _ring(path: Path) -> str | None:
    """Return the fault of the key ring. A tenant that never had a key has none."""
    if FileRing(path).is_lost():
        return fault_of_keys(path)
    if not os.path.lexists(path) or may(path, os.R_OK | os.W_OK):
        return None
    return no_access(path, "Permission denied")


def fault_of_file(copy: Path, size: int) -> str | None:
    """Return the fault of a file that had `size` bytes, for "... is missing" and the like; None if it can be used."""
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
