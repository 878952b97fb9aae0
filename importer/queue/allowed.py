"""Which decisions an import allows now: approve, discard, undo, send. Pure."""

from __future__ import annotations

from collections.abc import Iterable

from importer.errors import Refused
from importer.model import NEVER_RAN, WAITING, ImportState
from importer.queue.entry import Entry
from importer.queue.states import APPROVE, UNDO
from importer.requests import Approval


def why_not_decided(entry: Entry, verb: str) -> Refused | None:
    """Return why `entry` cannot be `verb` (approved, discarded) now; None for a real import that is held."""
    which = f"import {entry.id} of {entry.tenant}"
    if entry.dry_run:
        return Refused("dry_run", f"{which} was a dry run: it cannot be {verb}")
    if entry.state not in APPROVE.begins:
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

    `newest` is the newest applied import that changed a user. `waiting` is a real import that is queued or runs,
    and does not wait because of a pause.
    """
    if entry is None:
        return Refused("nothing_to_undo", "there is no import to undo")
    which = f"import {entry.id} of {entry.tenant}"
    if entry.dry_run:
        return Refused("dry_run", f"{which} was a dry run: there is nothing to undo")
    if waiting:
        return Refused("import_waits", f"import {waiting.id} is {waiting.state.value}: wait until it ends, then undo")
    if entry.state is ImportState.UNCHANGED or _only_rejected(entry):
        return Refused("nothing_to_undo", f"{which} changed no user: there is nothing to undo")
    if entry.state not in UNDO.begins:
        return Refused("not_applied", f"{which} is {entry.state.words}: only an applied import can be undone")
    if newest and newest.id != entry.id:
        return Refused("not_newest", f"import {newest.id} was applied after {which}: undo that one first")
    return None


def _only_rejected(entry: Entry) -> bool:
    """Return whether `entry` was applied, and changed no user because all rows with news were rejected."""
    changed = entry.outcome is None or entry.outcome.counts.changed
    return entry.state is ImportState.COMPLETED_WITH_ERRORS and not changed


def is_tested(entry: Entry) -> bool:
    """Return whether `entry` is the test of a file that has ended, failed or not."""
    of_a_file = entry.trial is not None and entry.trial.of is None
    return of_a_file and entry.state not in WAITING | NEVER_RAN


def may_be_sent(entry: Entry) -> bool:
    """Return whether `entry` is the test of a file that ended without failing: that file can be sent."""
    return is_tested(entry) and entry.state is not ImportState.FAILED


def first_in_the_way(waiting: Iterable[Entry], *, replaces: bool) -> Entry | None:
    """Return the first of these real imports, which are queued or run, that a sent file would not supersede.

    It runs before the file, and so changes what the test of the file found. `replaces`: the file is a complete list.
    An approved import counts, whatever follows it: during a pause it runs.
    """
    return next((each for each in waiting if not (replaces and _is_superseded(each))), None)


def _is_superseded(entry: Entry) -> bool:
    decided = entry.approval is not None or entry.undo is not None
    return entry.state is ImportState.QUEUED and not decided and entry.correction is False


def why_not_sent(
    tested: Entry, sent: Entry | None, newest: Entry | None, applied: Entry | None, waiting: Entry | None
) -> Refused | None:
    """Return why the file of the dry run `tested` cannot be sent now; None if the dry run says what it will do.

    `sent` is the import of this file, if it was sent. `newest` is the newest real import, `applied` the newest
    applied one, and `waiting` the `first_in_the_way`.
    """
    which = f"import {tested.id} of {tested.tenant}"
    if tested.trial is None or tested.trial.of is not None:
        return Refused("not_sendable", f"{which} is not the test of a file: there is nothing to send")
    if tested.state in WAITING:
        return Refused("not_tested", f"this test is {tested.state.value}: wait until it ends, then send the file")
    if not may_be_sent(tested):
        return Refused("not_sendable", f"{which} failed: fix the file, and test it again")
    if sent:
        return Refused("already_sent", f"this file was sent already: it is import {sent.id}")
    if newest and newest.sequence > tested.sequence:
        return Refused("landed_since", f"import {newest.id} arrived after this test. Test the file again")
    if (applied.id if applied else None) != tested.users_as_of:
        return Refused("users_changed", "an import was applied or undone after this test. Test the file again")
    if waiting:
        which = f"import {waiting.id} is {waiting.state.value}"
        return Refused("import_waits", f"{which}: wait until it ends, then test the file again")
    return None
