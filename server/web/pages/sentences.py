"""One sentence that says how an import ended, or what it is doing now. Pure.

It counts users as created, reactivated, deactivated and updated, and rows as rejected. For a dry run and a held
import it says what would happen. The message of an applied import comes first: it holds what the reader must check
before anything else (`importer.messages.whole_file`), or why an undo failed.

The sentence never says that the users match the file: a warning may say that the file was not followed.
"""

from __future__ import annotations

from collections.abc import Sequence

from ground.words import counted
from importer.model import Counts, Guard, GuardReason, ImportState
from importer.report import Report

UNCHANGED_BEFORE = "nothing was changed"

ACTIONS = ("created", "reactivated", "deactivated", "updated")
"""The counts of users, in the order in which a sentence names them."""

DEFAULTS = {
    ImportState.HELD: "Held: approve or discard this import.",
    ImportState.SUPERSEDED: "Replaced by a newer file; nothing was changed.",
    ImportState.UNDONE: "This import was undone.",
    ImportState.ABORTED: "The upload was interrupted; nothing was imported.",
    ImportState.IGNORED: "The file name is wrong; nothing was imported.",
}
"""The sentences of states whose import normally has a message, for an import without one."""


def sentence(report: Report, *, undoing: bool = False, decides: bool = True) -> str:
    """Return the sentence for a reader who `decides` if it is held. `undoing`: its undo is queued or running."""
    if report.state in {ImportState.ARRIVING, ImportState.QUEUED}:
        return _queued(report, undoing)
    if report.state is ImportState.RUNNING:
        return _running(report, undoing)
    if report.state is ImportState.HELD and report.guard:
        return _held(report, report.guard, decides)
    if report.state is ImportState.DISCARDED:
        return f"Discarded{f' by {report.decided_by}' if report.decided_by else ''}; {UNCHANGED_BEFORE}."
    if report.state is ImportState.FAILED:
        return _failed(report.message or "")
    if report.state in DEFAULTS:
        return with_stop(report.message or DEFAULTS[report.state])
    first = f"{with_stop(capital(report.message))} " if report.message else ""
    return f"{first}{_applied(report)}"


def summary(counts: Counts, *, would: bool = False) -> str:
    """Return `12 users created, 3 deactivated and 40 updated`; "" if no user changed."""
    found = [(getattr(counts, action), action) for action in ACTIONS if getattr(counts, action)]
    if not found:
        return ""
    (first, action), *others = found
    return and_(
        f"{users(first)}{' would be' if would else ''} {action}", *(f"{count:,} {other}" for count, other in others)
    )


def undo_means(counts: Counts) -> str:
    """Return what undoing an import with these counts would do."""
    ended = and_(*_each(counts, "created", "reactivated"))
    back = and_(*_each(counts, "deactivated"))
    former = and_(*_each(counts, "updated"))
    done = and_(
        *([f"deactivates {ended}"] if ended else []),
        *([f"reactivates {back}"] if back else []),
        *([f"sets back {former}"] if former else []),
    )
    return f"The undo {done}. A value that changed after this import stays and is listed."


def approval_means(counts: Counts) -> str:
    """Return what approving an import with these counts would do."""
    verbs = (("deactivated", "deactivates"), ("created", "creates"), ("reactivated", "reactivates"))
    counts_of = ((getattr(counts, each), verb) for each, verb in (*verbs, ("updated", "updates")))
    found = [f"{verb} {users(count)}" for count, verb in counts_of if count]
    return f"The approval {and_(*found)}." if found else "The approval applies the import."


def sending_means(tested: Report) -> str:
    """Return what sending the file of this dry run would do, as the label of a button."""
    if tested.state is ImportState.HELD:
        return "Send this file: its import will be held for your approval"
    counts = ((getattr(tested.counts, action), action.removesuffix("d")) for action in ACTIONS)
    done = and_(*(f"{verb} {users(count)}" for count, verb in counts if count))
    return f"Send this file: {done or 'no users change'}"


def users(count: int) -> str:
    return counted(count, "user", "users")


def rows(count: int) -> str:
    return counted(count, "row", "rows")


def and_(*parts: str) -> str:
    """Return `a`, `a and b` or `a, b and c`."""
    return " and ".join(part for part in (", ".join(parts[:-1]), parts[-1]) if part) if parts else ""


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def with_stop(text: str) -> str:
    """Return `text` with a full stop at the end, unless a mark ends it already."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _each(counts: Counts, *actions: str) -> list[str]:
    found = [(getattr(counts, action), action) for action in actions]
    return [counted(count, f"{action} user", f"{action} users") for count, action in found if count]


def _queued(report: Report, undoing: bool) -> str:
    if undoing:
        return "The undo is queued."
    why = f" {with_stop(capital(report.message))}" if report.message else ""
    return f"{'Queued for a dry run' if report.dry_run else 'Queued'}.{why}"


def _running(report: Report, undoing: bool) -> str:
    if undoing:
        return "Undo in progress."
    return "Dry run in progress." if report.dry_run else "Import in progress."


def _held(report: Report, guard: Guard, decides: bool) -> str:
    would = f"would {and_(*_over_limit(guard, report.counts))}"
    if GuardReason.POSSIBLY_TRUNCATED in guard.reasons:
        would = f"may be incomplete and {would}"
    again = " Some of them may be created again." if GuardReason.IDENTIFIERS_CHANGED in guard.reasons else ""
    if report.dry_run:
        return f"This file {would}.{again} A real import of it would be held."
    decide = "Approve or discard it." if decides else "An owner must approve or discard it."
    return f"Held: this file {would}.{again} {decide}"


def _over_limit(guard: Guard, counts: Counts) -> Sequence[str]:
    found = []
    if GuardReason.TOO_MANY_CREATIONS in guard.reasons:
        verbs = [verb for verb, count in (("create", counts.created), ("reactivate", counts.reactivated)) if count]
        found.append(f"{' or '.join(verbs)} {users(counts.created + counts.reactivated)}")
    if GuardReason.TOO_MANY_UPDATES in guard.reasons:
        found.append(f"update {users(counts.updated)}")
    if guard.would_deactivate or not found:
        active = counted(guard.active, "active user", "active users")
        found.append(f"deactivate {guard.would_deactivate:,} of {active}")
    return found


def _failed(message: str) -> str:
    if UNCHANGED_BEFORE in message.lower():
        return message
    return with_stop(f"{capital(UNCHANGED_BEFORE)}. {capital(message)}".strip())


def _applied(report: Report) -> str:
    counts, would = report.counts, report.dry_run
    done = summary(counts, would=would) or f"No users {'would change' if would else 'changed'}"
    if not counts.rejected:
        return f"{done}."
    return f"{done}; {rows(counts.rejected)} {'would be ' if would else ''}rejected."
