"""The notifications of an import, an upload or a feed: the text of a mail, and the body of a webhook. Pure.

The first sentence of a mail says what happened. A mail is plain text, and shows no cells of the file except in the
report's messages. The mail of a held import names the users that it would deactivate, because they are to be decided.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from ground.words import as_sentence, counted
from importer.file.letters import one_line
from importer.messages.grouping import Group, first_groups, grouped_problems
from importer.model import APPLIED, Counts, ImportState
from importer.report import Report

MESSAGES_SHOWN = 10
"""The most messages about rows in a mail. Messages about the whole file are all shown."""
LEAVERS_SHOWN = 20
"""The most users named in the mail of a held import."""

EVENTS = {
    ImportState.COMPLETED: "import.completed",
    ImportState.COMPLETED_WITH_ERRORS: "import.completed_with_errors",
    ImportState.HELD: "import.held",
    ImportState.FAILED: "import.failed",
    ImportState.ABORTED: "upload.aborted",
}
"""Webhook event names by final state; `unchanged` sends none."""

STALE = "feed.stale"
TEST = "test"

HELD_ALREADY = "Held, nothing was changed: "
"""The start of a held import's message, which a mail says in its own words."""

_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d).*Z")


@dataclass(frozen=True, slots=True)
class Letter:
    """A mail without its address. `subject` is one line."""

    subject: str
    text: str


def letter_of(
    report: Report, leavers: Sequence[Mapping[str, object]] = (), messages: Sequence[Group] | None = None
) -> Letter:
    """Return the mail about a finished or held import; `leavers` are the first users that it would deactivate.

    `messages` are all messages of the import, grouped. Without them, the mail has the messages of the report.
    """
    groups = grouped_problems(report.messages) if messages is None else messages
    parts = [[_sentence(report)], *_details(report, leavers, groups), _facts(report)]
    subject = f"[Headcount] {report.tenant}: {_subject(report)}"
    return Letter(one_line(subject), _text(parts))


def stale_letter(tenant: str, days: int, last: str | None) -> Letter:
    """Return the mail about a feed without a file for `days` days; the newest applied import ended at `last`."""
    for_days = counted(days, "day", "days")
    parts = [
        [f"No file of {tenant} was applied for {for_days}."],
        [f"The newest applied import ended at {_time(last)}." if last else "No file was ever applied."],
        [
            "Check that the export runs and that its uploads arrive. The page Imports lists them, as does:",
            f"  headcount import list {tenant}",
        ],
    ]
    return Letter(f"[Headcount] {tenant}: no file for {for_days}", _text(parts))


def test_letter(tenant: str) -> Letter:
    """Return the mail that tests the delivery of mails."""
    return Letter(f"[Headcount] {tenant}: test", f"This is a test. Mails about imports of {tenant} reach you.\n")


def webhook_body(event: str, at: str, data: Mapping[str, object]) -> dict[str, object]:
    """Return the body of a webhook, as Standard Webhooks proposes it: type, time and data."""
    return {"type": event, "timestamp": at, "data": dict(data)}


def import_data(report: Report, leavers: Sequence[Mapping[str, object]] = ()) -> dict[str, object]:
    """Return the report, with the first users that a held import would deactivate."""
    named = [{key: leaver.get(key) for key in ("identifier", "email", "name")} for leaver in leavers]
    return {**report.to_json(), **({"would_deactivate": named} if named else {})}


def _text(parts: Iterable[Iterable[str]]) -> str:
    return "\n\n".join("\n".join(part) for part in parts) + "\n"


def _subject(report: Report) -> str:
    if report.state is ImportState.ABORTED:
        return f"the upload of {report.file.name} was interrupted"
    words = {
        ImportState.COMPLETED: "was applied",
        ImportState.COMPLETED_WITH_ERRORS: "was applied, with rejected rows",
        ImportState.HELD: "is held: approve or discard",
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
        rows = counted(rejected, "row was", "rows were")
        return f"{name} was applied, but {rows} rejected: {_counted(report.counts)}.{look}"
    if report.state is ImportState.HELD:
        return f"{name} is held, and nothing was changed: {_message(report).removeprefix(HELD_ALREADY)}"
    if report.state is ImportState.ABORTED:
        return as_sentence(_message(report))
    return f"{name} could not be imported, and nothing was changed: {_message(report)}"


def _message(report: Report) -> str:
    return one_line(report.message or "see the report.")


def _counted(counts: Counts) -> str:
    """Return how many users were created, updated and so on, and how many rows were ignored."""
    found: list[str] = []
    for name in ("created", "updated", "reactivated", "deactivated", "unchanged"):
        if number := getattr(counts, name):
            found.append(f"{number:,} {name}" if found else f"{counted(number, 'user', 'users')} {name}")
    users = (", ".join(found[:-1]) + " and " if found[1:] else "") + found[-1] if found else "no users changed"
    return f"{users}; {counted(counts.ignored, 'row', 'rows')} ignored" if counts.ignored else users


def _time(moment: str) -> str:
    """Return a time in RFC 3339 as `2026-03-01 12:00 UTC`."""
    return _MOMENT.sub(r"\1 \2 UTC", moment)


def _details(report: Report, leavers: Sequence[Mapping[str, object]], groups: Sequence[Group]) -> Iterator[list[str]]:
    if report.state is ImportState.HELD:
        yield from _decision(report, leavers)
    if report.counts.rejected and report.state is ImportState.COMPLETED_WITH_ERRORS:
        yield [
            f"The rejected rows, with their errors, are in /results/sync_users-{report.id}.errors.csv",
            "and on the page of the import. Fix the cells there and upload that file as sync_users.csv.",
        ]
    if groups and report.state is not ImportState.ABORTED:
        yield list(_messages(groups))


def _decision(report: Report, leavers: Sequence[Mapping[str, object]]) -> Iterator[list[str]]:
    total = report.guard.would_deactivate if report.guard else len(leavers)
    if leavers:
        head = f"It would deactivate {counted(total, 'user', 'users')}"
        head += f". The first {len(leavers)}:" if total > len(leavers) else ":"
        yield [head, *(f"  {_person(leaver)}" for leaver in leavers)]
    command = f"{report.tenant} {report.id}"
    yield ["An owner can review it on the page Imports, and approve or discard it there. The operator can also run:"]
    yield [
        "To apply it:",
        f"  headcount import approve {command}",
        "To reject it (or upload a new file, which replaces it):",
        f"  headcount import discard {command}",
    ]


def _person(leaver: Mapping[str, object]) -> str:
    named = [one_line(str(leaver.get(key) or "")) for key in ("identifier", "name", "email")]
    return "  ".join(dict.fromkeys(part for part in named if part))


def _messages(groups: Sequence[Group]) -> Iterator[str]:
    yield "Messages:"
    shown = first_groups(groups, MESSAGES_SHOWN)
    for group in shown:
        yield one_line(f"- {group.sentence(values=False)}")
    if len(groups) > len(shown):
        yield "- More messages are in the report."


def _facts(report: Report) -> list[str]:
    rows = f", {counted(report.file.rows, 'row', 'rows')}" if report.file.rows is not None else ""
    return [
        f"Company: {report.tenant}",
        f"Import: {report.id}",
        f"File: {one_line(report.file.name)}, {counted(report.file.size, 'byte', 'bytes')}{rows}",
        f"Uploaded: {_time(report.uploaded_at)}",
        f"Report: /results/sync_users-{report.id}.json",
    ]
