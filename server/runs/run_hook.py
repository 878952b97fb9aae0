"""The hooks of paths other than those of imports: an upload becomes a run.

A hook that cannot run refuses every upload to its path. The sentences fit any kind of file.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterator
from pathlib import Path

from engine.landing import Landing, Outcome, Placing
from engine.runs import RunStore
from ground.afterwards import once_stored
from ground.files import fsync_folder
from ground.words import counted
from headcount.hooks import why_not_path
from importer.errors import Refused, TryAgain
from importer.folder import FolderOf, TenantFolder
from importer.model import ImportState
from server.files.hooks import Arrival, Decide, Hooked, HookRefused, Land, Upload
from server.files.patterns import Pattern
from server.runs.ending import Ending
from server.runs.registry import RegisteredHook, Registry

log = logging.getLogger(__name__)


Told = Callable[[str], object]
"""Is called with the tenant of each file that landed."""


class RunHook:
    """A `server.files.hooks.Hook` that queues runs."""

    def __init__(
        self, hook: RegisteredHook, store: RunStore, ending: Ending, folder_of: FolderOf, landed: Told
    ) -> None:
        self._hook = hook
        self._store = store
        self._ending = ending
        self._folder_of = folder_of
        self._landed = landed

    @property
    def decide(self) -> Decide | None:
        """Return what decides on files; None if the hook accepts every file."""
        runnable = self._hook.runnable
        return self.accepting if runnable is None or runnable.asks else None

    @property
    def land(self) -> Land | None:
        """Return what lands a short file in one call; None if the files of the engine are not in a folder."""
        return None if self._store.land is None else self.at_once

    async def accepting(self, upload: Upload, file: Path) -> None:
        """Ask `accept` of the hook. Raises HookRefused with its words; then the upload is listed with them.

        It is listed because some clients show no words of a server.
        """
        message, error = await self._why_refused(upload, file)
        if message is not None:
            raise HookRefused(message, lambda: self._never_ran(upload, ImportState.ABORTED, message, error))

    async def arriving(self, upload: Upload) -> Arrival:
        """Create the run in state `arriving`. It is durable on return. Raises HookRefused."""
        folder = await self._folder_for(upload)
        try:
            run_id = await self._create(upload)
        except (Refused, TryAgain) as error:
            raise _not_queued(error) from error
        return Arrival(run_id, folder.run_copy(run_id))

    async def landed(self, upload: Upload, arrival: Arrival) -> None:
        """Queue the run. It is durable on return. Raises TryAgain or Refused if nothing was queued."""
        await self._store.landed(upload.tenant, arrival.id)
        await once_stored(lambda: self._queued(upload, arrival.id))

    async def at_once(self, upload: Upload, placing: Placing) -> Outcome:
        """Create the run, place its file and queue it; see `server.files.hooks.Land`."""
        land = self._store.land
        assert land is not None
        folder = await self._folder_for(upload)
        facts = (upload.tenant, self._hook.name, upload.path, upload.size, upload.uploaded_at)
        try:
            made = await land(Landing(*facts, placing, folder.run_copy))
        except (Refused, TryAgain) as error:
            raise _not_queued(error) from error
        await once_stored(lambda: self._queued(upload, made.run_id))
        return made

    async def failed(self, upload: Upload, arrival: Arrival, reason: str) -> None:
        """End the run as aborted: the file could not be published."""
        await self._end(upload, arrival.id, ImportState.ABORTED, _interrupted(upload, reason))

    async def aborted(self, upload: Upload, reason: str) -> None:
        """List an interrupted upload, with the number of bytes received."""
        await self._never_ran(upload, ImportState.ABORTED, _interrupted(upload, reason))

    async def ignored(self, upload: Upload, reason: str) -> None:
        """List an upload under a name similar to the hook's, with the fault of the name."""
        await self._never_ran(upload, ImportState.IGNORED, reason)

    async def _folder_for(self, upload: Upload) -> TenantFolder:
        """Return the tenant's folder, in which the one for copies exists."""
        folder = self._folder_of(upload.tenant)
        if not folder.runs.is_dir():
            await asyncio.to_thread(_make, folder.runs)
        return folder

    def _queued(self, upload: Upload, run_id: int) -> None:
        self._landed(upload.tenant)
        loop = asyncio.get_running_loop()
        # The client gets its OK first: the next step sends it, and the one after that logs.
        loop.call_soon(loop.call_soon, self._log_queued, upload, run_id)

    def _log_queued(self, upload: Upload, run_id: int) -> None:
        log.info(
            "Run %d of %s for %s is queued.",
            *(run_id, self._hook.name, upload.tenant),
            extra={
                "event": "run_queued",
                "hook": self._hook.name,
                "tenant": upload.tenant,
                "run_id": run_id,
                "origin": upload.origin,
                "size": upload.size,
            },
        )

    async def _why_refused(self, upload: Upload, file: Path) -> tuple[str | None, str | None]:
        """Return the sentence for the client and the error for the operator; None and None if the file is wanted."""
        hook = self._hook
        if hook.runnable is None:
            error = hook.error or "it has nothing to run"
            said = error.partition(": ")[0]  # the text of an exception may hold a password
            return f"The hook {hook.name} cannot be used ({said}). Tell the operator.", error
        refused = await hook.runnable.accept(upload.tenant, upload.path, upload.size, file)
        return (refused.message, refused.error) if refused else (None, None)

    async def _create(self, upload: Upload) -> int:
        return await self._store.arriving(
            upload.tenant, self._hook.name, upload.path, size=upload.size, uploaded_at=upload.uploaded_at
        )

    async def _never_ran(self, upload: Upload, state: ImportState, message: str, error: str | None = None) -> None:
        """Record an upload that never ran. Raises nothing: if the record cannot be made, it is logged."""
        try:
            run_id = await self._create(upload)
        except (Refused, TryAgain) as refusal:
            self._unrecorded(upload, state, refusal)
        else:
            await self._end(upload, run_id, state, message, error)

    async def _end(
        self, upload: Upload, run_id: int, state: ImportState, message: str, error: str | None = None
    ) -> None:
        """End the record, once it is on disk, as `ImportHook` does. If that fails now, the next start does it."""
        await once_stored(lambda: self._end_now(upload, run_id, state, message, error))

    async def _end_now(
        self, upload: Upload, run_id: int, state: ImportState, message: str, error: str | None
    ) -> None:
        try:
            run = await self._store.get(upload.tenant, run_id)
            if run is not None:
                await self._ending.end_upload(run, state, message, error=error)
        except TryAgain as refusal:
            self._unrecorded(upload, state, refusal)

    def _unrecorded(self, upload: Upload, state: ImportState, error: Exception) -> None:
        log.warning(
            "An %s upload of %s could not be recorded: %s.",
            *(state.value, upload.tenant, error),
            extra={
                "event": "upload_unrecorded",
                "tenant": upload.tenant,
                "state": state.value,
                "hook": self._hook.name,
            },
        )


def table_entries(
    registry: Registry, store: RunStore, ending: Ending, folder_of: FolderOf, landed: Told
) -> Iterator[Hooked]:
    """Yield the hooks with a path for a `HookTable`: those that cannot run first, because they refuse uploads."""
    for hook in sorted(registry.hooks, key=lambda each: each.runnable is not None):
        if hook.path is not None and why_not_path(hook.path) is None:
            yield Hooked(hook.name, Pattern(hook.path), RunHook(hook, store, ending, folder_of, landed))


def _interrupted(upload: Upload, reason: str) -> str:
    size = counted(upload.size, "byte", "bytes")
    return f"The upload was interrupted after {size} ({reason}); the file was not processed. Send it again."


def _not_queued(error: Refused | TryAgain) -> HookRefused:
    return HookRefused(f"the file cannot be queued now: {error.message}. Send it again later")


def _make(folder: Path) -> None:
    """Make the folder of the copies, durably. Does nothing if it exists."""
    try:
        folder.mkdir(mode=0o700)
    except FileExistsError:
        return
    fsync_folder(folder.parent)
