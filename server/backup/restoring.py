"""Restore a backup into an empty data folder, completely or not at all.

Theory. Everything is made and checked in `.restoring` inside the data folder, which may be a mount point and so
cannot be replaced itself. Then each part is renamed to its place (`moving`). While `.restoring` exists, no server and
no command uses the folder (`refuse_unfinished`), and a folder that has only this and what came from it counts as
empty: after a crash, the same command begins again.
"""

from __future__ import annotations

import hashlib
import os
import pwd
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from engine.sqlite.backup import (
    Known,
    Owed,
    check,
    drop_invitations,
    drop_owed,
    end_sign_ins,
    facts_of,
    invitations_owed_by,
    owed_by,
)
from ground.moments import rfc3339
from importer.errors import DatabaseUnusable, SchemaTooNew
from server import process
from server.backup.identity import ID
from server.backup.manifest import BackupUnusable, Entry, Manifest
from server.backup.moving import RESTORED, RESTORING, begin, clear, drops, move, moved
from server.backup.objects import BLOCK, MANIFEST, Objects, naming, unchanged
from server.backup.selecting import HEADCOUNT_DB
from server.tenants.sending import MARK, is_off_in, turn_off_in
from server.tenants.settings import TenantRefused

ALLOWED = {RESTORING, RESTORED, "lost+found", "headcount.lock"}
"""Names that an empty data folder may have."""


@dataclass(frozen=True, slots=True)
class Restored:
    """The result of a restore.

    `waiting` is the number of imports and runs of hooks that the server will start. While `sending_off`, it sends no
    message. `damaged` are the paths of the files that were left out.
    """

    manifest: Manifest
    tenants: int
    files: int
    owed: Owed
    waiting: int
    sending_off: bool
    damaged: tuple[str, ...] = ()


class _Damaged(BackupUnusable):
    """The backup has no usable copy of a file."""


def refuse_unfinished(data_dir: Path) -> None:
    """Raise TenantRefused if a restore into `data_dir` has not ended."""
    if os.path.lexists(data_dir / RESTORING):
        again = "headcount restore --drop-owed FOLDER" if drops(data_dir) else "headcount restore FOLDER"
        raise TenantRefused(
            "restore_unfinished",
            f"a restore into {data_dir} has not ended. If none runs, run it again: {again}",
        )


def restore(
    folder: Path, data_dir: Path, now: datetime, *, drop: bool = False, without_damaged: bool = False
) -> Restored:
    """Restore the backup in `folder` into `data_dir`, which is empty or absent; it is on disk when this returns.

    All sessions of browsers and all sign-in links end: the backup has those that were ended or used since. With
    `drop`, no message that waits is sent any more, and sending is off (`server.tenants.sending`). With
    `without_damaged`, files that are damaged or missing in the backup are left out, but for headcount.db. Blocks.
    Raises BackupUnusable, TenantRefused, process.InUse, OSError; then `data_dir` is as empty as before.
    """
    with unchanged(folder) as objects:
        manifest = objects.manifest()
        if manifest is None:
            raise BackupUnusable(f"{folder} is not a backup: it has no {MANIFEST}")
        _refuse_used(data_dir)
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        refuse_foreign(data_dir)
        with process.hold(data_dir):
            clear(data_dir)
            _refuse_used(data_dir)
            try:
                place = begin(data_dir, drop=drop)
                restoring = _Restoring(objects, manifest, place, without_damaged)
                with naming(data_dir):
                    restored = restoring.restored(now, drop=drop)
                    move(data_dir)
            except BaseException:
                with suppress(OSError):
                    clear(data_dir)
                raise
    return restored


def _refuse_used(data_dir: Path) -> None:
    with suppress(FileNotFoundError):
        if found := sorted(set(os.listdir(data_dir)) - ALLOWED - set(moved(data_dir))):
            raise TenantRefused(
                "not_empty",
                f"{data_dir} is not empty: it has {found[0]} in it. Stop the server, move the folder away, and "
                "restore again; or set HEADCOUNT_DATA_DIR to an empty folder",
            )


def refuse_foreign(data_dir: Path) -> None:
    """Raise TenantRefused if the server of another user could not read what this process restores. Raises OSError.

    The root of a disk may belong to root, although another user writes to it.
    """
    owner = data_dir.stat().st_uid
    if owner not in {os.geteuid(), 0}:
        with suppress(KeyError):
            name = pwd.getpwuid(owner).pw_name
            raise TenantRefused(
                "not_yours",
                f"{data_dir} belongs to the user {name}. Run the same command as that user: "
                f"sudo -u {name} headcount ...",
            )
        raise TenantRefused("not_yours", f"{data_dir} belongs to the user #{owner}. Run the command as that user")


