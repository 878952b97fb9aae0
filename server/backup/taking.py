"""Back up the data folder beside the running server, as one state that a start can recover from.

Theory. A data folder has one headcount.db (H), a users.db (U) for each tenant, and files. They change without a
common transaction, so copies of different moments do not fit together:

- U after H: the import 8 that U has is unknown to H. H would give the id 8 again, and U, which takes each id only
  once, would answer for the new file with the outcome of the old one: the new file is lost.
- U before H: H says that import 7 was applied, and U does not have it: its users are lost, and no start applies them.
- files after H: the copy of an import that waits in H may be deleted, because it ended meanwhile. It can never run.
- files before H: the copy of an import that landed in between is not there yet.

So all of them are copied as they are at one moment, M. A server that is killed at M leaves exactly these.
`server.files.local.landing`, `importer.worker.recovery` and `server.runs.recovery` say how a start goes on from
there: an `arriving` row ends by its copy, a `running` one by the outcome in U. M is later than the begin of the
backup, and a row is queued before a client gets its OK. So all that a client had its OK for is in the backup.

    step                                what holds afterwards
    1 copy every tenant: U, files       most of what M needs is in the backup, at some earlier moment
    2 lock H against writes: M          no import is claimed, lands or ends in H; it may still be committed in U
    3 open a view of H, and of each U   a view is a read transaction: it shows this moment, whatever is written later
      that has changed since 1
    4 open each file that an import     an open file keeps its bytes when its name is deleted
      or run of H still needs, if it
      is new or changed since 1
    5 unlock H                          steps 2 to 5 take milliseconds; a CLOSE waits for so long
    6 copy the views and open files     H, each U and each needed file are as at M
    7 copy the other files again        they are as after M
    8 replace the manifest              this state is the backup

Between 2 and 5 a commit in U can only be that of the one import that H calls `running`. A start knows that state: a
server was killed after the commit and before the end was written. The same holds for an undo.

The others of step 7 need no moment: a plain file counts by itself, a key ring is replaced as a whole, and a report or
message of an import that H does not know is left out (`of_this_moment`). A message file that a held import needs for
its decision is one of step 4. If a tenant is removed after 5, its files of step 1 are used.

Files that have just landed at hooks may be in H, too, for a start to place them again. The copy of H is without those
that are where it would place them. For a client may change such a file after M, and an operator may restore H alone:
then a start must not bring the older file back. They are compared before 5: until then no client can change them.

If steps swap: 4 before 2 loses the copies that land in between; 6 before 5 lets every CLOSE wait for the copying of
all users; 7 before 2 loses the report of an import that ends in between, although H says that it was written. Without
step 1, the steps 2 to 5 would open every database and every file.

If more has changed than `OPEN_MOST` tenants, H is unlocked, and these are copied again, a few times: each time takes
less, because fewer change. A database is never copied as a file: SQLite's own backup reads it in one transaction.

A file that cannot be read stops nothing else. Its entries of the previous backup stay, the rest of its tenant is as
at M, the reason is in the manifest, and the command fails in the end. So sound users never stay behind H.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import ExitStack, closing, suppress
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from time import monotonic

from engine.sqlite.backup import Known, Landed, View, still
from ground.moments import from_rfc3339, rfc3339
from importer.errors import DatabaseUnusable
from server.backup.copies import Copies, Entries, by_path, in_words
from server.backup.faults import waiting_faults
from server.backup.identity import id_for
from server.backup.manifest import BackupUnusable, Manifest, in_order
from server.backup.newest import note_newest
from server.backup.objects import Objects, Unreadable, open_objects
from server.backup.others import Others
from server.backup.placed import placed_files, visible_files
from server.backup.selecting import HEADCOUNT_DB, USERS_DB, merged, needed_paths, of_this_moment
from server.backup.trees import Trees, exact_look, reusable

OPEN_MOST = 100
"""The most tenants that are opened while headcount.db is locked, but for the last round."""

ROUNDS = 5

LOCKED_S = 0.2
"""The longest wait for locked users.db files, together, while headcount.db is locked: every CLOSE waits as long."""


@dataclass(frozen=True, slots=True)
class Taken:
    """The result of a backup. `added` and `added_bytes` are what the previous backup did not have.

    `damaged` is the number of objects that were found damaged or missing. `lost` are the paths of the files that the
    backup has no usable object of. `unnoted` is why the data folder does not know of this backup, None if it does.
    """

    manifest: Manifest
    tenants: int
    files: int
    bytes: int
    added: int
    added_bytes: int
    damaged: int = 0
    lost: tuple[str, ...] = ()
    unnoted: str | None = None


@dataclass(slots=True)
class _Pins:
    """The open files and views of the moment M, by tenant and by path; `visible` are those of `visible_files`."""

    known: Mapping[str, Known]
    server: View
    views: dict[str, View] = field(default_factory=dict)
    files: dict[str, tuple[int, os.stat_result]] = field(default_factory=dict)
    needed: dict[str, Entries] = field(default_factory=dict)
    visible: list[list[Landed]] = field(default_factory=list)


def back_up(data_dir: Path, folder: Path, now: datetime, *, replace: bool = False, verify: bool = False) -> Taken:
    """Back up `data_dir` to `folder`, which is made if needed; the state is on disk when this returns.

    With `replace`, the backup of another data folder is replaced. With `verify`, all that the backup has already is
    read, and what is damaged is copied again.

    Blocks. Raises BackupUnusable, DatabaseUnusable (headcount.db), TryAgain, OSError; then the previous backup is as
    it was.
    """
    _refuse_inside(data_dir, folder)
    with open_objects(folder) as objects:
        try:
            objects.keep_newest()
            damaged = objects.verify() if verify else 0
            taking = _taking(data_dir, objects, now, replace=replace)
            manifest = taking.take()
            objects.commit(manifest)
            objects.keep_newest()
        except BaseException:
            with suppress(OSError, BackupUnusable):
                objects.keep_newest()
            raise
        files = [entry for entry in manifest.entries if entry.sha256]
        lost = tuple(objects.lost(manifest))
        complete = not (manifest.broken or manifest.skipped or lost)
        return Taken(
            manifest,
            tenants=taking.count,
            files=len(files),
            bytes=sum(manifest.objects().values()),
            added=len(objects.added),
            added_bytes=sum(objects.added.values()),
            damaged=damaged,
            lost=lost,
            unnoted=note_newest(data_dir, now) if complete else None,
        )


def _taking(data_dir: Path, objects: Objects, now: datetime, *, replace: bool) -> _Taking:
    previous = None if replace else objects.manifest()
    own = id_for(data_dir, objects.folder, previous)
    entries = by_path(previous.entries if previous else ())
    made_ns = int(from_rfc3339(previous.made_at).timestamp() * 1e9) if previous else 0
    trees = Trees(data_dir, objects, reusable(entries.values(), objects.has, made_ns))
    return _Taking(data_dir, Copies(data_dir, objects, trees, entries), trees, now, own)


def _refuse_inside(data_dir: Path, folder: Path) -> None:
    data, backup = data_dir.resolve(), folder.resolve()
    if data == backup or data in backup.parents or backup in data.parents:
        raise BackupUnusable(f"{folder} and the data folder {data_dir} are inside each other. Name another folder")


class _Taking:
    """One backup."""

    def __init__(self, data_dir: Path, copies: Copies, trees: Trees, now: datetime, own: str) -> None:
        self._data = data_dir
        self._now = now
        self._id = own
        self._trees = trees
        self._copies = copies
        self.count = 0

    def take(self) -> Manifest:
        """Take every step but the last; return the manifest of this state."""
        others = Others(self._data, self._copies, self._trees)
        with closing(View(self._data / HEADCOUNT_DB, "server")) as view:
            names = list(view.known())
        for name in names:
            self._copies.copy(f"tenants/{name}", databases=False)
        entries, pins = self._at_one_moment()
        for name, known in pins.known.items():
            entries.update(self._tenant(name, known, pins.needed.get(name, {})))
        entries.update(others.copied(pins.known))
        self.count = len(pins.known)
        faults = {name: self._copies.of(f"tenants/{name}").why() for name in pins.known}
        broken = {name: in_words(why) for name, why in faults.items() if why}
        return Manifest(rfc3339(self._now), in_order(entries.values()), broken, self._id, others.skipped)

    def _at_one_moment(self) -> tuple[Entries, _Pins]:
        """Take steps 2 to 6; return the entry of headcount.db, and what was held open."""
        with ExitStack() as held:
            for rest in reversed(range(ROUNDS)):
                found = self._pin(held, force=not rest)
                if isinstance(found, _Pins):
                    return self._copy_pins(found), found
                for name in found:
                    self._copies.copy(f"tenants/{name}", databases=True)
        raise AssertionError  # the last round is forced

    # Steps 2 to 5

    def _pin(self, held: ExitStack, *, force: bool) -> _Pins | list[str]:
        """Hold open what has changed of the moment M; without `force`, return the tenants if these are too many."""
        with still(self._data / HEADCOUNT_DB) as view:
            pins = _Pins(view.known(), view)
            moving = [name for name in pins.known if self._copies.moved(f"tenants/{name}")]
            if len(moving) > OPEN_MOST and not force:
                view.close()
                return moving
            held.enter_context(closing(view))
            patience = LOCKED_S
            for name in moving:
                began = monotonic()
                self._pin_users(held, pins, name, patience)
                patience = max(0.0, patience - (monotonic() - began))
            for name, known in pins.known.items():
                self._pin_files(held, pins, name, known)
            pins.visible = visible_files(self._data, view.landed())
            return pins

    def _pin_users(self, held: ExitStack, pins: _Pins, name: str, patience_s: float) -> None:
        base = f"tenants/{name}"
        wrong, path = self._copies.of(base).wrong, f"{base}/{USERS_DB}"
        try:
            pins.views[name] = held.enter_context(closing(self._copies.view(base, patience_s)))
            wrong.pop(path, None)
        except (DatabaseUnusable, Unreadable) as error:
            wrong[path] = str(error)

    def _pin_files(self, held: ExitStack, pins: _Pins, name: str, known: Known) -> None:
        if not (known.imports or known.runs):
            return
        base = f"tenants/{name}"
        had, wrong = self._copies.of(base).files, self._copies.of(base).wrong
        needed = pins.needed.setdefault(name, {})
        lost = waiting_faults(self._data, base, known.imports, known.runs)
        wrong.update(lost)
        for path in needed_paths(name, known.imports, known.runs, _names(self._data / base / "messages")):
            entry = had.get(path)
            if path in lost:
                continue
            if entry and entry.look == _look_at(self._data / path):
                needed[path] = entry
                continue
            try:
                opened = self._trees.file(path)
            except Unreadable as error:
                wrong[path] = str(error)
                continue
            if opened:
                held.callback(os.close, opened[0])
                pins.files[path] = opened

    # Steps 6 and 7

    def _copy_pins(self, pins: _Pins) -> Entries:
        """Copy what is held open; return the entries of the databases."""
        for name, view in pins.views.items():
            path, tenant = f"tenants/{name}/{USERS_DB}", self._copies.of(f"tenants/{name}")
            try:
                tenant.database = self._copies.database(path, view, "tenant", "")
            except DatabaseUnusable as error:
                tenant.wrong[path] = str(error)
        for path, opened in pins.files.items():
            name = path.split("/")[1]
            try:
                pins.needed[name][path] = self._trees.taken(path, *opened)
            except Unreadable as error:
                self._copies.of(f"tenants/{name}").wrong[path] = str(error)
        placed = placed_files(pins.visible, pins.needed)
        return {HEADCOUNT_DB: self._copies.database(HEADCOUNT_DB, pins.server, "server", "", placed)}

    def _tenant(self, name: str, known: Known, needed: Entries) -> Entries:
        """Return the entries of a tenant as at M."""
        base = f"tenants/{name}"
        self._copies.walk(base)
        self._copies.inspect(base)
        found = self._copies.all(base)
        now = by_path(of_this_moment(found.values(), known.last_import, known.last_run))
        return merged(now, needed)


def _names(folder: Path) -> list[str]:
    try:
        return sorted(os.listdir(folder))
    except OSError:
        return []


def _look_at(path: Path) -> str:
    try:
        return exact_look(os.stat(path, follow_symlinks=False))
    except OSError:
        return ""
