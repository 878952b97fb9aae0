"""The undo of one import: one transaction that puts back what the import had changed.

The newest applied import first, then the one before it; those that changed nobody are passed over. Users it updated
have their former values, users it deactivated are active, and users it created are deactivated and unknown to later
imports. What the undo comes to is written in the same transaction, so that after a crash nobody undoes it twice.
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
from importer.errors import Refused, Stopped
from importer.model import MESSAGES_IN_REPORT, ImportState, Outcome, Problem
from importer.rules.identity import Identity
from importer.undo.putback import address_left, nobody_left, put_back, still_protected, with_existing
from importer.users.columns import LINKED, ids_in
from importer.users.undoing import Batch, Undoing
from importer.users.users import Users

KEPT = 10_000
"""So many of the messages of an undo are kept; the rest is only counted."""


@dataclass(frozen=True, slots=True)
class UndoJob:
    """One import to undo. `identity` is what tells the users apart now."""

    tenant: str
    import_id: int
    by: str
    identity: Identity
    now: datetime


async def undo_import(
    job: UndoJob,
    users: Users,
    messages: Path,
    *,
    progress: Callable[[float], None] = lambda _: None,
    stopping: Callable[[], bool] = lambda: False,
) -> Outcome:
    """Undo the import of `users`; what was left is in `messages`, as `<id>.undo.jsonl`, when it returns.

    The outcome (`undone`, with the counts of the import) is kept with the users, committed with its effects.
    Raises Refused if it is not the newest one that changed anybody; TryAgain, Stopped. Then nothing was changed.
    """
    async with users.undoing(job.import_id, job.identity) as undoing:
        undo = _Undo(job, undoing)
        applied = await undo.judge()
        await undo.run(progress, stopping)
        outcome = await undo.outcome(applied)
        await asyncio.to_thread(_keep, messages / f"{job.import_id}.undo.jsonl", undo.left)
        await undoing.record(outcome, job.now)
    return outcome


def _keep(path: Path, problems: Iterable[Problem]) -> None:
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
        self.left: list[Problem] = []
        self._left = 0
        self._put_back: set[int] = set()
        self._taken_back = 0

    async def judge(self) -> Outcome:
        """What the import had come to. Raises Refused if it can't be undone now."""
        where = f"import {self._job.import_id} of {self._job.tenant}"
        kept = await self._undoing.outcome()
        if not kept:
            raise Refused("not_kept", f"what {where} changed is not kept any more")
        outcome, undone = kept
        if undone:
            raise Refused("already_undone", f"{where} is undone already")
        newest = await self._undoing.newest()
        if newest != self._job.import_id:
            later = f": undo import {newest} first" if newest is not None else ""
            raise Refused("not_newest", f"{where} is not the newest import that changed anybody{later}")
        return outcome

    async def run(self, progress: Callable[[float], None], stopping: Callable[[], bool]) -> None:
        """Put everything back. Raises Stopped."""
        protected, self._taken_back = await self._undoing.take_back_creations()
        self._leave(still_protected(user) for user in protected)
        async for batch in self._undoing.batches():
            await self._put_back_batch(batch)
            progress(batch.share)
            if stopping():
                raise Stopped("the server is stopping")
        addresses = await self._undoing.put_back_addresses()
        self._leave(map(address_left, addresses.left))
        self._put_back |= addresses.back

    async def _put_back_batch(self, batch: Batch) -> None:
        users = batch.users
        found = {i: put_back(users[i], batch.changes[i], self._job.identity) for i in batch.changes if i in users}
        self._leave(nobody_left() for user_id in batch.changes if user_id not in users)
        wanted = {name: {i for one in found.values() for i in ids_in(one.columns.get(name))} for name in LINKED}
        exists = await self._undoing.existing(wanted)
        changes = []
        for user_id, one in found.items():
            user = users[user_id]
            columns = with_existing(one, user, exists).columns
            self._leave(one.left)
            if columns:
                self._put_back.add(user_id)
                changes.append((user, columns))
        await self._undoing.update(changes)

    async def outcome(self, applied: Outcome) -> Outcome:
        """What the undo came to: the counts of the import, and how many users are active now."""
        back = counted(len(self._put_back), "user is as before", "users are as before")
        taken = counted(self._taken_back, "that it had created is deactivated", "that it had created are deactivated")
        left = f"; {counted(self._left, 'field was', 'fields were')} left, as the messages say" if self._left else ""
        message = f"Undone by {self._job.by}: {back}, {taken}{left}."
        said = (*self.left, *applied.messages)[:MESSAGES_IN_REPORT]
        active = await self._undoing.active()
        return replace(applied, state=ImportState.UNDONE, messages=said, message=message, active=active)

    def _leave(self, problems: Iterable[Problem]) -> None:
        for problem in problems:
            self._left += 1
            if len(self.left) < KEPT:
                self.left.append(problem)