@dataclass(slots=True)
class _Restoring:
    """One restore, into `place`."""

    objects: Objects
    manifest: Manifest
    place: Path
    without_damaged: bool
    damaged: list[str] = field(default_factory=list)
    names: dict[tuple[str, str], Path] = field(default_factory=dict)

    def restored(self, now: datetime, *, drop: bool) -> Restored:
        left_out = {ID} if drop else set()  # a drill does not replace the backup of the real server
        files = [entry for entry in self.manifest.entries if entry.sha256 and entry.path not in left_out]
        folders = [entry for entry in self.manifest.entries if not entry.sha256]
        for entry in folders:
            (self.place / entry.path).mkdir(mode=0o700, parents=True, exist_ok=True)
        files = [entry for entry in files if self._is_made(entry)]
        databases = [entry for entry in files if entry.database]
        owed = self._owed(databases, rfc3339(now), drop=drop)
        end_sign_ins(self.place / HEADCOUNT_DB)  # some may have been signed out since, or their tokens revoked
        known = facts_of(self.place / HEADCOUNT_DB)
        self._check_needed(known)
        for entry in files:  # all at the end: the disk writes many at once
            _make_durable(self.place / entry.path, entry)
        for entry in reversed(folders):
            _finish(self.place / entry.path, entry)
        if drop or MARK in self.damaged or MARK in self.manifest.skipped:
            turn_off_in(self.place, now)  # the source may have had the mark, too, perhaps one that was not readable
        os.sync()  # the names in all folders: a flush of each would take most of the time
        waiting = sum(len(facts.imports) + len(facts.runs) for facts in known.values())
        off, damaged = is_off_in(self.place), tuple(self.damaged)
        return Restored(self.manifest, len(known), len(files), owed, waiting, off, damaged)

    def _is_made(self, entry: Entry) -> bool:
        """Make the file of `entry`; return False if it is damaged and left out."""
        try:
            self._file(entry)
            if entry.database:
                self._check(entry)
        except _Damaged as error:
            if entry.path == HEADCOUNT_DB:
                raise
            if not self.without_damaged:
                raise BackupUnusable(f"{error}. To restore the rest, use --without-damaged") from error
            (self.place / entry.path).unlink(missing_ok=True)
            self.damaged.append(entry.path)
            return False
        return True

    def _file(self, entry: Entry) -> None:
        """Write the file of `entry`, or link it if the source had the same file under another name."""
        target = self.place / entry.path
        target.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        key = (entry.look, entry.sha256 or "")
        same = self.names.get(key) if entry.look and not entry.database else None
        if same:
            os.link(same, target)
            return
        self._write(entry, target)
        self.names[key] = target

    def _write(self, entry: Entry, target: Path) -> None:
        digest, size = hashlib.sha256(), 0
        with target.open("xb") as file:
            for block in self._blocks(entry):
                digest.update(block)
                size += len(block)
                file.write(block)
        if digest.hexdigest() != entry.sha256 or size != entry.size:
            raise _Damaged(f"the backup is damaged: the copy of {entry.path} does not match its checksum")

    def _blocks(self, entry: Entry) -> Iterator[bytes]:
        try:
            with self.objects.path(entry.sha256 or "").open("rb") as source:
                while block := source.read(BLOCK):
                    yield block
        except FileNotFoundError as error:
            raise _Damaged(f"the backup is not complete: it has no copy of {entry.path}") from error
        except OSError as error:
            raise _Damaged(f"the backup's copy of {entry.path} cannot be read ({error.strerror})") from error

    def _check(self, entry: Entry) -> None:
        try:
            check(self.place / entry.path, entry.database or "")
        except SchemaTooNew as error:
            raise BackupUnusable(f"a newer Headcount made this backup: {error}") from error
        except DatabaseUnusable as error:
            raise _Damaged(f"the backup is damaged: {entry.path} cannot be used ({error})") from error

    def _owed(self, databases: Iterable[Entry], at: str, *, drop: bool) -> Owed:
        """Count the messages that wait; with `drop`, let none of them wait."""
        server = self.place / HEADCOUNT_DB
        found, invitations = owed_by(server), Counter[str]()
        for entry in databases:
            if entry.database == "tenant" and entry.path.startswith("tenants/"):
                count = invitations_owed_by(self.place / entry.path)
                invitations[entry.path] = count
                if drop and count:
                    drop_invitations(self.place / entry.path)
        if drop:
            drop_owed(server, at)
        return Owed(found.mails, found.webhooks, invitations.total())

    def _check_needed(self, known: Mapping[str, Known]) -> None:
        """Check that headcount.db and the folders of tenants fit together."""
        entries = {entry.path for entry in self.manifest.entries}
        for name in sorted(known.keys() - self.manifest.broken.keys()):
            if f"tenants/{name}/users.db" not in entries:
                raise BackupUnusable(f"the backup is not complete: it has no users of the tenant {name}")
            for number, size in known[name].imports.items():
                if size is not None and f"tenants/{name}/uploads/{number}.csv" not in entries:
                    raise BackupUnusable(f"the backup is not complete: it has no file of import {number} of {name}")


def _finish(path: Path, entry: Entry) -> None:
    os.chmod(path, entry.mode)
    os.utime(path, ns=(entry.mtime_ns, entry.mtime_ns))


def _make_durable(path: Path, entry: Entry) -> None:
    """Give the file what the source had beside its bytes, and flush it to disk."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for name, value in entry.attributes.items():
            with suppress(OSError):  # the file system has no attributes
                os.setxattr(file, name, value.encode("utf-8", "surrogateescape"))
        _finish(path, entry)
        os.fsync(file)
    finally:
        os.close(file)
