"""Uploads into the database, from open to end.

While a client writes, the bytes are in the scratch folder of this process. They become a content when the client has
closed the file; then one transaction lets the name refer to it.
"""

from __future__ import annotations

import errno
import os
from contextlib import suppress

from engine.shared.files import Names, Place
from importer.model import Written
from server.files.deciding import ask
from server.files.files import Gone, Limits
from server.files.hooks import Hook, Upload
from server.files.paths import ClientPath
from server.files.sentences import MADE_MEANWHILE, check_free, check_new, check_regular
from server.files.shared.facts import facts_if_there, facts_of
from server.files.shared.landing import land
from server.files.shared.reaching import reaching, unless_lost
from server.files.shared.space import Space
from server.files.shared.spool import Spooled


async def begin(
    space: Space, path: ClientPath, limits: Limits, *, truncate: bool, create: bool, exclusive: bool
) -> Spooled:
    """Open `path` for writing. Return an empty draft, or a copy of the existing file if it is not to be truncated."""
    await _ready(space)
    space.check_writable(path)
    space.hook_at(path)
    space.check_storage()
    usage = await space.recounted()
    there = (await space.look(path)).entry
    check_new(facts_if_there(there), exclusive=exclusive)
    if there is None and not create:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    draft = Spooled(path, space.staging, usage, limits, space.house.disk, new=there is None)
    space.drafts.add(draft)
    try:
        draft.exclusive = exclusive
        draft.changed = there is None or truncate
        with reaching():
            if space.hooks.begins(str(path)):
                await draft.note_path(space.store.drafts, space.number, str(path))
            if there is not None and there.content is not None and not truncate:
                await draft.copy_content(space.store.contents, space.tenant, there.content, there.size)
    except BaseException:
        await drop(space, draft)
        raise
    return draft


async def begin_apart(space: Space, path: ClientPath, limits: Limits) -> Spooled:
    """Open an empty draft that is never published. Its bytes count against the quota; it does not count as a file."""
    draft = Spooled(path, space.staging, await space.recounted(), limits, space.house.disk, new=False)
    space.drafts.add(draft)
    return draft


async def drop(space: Space, draft: Spooled) -> None:
    """Discard a draft, or what is left of one that was published. Raises nothing."""
    space.drafts.discard(draft)
    draft.drop()
    with suppress(OSError), reaching():  # the next start reports it once more
        await draft.unnote(space.store.drafts, space.number)


async def remove_open(space: Space, draft: Spooled) -> None:
    """Mark an open upload as removed by its client: its CLOSE succeeds and publishes nothing."""
    with reaching():
        await draft.note_path(space.store.drafts, space.number, None)
    draft.removed, draft.note = True, None


async def move_open(space: Space, draft: Spooled, new: ClientPath, *, replace: bool) -> None:
    """Let an open upload that its client renamed be published at `new`. Raises OSError as a rename does."""
    await _ready(space)
    space.check_writable(new)
    replace = replace or space.hook_at(new) is not None
    there = (await space.look(new)).entry
    check_free(facts_if_there(there), replace=replace)
    if there is not None:
        check_regular(facts_of(there))
    hooked = space.hooks.begins(str(new)) is not None
    with reaching():
        await draft.note_path(space.store.drafts, space.number, str(new) if hooked else None)
    draft.path = new
    draft.exclusive = draft.exclusive and there is None
    draft.note = draft.note if hooked else None


async def publish(space: Space, draft: Spooled, written: Written | None) -> None:
    """Let the visible name refer to the bytes of a draft where no hook is. On OSError the old file stays."""
    content = await _stored(space, draft)

    async def change() -> None:
        async with space.changing() as names:
            await _put(space, draft, await _place_of(names, draft), content, written)
            await draft.unnote(space.store.drafts, space.number)

    await unless_lost(change)
    await _published(space, draft)


async def land_draft(
    space: Space, draft: Spooled, hook: Hook, upload: Upload, written: Written | None, gone: Gone | None
) -> int:
    """Offer a draft to the hook of its path, and land it; return the id of its import or run."""
    file = space.staged(draft.name)
    space.check_storage()
    await ask(hook, upload, file, gone, space.recording)
    content = await _stored(space, draft)
    found: list[Place] = []

    async def check(names: Names) -> None:
        await draft.require_note(space.store.drafts, space.number)
        found.append(await _place_of(names, draft))

    async def place(_: Names) -> None:
        await _put(space, draft, found[-1], content, written)

    async def ends(_: Names) -> None:
        await draft.unnote(space.store.drafts, space.number)

    import_id = await unless_lost(
        lambda: land(space, hook, upload, content, file, check=check, place=place, ends=ends)
    )
    await _published(space, draft)
    return import_id


async def keep_times(space: Space, draft: Spooled) -> None:
    """Set the times that the client set on a draft on the existing file at its path."""
    if draft.times is not None:
        async with space.changing() as names:
            entry = (await names.look(draft.path.parts)).entry
            if entry is None:
                raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
            await names.set_times(entry, draft.times)


async def _ready(space: Space) -> None:
    """Have the folders of hooks made, before anything asks which are there."""
    with reaching():
        await space.prepared()


async def _stored(space: Space, draft: Spooled) -> int:
    """Store the bytes of a draft as a content. Nothing refers to it yet."""
    with reaching():
        return await space.store.contents.store(space.tenant, draft.fd, draft.size)


async def _place_of(names: Names, draft: Spooled) -> Place:
    place = await names.look(draft.path.parts)
    check_new(facts_if_there(place.entry), exclusive=draft.exclusive, sentence=MADE_MEANWHILE)
    return place


async def _put(space: Space, draft: Spooled, place: Place, content: int, written: Written | None) -> None:
    facts = os.fstat(draft.fd)
    times = facts.st_atime_ns, facts.st_mtime_ns
    await space.names.put(place, draft.path.name, content, draft.size, times, written)
    draft.check_limits(await space.taken())


async def _published(space: Space, draft: Spooled) -> None:
    """Let go of a draft whose bytes the database counts now."""
    draft.note = None
    await drop(space, draft)
