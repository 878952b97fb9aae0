"""The notifications of an import, an upload or a feed: the content of a mail, and the body of a webhook. Pure.

The first sentence of a mail says what happened to which company, and what is needed. Its readers are people of that
company, so it names pages and no commands. A mail shows no cells of the file except in the report's messages. The
mail of a held import names the users that it would deactivate, because they are to be decided.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, Literal

from ground.words import counted
from importer.file.letters import one_line
from importer.messages.grouping import Group, first_groups, grouped_problems
from importer.model import APPLIED, Counts, ImportState
from importer.report import Report
from server.notify.layout import NO_LINKS, Body, Link, Links, Section

MESSAGES_SHOWN = 10
"""The most messages about rows in a mail. Messages about the whole file are all shown."""
LEAVERS_SHOWN = 20
"""The most users named in the mail of a held import."""

Event = Literal[
    "import.completed",
    "import.completed_with_errors",
    "import.held",
    "import.failed",
    "upload.aborted",
    "feed.stale",
    "feed.paused_ending",
    "run.completed",
    "run.completed_with_errors",
    "run.failed",
    "run.aborted",
    "test",
]
"""Every event of a webhook. The OpenAPI document describes all of them."""

EVENTS: Mapping[ImportState, Event] = {
    ImportState.COMPLETED: "import.completed",
    ImportState.COMPLETED_WITH_ERRORS: "import.completed_with_errors",
    ImportState.HELD: "import.held",
    ImportState.FAILED: "import.failed",
    ImportState.ABORTED: "upload.aborted",
}
"""Webhook event names by final state; `unchanged` sends none."""

STALE: Final = "feed.stale"
PAUSE_ENDING: Final = "feed.paused_ending"
TEST: Final = "test"

HELD_ALREADY, DECIDE = "Held, nothing was changed: ", " Review the users, then approve or discard."
"""Parts of a held import's message that a mail says in its own words."""

NOT_THE_FILE = frozenset({"internal_error", "gave_up"})
"""Codes of failures that no other file fixes: the operator must look."""

FIND = "Open import {id} on the page Imports. Ask the operator if you do not know its address."
FIND_LIST = "The page Imports lists all uploads. Ask the operator if you do not know its address."

_MOMENT = re.compile(r"(\d{4}-\d\d-\d\d)T(\d\d:\d\d).*Z")


def mail_of(
    report: Report,
    leavers: Sequence[Mapping[str, object]] = (),
    messages: Sequence[Group] | None = None,
    links: Links = NO_LINKS,
) -> Body:
    """Return the mail about a finished or held import; `leavers` are the first users that it would deactivate.

    `messages` are all messages of the import, grouped. Without them, the mail has the messages of the report.
    """
    groups = grouped_problems(report.messages) if messages is None else messages
    first, rest = first_sentence(_happened(report))
    more = [Section(rest)] if rest else []
    return Body(
        subject=f"[Headcount] {report.tenant}: {_subject(report)}",
        first=first,
        link=_link(report, links),
        sections=(*more, *_details(report, leavers, groups)),
        facts=tuple(_facts(report)),
    )


def stale_mail(tenant: str, days: int, last: str | None, links: Links = NO_LINKS) -> Body:
    """Return the mail about a feed without a file for `days` days; the newest applied import ended at `last`."""
    for_days = counted(days, "day", "days")
    newest = f"The newest applied import ended at {shown_time(last)}." if last else "No file was ever applied."
    return Body(
        subject=f"[Headcount] {tenant}: no file for {for_days}",
        first=f"No file of {tenant} was applied for {for_days}: check that the export runs and its uploads arrive.",
        link=Link("See all uploads", links.imports(tenant), FIND_LIST),
        sections=(
            Section(newest),
            Section(
                "Look there for an upload that was interrupted, ignored or held, or that failed.",
                (
                    "If there is one, do what its page says.",
                    "If there is none, no file arrived: check the system that sends the file.",
                ),
            ),
            Section("This is said once. The setting “Warn when no file comes” has the number of days."),
        ),
        facts=(("Company", tenant),),
    )


def pause_mail(tenant: str, until: str, because: str, files: int, links: Links = NO_LINKS) -> Body:
    """Return the mail about a pause that ends at `until` (RFC 3339), while `files` wait."""
    waits = counted(files, "file waits", "files wait")
    end = shown_time(until)
    return Body(
        subject=f"[Headcount] {tenant}: the pause ends within a day",
        first=f"The pause of {tenant} ends at {end}: extend it before then if imports must wait longer.",
        link=Link("See the imports, or end or change the pause", links.imports(tenant), FIND_LIST),
        sections=(
            Section(f"{waits}. At the end of the pause, waiting files are imported in order."),
            *([Section(f"Reason: {because}")] if because else []),
            Section("An owner can end or change the pause on the page Imports."),
        ),
        facts=(("Company", tenant),),
    )


def delivery_test_mail(tenant: str, links: Links = NO_LINKS) -> Body:
    """Return the mail that tests the delivery of mails."""
    return Body(
        subject=f"[Headcount] {tenant}: test",
        first=f"This is a test, and there is nothing to do: mails about imports of {tenant} reach you.",
        link=Link("See the imports", links.imports(tenant), FIND_LIST),
        facts=(("Company", tenant),),
    )


def webhook_body(event: Event, at: str, data: Mapping[str, object]) -> dict[str, object]:
    """Return the body of a webhook, as Standard Webhooks proposes it: type, time and data."""
    return {"type": event, "timestamp": at, "data": dict(data)}


def import_data(report: Report, leavers: Sequence[Mapping[str, object]] = ()) -> dict[str, object]:
    """Return the report, with the first users that a held import would deactivate."""
    named = [{key: leaver.get(key) for key in ("identifier", "email", "name")} for leaver in leavers]
    return {**report.to_json(), **({"would_deactivate": named} if named else {})}


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


