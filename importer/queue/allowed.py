"""Which decisions an import allows now: to be approved, discarded, undone. Pure."""

from __future__ import annotations

from importer.errors import Refused
from importer.model import APPLIED, ImportState
from importer.queue.entry import Entry
from importer.requests import Approval


def why_not_decided(entry: Entry, verb: str) -> Refused | None:
    """Return why `entry` cannot be `verb` (approved, discarded) now, None if it can: a real import that is held."""
    which = f"import {entry.id} of {entry.tenant}"
    if entry.dry_run:
        return Refused("dry_run", f"{which} was a dry run: there is nothing to be {verb}")
    if entry.state is not ImportState.HELD:
        return Refused("not_held", f"{which} is {entry.state.words}: only a held import can be {verb}")
    return None


def approval_of(entry: Entry, *, by: str, at: str, users: frozenset[int], held_at: str | None = None) -> Approval:
    """Return the approval of `entry`, which is held: its reasons are waived, and `users` may lose access.

    Raises Refused if `entry` was held again since `held_at`, which is its `finished_at` as it was looked at.
    """
    if held_at not in (None, entry.finished_at):
        raise Refused("held_again", "it is not as it was when you looked: look at what it would do now")
    guard = entry.outcome.guard if entry.outcome else None
    return Approval(by, at, guard.reasons if guard else (), users)


def why_not_undone(entry: Entry | None, newest: Entry | None, waiting: Entry | None) -> Refused | None:
    """Return why `entry` cannot be undone now, None if it can.

    `newest` is the newest applied import that was not `unchanged`, `waiting` one that is queued or runs.
    """
    if entry is None:
        return Refused("nothing_to_undo", "there is no import that could be undone")
    which = f"import {entry.id} of {entry.tenant}"
    if entry.dry_run:
        return Refused("dry_run", f"{which} was a dry run: there is nothing to be undone")
    if waiting:
        return Refused("import_waits", f"import {waiting.id} is {waiting.state.value}: wait for its end, then undo")
    if entry.state is ImportState.UNCHANGED:
        return Refused("nothing_to_undo", f"{which} changed nobody: there is nothing to be undone")
    if entry.state not in APPLIED:
        return Refused("not_applied", f"{which} is {entry.state.words}: only an applied import can be undone")
    if newest and newest.id != entry.id:
        return Refused("not_newest", f"import {newest.id} was applied after {which}: undo that one first")
    return None
