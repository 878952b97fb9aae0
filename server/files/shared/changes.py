"""Changes of names in the database other than uploads: rename, remove, folders, times. A rename to a hook lands.

Every function raises OSError with a message for the client, the same as for files in a folder.
"""

from __future__ import annotations

import errno
import os
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from engine.shared.files import Entry, Names, Place
from server.files.contracts import TenantLimits
from server.files.deciding import ask
from server.files.files import Gone, Times
from server.files.hooks import Hook
from server.files.limits import Usage
from server.files.paths import MAX_DEPTH, ClientPath
from server.files.reports import NotLanded, new_upload, report_if_similar, report_refused
from server.files.sentences import (
    A_FOLDER,
    INTO_A_HOOK,
    NO_LONGER_THERE,
    THERE_ALREADY,
    TOO_DEEP,
    check_free,
    check_regular,
)
from server.files.shared.facts import facts_if_there, facts_of
from server.files.shared.landing import land
from server.files.shared.reaching import reaching
from server.files.shared.space import Space


async def rename(space: Space, old: ClientPath, new: ClientPath, *, replace: bool, gone: Gone | None = None) -> None:
    """Move a file or folder, as `server.files.local.changes.rename` does."""
    with reaching():
        await space.prepared()
    space.check_writable(old)
    space.check_writable(new)
    hook = space.hook_at(new)
    if hook is not None and old != new and (await space.find(old)).content is not None:
        await _rename_to_hook(space, hook, old, new, gone)
        return
    for each in (old, new):
        await space.look(each)
    async with space.changing() as names:
        source, target = await _found(names, old), await names.look(new.parts)
        replace = replace or (hook is not None and source.content is not None)
        check_free(facts_if_there(target.entry), replace=replace)
        if old == new:
            return
        if source.content is None:
            await _check_folder(space, names, old, new, source, target)
        elif target.entry is not None:
            check_regular(facts_of(target.entry))
        await names.move(source, target, new.name)
    if source.content is not None and not space.hooks.find(str(old)):
        # Moving a finished file away from a hook's path is not a mistake.
        await report_if_similar(space, new_upload(space, new, source.size, source.written, "rename"))


async def _check_folder(
    space: Space, names: Names, old: ClientPath, new: ClientPath, source: Entry, target: Place
) -> None:
    """Refuse a move by which the tree gets too deep or a file in the folder would get a hook's path."""
    depth = await names.depth(source.id)
    if space.hooks.anything_below(new) and depth:
        raise OSError(errno.EACCES, INTO_A_HOOK)
    if len(new.parts) + depth > MAX_DEPTH:
        raise OSError(errno.ENAMETOOLONG, TOO_DEEP)
    if new.below(old):
        raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
    if target.entry is None:
        return
    if target.entry.content is not None:
        raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    if await names.depth(target.entry.id):
        raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))


async def _rename_to_hook(space: Space, hook: Hook, old: ClientPath, new: ClientPath, gone: Gone | None) -> None:
    """Land the content of a file under its new name.

    While the hook decides, other sessions may change both paths: they are looked at again when it has decided.
    """
    source = await space.find(old)
    check_regular(facts_of(source))
    there = (await space.look(new)).entry
    if there is not None:
        check_regular(facts_of(there))
    upload = new_upload(space, new, source.size, source.written, "rename")
    assert source.content is not None
    places: list[tuple[Entry, Place]] = []

    async def check(names: Names) -> None:
        place, now = await names.look(new.parts), (await names.look(old.parts)).entry
        if now is None or (now.id, now.content) != (source.id, source.content):
            raise OSError(errno.ENOENT, NO_LONGER_THERE)
        if place.entry is not None:
            check_regular(facts_of(place.entry))
        places.append((now, place))

    async def place(names: Names) -> None:
        await names.move(*places[0], new.name)

    async def ends(_: Names) -> None:
        pass

    try:
        async with _fetched(space, source.content) as file:
            await ask(hook, upload, file, gone, space.recording)
            await land(space, hook, upload, source.content, file, check=check, place=place, ends=ends)
    except NotLanded:
        report_refused(space)
        raise


@asynccontextmanager
async def _fetched(space: Space, content: int) -> AsyncIterator[Path]:
    """Have a content as a file in the scratch folder for the hook. Another session may remove its name."""
    name = secrets.token_hex(16).encode()
    fd = os.open(name, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600, dir_fd=space.staging)
    space.offered.append(content)
    try:
        with reaching():
            await space.store.contents.fetch(space.tenant, content, fd)
        yield space.staged(name)
    finally:
        space.offered.remove(content)
        space.house.disk.close_later(fd)
        with suppress(FileNotFoundError):
            os.unlink(name, dir_fd=space.staging)


async def remove(space: Space, path: ClientPath) -> None:
    """Remove a file."""
    with reaching():
        await space.prepared()
    space.check_writable(path)
    await space.look(path)
    async with space.changing() as names:
        entry = await _found(names, path)
        if entry.content is None:
            raise OSError(errno.EISDIR, A_FOLDER)
        await names.delete(entry)


async def make_folder(space: Space, path: ClientPath, limits: TenantLimits) -> None:
    """Make a folder; it counts as one file. Raises FileExistsError if the path exists, also for the fixed folders."""
    with reaching():
        await space.prepared()
    if space.is_fixed(path):
        raise OSError(errno.EEXIST, THERE_ALREADY)
    space.check_writable(path)
    await space.look(path)
    space.usage.reserve(0, 1, limits)
    try:
        async with space.changing() as names:
            place = await names.look(path.parts)
            if place.entry is not None:
                raise OSError(errno.EEXIST, THERE_ALREADY)
            await names.make_folder(place.folder, path.name)
            taken = await space.taken()
            Usage(taken.size, taken.files - 1).reserve(0, 1, limits)
    finally:
        space.usage.release(0, 1)


async def remove_folder(space: Space, path: ClientPath) -> None:
    """Remove an empty folder."""
    with reaching():
        await space.prepared()
    space.check_writable(path)
    await space.look(path)
    async with space.changing() as names:
        entry = await _found(names, path)
        if entry.content is not None:
            raise OSError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
        if await names.depth(entry.id):
            raise OSError(errno.ENOTEMPTY, os.strerror(errno.ENOTEMPTY))
        await names.delete(entry)


async def set_times(space: Space, path: ClientPath, times: Times) -> None:
    """Set access and modification time, in nanoseconds since 1970. Skips fixed folders."""
    with reaching():
        await space.prepared()
    if space.is_fixed(path):
        return
    space.check_writable(path)
    await space.look(path)
    async with space.changing() as names:
        await names.set_times(await _found(names, path), times)


async def _found(names: Names, path: ClientPath) -> Entry:
    entry = (await names.look(path.parts)).entry
    if entry is None:
        raise OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    return entry
