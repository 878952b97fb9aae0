"""Gather the facts about a data folder, beside a running server. It changes nothing, but blocks.

Folders are read before headcount.db: a server writes the row of an import before its files, so each file that belongs
to an import has its row.
"""

from __future__ import annotations

import os
import pwd
import re
import shutil
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from engine.sqlite.examining import Rows, ServerRows, UserRows, examine_index, examine_server, examine_users
from engine.sqlite.unusable import damaged
from importer.errors import DatabaseFault, DatabaseUnusable, TryAgain
from importer.folder import TenantFolder
from keys.host import ED25519, has_ed25519, host_key_files, why_refused
from server.backup.moving import RESTORING
from server.backup.restoring import refuse_unfinished
from server.data_disk import DISK_CODES, READ_ONLY, free_at, why_disk_unusable
from server.doctor.facts import DiskFacts, Facts, HostKeyFacts, Numbered, TenantFacts
from server.doctor.walking import faulty_entries
from server.tenants.inspection import fault_of_file, inspect, unusable_copy
from server.tenants.local.folder import refuse_lost, server_database
from server.tenants.names import NAME
from server.tenants.settings import TenantRefused

NUMBER = re.compile(r"([0-9]{1,18})\.")

UNUSABLE = (DatabaseUnusable, DatabaseFault, TryAgain)


@dataclass(slots=True)
class _Folder:
    """The content of the folder of a tenant, before headcount.db is read."""

    users: UserRows | None
    broken: tuple[str, str] | None
    index: str | None
    files: dict[str, dict[int, list[str]]] = field(default_factory=dict)


def owner_of(data_dir: Path) -> int:
    """Return the user that owns the data: the owner of most parts. Raises OSError if there is no data.

    The folder itself may be the root of a disk, which belongs to root, and one part may have a wrong owner.
    """
    parts = [data_dir / "tenants", server_database(data_dir), data_dir / RESTORING, data_dir]
    return Counter(os.stat(part).st_uid for part in parts if os.path.exists(part)).most_common(1)[0][0]


def gather(data_dir: Path) -> Facts:
    """Return the facts about `data_dir`, a folder with data of Headcount. Raises OSError."""
    owner, database = owner_of(data_dir), server_database(data_dir)
    disk = _disk(data_dir)
    faulty = tuple(faulty_entries(data_dir, owner))
    names, strange = _in_tenants(data_dir)
    folders = {name: _look(TenantFolder(data_dir / "tenants" / name), disk) for name in names}
    facts = Facts(
        data_dir=str(data_dir),
        owner=user_name(owner),
        users={seen.owner: user_name(seen.owner) for seen, _ in faulty},
        refused=_why_refused(data_dir),
        strange=tuple(strange),
        removed=_unusable_removed(data_dir, disk),
        faulty=faulty,
        disk=disk,
    )
    alone = {name: _facts(data_dir, name, folder, None) for name, folder in folders.items()}
    if facts.refused:
        return replace(facts, tenants=alone)
    try:
        rows = examine_server(database)
    except UNUSABLE as error:
        why = None if _is_of_disk(error, disk) else _reason(error, database)
        return replace(facts, server_broken=why, tenants=alone, host_keys=_host_keys(data_dir, ran=True))
    for name in rows.imports.keys() - folders.keys():
        folders[name] = _look(TenantFolder(data_dir / "tenants" / name), disk)
    return replace(
        facts,
        server_outdated=rows.schema if rows.outdated else None,
        newest=rows.newest,
        tenants={name: _facts(data_dir, name, folders[name], rows) for name in sorted(rows.imports)},
        unknown=tuple(sorted(folders.keys() - rows.imports.keys())),
        strange=tuple(name for name in strange if name not in rows.imports),
        host_keys=_host_keys(data_dir, ran=any(each.last for each in rows.imports.values())),
    )


def _why_refused(data_dir: Path) -> str | None:
    """Return why no server and no command uses the folder."""
    try:
        refuse_unfinished(data_dir)
        refuse_lost(data_dir)
    except TenantRefused as error:
        return error.message
    return None


def _in_tenants(data_dir: Path) -> tuple[list[str], list[str]]:
    """Return the names of folders of tenants, and of other entries beside them."""
    names, strange = list[str](), list[str]()
    with suppress(OSError), os.scandir(data_dir / "tenants") as entries:
        for entry in entries:
            if not entry.name.startswith(".") and entry.name != "lost+found":
                (names if NAME.fullmatch(entry.name) and entry.is_dir() else strange).append(entry.name)
    return names, strange


def user_name(number: int) -> str:
    """Return the name of a user of this machine; its number if it has none."""
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _unusable_removed(data_dir: Path, disk: DiskFacts) -> dict[str, str]:
    found: dict[str, str] = {}
    for place in sorted((data_dir / "removed").glob("*/users.db")):
        try:
            examine_users(place)
        except UNUSABLE as error:
            if not _is_of_disk(error, disk):
                found[str(place.parent)] = _reason(error, place)
    return found


# A tenant


