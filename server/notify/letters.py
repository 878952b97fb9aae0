"""What is told of an import, an upload or a feed: the words of a mail, and the body of a webhook. Pure.

A mail says in its first sentence what happened, is plain text, and has no cell of the file in it but those that the
report's messages show. Whom a held import would deactivate is named, for that is what has to be decided.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ground.words import counted
from importer.file.letters import one_line
from importer.model import APPLIED, Counts, ImportState
from importer.report import Report
from importer.said.grouping import Group, first_groups, grouped_problems

MESSAGES_SHOWN = 10
"""So many different messages about rows; those about the whole file are all there."""
LEAVERS_SHOWN = 20
"""Of whom a held import would deactivate, so many are named."""

EVENTS = {
    ImportState.COMPLETED: "import.completed",
    ImportState.COMPLETED_WITH_ERRORS: "import.completed_with_errors",
    ImportState.HELD: "import.held",
    ImportState.FAILED: "import.failed",
    ImportState.ABORTED: "upload.aborted",
}
"""The ends that are told, by the name of the event in a webhook. (`unchanged` is no news.)"""

STALE = "feed.stale"
TEST = "test"


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail without its address. `subject` is one line."""

    subject: str
    text: str


def letter_of(
    report: Report, leavers: Sequence[Mapping[str, object]] = (), said: Sequence[Group] | None = None
) -> Letter:
    """The mail about the end that `report` shows; `leavers` are the first whom a held import would deactivate.

    `said` are all messages of the import, told once each; without it those in the report are.
    """
    groups = grouped_problems(report.messages) if said is None else said
    parts = [[_sentence(report)], *_details(report, leavers, groups), _facts(report)]
    subject = f"[Headcount] {report.tenant}: {_subject(report)}"
    return Letter(one_line(subject), _text(parts))


def stale_letter(tenant: str, days: int, last: str | None) -> Letter:
    """The mail about a feed of which nothing was heard for `days` days; `last` is when the last file was applied."""
    since = f"The last one was applied at {last}." if last else "None has been applied so far."
    parts = [
        [f"No file of {tenant} has been applied for {days} days."],
        [since],
        ["See whether the export still runs, and whether its uploads arrive: headcount import list " + tenant],
    ]
    return Letter(f"[Headcount] {tenant}: no file for {days} days", _text(parts))


def test_letter(tenant: str) -> Letter:
    """The mail that shows that mails arrive."""
    return Letter(f"[Headcount] {tenant}: a test", f"This is a test: mails about imports of {tenant} reach you.\n")


def webhook_body(event: str, at: str, data: Mapping[str, object]) -> dict[str, object]:
    """The body of a webhook, as Standard Webhooks proposes it: what, when, and the thing itself."""
    return {"type": event, "timestamp": at, "data": dict(data)}


def import_data(report: Report, leavers: Sequence[Mapping[str, object]] = ()) -> dict[str, object]:
    """The report, and for a held import whom it would deactivate (the first of them)."""
    named = [{key: leaver.get(key) for key in ("identifier", "email", "name")} for leaver in leavers]
    return {**report.to_json(), **({"would_deactivate": named} if named else {})}


def _text(parts: Iterable[Iterable[str]]) -> str:
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _subject(report: Report) -> str:
    if report.state is ImportState.ABORTED:
        return f"the upload of {report.file.name} broke off"
    words = {
        ImportState.COMPLETED: "was applied",
        ImportState.COMPLETED_WITH_ERRORS: "was applied, with rejected rows",
        ImportState.HELD: "is held: please decide",
        ImportState.FAILED: "failed",
    }
    look = ": please check" if report.message and report.state in APPLIED else ""
    return f"import {report.id} {words[report.state]}{look}"


def _sentence(report: Report) -> str:
    name, rejected = one_line(report.file.name), report.counts.rejected
    look = f" {one_line(report.message)}" if report.message else ""
    if report.state is ImportState.COMPLETED:
        return f"{name} was applied: {_counted(report.counts)}.{look}"
    if report.state is ImportState.COMPLETED_WITH_ERRORS:
        rows = counted(rejected, "row that was rejected", "rows that were rejected")
        return f"{name} was applied but for {rows}: {_counted(report.counts)}.{look}"
    if report.state is ImportState.HELD:
        return f"{name} waits for a decision, and nothing was changed: {_message(report)}"
    if report.state is ImportState.ABORTED:
        return _message(report)
    return f"{name} could not be imported, and nothing was changed: {_message(report)}"


def _message(report: Report) -> str:
    return one_line(report.message or "the report says more.")


def _counted(counts: Counts) -> str:
    names = ("created", "updated", "reactivated", "deactivated", "unchanged", "rejected", "ignored")
    found = [f"{getattr(counts, name):,} {name}" for name in names if getattr(counts, name)]
    return ", ".join(found) or "nothing to do"


def _details(report: Report, leavers: Sequence[Mapping[str, object]], groups: Sequence[Group]) -> Iterator[list[str]]:
    if report.state is ImportState.HELD:
        yield from _decision(report, leavers)
    if report.counts.rejected and report.state is ImportState.COMPLETED_WITH_ERRORS:
        yield [
            f"The rejected rows are in /results/sync_users-{report.id}.errors.csv, with what is wrong with each:",
            "mend the cells there and upload that file as sync_users.csv.",
        ]
    if groups and report.state is not ImportState.ABORTED:
        yield list(_messages(groups))


def _decision(report: Report, leavers: Sequence[Mapping[str, object]]) -> Iterator[list[str]]:
    total = report.guard.would_deactivate if report.guard else 0
    if leavers:
        head = f"It would deactivate {total:,} {'user' if total == 1 else 'users'}"
        head += f". The first {len(leavers)} of them:" if total > len(leavers) else ":"
        yield [head, *(f"  {_person(leaver)}" for leaver in leavers)]
    command = f"{report.tenant} {report.id}"
    yield [
        "If that is right, approve it:",
        f"  headcount import approve {command}",
        "If it is not, discard it, or upload a corrected file, which takes its place:",
        f"  headcount import discard {command}",
    ]


def _person(leaver: Mapping[str, object]) -> str:
    named = [one_line(str(leaver.get(key) or "")) for key in ("identifier", "name", "email")]
    return "  ".join(dict.fromkeys(part for part in named if part))


def _messages(groups: Sequence[Group]) -> Iterator[str]:
    yield "What the report says:"
    shown = first_groups(groups, MESSAGES_SHOWN)
    for group in shown:
        yield one_line(f"- {group.sentence(values=False)}")
    if len(groups) > len(shown):
        yield "- and more: all of it is in the report."


def _facts(report: Report) -> list[str]:
    rows = f", {counted(report.file.rows, 'row', 'rows')}" if report.file.rows is not None else ""
    return [
        f"Tenant: {report.tenant}",
        f"Import: {report.id}",
        f"File: {one_line(report.file.name)}, {report.file.size:,} bytes{rows}",
        f"Uploaded: {report.uploaded_at}",
        f"Report: /results/sync_users-{report.id}.json",
    ]
