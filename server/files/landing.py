"""A file lands at a hook's path: on disk, with the hook, and visible, before the client hears OK.

Theory. Three places know of an upload to a hook: the hook's own record (a row of the queue), the kept copy, and the
visible name. They cannot be changed in one step, so they are changed in an order in which a crash between any two
leaves a state that start-up can read. The promise is: a client that heard OK has a queued import of exactly these
bytes; a client that heard a failure has the old file and no import; a client that heard nothing has one of the two,
whole, and the list of imports says which.

    step                            durable when it returns        after a crash right behind it, start-up finds
    1 fsync of the staged file      the bytes                      a marked file in staging: aborted
    2 `hook.arriving`               a row `arriving`, its number   no copy: aborted
    3 `place`: link, fsync          the copy, under that number    a copy that is not the visible file: aborted
    4 `place`: rename, fsync        the visible name               the copy is the visible file: queued
    5 `hook.landed`                 the row is `queued`            a queued row, like any other
    6 `settle`, then the OK         nothing new                    a backup in staging, removed

So step 4 decides. Until there is a row, `leftovers` tells of an aborted upload by the mark on its inode; from then on
`importer.worker.recovery` does, by the row. The mark is taken off between 2 and 3: a crash just before that may list
one broken upload twice, while the other order could lose it without a word. Start-up compares copy and visible file
by inode, then by content: where the old file has the same bytes, a crash after 3 is taken for one after 4, and either
is true.

What breaks if two steps swap:

- 2 before 1: after a power cut the row, the copy and the name are there, and the bytes are not.
- 3 before 2: the copy has no number, and a copy that no row names is removed at the next start.
- 4 before 3: a crash leaves a new visible file without a copy, which start-up calls aborted: the client sees its file
  in place, and no import will ever read it.
- 5 before 4: the worker may apply the file before its rename fails, and the client is told that nothing happened.
- 6 before 5: a hook that refuses in `landed` finds no old file to put back.

After a failure in 3 to 5, `take_back` restores the name, then removes the copy and the backup; `hook.failed` is told
after it, when the old file is in place. If taking back fails too, the row stays `arriving`, and the next start
concludes from what it finds. A request that is cancelled (only a stop does that) is left in the same way.

The landing lock is held from 1 to 6, and by renames and removals at a hook's path. Without it two uploads could
become visible in one order and be queued in the other, so that the older file would win; and `take_back` could put an
old file over one that landed meanwhile.
"""

from __future__ import annotations

import errno
import logging
import os
from datetime import UTC, datetime

from importer.errors import Refused, TryAgain
from importer.model import Written
from server.files.hooks import Arrival, Hook, HookRefused, Origin, Upload
from server.files.leftovers import unmark
from server.files.paths import ClientPath
from server.files.placing import Placement, Spot
from server.files.space import LONG_FILE, Space
from server.loop import hurry
from server.trouble import tell

log = logging.getLogger(__name__)

TOLD = (HookRefused, Refused, TryAgain)
"""What a client may read. A database that cannot be used is the operator's matter: its sentence names our folders."""


class NotLanded(OSError):  # noqa: N818 - what it is
    """The hook was asked, and knows that nothing came of it; the message is for the client."""

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EIO, reason)


def an_upload(space: Space, path: ClientPath, size: int, written: Written | None, origin: Origin) -> Upload:
    """The upload that a hook is told about, completed or broken off now."""
    return Upload(space.tenant, str(path), size, written, datetime.now(UTC), origin)


async def land(
    space: Space, hook: Hook, upload: Upload, fd: int, source: Spot, target: Spot
) -> os.stat_result | None:
    """Put the file at `source` in staging, open at `fd`, at `target`. The caller holds the landing lock.

    Returns what it replaced. Raises OSError if it failed before the hook was asked, NotLanded after.
    """
    with hurry():
        return await _land(space, hook, upload, fd, source, target)


async def _land(
    space: Space, hook: Hook, upload: Upload, fd: int, source: Spot, target: Spot
) -> os.stat_result | None:
    space.check_room()
    await space.in_thread(os.fsync, fd)
    try:
        arrival = await hook.arriving(upload)
    except TOLD as refusal:
        raise NotLanded(str(refusal)) from refusal
    unmark(fd)  # from here on the queue knows of it
    placement = Placement(source, target, arrival.copy, space.staging.fd)
    try:
        await space.in_thread(placement.place)
        await hook.landed(upload, arrival)
    except Exception as error:
        await space.in_thread(placement.take_back)
        await _failed(hook, upload, arrival, error)
        raise
    if placement.replaced is not None and placement.replaced.st_size >= LONG_FILE:
        await space.in_thread(placement.settle)
    else:
        placement.settle()
    return placement.replaced


async def _failed(hook: Hook, upload: Upload, arrival: Arrival, error: Exception) -> None:
    """Tell the hook; raises NotLanded for what may happen to anybody, and leaves our own faults alone."""
    reason = reason_of(error)
    await hook.failed(upload, arrival, reason)
    if isinstance(error, (OSError, *TOLD)):
        raise NotLanded(reason) from error


def reason_of(error: Exception) -> str:
    """The sentence in an exception that a client, or an operator reading a report, may see."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error) if isinstance(error, TOLD) else "internal error"


async def tell_aborted(space: Space, upload: Upload, reason: str) -> None:
    """An upload broke off: count it, log it, and tell the hook it was meant for, if any. Raises nothing."""
    space.house.metrics.upload(space.tenant, "aborted")
    log.warning(
        "The upload of %r broke off after %d bytes: %s",
        upload.path,
        upload.size,
        reason,
        extra={"event": "upload_aborted", "tenant": space.tenant},
    )
    hook = space.house.hooks.begins(upload.path)
    if hook is not None:
        try:
            await hook.aborted(upload, reason)
        except Exception as error:
            tell(log, "A broken upload could not be recorded", error, _failed_hook(space))


def tell_completed(space: Space, upload: Upload) -> None:
    """An upload is in its place: count it and log it. Raises nothing."""
    space.house.metrics.upload(space.tenant, "completed")
    log.info(
        "%r was completed (%d bytes)",
        upload.path,
        upload.size,
        extra={"event": "upload_completed", "tenant": space.tenant},
    )


async def tell_if_near(space: Space, upload: Upload) -> None:
    """Tell the hook whose name was probably meant by a file that is in its place. Raises nothing."""
    near = space.house.hooks.near(upload.path)
    if near is None:
        return
    log.warning("%s", near.reason, extra={"event": "upload_ignored", "tenant": space.tenant})
    try:
        await near.hook.ignored(upload, near.reason)
    except Exception as error:
        tell(log, "A file under a near name could not be recorded", error, _failed_hook(space))


def _failed_hook(space: Space) -> dict[str, str]:
    return {"event": "hook_failed", "tenant": space.tenant}
