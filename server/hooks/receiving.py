"""Receive a file over HTTP into a draft, and turn what stops it into refusals."""

from __future__ import annotations

import asyncio
import errno
import hashlib
from collections.abc import AsyncIterable, AsyncIterator, Iterator
from contextlib import contextmanager

from importer.errors import Refused, TryAgain
from server.files.files import Writing
from server.tenants.settings import TenantSettings

STALLED_S = 60.0
"""An upload that sends nothing for so many seconds is ended."""


async def receive(
    draft: Writing, chunks: AsyncIterable[bytes], settings: TenantSettings, sha256: str | None = None
) -> None:
    """Write all chunks to `draft`. With `sha256` (hexadecimal) their content must have this hash.

    Raises TryAgain, and Refused (`file_too_large`, `quota_exceeded`, `disk_full`, `upload_stalled`,
    `digest_differs`).
    """
    found = hashlib.sha256()
    async for chunk in _while_they_come(chunks):
        if draft.size + len(chunk) > settings.max_file_bytes:
            longest = settings.max_file_bytes.human_readable(separator=" ")
            raise Refused("file_too_large", f"the file is too large: the limit is {longest} (max_file_bytes)")
        with refusing(settings):
            draft.write(draft.size, chunk, at_once=True)
        if sha256:
            found.update(chunk)
    if sha256 and found.hexdigest() != sha256:
        raise Refused(
            "digest_differs",
            f"the file does not match Content-Digest: its SHA-256 starts with {found.hexdigest()[:12]}, not "
            f"{sha256[:12]}. Send it again",
        )


async def _while_they_come(chunks: AsyncIterable[bytes]) -> AsyncIterator[bytes]:
    coming = aiter(chunks)
    while True:
        try:
            async with asyncio.timeout(STALLED_S):
                chunk = await anext(coming)
        except StopAsyncIteration:
            return
        except TimeoutError:
            raise Refused(
                "upload_stalled", f"no data came for {STALLED_S:.0f} seconds. Send the file again"
            ) from None
        yield chunk


@contextmanager
def refusing(settings: TenantSettings | None = None) -> Iterator[None]:
    """Turn errors of a full or failing disk, of the quota, or of a refused landing into Refused or TryAgain."""
    try:
        yield
    except OSError as error:
        answer = answer_to(error, settings)
        if answer is None:
            raise
        raise answer from error


def answer_to(error: OSError, settings: TenantSettings | None = None) -> Refused | TryAgain | None:
    """Return the refusal that `error`, or a cause of it, means for a client; None for any other error. Pure."""
    causes = [*_causes(error)]
    for cause in causes:
        if isinstance(cause, (Refused, TryAgain)):
            return cause
    first = next(each for each in reversed(causes) if isinstance(each, OSError))
    if first.errno == errno.EDQUOT:
        return Refused("quota_exceeded", _quota(settings) if settings else first.strerror or str(first))
    if first.errno == errno.ENOSPC:
        return Refused("disk_full", "the disk of the server is full. Tell the operator")
    if first.errno in (errno.EROFS, errno.EIO):
        return TryAgain("disk_error", "the disk of the server could not be written")
    return None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    while error is not None:
        yield error
        error = error.__cause__


def _quota(settings: TenantSettings) -> str:
    quota = settings.quota_bytes.human_readable(separator=" ")
    return (
        f"the file exceeds the storage quota of {quota}: it counts all files, running uploads, and the files of "
        "waiting and held imports. Delete files, or try again when imports have ended"
    )
