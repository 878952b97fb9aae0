"""Changes to a tenant's tree other than uploads: rename, remove, folders, times. A rename to a hook's path lands.

Every function raises OSError with a message for the client, and keeps the running total of the quota correct.
"""

from __future__ import annotations

import errno
import os
import secrets
import stat
from contextlib import AsyncExitStack, suppress

from server.files.contracts import TenantLimits
from server.files.files import Gone
from server.files.hooks import Hook, Upload
from server.files.limits import Usage
from server.files.local.landing import land, offered
from server.files.local.measuring import measure
from server.files.local.placing import Spot
from server.files.local.space import Space
from server.files.local.tree import in_the_way, open_regular, stat_if_there
from server.files.paths import MAX_DEPTH, ClientPath
from server.files.reports import NotLanded, new_upload, report_if_similar, report_refused
from server.files.sentences import (
    A_FOLDER,
    FOLDER_MOVED,
    INTO_A_HOOK,
    NO_LONGER_THERE,
    THERE_ALREADY,
    TOO_DEEP,
    check_regular,
)


async def rename(space: Space, old: ClientPath, new: ClientPath, *, replace: bool, gone: Gone | None = None) -> None:
    """Move a file or folder. Without `replace` the new path must be free, unless a file is moved to a hook's path.

    Many clients upload under another name and then rename plainly. By the protocol (draft-ietf-secsh-filexfer-02,
    section 6.5) that fails if the new path exists; at a hook's path it replaces the older file. Nothing lands for a
    client that has `gone` while the hook decides.
    """
    space.check_writable(old)
    space.check_writable(new)
    await space.usage()
    hook = space.hook_at(new)
    if hook is not None and old != new and not stat.S_ISDIR(space.folder.stat(old).st_mode):
        await _rename_to_hook(space, hook, old, new, gone)
        return
    async with AsyncExitStack() as stack:
        hooks = space.hooks
        if hook is not None or hooks.find(str(old)) or hooks.anything_below(old) or space.hooks_changed:
            await stack.enter_async_context(space.unlanding())
        source = Spot(stack.enter_context(space.folder.holding(old)), old.name)
        target = Spot(stack.enter_context(space.folder.holding(new)), new.name)
        found = os.stat(old.name, dir_fd=source.folder, follow_symlinks=False)
        replace = replace or (hook is not None and not stat.S_ISDIR(found.st_mode))
        there = in_the_way(target.name, target.folder, replace=replace)
        if old == new:
            return
        if stat.S_ISDIR(found.st_mode):
            await _rename_folder(space, new, source, target, replace=replace)
        else:
            await _rename_file(space, old, new, source, target, found, there)


async def _rename_file(
    space: Space,
    old: ClientPath,
    new: ClientPath,
    source: Spot,
    target: Spot,
    found: os.stat_result,
    there: os.stat_result | None,
) -> None:
    check_regular(found)
    if there is not None:
        check_regular(there)
    fd = open_regular(source.name, source.folder)
    try:
        upload = new_upload(space, new, found.st_size, space.house.memory.recall(fd), "rename")
        _move(space, await space.usage(), source, target, found, there)
    finally:
        os.close(fd)
    if not space.hooks.find(str(old)):  # moving a finished file away from a hook's path is not a mistake
        await report_if_similar(space, upload)


def _move(
    space: Space, usage: Usage, source: Spot, target: Spot, found: os.stat_result, there: os.stat_result | None
) -> None:
    if there is not None and os.path.samestat(found, there):
        os.unlink(source.name, dir_fd=source.folder)  # rename(2) of two links to one file would leave both names
    else:
        with space.freeing(target.folder, target.name, there):
            os.rename(source.name, target.name, src_dir_fd=source.folder, dst_dir_fd=target.folder)
    if there is not None:
        usage.remove(there.st_size, 1)


async def _rename_to_hook(space: Space, hook: Hook, old: ClientPath, new: ClientPath, gone: Gone | None) -> None:
    """Land the file under a new hard link in staging, and remove its old name afterwards.

    While the hook decides, other sessions may change both paths: they are opened again when it has decided.
    """
    with space.folder.holding(old) as folder, space.folder.holding(new) as new_folder:
        there = stat_if_there(new.name, new_folder)
        if there is not None:
            check_regular(there)
        fd = open_regular(old.name, folder)
        own = Spot(space.staging.fd, secrets.token_hex(16).encode())
        try:
            os.link(old.name, own.name, src_dir_fd=folder, dst_dir_fd=own.folder, follow_symlinks=False)
        except OSError:
            os.close(fd)
            raise
    try:
        with space.offering(own.name):
            await _land(space, hook, old, new, fd, own, gone)
    except NotLanded:
        report_refused(space)
        raise
    finally:
        with suppress(FileNotFoundError):
            os.unlink(own.name, dir_fd=own.folder)
        os.close(fd)
        await space.recounted()


