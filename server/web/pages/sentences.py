"""What became of an import, in one sentence that a person would say. Pure.

People join, leave, come back and change; rows are taken or not. What only would have happened (a dry run, an import
that is held) is said so. What matters more than all of that (`importer.said.whole_file`), or that an undo did not
succeed, is the message of an applied import, and comes before it.
"""

from __future__ import annotations

from collections.abc import Sequence

from ground.words import counted
from importer.model import Counts, Guard, GuardReason, ImportState
from importer.report import Report

UNCHANGED_BEFORE = "nothing was changed"

DID = (("created", "joined"), ("reactivated", "came back"), ("deactivated", "left"), ("updated", "changed"))
WOULD = (
    ("created", "would join"),
    ("reactivated", "would come back"),
    ("deactivated", "would leave"),
    ("updated", "would change"),
)


SAID_ELSEWHERE = {
    ImportState.HELD: "This file waits for a decision.",
    ImportState.SUPERSEDED: "A newer file came before this one was applied; nothing was changed.",
    ImportState.UNDONE: "This import was undone.",
    ImportState.ABORTED: "The upload broke off; nothing was imported.",
    ImportState.IGNORED: "This file has a name that nothing is done with; nothing was imported.",
}
"""Ends whose message is that sentence already; these, should there be none."""


def sentence(report: Report, *, undoing: bool = False, decides: bool = True) -> str:
    """What became of it, for somebody who `decides` if it is held. `undoing`: it waits to be undone, or is."""
    if report.state in {ImportState.ARRIVING, ImportState.QUEUED}:
        return _waits(report, undoing)
    if report.state is ImportState.RUNNING:
        return _runs(report, undoing)
    if report.state is ImportState.HELD and report.guard:
        return _held(report, report.guard, decides)
    if report.state is ImportState.DISCARDED:
        return f"Discarded by {report.decided_by or 'somebody'}; {UNCHANGED_BEFORE}."
    if report.state is ImportState.FAILED:
        return _failed(report.message or "")
    if report.state in SAID_ELSEWHERE:
        return stopped(report.message or SAID_ELSEWHERE[report.state])
    first = f"{stopped(capital(report.message))} " if report.message else ""
    return f"{first}{_applied(report)}"


def happened(counts: Counts, *, would: bool = False) -> str:
    """`12 people joined, 3 left and 40 changed`; "" if nobody did."""
    found = [(getattr(counts, name), verb) for name, verb in (WOULD if would else DID) if getattr(counts, name)]
    if not found:
        return ""
    (first, verb), *others = found
    return and_(f"{people(first)} {verb}", *(f"{count:,} {verb}" for count, verb in others))


def undo_means(counts: Counts) -> str:
    """What undoing an import with these counts would do, for whoever is about to."""
    parts = []
    if counts.created:
        parts.append(f"{people(counts.created)} who joined with it {_verb(counts.created, 'loses', 'lose')} access")
    if counts.deactivated:
        parts.append(f"{people(counts.deactivated)} who left {_verb(counts.deactivated, 'gets', 'get')} access again")
    back = counts.updated + counts.reactivated
    if back:
        parts.append(f"{people(back)} {_verb(back, 'is', 'are')} as before")
    return f"{capital(and_(*parts))}. What was changed since stays as it is, and is listed."


def people(count: int) -> str:
    return counted(count, "person", "people")


def rows(count: int) -> str:
    return counted(count, "row", "rows")


def and_(*parts: str) -> str:
    """`a`, `a and b`, `a, b and c`."""
    return " and ".join(part for part in (", ".join(parts[:-1]), parts[-1]) if part) if parts else ""


def capital(text: str) -> str:
    return text[:1].upper() + text[1:]


def stopped(text: str) -> str:
    """`text` with a full stop at its end, if nothing else ends it."""
    return text if text.endswith((".", "!", "?")) else f"{text}."


def _waits(report: Report, undoing: bool) -> str:
    if undoing:
        return "This import is about to be undone."
    why = f" {stopped(capital(report.message))}" if report.message else ""
    return f"This file waits for its turn{' to be tried' if report.dry_run else ''}.{why}"


def _runs(report: Report, undoing: bool) -> str:
    if undoing:
        return "This import is being undone."
    return "This file is being tried." if report.dry_run else "This file is being imported."


def _held(report: Report, guard: Guard, decides: bool) -> str:
    would = and_(*_too_much(guard, report.counts))
    if GuardReason.POSSIBLY_TRUNCATED in guard.reasons:
        would = f"may have been cut short, and would {would}"
    else:
        would = f"would {would}"
    if report.dry_run:
        return f"This file {would}: sent for real, it would be held."
    return f"This file {would}, so it waits for {'you' if decides else 'an owner to decide'}."


def _too_much(guard: Guard, counts: Counts) -> Sequence[str]:
    found = []
    if GuardReason.TOO_MANY_CREATIONS in guard.reasons:
        found.append(f"add {people(counts.created + counts.reactivated)}")
    if GuardReason.TOO_MANY_UPDATES in guard.reasons:
        found.append(f"change {people(counts.updated)}")
    if guard.would_deactivate or not found:
        again = " and may add some of them again"
        renamed = GuardReason.IDENTIFIERS_CHANGED in guard.reasons
        found.append(f"deactivate {guard.would_deactivate:,} of {people(guard.active)}{again if renamed else ''}")
    return found


def _failed(message: str) -> str:
    if UNCHANGED_BEFORE in message.lower():
        return message
    return stopped(f"{capital(UNCHANGED_BEFORE)}. {capital(message)}".strip())


def _applied(report: Report) -> str:
    counts, would = report.counts, report.dry_run
    done = happened(counts, would=would)
    if not done and not counts.rejected:
        return f"Everybody is as the file says: nothing {'would have' if would else 'had'} to be changed."
    done = done or f"Nobody {'would be' if would else 'was'} changed"
    if not counts.rejected:
        return f"{done}."
    verb = "would" if would else _verb(counts.rejected, "was", "were")
    return f"{done}; {rows(counts.rejected)} {verb} not {'be ' if would else ''}taken."


def _verb(count: int, one: str, many: str) -> str:
    return one if count == 1 else many
