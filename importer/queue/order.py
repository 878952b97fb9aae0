"""Which import runs next, and which it takes the place of. Pure.

Of one tenant one import runs at a time, in the order in which the files were completed. While files are whole lists
(`deactivate_missing`), of those that wait only the newest real one and the newest dry run are worth running.
Corrections (errors.csv sent back) are a part of a list: they take nobody's place, and nobody takes theirs. Nor does
an import that waits to be undone, or a trial, which is one person's question.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ground.waits import Growing
from importer.model import ImportState
from importer.queue.entry import Entry

WAITS = Growing(1.0, 300.0)
"""Between two tries of an import that could not run, or whose end could not be written."""


@dataclass(frozen=True, slots=True)
class Turn:
    """`run` starts now (None: nothing is due); those in `superseded` never will, each because of a newer one."""

    run: Entry | None
    superseded: tuple[tuple[Entry, Entry], ...] = ()


def next_turn(entries: Sequence[Entry], *, whole_lists: bool, now: float) -> Turn:
    """Decide for one tenant, given its imports that are queued or held; none of them runs.

    An import that has to wait (`not_before`) keeps its place: those behind it wait with it.
    """
    queued = sorted((each for each in entries if each.state is ImportState.QUEUED), key=lambda each: each.sequence)
    superseded = _superseded(queued) if whole_lists else []
    gone = {old.id for old, _ in superseded}
    head = next((each for each in queued if each.id not in gone), None)
    run = head if head and WAITS.over(head.not_before, now) else None
    if run and _replaces(run):
        held = [each for each in entries if each.state is ImportState.HELD and not each.dry_run]
        superseded += [(each, run) for each in held if each.sequence < run.sequence]
    return Turn(run, tuple(superseded))


def _superseded(queued: Sequence[Entry]) -> list[tuple[Entry, Entry]]:
    found: list[tuple[Entry, Entry]] = []
    for dry_run in (False, True):
        lists = [each for each in queued if each.dry_run is dry_run and _whole_list(each)]
        found += [(older, lists[-1]) for older in lists[:-1]]
    return found


def _replaces(entry: Entry) -> bool:
    return not entry.dry_run and _whole_list(entry)


def _whole_list(entry: Entry) -> bool:
    return not entry.correction and entry.undo is None and entry.trial is None
