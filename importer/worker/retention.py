"""The data of a tenant that retention deletes. Pure: the time is an argument.

Uploads, messages, history and rows of the queue that are older than the tenant's `retention_days` are deleted; rows
whose reports are in /results stay. Whatever their age, these stay:

- imports that are not ended or decided;
- the newest applied import;
- the newest applied import that changed a user, which can be undone;
- the newest applied file that is not a correction file, which the next file is compared with.

Copies of uploads are deleted earlier if they take more than the tenant's `kept_bytes` together; the rest stays. The
copies of failed runs of other hooks count with them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import merge

from importer.model import APPLIED, WAITING, ImportState
from importer.queue.entry import Past
from importer.users.memory import PastEffect

UNDECIDED = WAITING | {ImportState.HELD}
"""States of imports that still wait: for their turn, an end or a decision."""


@dataclass(frozen=True, slots=True)
class Pruning:
    """The imports whose files (upload and messages) are deleted, and those whose row in the queue is deleted too."""

    files: frozenset[int]
    rows: frozenset[int]


@dataclass(frozen=True, slots=True)
class FailedRun:
    """A failed run of another hook, whose copy is kept for a rerun. `finished_at` is RFC 3339."""

    id: int
    finished_at: str


@dataclass(frozen=True, slots=True)
class Trimming:
    """The imports and the failed runs whose copies are deleted, oldest first."""

    imports: list[int]
    runs: list[int]


def effects_to_prune(effects: Iterable[PastEffect], before: str) -> list[int]:
    """Return the imports whose history and outcome are deleted. All that later undos need stays."""
    ordered = sorted(effects, key=lambda each: each.number)
    spared = _newest(ordered, lambda each: not each.undone)
    spared |= _newest(ordered, lambda each: each.changed)
    spared |= _newest(ordered, lambda each: each.compared and not each.undone)
    found, reached = [], False
    for each in ordered:
        old = each.applied_at < before
        reached = reached or each.id in spared or (each.changed and not old)
        # Undo goes back one import at a time: after the oldest that stays, every import with an effect stays.
        if old and each.id not in spared and not (reached and each.changed):
            found.append(each.id)
    return found


def imports_to_prune(imports: Iterable[Past], spared: Collection[int], before: str) -> Pruning:
    """Return the imports whose files, and whose rows, are deleted.

    The rows of `spared` stay whatever their age: their history is kept, or their report is in /results.
    """
    ended = [each for each in imports if each.state not in UNDECIDED and each.finished_at]
    applied = [(each.applied_number or 0, each.id) for each in ended if each.state in APPLIED and not each.dry_run]
    newest = max(applied)[1] if applied else 0
    old = {each.id for each in ended if (each.finished_at or "") < before} - {newest}
    return Pruning(frozenset(old), frozenset(old - set(spared)))


def copies_to_remove(
    imports: Iterable[Past],
    sizes: Mapping[int, int],
    most: int,
    runs: Iterable[FailedRun] = (),
    run_sizes: Mapping[int, int] | None = None,
    linked: Collection[int] = (),
) -> Trimming:
    """Return the imports and failed runs whose copies are deleted, oldest first.

    The copies of all of them that ended then take at most `most` bytes. `sizes` and `run_sizes` have the bytes of the
    copies by id; `runs` are oldest first. The copy of the newest applied file that is not a correction file always
    stays. It may be that of one of `linked`, the imports whose copies have another name, and do not count. Dry runs
    do not count: the copy of one that has ended is kept for its sender, and only for a while.
    """
    real = [each for each in imports if not each.dry_run and (each.id in sizes or each.id in linked)]
    kept = [each for each in real if each.state not in UNDECIDED and each.finished_at]
    lists = [each for each in kept if each.state in APPLIED and not each.correction]
    newest = max(lists, key=lambda each: each.applied_number or 0, default=None)
    ended = [each for each in kept if each.id in sizes]
    of_runs = run_sizes or {}
    ours: list[tuple[str, int, Past | FailedRun]]
    theirs: list[tuple[str, int, Past | FailedRun]]
    ours = [(each.finished_at or "", sizes[each.id], each) for each in sorted(ended, key=lambda each: each.id)]
    theirs = [(each.finished_at, of_runs[each.id], each) for each in runs if each.id in of_runs]
    taken = sum(size for _, size, _ in (*ours, *theirs))
    found = Trimming([], [])
    # The clock decides only between an import and a run: each kind stays in its own order.
    for _, size, each in merge(ours, theirs, key=lambda copy: copy[0]):
        if taken > most and each is not newest:
            (found.runs if isinstance(each, FailedRun) else found.imports).append(each.id)
            taken -= size
    return found


def _newest(ordered: Sequence[PastEffect], wanted: Callable[[PastEffect], bool]) -> set[int]:
    return {next((each.id for each in reversed(ordered) if wanted(each)), 0)}
