"""A file lands at a hook's path: on disk, with the hook, and visible, before anybody hears OK.

Whatever fails on the way, the old file is at the path, and the hook has heard of it exactly once.
"""

from __future__ import annotations

import errno
import logging
import os
from datetime import UTC, datetime

from importer.errors import ImporterError
from importer.model import Written
from server.files.hooks import Arrival, Hook, HookRefused, Origin, Upload
from server.files.leftovers import unmark
from server.files.paths import ClientPath
from server.files.placing import Placement, Spot
from server.files.space import Space

log = logging.getLogger(__name__)


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
    await space.in_thread(os.fsync, fd)
    try:
        arrival = await hook.arriving(upload)
    except (HookRefused, ImporterError) as refusal:
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
    await space.in_thread(placement.settle)
    return placement.replaced


async def _failed(hook: Hook, upload: Upload, arrival: Arrival, error: Exception) -> None:
    """Tell the hook; raises NotLanded for what may happen to anybody, and leaves our own faults alone."""
    reason = reason_of(error)
    await hook.failed(upload, arrival, reason)
    if isinstance(error, (OSError, ImporterError, HookRefused)):
        raise NotLanded(reason) from error


def reason_of(error: Exception) -> str:
    """The sentence in an exception that a client, or an operator reading a report, may see."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error) if isinstance(error, (ImporterError, HookRefused)) else "internal error"


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
        except Exception:
            log.exception("A broken upload could not be recorded", extra=_failed_hook(space))


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
    except Exception:
        log.exception("A file under a near name could not be recorded", extra=_failed_hook(space))


def _failed_hook(space: Space) -> dict[str, str]:
    return {"event": "hook_failed", "tenant": space.tenant}
