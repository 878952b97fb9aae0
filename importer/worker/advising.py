"""Advice on the files of ended imports, made beside the worker: an import waits for it for at most AT_ONCE_S.

Advice that is ready in time is in the import's first report; else the report is written again with it. A stop of the
server, a full disk or a busy database leaves the advice out without a log line.
"""

from __future__ import annotations

import asyncio
import logging
import os
import shutil
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from importer.advice.advise import InToml, Question, advise_if_possible, deserves_advice
from importer.advice.kept import keep_advice, matter_of, show_again
from importer.archive import LOCAL, Archive
from importer.errors import TryAgain
from importer.folder import FolderOf, TenantFolder
from importer.model import Outcome
from importer.queue.entry import Entry
from importer.reconcile.job import Job
from importer.rules.settings import ImportSettings
from importer.users.users import Users, UsersOf

log = logging.getLogger(__name__)

AT_ONCE_S = 1.0
"""How long the end of an import waits for advice on its file."""

QUICK_S = 0.5
"""An import that took longer than this does not wait for advice."""

WAITING_MOST = 100
"""The number of imports that may wait for advice at a time; further ones get none."""

SPARE_BYTES = 64 * 1024 * 1024
"""The free space that the disk must have beside the copies that are made."""

LONG_BYTES = 4 * 1024 * 1024
"""Files longer than this get advice one at a time, and give way to imports."""

GIVES_WAY_S = 1.0
"""How long advice on a long file waits for running imports, after each batch of rows."""


@dataclass(frozen=True, slots=True)
class Ended:
    """An import that ran to its end in `took_s` seconds: its job, its settings and its outcome."""

    entry: Entry
    job: Job
    settings: ImportSettings
    outcome: Outcome
    took_s: float


class Advising:
    """Makes advice, on at most one long and one other file at a time."""

    def __init__(
        self, folder_of: FolderOf, users_of: UsersOf, in_toml: InToml | None = None, archive: Archive = LOCAL
    ) -> None:
        self._folder_of = folder_of
        self._users_of = users_of
        self._in_toml = in_toml
        self._archive = archive
        self._making = {is_long: asyncio.Semaphore(1) for is_long in (False, True)}
        self._imports = 0
        self._quiet = threading.Event()
        self._quiet.set()
        self._tasks: dict[tuple[str, int], asyncio.Task[None]] = {}
        self._stopping = False

    async def begin(self, ended: Ended) -> None:
        """Make advice for an import whose end is not published yet.

        Returns when the advice is stored, or after at most AT_ONCE_S.
        """
        entry, folder = ended.entry, self._folder_of(ended.entry.tenant)
        if not deserves_advice(ended.outcome):
            if entry.attempts > 1 or entry.decided_at:
                with suppress(OSError, TryAgain):
                    await self._archive.drop(folder, folder.advice(entry.id))
            return
        if self._stopping or len(self._tasks) >= WAITING_MOST:
            return
        scratch = folder.messages / f".advice-{entry.id}"
        try:
            matter = await self._prepared(folder, ended, scratch)
        except (OSError, TryAgain):
            return
        if matter is None:
            return
        task = asyncio.create_task(self._make(ended, folder, scratch, matter), name=f"advice on {entry.id}")
        self._tasks[entry.key] = task
        task.add_done_callback(lambda _: self._tasks.pop(entry.key, None))
        if ended.took_s <= QUICK_S:
            await asyncio.wait([task], timeout=AT_ONCE_S)

    @contextmanager
    def importing(self) -> Iterator[None]:
        """While an import runs in the block, advice on long files gives way to it."""
        self._imports += 1
        self._quiet.clear()
        try:
            yield
        finally:
            self._imports -= 1
            if not self._imports:
                self._quiet.set()

    def under_way(self, entry: Entry) -> asyncio.Task[None] | None:
        """Return the task that makes advice for this import; None if there is none."""
        return self._tasks.get(entry.key)

    async def stop(self) -> None:
        """Leave out the advice that is not made yet."""
        self._stopping = True
        self._quiet.set()
        if self._tasks:
            await asyncio.wait([*self._tasks.values()])

    async def _prepared(self, folder: TenantFolder, ended: Ended, scratch: Path) -> str | None:
        """Return what the advice depends on; None if there is none to make, because the newest is shown again."""
        entry = ended.entry
        await self._archive.fetch(folder, folder.newest_advice)
        async with self._archive.making(folder) as made:
            matter, again = await asyncio.to_thread(
                _prepare, folder, made, self._users_of(entry.tenant), ended, scratch
            )
            if again:
                await self._archive.keep(made, made.advice(entry.id))
        return matter

    async def _make(self, ended: Ended, folder: TenantFolder, scratch: Path, matter: str) -> None:
        try:
            is_long = _link(scratch).stat().st_size > LONG_BYTES
            async with self._making[is_long]:
                if self._stopping:
                    return
                await self._made(ended, folder, scratch, matter, self._gives_way if is_long else self._stops)
        except Exception:
            log.exception(
                "Advice on import %d of %s failed: internal error.",
                *(ended.entry.id, ended.entry.tenant),
                extra={"event": "advice_fault", "tenant": ended.entry.tenant, "import_id": ended.entry.id},
            )
        finally:
            await asyncio.to_thread(shutil.rmtree, scratch, ignore_errors=True)

    def _stops(self) -> bool:
        return self._stopping

    def _gives_way(self) -> bool:
        """Wait for running imports, then return whether the server is stopping. For the thread that makes advice."""
        self._quiet.wait(GIVES_WAY_S)
        return self._stopping

    async def _made(
        self, ended: Ended, folder: TenantFolder, scratch: Path, matter: str, stopping: Callable[[], bool]
    ) -> None:
        job = ended.job
        question = Question(
            tenant=job.tenant,
            file=_link(scratch),
            users=self._users_of(job.tenant),
            settings=ended.settings,
            outcome=ended.outcome,
            now=job.now,
            switched=job.trial is not None and "identifier" in job.trial.changes,
            written=job.written,
            proven_complete=job.proven_complete,
            stopping=stopping,
        )
        found = await advise_if_possible(question, scratch, self._in_toml)
        if found.left_out or self._stopping:
            return
        with suppress(OSError, TryAgain):
            async with self._archive.making(folder) as made:
                await asyncio.to_thread(keep_advice, made, ended.entry.id, matter, found.advice)
                await self._archive.keep(made, made.advice(ended.entry.id), made.newest_advice)


def _prepare(
    folder: TenantFolder, made: TenantFolder, users: Users, ended: Ended, scratch: Path
) -> tuple[str | None, bool]:
    """Return what the advice depends on, and whether the newest advice, in `folder`, is shown again, in `made`.

    None if no advice is to be made: it is shown again, or the disk has too little space. Else the file is linked into
    `scratch` for later.
    """
    matter = matter_of(ended.job.file, users, ended.settings, ended.outcome)
    if show_again(folder, made, ended.entry.id, matter):
        return None, True
    needed = users.copy_bytes() * 2 + ended.job.file.stat().st_size
    if shutil.disk_usage(folder.root).free < needed + SPARE_BYTES:
        return None, False
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.parent.mkdir(mode=0o700, exist_ok=True)  # but not its parent: the tenant may be removed meanwhile
    scratch.mkdir(mode=0o700)
    os.link(ended.job.file, _link(scratch))  # the copy of a dry run is removed when it ends
    return matter, False


def _link(scratch: Path) -> Path:
    return scratch / "upload.csv"
