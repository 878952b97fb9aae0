"""The copies of tenants in a backup, as far as they are made: their files, and their databases."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable, Mapping
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from engine.sqlite.backup import Landed, View
from engine.sqlite.database import BUSY_TIMEOUT_S, newest_version
from importer.errors import DatabaseFault, DatabaseUnusable, TryAgain
from server.backup.faults import folder_faults
from server.backup.manifest import Entry
from server.backup.objects import Objects, Unreadable
from server.backup.selecting import USERS_DB, merged
from server.backup.trees import Trees
from server.tenants.local.looks import look_of

Entries = dict[str, Entry]

PRIVATE = 0o600
"""The mode of databases."""


def is_upgraded(database: Path) -> bool:
    """Return whether this headcount.db has the schema that a backup reads. Raises DatabaseUnusable, TryAgain."""
    with closing(View(database, None)) as view:
        return view.version == newest_version("server")


@dataclass(slots=True)
class TenantCopy:
    """The copies of a tenant so far.

    `look` is that of users.db before its copy, empty if it may change unseen. `faults` has why paths could not be
    copied when its folder was walked, and `wrong` why users.db and files of one moment could not.
    """

    files: Entries = field(default_factory=dict)
    database: Entry | None = None
    look: str = ""
    faults: dict[str, str] = field(default_factory=dict)
    wrong: dict[str, str] = field(default_factory=dict)

    def why(self) -> dict[str, str]:
        """Return why paths could not be copied, without those below another one."""
        found = {**self.wrong, **self.faults}
        return {path: why for path, why in found.items() if found.keys().isdisjoint(_above(path))}


class Copies:
    """The copies of all tenants, each by the path of its folder. Every method blocks.

    `previous` are the entries of the previous backup: what cannot be copied now is in this one as it was there.
    """

    def __init__(self, data_dir: Path, objects: Objects, trees: Trees, previous: Mapping[str, Entry]) -> None:
        self._data = data_dir
        self._objects = objects
        self._trees = trees
        self._previous = previous
        self._tenants: dict[str, TenantCopy] = {}

    def of(self, base: str) -> TenantCopy:
        """Return the copies of the tenant in the folder `base`."""
        return self._tenants.setdefault(base, TenantCopy())

    def before(self, place: str) -> Entries:
        """Return the entries that the previous backup has of the file or folder `place`."""
        found = self._previous.get(place)
        if found is None or found.sha256:
            return by_path([found] if found else [])
        return {path: each for path, each in self._previous.items() if path == place or path.startswith(f"{place}/")}

    def with_before(self, entries: Entries, faults: Iterable[str]) -> Entries:
        """Return the entries, and those of the previous backup for what could not be copied."""
        return merged(entries, *map(self.before, faults))

    def all(self, base: str) -> Entries:
        """Return the entries of a tenant: what could not be copied is as in the previous backup."""
        tenant = self.of(base)
        return merged(
            self.with_before(tenant.files, tenant.why()), by_path([tenant.database] if tenant.database else [])
        )

    def walk(self, base: str) -> None:
        """Copy the files of a tenant; if its folder is gone, those of the last walk stay."""
        found, tenant = self._trees.copied(base), self.of(base)
        if found.entries or not tenant.files:
            tenant.files, tenant.faults = found.entries, found.faults

    def inspect(self, base: str) -> None:
        """Note what of a tenant is lost or damaged though it can be copied."""
        tenant, path = self.of(base), f"{base}/{USERS_DB}"
        new_users = tenant.database is not None and tenant.database != self._previous.get(path)
        faults = folder_faults(self._data, base, tenant.files, new_users=new_users)
        tenant.wrong.update(faults)
        if path in faults and self.before(path):
            tenant.database = None

    def copy(self, base: str, *, databases: bool) -> None:
        """Copy the folder of a tenant; without `databases`, its users.db only if it is at rest."""
        tenant, path = self.of(base), f"{base}/{USERS_DB}"
        tenant.wrong.pop(path, None)
        self.walk(base)
        try:
            look, settled = self._look(base)
            tenant.look = look if settled else ""
            before = self._previous.get(path)
            if before and tenant.look and before.look == look and self._has(before):
                tenant.database = before
            elif settled or databases:
                with closing(self.view(base)) as view:
                    tenant.database = self.database(path, view, "tenant", tenant.look)
        except (DatabaseUnusable, Unreadable) as error:
            tenant.wrong[path] = str(error)

    def view(self, base: str, patience_s: float = BUSY_TIMEOUT_S) -> View:
        """Return a view of the users of a tenant. Raises DatabaseUnusable, Unreadable."""
        try:
            return View(self._data / base / USERS_DB, "tenant", patience_s)
        except (TryAgain, DatabaseFault) as error:
            raise Unreadable(f"{self._data / base / USERS_DB} cannot be read now ({error})") from error

    def _has(self, entry: Entry) -> bool:
        return entry.sha256 is not None and self._objects.has(entry.sha256, entry.size)

    def _look(self, base: str) -> tuple[str, bool]:
        return look_of(f"{self._data}/{base}/{USERS_DB}", time.time())

    def database(self, path: str, view: View, kind: str, look: str, placed: Collection[Landed] = ()) -> Entry:
        """Copy what `view` shows of the database at `path`; return its entry. Raises DatabaseUnusable, TryAgain.

        A start need not place these files again.
        """
        sha256, size = self._objects.put_written(lambda target: view.copy(target, placed))
        return Entry(path, PRIVATE, time.time_ns(), sha256=sha256, size=size, look=look, database=kind)

    def moved(self, base: str) -> bool:
        """Return whether the users of the tenant may have changed since they were copied."""
        copy = self.of(base)
        return not copy.look or copy.database is None or self._look(base)[0] != copy.look


def _above(path: str) -> list[str]:
    return [str(each) for each in PurePosixPath(path).parents]


def in_words(faults: Mapping[str, str]) -> str:
    """Return why paths could not be copied, as one text."""
    first, *others = dict.fromkeys(faults.values())
    return f"{first}; and {len(others):,} more like this" if others else first


def by_path(entries: Iterable[Entry]) -> Entries:
    """Return the entries by their paths."""
    return {entry.path: entry for entry in entries}
