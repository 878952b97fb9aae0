"""Land a file at a hook's path: on disk, recorded by the hook, and visible, before the client gets OK.

Theory. An upload to a hook is recorded in three places: the hook's record (a row of the queue), the kept copy and the
visible name. They cannot be changed in one step. So they are changed in an order in which a crash between any two
leaves a state that start-up can interpret. The promise: after OK there is a queued import (or run of another hook) of
exactly these bytes. After a failure there are the old file and no import. Without an answer there is one of the two,
complete, and the list of imports says which.

    step                            durable when it returns        after a crash right after it, start-up finds
    1 `offered`: fsync, then a hook
      that decides may refuse       the bytes                      a marked file in staging: aborted
    2 `hook.arriving`               a row `arriving`, its id       no copy: aborted
    3 `copy`: link, fsync           the copy, under that id        a copy that is not the visible file: aborted
    4 `move`: rename, fsync         the visible name               the copy is the visible file: queued
    5 `hook.landed`                 the row is `queued`            a queued row
    6 `settle`, then the OK         nothing new                    a backup in staging, removed

So step 4 decides. Before there is a row, `leftovers` reports an interrupted upload by the mark on its inode; after
that, `importer.worker.recovery` does, by the row. The mark is removed between 2 and 3. A crash just before that may
list one interrupted upload twice; the other order could lose it silently. Start-up compares copy and visible file by
inode, then by content. If the old file has the same bytes, a crash after 3 looks like one after 4; both are true.

A short file for a hook that decides on none is flushed in step 1 while 2 runs. There is no copy before both are done.

**At once.** If the hook can `land`, such a file waits for the disk only once. The record of the hook has the bytes:

    step                            durable when it returns        after a crash right after it, start-up finds
    A one transaction: the row,
      `queued`, with the bytes; the
      copy is linked in it          the row and the bytes          the bytes: it places the file (`again`)
    B rename, then the OK           nothing new                    the same
    C flushes of the file and the
      folders of both names         all three                      the same; the file is there
    D the bytes are deleted         that, after a flush            a queued row

So A decides. From A to D a start places the bytes under both names again, whatever of them reached the disk, and in
which order. It needs nothing from there: it may find the old file, the new name without its bytes, or one name alone.
It finds no bytes that are older than what a client did at that name:

- A start places the files of a tenant in the order in which they landed, so the newest one of a name is there in the
  end. C and D are done for several files at a time, soon after the OK (`engine.sqlite.server.keeping`). While an
  earlier file of the tenant fails, the bytes of a later one stay, too.
- No client changes a name while bytes of its tenant are left. A removal or rename of what landed waits for C and D in
  `Space.unlanding`, and a file that lands in steps in `Space.stored`. So does every change of a name if a hook was
  turned off or on meanwhile. If C or D fails, the client gets a failure. The OK remains true, but the next file of
  the tenant is refused until they succeed.
- D is on the disk then. Before a client can change a name, a start writes the log of the database again and flushes
  it: a killed process may have left an end of bytes there, also after a flush that failed (`engine.sqlite.wal`).
- A flush of bytes that failed is not tried again alone: the bytes are written again before it, also by a start.
- A start places the files before anything that may fail, and reads them from the database when it does: a start may
  be repeated while clients read and remove files, because the disk is full. A failure here keeps the clients out.

The run may begin and end before C and D. A start finds its state, as that of any run, and removes a copy that an
ended run does not need.

If the transaction fails, there is no row, and the copy is removed. If B fails, the row and the bytes are deleted, on
disk, before the client gets a failure. If that fails, too, it is tried again once a second, as C and D are, and the
run does not start. The check of the owner is in A: a tenant is removed by moving its folder, then
deleting its row, so the row that A changes is that of the folder. The mark is removed after A; the start removes what
is left in staging of the file. The folders above the name are on disk before A (`Space.flush_folders`).

The bytes are in the database because its flush is needed anyway. With the bytes in staging alone, the OK would have
to wait for a flush of that folder, too. A start would have to tell a file that was removed from one that was never
renamed. The pages of the bytes are overwritten when they are deleted (`secure_delete`).

If two steps swap:

- 3 before 1: after a power cut the copy may lack its bytes, and start-up may find an old file with the same content.
- 3 before 2: the copy has no id, and the next start removes a copy that no row names.
- 4 before 1 or 2: after a power cut the visible file has no bytes, or no row.
- 4 before 3: a crash leaves a new visible file without a copy, which start-up calls aborted: the client sees its file
  in place, but no import reads it.
- 5 before 4: the worker may apply the file before its rename fails, and the client gets a failure.
- 6 before 5: if the hook refuses in `landed`, the old file can no longer be set back.
- B before A: after a power cut the visible file may have no bytes, and no row.
- D before C: after a power cut the bytes may be nowhere.

After a failure in 3 to 5, `undo` sets the name back, then removes the copy and the backup. `hook.failed` is called
after it, when the old file is in place. If `undo` fails too, the row stays `arriving`, and the next start decides by
copy and name. A canceled request (only a stop cancels one) leaves the same state, or has landed.

The landing lock is held from 2 to 6, or during A and B, and by renames and removals at a hook's path. Without it, two
uploads could become visible in one order and be queued in the other: the older file would win. Also, `undo` could
replace a file that landed in the meantime by an older one. It is not held during 1, because a scan of the bytes or
the flush of a long file may take seconds. The order of two uploads is that of their steps 5 or A.

If the client leaves before the hook has decided, the decision is canceled, and nothing lands.

A hook knows tenants by name. While it decides, the tenant may be removed, and another may get its name. So before 2
and 5, and in A, the open folder must still be the tenant's. If it is not, the hook hears nothing of the file.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from concurrent.futures import Future
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from engine.landing import Outcome
from server.files.deciding import ask
from server.files.files import Gone
from server.files.hooks import Arrival, Hook, Land, Upload
from server.files.local.at_once import SHORT_FILE, AtOnce
from server.files.local.leftovers import unmark
from server.files.local.placing import Placement, Spot
from server.files.local.space import LONG_FILE, Space
from server.files.paths import parse_path
from server.files.reports import REMOVED, SHOWN_TO_CLIENTS, NotLanded, reason_of
from server.loop import hurry


@dataclass(frozen=True, slots=True)
class Landed:
    """A file that landed: the import that the hook made of it, and the stat of the file that it replaced."""

    import_id: int
    replaced: os.stat_result | None


@dataclass(frozen=True, slots=True)
class Offered:
    """A complete file, open at `fd`, that its hook did not refuse.

    `flush` is still bringing its bytes to the disk; None: they are there, or the hook lands them `at_once`.
    """

    upload: Upload
    fd: int
    flush: Future[None] | None = None
    at_once: Land | None = None


@asynccontextmanager
async def offered(
    space: Space, hook: Hook, upload: Upload, fd: int, name: bytes, gone: Gone | None
) -> AsyncIterator[Offered]:
    """Flush the file `name` in staging, open at `fd`, and let the hook decide on it. Yield what can land.

    The landing lock is not held yet. No client can write to the file any more. At the end of the block no thread uses
    `fd`. Raises OSError if the file cannot be flushed or the client has gone before the decision, and NotLanded if it
    is refused.
    """
    space.check_storage()
    if hook.decide is None and upload.size <= SHORT_FILE:
        if (at_once := hook.land) is not None:
            yield Offered(upload, fd, at_once=at_once)
            return
        flush = space.house.disk.begin(os.fsync, fd)
        try:
            yield Offered(upload, fd, flush)
        finally:
            if not flush.done():
                await space.in_thread(flush.exception)
        return
    with hurry():
        await space.in_thread(os.fsync, fd)
    await ask(hook, upload, space.staged(name), gone)
    yield Offered(upload, fd)


async def land(space: Space, hook: Hook, file: Offered, source: Spot, target: Spot) -> Landed:
    """Land the file at `source` in staging at `target`.

    The caller holds the landing lock.
    Raises OSError for a failure before the hook has a record, and NotLanded if the hook refuses or for an expected
    failure after it.
    """
    with hurry():
        return await _land(space, hook, file, source, target)


async def _land(space: Space, hook: Hook, file: Offered, source: Spot, target: Spot) -> Landed:
    _check_owner(space)
    space.check_storage()
    placement = Placement(source, target, space.staging.fd)
    if file.at_once is None:
        await space.stored()
        import_id, stored = (await _in_steps(space, hook, file, placement)).id, None
    else:
        placing = AtOnce(space, parse_path(file.upload.path.encode()), file.fd, target.folder, placement)
        queued = await _at_once(file.at_once, file.upload, placing)
        import_id, stored = queued.run_id, queued.stored
    space.has_landed(file.upload.path, stored)
    if placement.replaced is not None and placement.replaced.st_size >= LONG_FILE:
        await space.in_thread(placement.settle)
    else:
        placement.settle()
    return Landed(import_id, placement.replaced)


async def _in_steps(space: Space, hook: Hook, file: Offered, placement: Placement) -> Arrival:
    """Do 2 to 5. A failure of 3 to 5 is undone and reported to the hook."""
    upload = file.upload
    try:
        arrival = await hook.arriving(upload)
    except SHOWN_TO_CLIENTS as refusal:
        raise NotLanded(str(refusal)) from refusal
    unmark(file.fd)  # the queue has a row for it now
    try:
        await space.in_thread(_place, file, placement, arrival.copy)
        _check_owner(space)
        await hook.landed(upload, arrival)
    except Exception as failure:
        await space.in_thread(placement.undo)
        await _failed(hook, upload, arrival, failure)
        raise
    return arrival


async def _at_once(land: Land, upload: Upload, placing: AtOnce) -> Outcome:
    """Do as `_in_steps`, in the thread of the hook's store."""
    try:
        return await land(upload, placing)
    except SHOWN_TO_CLIENTS as refusal:
        raise NotLanded(str(refusal)) from refusal


def _place(file: Offered, placement: Placement, copy: Path) -> None:
    """Place the file when its bytes are on disk. Blocks."""
    if file.flush is not None:
        file.flush.result()
    placement.copy(copy)
    placement.move()


def _check_owner(space: Space) -> None:
    if space.removed:
        raise NotLanded(REMOVED)


async def _failed(hook: Hook, upload: Upload, arrival: Arrival, error: Exception) -> None:
    """Report the failure to the hook. Raises NotLanded for an expected error; returns for an internal one."""
    reason = reason_of(error)
    await hook.failed(upload, arrival, reason)
    if isinstance(error, (OSError, *SHOWN_TO_CLIENTS)):
        raise NotLanded(reason) from error
