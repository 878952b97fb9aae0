"""Copy what of the data folder belongs to no tenant: host keys, removed tenants, files of the operator.

A folder in `tenants` may have no row: an older headcount.db was put in its place, or an addition was interrupted. It
may hold the only users of a tenant, so it is copied like a removed one. A tenant that is added during the backup is
none of them: they are those that were there when it began.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection
from pathlib import Path

from ground.access import no_access
from server.backup.copies import Copies, Entries, by_path
from server.backup.manifest import Entry
from server.backup.objects import Unreadable
from server.backup.selecting import HEADCOUNT_DB, USERS_DB, belongs, merged
from server.backup.trees import Trees

OF_TENANTS = ("tenants", "removed")


class Others:
    """The copies of all that belongs to no tenant. Every method blocks.

    `skipped` has why paths could not be copied.
    """

    def __init__(self, data_dir: Path, copies: Copies, trees: Trees) -> None:
        self._data = data_dir
        self._copies = copies
        self._trees = trees
        self.skipped: dict[str, str] = {}
        self._there = set(self._names("tenants"))

    def copied(self, tenants: Collection[str]) -> Entries:
        """Copy all but `headcount.db` and the folders of these `tenants`. Raises OSError."""
        found: Entries = {}
        for name in filter(belongs, sorted(os.listdir(self._data))):
            if name in OF_TENANTS:
                facts = os.stat(self._data / name)
                found[name] = Entry(name, mode=stat.S_IMODE(facts.st_mode), mtime_ns=facts.st_mtime_ns)
            elif name != HEADCOUNT_DB:
                found.update(self._copied(name))
        left = [f"tenants/{name}" for name in sorted(self._there.difference(tenants))]
        for path in filter(belongs, (*left, *(f"removed/{name}" for name in self._names("removed")))):
            is_folder = (self._data / path).is_dir()
            found.update(self._folder_of_tenant(path) if is_folder else self._copied(path))
        return merged(*(self._before(folder, tenants) for folder in self.skipped if folder in OF_TENANTS), found)

    def _before(self, folder: str, tenants: Collection[str]) -> Entries:
        """Return the entries that the previous backup has in `folder`, without those of `tenants`."""
        known = {f"tenants/{name}" for name in tenants}
        return {
            path: entry
            for path, entry in self._copies.before(folder).items()
            if "/".join(path.split("/")[:2]) not in known
        }

    def _names(self, folder: str) -> list[str]:
        try:
            return sorted(os.listdir(self._data / folder))
        except FileNotFoundError:
            return []
        except OSError as error:
            self.skipped[folder] = no_access(self._data / folder, error.strerror)
            return []

    def _copied(self, path: str) -> Entries:
        """Return the entries of a file or folder of the operator."""
        if (self._data / path).is_dir():
            tree = self._trees.copied(path)
            self.skipped.update(tree.faults)
            return self._copies.with_before(tree.entries, tree.faults)
        try:
            entry = self._trees.copied_file(path)
        except Unreadable as error:
            self.skipped[path] = str(error)
            return self._copies.before(path)
        return by_path([entry] if entry else [])

    def _folder_of_tenant(self, base: str) -> Entries:
        """Return the entries of a folder of no tenant.

        A database that cannot be used is copied as a file, if the backup has no usable copy of it.
        """
        self._copies.copy(base, databases=True)
        tenant, path = self._copies.of(base), f"{base}/{USERS_DB}"
        before = self._copies.before(path).get(path)
        keeps = before and before.database and os.path.lexists(self._data / path)
        if not keeps and tenant.wrong.pop(path, ""):
            try:
                tenant.database = self._trees.copied_file(path)
            except Unreadable as error:
                tenant.wrong[path] = str(error)
        self.skipped.update(tenant.why())
        return self._copies.all(base)