def _look(folder: TenantFolder, disk: DiskFacts) -> _Folder:
    found = _Folder(None, None, _index(folder))
    for place, suffix in ((folder.uploads, ".csv"), (folder.messages, ""), (folder.runs, "")):
        found.files[place.name] = _numbered(place, suffix)
    try:
        why = inspect(folder).why
        if why is None:
            found.users = examine_users(folder.users_db)
    except UNUSABLE as error:
        why = None if _is_of_disk(error, disk) else _reason(error, folder.users_db)
    if why:
        found.broken = str(_place_in(folder, why)), why
    return found


def _is_of_disk(error: Exception, disk: DiskFacts) -> bool:
    """Return whether the disk, which is a finding itself, is the cause: SQLite needs space for files of its own."""
    return isinstance(error, TryAgain) and error.code in DISK_CODES and disk.why is not None


def _reason(error: Exception, database: Path) -> str:
    if isinstance(error, TryAgain):
        return f"{database} cannot be read now ({error.message}); run this again: headcount doctor"
    return damaged(database, error) if isinstance(error, DatabaseFault) else str(error)


def _place_in(folder: TenantFolder, why: str) -> Path:
    """Return the place that the sentence is about."""
    places = (
        *(folder.users_db, folder.keys, folder.files, folder.staging, folder.uploads, folder.messages, folder.runs),
        folder.root,
    )
    return next((place for place in places if str(place) in why), folder.users_db)


def _index(folder: TenantFolder) -> str | None:
    if not os.path.exists(folder.search_db):
        return None
    try:
        examine_index(folder.search_db)
    except TryAgain:  # the server writes it
        return None
    except (DatabaseUnusable, DatabaseFault) as error:
        return str(error).partition("; ")[0]
    return None


def _numbered(place: Path, suffix: str) -> dict[int, list[str]]:
    """Return the files in `place` whose names begin with a number, relative to the folder of the tenant."""
    found: dict[int, list[str]] = {}
    with suppress(OSError):
        for name in sorted(os.listdir(place)):
            number = NUMBER.match(name)
            if number and name.endswith(suffix):
                found.setdefault(int(number[1]), []).append(f"{place.name}/{name}")
    return found


def _facts(data_dir: Path, name: str, found: _Folder, rows: ServerRows | None) -> TenantFacts:
    folder = TenantFolder(data_dir / "tenants" / name)
    facts = TenantFacts(
        folder=str(folder.root),
        missing=_is_missing(folder.root),
        broken=found.broken,
        index=found.index,
        newest_import=found.users.newest_import if found.users else 0,
        outdated=found.users.schema if found.users and found.users.outdated else None,
    )
    if rows is None or not os.path.isdir(folder.root):
        return facts
    imports, runs = rows.imports[name], rows.runs.get(name)
    return replace(
        facts,
        unusable_files=(
            *_unusable_copies(folder, imports.needed),
            *(_unusable_run_files(folder, runs) if runs else ()),
        ),
        uploads=_owned(found, "uploads", imports),
        messages=_owned(found, "messages", imports),
        runs=_owned(found, "runs", runs) if runs else None,
    )


def _is_missing(place: Path) -> bool:
    try:
        os.lstat(place)
    except FileNotFoundError:
        return True
    except OSError:
        return False
    return False


def _owned(found: _Folder, place: str, rows: Rows) -> Numbered:
    return Numbered(found.files[place], rows.last, rows.ids)


def _unusable_copies(folder: TenantFolder, needed: Mapping[int, int]) -> list[tuple[str, str]]:
    whys = ((number, unusable_copy(folder, [(number, size)])) for number, size in sorted(needed.items()))
    return [(str(folder.copy(number)), why) for number, why in whys if why]


def _unusable_run_files(folder: TenantFolder, runs: Rows) -> list[tuple[str, str]]:
    found = []
    for number, size in sorted(runs.needed.items()):
        path = folder.run_copy(number)
        if fault := fault_of_file(path, size):
            why = f"{path}, the file of run {number}, {fault}; restore it from a backup, or put the file there"
            found.append((str(path), why))
    return found


# The server


def _host_keys(data_dir: Path, *, ran: bool) -> HostKeyFacts:
    """Return the facts about the host keys. A server that `ran` had an Ed25519 key."""
    folder = data_dir / "host_keys"
    try:
        files = host_key_files(folder)
    except FileNotFoundError:
        files = []
    except OSError:  # an entry that cannot be used, which the walk finds
        return HostKeyFacts()
    refused = {str(path): why for path in files if (why := why_refused(path))}
    if not ran or refused:
        return HostKeyFacts(refused)
    if not files:
        return HostKeyFacts(lost=str(folder))
    return HostKeyFacts(lost=None if has_ed25519(folder) else str(folder / ED25519))


def _disk(data_dir: Path) -> DiskFacts:
    free = free_at(data_dir)
    why = why_disk_unusable(free, reserved=os.path.exists(data_dir / "headcount.reserve"))
    return DiskFacts(why, why == READ_ONLY, free.size, shutil.disk_usage(data_dir).total)