async def _land(
    space: Space, hook: Hook, old: ClientPath, new: ClientPath, fd: int, own: Spot, gone: Gone | None
) -> None:
    upload = new_upload(space, new, os.fstat(fd).st_size, space.house.memory.recall(fd), "rename")
    async with offered(space, hook, upload, fd, own.name, gone) as file, space.unlanding():
        with space.folder.holding(old) as folder, space.folder.holding(new) as new_folder:
            source, target = Spot(folder, old.name), Spot(new_folder, new.name)
            if not _is(source, fd):  # its bytes no longer count against the quota
                raise OSError(errno.ENOENT, NO_LONGER_THERE)
            replaced = (await land(space, hook, file, own, target)).replaced
            await _remove_old_name(space, upload, fd, source, replaced)


async def _remove_old_name(
    space: Space, upload: Upload, fd: int, source: Spot, replaced: os.stat_result | None
) -> None:
    """Count the file that landed, and remove its old name, if that still names it."""
    usage = await space.usage()
    usage.add(upload.size, 1)
    if replaced is not None:
        usage.remove(replaced.st_size, 1)
    if _is(source, fd):
        os.unlink(source.name, dir_fd=source.folder)
        usage.release(upload.size, 1)
        with suppress(OSError):  # the file has landed; after a crash it may also have its old name
            await space.in_thread(os.fsync, source.folder)


def _is(spot: Spot, fd: int) -> bool:
    """Return whether the name is still that of the file open at `fd`."""
    there = stat_if_there(spot.name, spot.folder)
    return there is not None and os.path.samestat(there, os.fstat(fd))


async def _rename_folder(space: Space, new: ClientPath, source: Spot, target: Spot, *, replace: bool) -> None:
    """Move a folder, unless the tree gets too deep or a file in the folder would get a hook's path.

    While the folder is measured, another session may move or replace it, or change the target; both are checked then.
    """
    fd = os.open(source.name, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC, dir_fd=source.folder)
    try:
        depth = (await space.in_thread(measure, fd)).depth
        now = os.stat(source.name, dir_fd=source.folder, follow_symlinks=False)
        if not os.path.samestat(now, os.fstat(fd)):
            raise OSError(errno.ENOENT, FOLDER_MOVED)
        if space.hooks.anything_below(new) and os.listdir(fd):
            raise OSError(errno.EACCES, INTO_A_HOOK)
    finally:
        os.close(fd)
    if len(new.parts) + depth > MAX_DEPTH:
        raise OSError(errno.ENAMETOOLONG, TOO_DEEP)
    there = in_the_way(target.name, target.folder, replace=replace)
    os.rename(source.name, target.name, src_dir_fd=source.folder, dst_dir_fd=target.folder)
    space.folders_changed()
    if there is not None:
        (await space.usage()).release(0, 1)


async def remove(space: Space, path: ClientPath) -> None:
    """Remove a file or a link; the target of a link stays."""
    space.check_writable(path)
    usage = await space.usage()
    async with AsyncExitStack() as stack:
        if space.hooks.find(str(path)) or space.hooks_changed:
            await stack.enter_async_context(space.unlanding())
        folder = stack.enter_context(space.folder.holding(path))
        found = os.stat(path.name, dir_fd=folder, follow_symlinks=False)
        if stat.S_ISDIR(found.st_mode):
            raise OSError(errno.EISDIR, A_FOLDER)
        with space.freeing(folder, path.name, found):
            os.unlink(path.name, dir_fd=folder)
    usage.remove(found.st_size if stat.S_ISREG(found.st_mode) else 0, 1)


async def make_folder(space: Space, path: ClientPath, limits: TenantLimits) -> None:
    """Make a folder; it counts as one file. Raises FileExistsError if the path exists, also for the fixed folders."""
    if space.is_fixed(path):
        raise OSError(errno.EEXIST, THERE_ALREADY)
    space.check_writable(path)
    usage = await space.usage()
    usage.reserve(0, 1, limits)
    try:
        with space.folder.holding(path) as folder:
            os.mkdir(path.name, 0o700, dir_fd=folder)
    except OSError as error:
        usage.release(0, 1)
        if error.errno == errno.EEXIST:
            raise OSError(errno.EEXIST, THERE_ALREADY) from None
        raise


async def remove_folder(space: Space, path: ClientPath) -> None:
    """Remove an empty folder."""
    space.check_writable(path)
    usage = await space.usage()
    with space.folder.holding(path) as folder:
        os.rmdir(path.name, dir_fd=folder)
    space.folders_changed()
    usage.release(0, 1)


def set_times(space: Space, path: ClientPath, times: tuple[int, int]) -> None:
    """Set access and modification time, in nanoseconds since 1970. Does not follow links, and skips fixed folders."""
    if space.is_fixed(path):
        return
    space.check_writable(path)
    with space.folder.holding(path) as folder:
        os.utime(path.name, ns=times, dir_fd=folder, follow_symlinks=False)
