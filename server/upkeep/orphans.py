"""Takes up the work of servers that have gone, while this one runs.

Each server looks twice a second, also for those that were killed or are frozen. Several may take up the same work at
once: every change of a state is given to one of them. In the same way, a server takes up what it has lost itself.
"""

from __future__ import annotations

import asyncio
import errno
import logging
from collections.abc import Callable, Collection
from typing import Protocol

from engine.nodes import Node
from importer.errors import TryAgain
from importer.queue.entry import Entry
from importer.worker.attempt import known_end
from importer.worker.closing import Closing
from importer.worker.lost import Lost
from importer.worker.recovery import recover, remove_leftovers
from server.files.files import AllFiles
from server.rounds import again
from server.tenants.tenants import Tenants
from server.trouble import Trouble

log = logging.getLogger(__name__)

LOOK_S = 0.5
PATIENCE_S = 1.5
"""A server has gone if it was not heard of for so long. One whose connection was cut is there again sooner."""

Running = Callable[[], Collection[tuple[str, int]]]


class Hooks(Protocol):
    """The runs of hooks, as `server.runs.service.Hooks` has them."""

    async def unfinished(self) -> set[str]: ...

    async def recover(self, tenant: str, *, starting: bool) -> None: ...


class Recovery:
    """Brings the imports, runs and uploads of servers that have gone into their true states."""

    def __init__(
        self, tenants: Tenants, closing: Closing, hooks: Hooks, files: AllFiles, running: Running = lambda: ()
    ) -> None:
        """`running` returns the imports that this server runs."""
        self._tenants = tenants
        self._queue = tenants.store.imports()
        self._runs = tenants.store.runs()
        self._closing = closing
        self._hooks = hooks
        self._files = files
        self._running = running
        self._lost = Lost()
        self._left: dict[str, list[Entry]] = {}

    async def left(self) -> set[str]:
        """Return the tenants of which something is unfinished that no server works on. Raises TryAgain."""
        left: dict[str, list[Entry]] = {}
        lost = self._lost.among(await self._queue.at_work_here(), self._running())
        for entry in (*await self._queue.cut_off(), *lost):
            left.setdefault(entry.tenant, []).append(entry)
        self._left |= left
        landed = await self._runs.with_landed_files()
        return {*left, *landed, *await self._hooks.unfinished(), *await self._files.left()}

    async def recover(self, tenant: str) -> None:
        """Recover what was left of a tenant, at a start, before a client can log in."""
        await self.take_up(tenant, starting=True)

    async def take_up(self, tenant: str, *, starting: bool = False) -> None:
        """Recover what was left of a tenant.

        `starting`: also delete files that nothing needs. Nothing of the tenant runs in this process yet.
        """
        tenants, left = self._tenants, self._left.get(tenant, [])
        folder, archive = tenants.folder(tenant), tenants.archive
        await self._place_again(tenant)  # first: if another step lacks disk space, clients can read and remove files
        await recover(self._queue, self._closing, tenants.folder, tenants.users, known_end, left, archive)
        if starting:
            await remove_leftovers(self._queue, tenant, folder, archive, others=tenants.store.node.shares)
        await self._hooks.recover(tenant, starting=starting)
        await self._files.clear(tenant, folder.root)
        self._left.pop(tenant, None)

    async def _place_again(self, tenant: str) -> None:
        """Bring the newest files of hooks to the disk under their names. Raises OSError: then no client may log in.

        A client that removed such a file would find it again after the next start.
        """
        try:
            if not (files := await self._runs.landed_files(tenant)):
                return
            await self._files.place_again(self._tenants.folder(tenant).root, files)
            await self._runs.files_kept(files)
        except TryAgain as error:
            raise OSError(errno.EIO, str(error)) from error
        for landed in files:
            log.info(
                "The file of run %d of %s is on the disk: the server stopped just after it was uploaded.",
                *(landed.run_id, tenant),
                extra={"event": "file_placed_again", "tenant": tenant, "run_id": landed.run_id},
            )


class Orphans:
    """Takes up the work of other servers between `start()` and `stop()`, if this one shares its data with others."""

    def __init__(self, node: Node, recovery: Recovery) -> None:
        self._node = node
        self._recovery = recovery
        sentence = "The work that other servers left cannot be taken up"
        self._trouble = Trouble(log, sentence, {"event": "work_left"})
        self._ending = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        if self._node.shares:
            self._task = asyncio.create_task(again(self._round, self._failed, self._ending), name="orphans")

    async def stop(self) -> None:
        self._ending.set()
        if self._task:
            await asyncio.wait([self._task])

    async def _round(self) -> float:
        await self._node.bury(PATIENCE_S)
        for tenant in sorted(await self._recovery.left()):
            if self._ending.is_set():
                break
            try:
                await self._recovery.take_up(tenant)
            except Exception as error:  # the next look finds it again; other tenants follow
                self._trouble.met_unless_busy(error)
        return LOOK_S

    def _failed(self, error: Exception) -> float:
        self._trouble.met_unless_busy(error)
        return LOOK_S
