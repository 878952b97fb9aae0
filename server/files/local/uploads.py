"""Uploads in the tenant's folder, from open to end.

Publishing is one atomic rename; until then the old file stays complete under its name. At a hook's path, `landing`
does more steps before and after.
"""

from __future__ import annotations

import errno
import os

from importer.model import Written
from server.files.drafts import Draft
from server.files.files import Gone, Limits
from server.files.hooks import Hook, Upload
from server.files.local.landing import land, offered
from server.files.local.leftovers import mark, unmark
from server.files.local.placing import Spot
from server.files.local.space import Space
from server.files.local.tree import in_the_way, open_regular, stat_if_there
from server.files.paths import ClientPath
from server.files.sentences import MADE_MEANWHILE, check_new, check_regular


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
        check_new(found, exclusive=exclusive)
        if found is not None:
            source = None if truncate else open_regular(path.name, folder)
        elif not create:
            raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    try:
        draft = Draft(path, space.staging.fd, usage, limits, space.house.disk, new=found is None)
        draft.exclusive = exclusive
        draft.changed = source is None
        if space.hooks.begins(str(path)):
            mark(draft.fd, str(path))
        if source is not None:
            await _copy_in(draft, source)
        return draft
    finally:
        if source is not None:
            os.close(source)


async def begin_apart(space: Space, path: ClientPath, limits: Limits) -> Draft:
    """Open an empty file in staging. Its bytes count against the quota; it does not count as one more file."""
    usage = await space.recounted(apart=True)
    return Draft(path, space.staging.fd, usage, limits, space.house.disk, new=False)


async def _copy_in(draft: Draft, source: int) -> None:
    try:
        await draft.copy_in(source)
    except BaseException:
        draft.drop()
        raise


def remove_open(draft: Draft) -> None:
    """Mark an open upload as removed by its client: its CLOSE succeeds and publishes nothing."""
    draft.removed = True
    unmark(draft.fd)


def move_open(space: Space, draft: Draft, new: ClientPath, *, replace: bool) -> None:
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


async def publish(space: Space, draft: Draft, written: Written | None) -> None:
    """Rename a draft over the visible name. Nothing waits, unless a hook was turned off or on just now."""
    if space.hooks_changed:
        async with space.unlanding():
            _publish(space, draft, written)
    else:
        _publish(space, draft, written)


def _publish(space: Space, draft: Draft, written: Written | None) -> None:
    _remember(space, draft, written)
    unmark(draft.fd)
    with space.folder.holding(draft.path) as folder:
        found = _replaceable(draft, folder)
        with space.freeing(folder, draft.path.name, found):
            os.rename(draft.name, draft.path.name, src_dir_fd=space.staging.fd, dst_dir_fd=folder)
    draft.published(found)


async def land_draft(
    space: Space, draft: Draft, hook: Hook, upload: Upload, written: Written | None, gone: Gone | None
) -> int:
    """Offer a draft to the hook of its path, and land it; return the id of its import or run."""
    _remember(space, draft, written)
    async with offered(space, hook, upload, draft.fd, draft.name, gone) as file, space.landing:
        with space.folder.holding(draft.path) as folder:
            _replaceable(draft, folder)
            source, target = Spot(space.staging.fd, draft.name), Spot(folder, draft.path.name)
            landed = await land(space, hook, file, source, target)
    draft.published(landed.replaced)
    if (await space.usage()).removed:  # else no copy has lost its visible name
        await space.recounted()
    return landed.import_id


def keep_times(space: Space, draft: Draft) -> None:
    """Set the times that the client set on a draft on the existing file at its path."""
    if draft.times is not None:
        with space.folder.holding(draft.path) as folder:
            os.utime(draft.path.name, ns=draft.times, dir_fd=folder, follow_symlinks=False)


def _remember(space: Space, draft: Draft, written: Written | None) -> None:
    if written:
        space.house.memory.keep(draft.fd, written)


def _replaceable(draft: Draft, folder: int) -> os.stat_result | None:
    found = stat_if_there(draft.path.name, folder)
    check_new(found, exclusive=draft.exclusive, sentence=MADE_MEANWHILE)
    return found
