"""Which import runs next, which it takes the place of, and how many wait. Pure.

Of one tenant one import runs at a time, in the order in which the files were completed. While files are whole lists
(`deactivate_missing`), of those that wait only the newest real one and the newest dry run are worth running.
Corrections (errors.csv sent back) are a part of a list: they take nobody's place, and nobody takes theirs. Nor does
an import that waits to be undone, or a trial, which is one person's question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ground.waits import Growing
from importer.queue.entry import Waiting

WAITS = Growing(1.0, 300.0)
"""Between two tries of an import that could not run, or whose end could not be written."""


@dataclass(frozen=True, slots=True)
class Turn:
    """`run` starts now (None: nothing is due); those in `superseded` never will, each because of a newer one."""

    run: Waiting | None
    superseded: tuple[tuple[Waiting, Waiting], ...] = ()


def next_turn(waiting: Sequence[Waiting], *, whole_lists: bool, now: float) -> Turn:
    """Decide for one tenant, given its imports that are queued or held; none of them runs.

    An import that has to wait (`not_before`) keeps its place: those behind it wait with it.
    """
    queued = _in_order(waiting)
    gives_way = superseded(queued, whole_lists=whole_lists)
    gone = {old.id for old, _ in gives_way}
    head = next((each for each in queued if each.id not in gone), None)
    run = head if head and WAITS.over(head.not_before, now) else None
    if run and _replaces(run):
        held = [each for each in waiting if each.held and not each.dry_run]
        gives_way += [(each, run) for each in held if each.sequence < run.sequence]
    return Turn(run, tuple(gives_way))


def superseded(waiting: Sequence[Waiting], *, whole_lists: bool) -> list[tuple[Waiting, Waiting]]:
    """Return the queued imports that a newer one replaces, each with that one, whether or not an import runs."""
    found: list[tuple[Waiting, Waiting]] = []
    for dry_run in (False, True) if whole_lists else ():
        lists = [each for each in _in_order(waiting) if each.dry_run is dry_run and _whole_list(each)]
        found += [(older, lists[-1]) for older in lists[:-1]]
    return found


def waits_with(waiting: Sequence[Waiting], new: Waiting, *, whole_lists: bool) -> int:
    """Return how many imports wait once `new` is queued last; what it replaces does not count, nor does an undo."""
    queued = [each for each in _in_order(waiting) if not each.undo]
    return len(queued) + 1 - len(superseded([*queued, new], whole_lists=whole_lists))


def _in_order(waiting: Sequence[Waiting]) -> list[Waiting]:
    return sorted((each for each in waiting if not each.held), key=lambda each: each.sequence)


def _replaces(waiting: Waiting) -> bool:
    return not waiting.dry_run and _whole_list(waiting)


def _whole_list(waiting: Waiting) -> bool:
    return not waiting.correction and not waiting.undo and not waiting.trial
