"""The undo of one import: one transaction that sets back what the import changed.

The newest applied import is undone first, then the one before it; imports that changed no user are skipped. Users
that it updated get their previous values, users that it deactivated become active, and users that it created are
deactivated and unknown to later imports. The outcome is written in the same transaction, so after a crash nothing is
undone twice.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from pathlib import Path

from ground.words import counted
from importer.archive import Keep, keep_in_place
from importer.errors import Refused, Stopped
from importer.model import MESSAGES_IN_REPORT, ImportState, Outcome, Problem
from importer.rules.identity import Identity
from importer.undo.values import address_kept, set_back, still_protected, user_removed, with_existing
from importer.users.columns import LINKED, ids_in
from importer.users.undoing import Batch, Undoing
from importer.users.users import Users

KEPT = 10_000
"""The number of messages of an undo that are kept; the rest is only counted."""


@dataclass(frozen=True, slots=True)
class UndoJob:
    """One import to undo. `identity` is the current identifier of the users.

    `keep` stores the file of the values that were kept, before the undo is committed.
    """

    tenant: str
    import_id: int
    by: str
    identity: Identity
    now: datetime
    keep: Keep = keep_in_place


async def undo_import(
    job: UndoJob,
    users: Users,
    messages: Path,
    *,
    progress: Callable[[float], None] = lambda _: None,
    stopping: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Undo the import of `users`, and write the values that were kept to `messages`, as `<id>.undo.jsonl`.

    The outcome (`undone`, with the counts of the import) is committed with the changes of the users. Raises Refused
    if it is not the newest import that changed a user, and TryAgain or Stopped. Then nothing was changed.
    """
    async with users.undoing(job.import_id, job.identity) as undoing:
        undo = _Undo(job, undoing)
        applied = await undo.judge()
        await undo.run(progress, stopping)
        outcome = await undo.outcome(applied)
        await asyncio.to_thread(_write, messages / f"{job.import_id}.undo.jsonl", undo.kept)
        await job.keep()
        await undoing.record(outcome, job.now)
    return outcome


def _write(path: Path, problems: Iterable[Problem]) -> None:
    path.parent.mkdir(mode=0o700, exist_ok=True)
    new = path.with_name(f".{path.name}.new")
    try:
        with new.open("w", encoding="utf-8") as file:
            file.writelines(json.dumps(problem.to_json(), ensure_ascii=False) + "\n" for problem in problems)
        new.replace(path)
    finally:
        with suppress(OSError):
            new.unlink(missing_ok=True)


class _Undo:
    """The steps of one undo inside its transaction."""

    def __init__(self, job: UndoJob, undoing: Undoing) -> None:
        self._job = job
        self._undoing = undoing
        self.kept: list[Problem] = []
        self._kept = 0
        self._set_back: set[int] = set()
        self._deactivated = 0

    async def judge(self) -> Outcome:
        """Return the import's outcome. Raises Refused if it cannot be undone now."""
        where = f"import {self._job.import_id} of {self._job.tenant}"
        kept = await self._undoing.outcome()
        if not kept:
            raise Refused("not_kept", f"the changes of {where} are no longer kept")
        outcome, undone = kept
        if undone:
            raise Refused("already_undone", f"{where} is already undone")
        newest = await self._undoing.newest()
        if newest != self._job.import_id:
            later = f": undo import {newest} first" if newest is not None else ""
            raise Refused("not_newest", f"{where} is not the newest import that changed a user{later}")
        return outcome

    async def run(self, progress: Callable[[float], None], stopping: Callable[[], bool]) -> None:
        """Set back all values. Raises Stopped."""
        protected, self._deactivated = await self._undoing.deactivate_created()
        self._keep(still_protected(user) for user in protected)
        async for batch in self._undoing.batches():
            await self._set_back_batch(batch)
            progress(batch.share)
            if stopping():
                raise Stopped("the server is stopping")
        addresses = await self._undoing.set_back_addresses()
        self._keep(map(address_kept, addresses.kept))
        self._set_back |= addresses.set_back

    async def _set_back_batch(self, batch: Batch) -> None:
        users = batch.users
        found = {i: set_back(users[i], batch.changes[i], self._job.identity) for i in batch.changes if i in users}
        self._keep(user_removed() for user_id in batch.changes if user_id not in users)
        wanted = {name: {i for one in found.values() for i in ids_in(one.columns.get(name))} for name in LINKED}
        exists = await self._undoing.existing(wanted)
        changes = []
        for user_id, one in found.items():
            user = users[user_id]
            columns = with_existing(one, user, exists).columns
            self._keep(one.kept)
            if columns:
                self._set_back.add(user_id)
                changes.append((user, columns))
        await self._undoing.update(changes)

    async def outcome(self, applied: Outcome) -> Outcome:
        """Return the outcome of the undo: the counts of the import, and how many users are active now."""
        done = [f"{counted(len(self._set_back), 'user', 'users')} set back"] if self._set_back else []
        if self._deactivated:
            done.append(f"{counted(self._deactivated, 'created user', 'created users')} deactivated")
        kept = f"; {counted(self._kept, 'message says', 'messages say')} what was not restored" if self._kept else ""
        message = f"Undone by {self._job.by}: {' and '.join(done) or 'no user was set back'}{kept}."
        messages = (*self.kept, *applied.messages)[:MESSAGES_IN_REPORT]
        active = await self._undoing.active()
        return replace(applied, state=ImportState.UNDONE, messages=messages, message=message, active=active)

    def _keep(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            self._kept += 1
            if len(self.kept) < KEPT:
                self.kept.append(problem)
