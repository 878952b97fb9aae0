"""Uploads from open to end. Only the client's own CLOSE, or a change of size by path, publishes a file.

Publishing is one atomic rename; until then the old file stays complete under its name. At a hook's path, `landing`
does more steps before and after.
"""

from __future__ import annotations

import errno
import os
from collections.abc import Callable

from importer.requests import Sender
from server.files.contracts import TenantLimits
from server.files.drafts import Draft, copy_contents
from server.files.hooks import Hook, Origin, Upload
from server.files.local.landing import (
    Gone,
    NotLanded,
    land,
    never,
    new_upload,
    offer,
    reason_of,
    report_aborted,
    report_completed,
    report_if_similar,
)
from server.files.local.leftovers import mark, unmark
from server.files.local.placing import Spot
from server.files.local.space import Space
from server.files.local.tree import check_regular, in_the_way, open_regular, stat_if_there
from server.files.paths import ClientPath

Limits = Callable[[], TenantLimits]


async def begin(
    space: Space, path: ClientPath, limits: Limits, *, truncate: bool, create: bool, exclusive: bool
) -> Draft:
    """Open `path` for writing. Return an empty draft, or a copy of the existing file if it is not to be truncated."""
    space.check_writable(path)
    space.hook_at(path)
    space.check_storage()
    usage = await space.recounted()
    source: int | None = None
    with space.folder.holding(path) as folder:
        found = stat_if_there(path.name, folder)
        if found is not None:
            check_regular(found)
            if exclusive:
                raise OSError(errno.EEXIST, "a file of this name already exists; remove it or choose another name")
            source = None if truncate else open_regular(path.name, folder)
        elif not create:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    try:
        draft = Draft(path, space.staging.fd, usage, limits, new=found is None)
        draft.exclusive = exclusive
        draft.changed = source is None
        if space.hooks.begins(str(path)):
            mark(draft.fd, str(path))
        if source is not None:
            await _copy_in(space, draft, source)
        return draft
    finally:
        if source is not None:
            os.close(source)


async def _copy_in(space: Space, draft: Draft, source: int) -> None:
    try:
        size = os.fstat(source).st_size
        draft.reserve_copy(size)
        await space.in_thread(copy_contents, source, draft.fd, size)
    except BaseException:
        draft.discard(space.close_later)
        raise


async def finish(
    space: Space, draft: Draft, origin: Origin = "close", sender: Sender | None = None, gone: Gone = never
) -> int | None:
    """Publish a draft that the client closed; return the id of its import or run, None if it made none.

    A client that has `gone` while a hook decides on the file has interrupted the upload.
    Raises OSError if it cannot be published; the old file stays.
    """
    if draft.removed:
        draft.discard(space.close_later)
        return None
    if draft.failure is not None:
        reason = draft.failure
        await abandon(space, draft, reason, sender)
        raise OSError(errno.EIO, f"the upload was discarded because a write failed: {reason}")
    if not draft.changed:
        _keep_times_only(space, draft)
        return None
    # The pieces of an HTTP body say nothing about its length: HTTP itself says where it ends.
    written = None if origin == "http" else draft.trace.facts(draft.size)
    upload = new_upload(space, draft.path, draft.size, written, origin, sender)
    import_id = None
    try:
        hook = space.hook_at(draft.path)
        if written:
            space.house.memory.keep(draft.fd, written)
        if hook is None:
            unmark(draft.fd)
            _publish(space, draft)
        else:
            import_id = await _land(space, draft, hook, upload, gone)
    except NotLanded:
        draft.discard(space.close_later)
        space.house.metrics.upload(space.tenant, "refused")
        raise
    except OSError as error:
        await abandon(space, draft, reason_of(error), sender)
        raise
    except Exception:
        draft.discard(space.close_later)
        raise
    report_completed(space, upload)
    await report_if_similar(space, upload)
    return import_id


async def abandon(space: Space, draft: Draft, reason: str, sender: Sender | None = None) -> None:
    """Discard a draft that ended in any other way. If it was changed, report the interrupted upload once."""
    upload = new_upload(space, draft.path, draft.trace.received, None, "http" if sender else "close", sender)
    happened = not draft.removed and (draft.changed or draft.failure is not None)
    draft.discard(space.close_later)
    if happened:
        await report_aborted(space, upload, reason)


def remove(draft: Draft) -> None:
    """Mark an open upload as removed by its client: its CLOSE succeeds and publishes nothing."""
    draft.removed = True
    unmark(draft.fd)


def move(space: Space, draft: Draft, new: ClientPath, *, replace: bool) -> None:
    """Let an open upload that its client renamed be published at `new`. Raises OSError as a rename does."""
    space.check_writable(new)
    replace = replace or space.hook_at(new) is not None
    with space.folder.holding(new) as folder:
        found = in_the_way(new.name, folder, replace=replace)
    if found is not None:
        check_regular(found)
        draft.exclusive = False
    draft.path = new
    if space.hooks.begins(str(new)):
        mark(draft.fd, str(new))
    else:
        unmark(draft.fd)


def _publish(space: Space, draft: Draft) -> None:
    with space.folder.holding(draft.path) as folder:
        found = _replaceable(draft, folder)
        with space.freeing(folder, draft.path.name, found):
            os.rename(draft.name, draft.path.name, src_dir_fd=space.staging.fd, dst_dir_fd=folder)
    draft.published(found)


async def _land(space: Space, draft: Draft, hook: Hook, upload: Upload, gone: Gone) -> int:
    await offer(space, hook, upload, draft.fd, draft.name, gone)
    async with space.landing:
        with space.folder.holding(draft.path) as folder:
            _replaceable(draft, folder)
            source, target = Spot(space.staging.fd, draft.name), Spot(folder, draft.path.name)
            landed = await land(space, hook, upload, draft.fd, source, target)
    draft.published(landed.replaced)
    await space.recounted()
    return landed.import_id


def _replaceable(draft: Draft, folder: int) -> os.stat_result | None:
    found = stat_if_there(draft.path.name, folder)
    if found is not None:
        check_regular(found)
        if draft.exclusive:
            raise OSError(errno.EEXIST, "another session made a file of this name; remove it or choose another name")
    return found


def _keep_times_only(space: Space, draft: Draft) -> None:
    """Discard a draft without changes; set the times that the client set on the existing file."""
    times = draft.times
    draft.discard(space.close_later)
    if times is not None:
        with space.folder.holding(draft.path) as folder:
            os.utime(draft.path.name, ns=times, dir_fd=folder, follow_symlinks=False)
