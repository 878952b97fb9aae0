"""The end of an upload, wherever the files are. Only the client's own CLOSE, or a change of size by path, publishes.

Until then the old file stays complete under its name.
"""

from __future__ import annotations

import errno
from abc import abstractmethod

from importer.model import Written
from importer.requests import Sender
from server.files.base import BaseFiles
from server.files.drafts import Draft
from server.files.files import Gone, Writing
from server.files.hooks import Hook, Origin, Upload
from server.files.reports import (
    NotLanded,
    new_upload,
    reason_of,
    report_aborted,
    report_completed,
    report_if_similar,
    report_refused,
)


class Endings(BaseFiles):
    """Publishes and discards drafts: what a client is told, and what a hook hears."""

    @abstractmethod
    async def _drop(self, draft: Draft) -> None:
        """Discard a draft. Raises nothing."""

    @abstractmethod
    async def _publish(self, draft: Draft, written: Written | None) -> None:
        """Make a draft visible where no hook is, in one step. Raises OSError; then the old file stays."""

    @abstractmethod
    async def _land(
        self, draft: Draft, hook: Hook, upload: Upload, written: Written | None, gone: Gone | None
    ) -> int:
        """Let the hook decide on a draft, and land it; return the id of its import or run. Raises as `_publish`.

        Raises NotLanded if the hook has recorded that it did not land.
        """

    @abstractmethod
    async def _keep_times(self, draft: Draft) -> None:
        """Set the times that the client set on a draft without changes on the file at its path."""

    async def finish(
        self, draft: Writing, origin: Origin = "close", sender: Sender | None = None, gone: Gone | None = None
    ) -> int | None:
        """See `Files.finish`."""
        draft = own(draft)
        if draft.removed:
            await self._drop(draft)
            return None
        if draft.failure is not None:
            reason = draft.failure
            await self.abandon(draft, reason, sender)
            raise OSError(errno.EIO, f"the upload was discarded because a write failed: {reason}")
        if not draft.changed:
            await self._drop(draft)
            if draft.times is not None:
                await self._keep_times(draft)
            return None
        # The pieces of an HTTP body say nothing about its length: HTTP itself says where it ends.
        written = None if origin == "http" else draft.trace.facts(draft.size)
        upload = new_upload(self, draft.path, draft.size, written, origin, sender)
        import_id = None
        try:
            hook = self.hook_at(draft.path)
            if hook is None:
                await self._publish(draft, written)
            else:
                import_id = await self._land(draft, hook, upload, written, gone)
        except NotLanded:
            await self._drop(draft)
            report_refused(self)
            raise
        except OSError as error:
            await self.abandon(draft, reason_of(error), sender)
            raise
        except Exception:
            await self._drop(draft)
            raise
        report_completed(self, upload)
        await report_if_similar(self, upload)
        return import_id

    async def abandon(self, draft: Writing, reason: str, sender: Sender | None = None) -> None:
        """See `Files.abandon`."""
        draft = own(draft)
        upload = new_upload(self, draft.path, draft.trace.received, None, "http" if sender else "close", sender)
        happened = not draft.removed and (draft.changed or draft.failure is not None)
        await self._drop(draft)
        if happened:
            await report_aborted(self, upload, reason)

    async def discard(self, draft: Writing) -> None:
        """See `Files.discard`."""
        await self._drop(own(draft))


def own(draft: Writing) -> Draft:
    """Return a draft that these files made."""
    assert isinstance(draft, Draft)
    return draft
