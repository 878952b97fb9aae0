"""Which decisions an import allows now: approve, discard, undo. Pure."""

from __future__ import annotations

from importer.errors import Refused
from importer.model import APPLIED, ImportState
from importer.queue.entry import Entry
from importer.requests import Approval


def why_not_decided(entry: Entry, verb: str) -> Refused | None:
    """Return why `entry` cannot be `verb` (approved, discarded) now; None for a real import that is held."""
    which = f"import {entry.id} of {entry.tenant}"
    if entry.dry_run:
        return Refused("dry_run", f"{which} was a dry run: it cannot be {verb}")
    if entry.state is not ImportState.HELD:
        return Refused("not_held", f"{which} is {entry.state.words}: only a held import can be {verb}")
    return None


def approval_of(entry: Entry, *, by: str, at: str, users: frozenset[int], held_at: str | None = None) -> Approval:
    """Return the approval of the held import `entry`: its reasons are waived, and `users` may be deactivated.

    `held_at` is the `finished_at` of the entry that was reviewed. Raises Refused if `entry` was held again since
    then.
    """
    if held_at not in (None, entry.finished_at):
        raise Refused("held_again", "the import was held again meanwhile: review its users again")
    guard = entry.outcome.guard if entry.outcome else None
    return Approval(by, at, guard.reasons if guard else (), users)


def why_not_undone(entry: Entry | None, newest: Entry | None, waiting: Entry | None) -> Refused | None:
    """Return why `entry` cannot be undone now; None if it can.

    `newest` is the newest applied import that is not `unchanged`. `waiting` is a real import that is queued or runs,
    and does not wait because of a pause.
    """
    if entry is None:
        return Refused("nothing_to_undo", "there is no import to undo")
    which = f"import {entry.id} of {entry.tenant}"
    if entry.dry_run:
        return Refused("dry_run", f"{which} was a dry run: there is nothing to undo")
    if waiting:
        return Refused("import_waits", f"import {waiting.id} is {waiting.state.value}: wait until it ends, then undo")
    if entry.state is ImportState.UNCHANGED:
        return Refused("nothing_to_undo", f"{which} changed no user: there is nothing to undo")
    if entry.state not in APPLIED:
        return Refused("not_applied", f"{which} is {entry.state.words}: only an applied import can be undone")
    if newest and newest.id != entry.id:
        return Refused("not_newest", f"import {newest.id} was applied after {which}: undo that one first")
    return None
