"""Which import runs next, which imports it supersedes, and how many wait. Pure.

Each tenant runs one import at a time, in the order in which the files were completed. If files are complete lists
(`deactivate_missing`), only the newest waiting real import and the newest waiting dry run have to run. A real import
that starts supersedes the older held ones.

A correction file is part of a list: it supersedes no import, and no queued import of one is superseded. The same
holds for an import that waits for its undo, and for a test, which answers one person's question.

An import that waits because of a pause keeps its place, but those behind it do not wait for it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ground.waits import Growing
from importer.queue.entry import Waiting
from importer.queue.pause import Pause, waits_by

WAITS = Growing(1.0, 300.0)
"""The delay before an import that could not run, or whose end could not be written, is retried."""


@dataclass(frozen=True, slots=True)
class Turn:
    """The decision for one tenant: `run` starts now; None if nothing is due.

    Each import in `superseded` never runs, because of the newer one beside it.
    """

    run: Waiting | None
    superseded: tuple[tuple[Waiting, Waiting], ...] = ()


def next_turn(waiting: Sequence[Waiting], *, complete_lists: bool, now: float, pause: Pause | None = None) -> Turn:
    """Decide for one tenant which import runs, from its queued and held imports; none of them runs now.

    An import that has to wait (`not_before`) keeps its place: those behind it wait too. Those behind an import that
    waits because of `pause` do not.
    """
    queued = _in_order(waiting)
    gives_way = superseded(queued, complete_lists=complete_lists, pause=pause)
    left_out = {old.id for old, _ in gives_way} | {each.id for each in queued if waits_by(pause, each)}
    head = next((each for each in queued if each.id not in left_out), None)
    run = head if head and WAITS.over(head.not_before, now) else None
    if run and _replaces(run):
        held = [each for each in waiting if each.held and not each.dry_run]
        gives_way += [(each, run) for each in held if each.sequence < run.sequence]
    return Turn(run, tuple(gives_way))


def superseded(
    waiting: Sequence[Waiting], *, complete_lists: bool, pause: Pause | None = None
) -> list[tuple[Waiting, Waiting]]:
    """Return the queued imports that a newer one replaces, each with the newer one, whether or not an import runs.

    During `pause`, an approved import is not replaced: it runs, and the newer one waits.
    """
    found: list[tuple[Waiting, Waiting]] = []
    for dry_run in (False, True) if complete_lists else ():
        lists = [each for each in _in_order(waiting) if each.dry_run is dry_run and _is_list(each)]
        lists = [each for each in lists if dry_run or pause is None or waits_by(pause, each)]
        found += [(older, lists[-1]) for older in lists[:-1]]
    return found


def waits_with(waiting: Sequence[Waiting], new: Waiting, *, complete_lists: bool) -> int:
    """Return how many imports wait once `new` is queued last.

    Undos and imports that `new` replaces do not count.
    """
    queued = [each for each in _in_order(waiting) if not each.undo]
    return len(queued) + 1 - len(superseded([*queued, new], complete_lists=complete_lists))


def _in_order(waiting: Sequence[Waiting]) -> list[Waiting]:
    return sorted((each for each in waiting if not each.held), key=lambda each: each.sequence)


def _replaces(waiting: Waiting) -> bool:
    return not waiting.dry_run and _is_list(waiting)


def _is_list(waiting: Waiting) -> bool:
    return not waiting.correction and not waiting.undo and not waiting.trial