def first_sentence(text: str) -> tuple[str, str]:
    """Return the first sentence of `text`, and the rest of it."""
    first, stop, rest = text.partition(". ")
    return first + stop.rstrip(), rest


def _happened(report: Report) -> str:
    """Return what happened to which company's import, and what is needed; then the message of the import."""
    this, counts = f"Import {report.id} of {report.tenant}", report.counts
    look = f" {one_line(report.message)}" if report.message else ""
    if report.state is ImportState.HELD:
        return f"{this} is held, and an owner must approve or discard it: {why_held(report.message)}"
    if report.state is ImportState.ABORTED:
        name = one_line(report.file.name)
        return f"The upload of {name} to {report.tenant} was not imported, and must be sent again. {_message(report)}"
    if report.state is ImportState.FAILED:
        need = "the operator must look" if _is_ours(report) else "the file must be fixed and sent again"
        return f"{this} failed and changed no user, and {need}: {_message(report)}"
    if report.state is ImportState.COMPLETED_WITH_ERRORS:
        rows = counted(counts.rejected, "rejected row", "rejected rows")
        return f"{this} was applied, and {rows} must be fixed: {counted_users(counts)}.{look}"
    warned = f"; check {counted(counts.warnings, 'warning', 'warnings')}" if counts.warnings else ""
    need = "; check it now" if report.message else warned or ", and there is nothing to do"
    return f"{this} was applied{need}: {counted_users(counts)}.{look}"


def _is_ours(report: Report) -> bool:
    return any(problem.code in NOT_THE_FILE for problem in report.messages)


def why_held(message: str | None) -> str:
    """Return the reasons in the message of a held import."""
    return one_line(message or "see the report.").removeprefix(HELD_ALREADY).replace(DECIDE, "", 1)


def _message(report: Report) -> str:
    return one_line(report.message or "see the report.")


def _link(report: Report, links: Links) -> Link:
    labels = {
        ImportState.COMPLETED_WITH_ERRORS: "See and download the rejected rows",
        ImportState.HELD: "Review it, then approve or discard it",
        ImportState.ABORTED: "See the upload",
    }
    place = FIND.format(id=report.id)
    if report.state is ImportState.HELD:
        place += " An owner can approve or discard it there."
    label = labels.get(report.state, "See the import")
    return Link(label, links.one_import(report.tenant, report.id), place)


def counted_users(counts: Counts) -> str:
    """Return how many users were created, updated and so on, and how many rows were ignored."""
    found: list[str] = []
    for name in ("created", "updated", "reactivated", "deactivated", "unchanged"):
        if number := getattr(counts, name):
            found.append(f"{number:,} {name}" if found else f"{counted(number, 'user', 'users')} {name}")
    users = (", ".join(found[:-1]) + " and " if found[1:] else "") + found[-1] if found else "no users changed"
    return f"{users}; {counted(counts.ignored, 'row', 'rows')} ignored" if counts.ignored else users


def shown_time(moment: str) -> str:
    """Return a time in RFC 3339 as `2026-03-01 12:00 UTC`."""
    return _MOMENT.sub(r"\1 \2 UTC", moment)


def _details(report: Report, leavers: Sequence[Mapping[str, object]], groups: Sequence[Group]) -> Iterator[Section]:
    if report.state is ImportState.HELD:
        yield from _decision(report, leavers)
    if report.state is ImportState.ABORTED:
        yield Section("If this happens again, check the connection of the system that sends the file.")
    if report.counts.rejected and report.state is ImportState.COMPLETED_WITH_ERRORS:
        yield Section(
            "The users in the rejected rows are unchanged. To fix them:",
            (
                f"Download errors.csv from the page, or /results/sync_users-{report.id}.errors.csv over SFTP.",
                "Fix the cells in it. The column _message says what is wrong.",
                "Upload that file as sync_users.csv. It deactivates no user who is not in it.",
            ),
        )
    if groups and report.state is not ImportState.ABORTED:
        yield _messages(groups)


def _decision(report: Report, leavers: Sequence[Mapping[str, object]]) -> Iterator[Section]:
    yield Section("Nothing was changed. A newer file replaces this import, unless it is a correction file.")
    yield Section(f"Expected result of an approval: {counted_users(report.counts)}.")
    total = report.guard.would_deactivate if report.guard else len(leavers)
    if leavers:
        head = f"It would deactivate {counted(total, 'user', 'users')}"
        head += f". The first {len(leavers)}:" if total > len(leavers) else ":"
        yield Section(head, tuple(_person(leaver) for leaver in leavers))


def _person(leaver: Mapping[str, object]) -> str:
    named = [one_line(str(leaver.get(key) or "")) for key in ("identifier", "name", "email")]
    return ", ".join(dict.fromkeys(part for part in named if part))


def _messages(groups: Sequence[Group]) -> Section:
    shown = first_groups(groups, MESSAGES_SHOWN)
    more = ["More messages are on the page and in the report."] if len(groups) > len(shown) else []
    return Section("Messages:", (*(group.sentence(values=False) for group in shown), *more))


def _facts(report: Report) -> Iterator[tuple[str, str]]:
    rows = f", {counted(report.file.rows, 'row', 'rows')}" if report.file.rows is not None else ""
    yield "Company", report.tenant
    yield "Import", str(report.id)
    yield "File", f"{one_line(report.file.name)}, {counted(report.file.size, 'byte', 'bytes')}{rows}"
    yield "Uploaded", shown_time(report.uploaded_at)
    yield "Report", f"/results/sync_users-{report.id}.json"
