"""Tell hooks, the log and the metrics about uploads. An error of a hook is logged, and not raised."""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Iterator
from contextlib import contextmanager

from ground.moments import utc_now
from importer.errors import DatabaseAway, Refused, TryAgain
from importer.model import Written
from importer.requests import Sender
from server.files.base import BaseFiles
from server.files.hooks import HookRefused, Origin, Upload
from server.files.paths import ClientPath
from server.trouble import OF_THE_DISK, tell

log = logging.getLogger(__name__)

SHOWN_TO_CLIENTS = (HookRefused, Refused, TryAgain)
"""Exceptions whose message a client may read. That of `DatabaseUnusable` names folders of the server."""

REMOVED = "your company was removed from this server, so the file was discarded"


class NotLanded(OSError):  # noqa: N818 - the name of a state
    """The file did not land, and the hook has recorded this, unless the tenant was removed.

    The message is for the client.
    """

    def __init__(self, reason: str) -> None:
        super().__init__(errno.EIO, reason)


def new_upload(
    files: BaseFiles,
    path: ClientPath,
    size: int,
    written: Written | None,
    origin: Origin,
    sender: Sender | None = None,
) -> Upload:
    """Return the upload to pass to a hook, completed or interrupted now."""
    return Upload(files.tenant, str(path), size, written, utc_now(), origin, sender)


def reason_of(error: Exception) -> str:
    """Return the text of an exception that a client, or a reader of a report, may see."""
    if isinstance(error, OSError):
        return error.strerror or str(error)
    return str(error) if isinstance(error, SHOWN_TO_CLIENTS) else "internal error"


async def report_aborted(files: BaseFiles, upload: Upload, reason: str) -> None:
    """Count and log an interrupted upload, and report it to the hook it was meant for, if any. Raises nothing.

    That of a removed tenant is not reported: a new tenant may have its name.
    """
    files.house.metrics.upload(files.tenant, "aborted")
    log.warning(
        "The upload of %r was interrupted after %d bytes: %s.",
        upload.path,
        upload.size,
        reason,
        extra={"event": "upload_aborted", "tenant": files.tenant},
    )
    hook = files.hooks.begins(upload.path)
    if hook is not None and not files.removed:
        try:
            await hook.aborted(upload, reason)
        except Exception as error:
            tell(log, "An interrupted upload could not be recorded", error, _failed_hook(files))


@contextmanager
def reporting_refusal(files: BaseFiles, path: ClientPath) -> Iterator[None]:
    """Count and log an upload to `path` that the block cannot begin for want of space or storage.

    Most clients send no byte then, so there is nothing to interrupt. Other errors are about the path, and the client
    knows what it does. While the whole database is away, its own line says so.
    """
    try:
        yield
    except OSError as error:
        if error.errno in OF_THE_DISK and not isinstance(error, NotLanded):
            files.house.metrics.upload(files.tenant, "refused")
            if not isinstance(error.__cause__, DatabaseAway) and (times := files.refused.again(time.monotonic())):
                log.warning(
                    "An upload of %r could not begin: %s.",
                    *(str(path), reason_of(error)),
                    extra={"event": "upload_refused", "tenant": files.tenant, "times": times},
                )
        raise


def report_completed(files: BaseFiles, upload: Upload) -> None:
    """Count and log a completed upload. Raises nothing."""
    files.house.metrics.upload(files.tenant, "completed")
    log.info(
        "The upload of %r is complete (%d bytes).",
        upload.path,
        upload.size,
        extra={"event": "upload_completed", "tenant": files.tenant},
    )


def report_refused(files: BaseFiles) -> None:
    """Count an upload that its hook refused; the hook has recorded it."""
    files.house.metrics.upload(files.tenant, "refused")


async def report_if_similar(files: BaseFiles, upload: Upload) -> None:
    """If a completed file has a name similar to a hook's, log it and report it to that hook. Raises nothing.

    That of a removed tenant is not reported.
    """
    near = files.hooks.near(upload.path)
    if near is None or files.removed:
        return
    log.warning("%s", near.reason, extra={"event": "upload_ignored", "tenant": files.tenant})
    try:
        await near.hook.ignored(upload, near.reason)
    except Exception as error:
        tell(log, "A file under a similar name could not be recorded", error, _failed_hook(files))


def _failed_hook(files: BaseFiles) -> dict[str, str]:
    return {"event": "hook_failed", "tenant": files.tenant}
