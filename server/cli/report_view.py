"""A report as text: the state, the counts that are not 0, the messages, and why the import is held."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from itertools import islice
from pathlib import Path
from typing import Any

import click

from ground.words import counted
from importer.messages.grouping import first_groups, grouped_problems
from importer.messages.spool import MESSAGES_KEPT, groups_in
from importer.model import MESSAGES_IN_REPORT, Guard, GuardReason, ImportState
from importer.report import Report
from server.cli.output import harmless, painted, shown, shown_fact

NAMES_SHOWN = 20
GROUPS_SHOWN = 100
_NAMES = {
    "deactivated_absent": ("of them absent", "of them absent"),
    "warnings": ("warning", "warnings"),
    "teams_created": ("team created", "teams created"),
    "locations_created": ("location created", "locations created"),
    "invitations": ("invitation", "invitations"),
}
"""For one and for many; other counts are named by their key."""
REASONS = {
    GuardReason.TOO_MANY_DEACTIVATIONS: "it would deactivate too many users",
    GuardReason.TOO_MANY_CREATIONS: "it would create too many users",
    GuardReason.TOO_MANY_UPDATES: "it would update too many users",
    GuardReason.POSSIBLY_TRUNCATED: "the file may be incomplete",
    GuardReason.IDENTIFIERS_CHANGED: "it may deactivate users and create them again under another identifier",
}


def print_report(report: Report, touched: Path, title: str = "", messages: Path | None = None) -> None:
    """Print the report on stdout, under `title` (default: its id and tenant).

    `touched` is the file of the users that a held import would change. `messages` is the file of all its messages.
    """
    click.echo(title or f"Import {report.id} of {report.tenant}{' (a dry run)' if report.dry_run else ''}")
    for name, value in _facts(report):
        click.echo(f"  {name.ljust(10)}{value}")
    _print_messages(report, messages)
    if report.guard and report.state is ImportState.HELD:
        _print_guard(report, report.guard, touched)


def summary(counts: Mapping[str, int]) -> str:
    """Return the counts of an import that are not 0, or "nothing"."""
    done = [counted(count, *_NAMES.get(name, (name, name))) for name, count in counts.items() if count]
    return ", ".join(done) or "nothing"


def change_line(change: Mapping[str, Any]) -> str:
    """Return one change of a user: the field, the old and the new value."""
    if change["field"] == "created":
        return "creation undone" if change["undo"] else "created"
    undo = " (undo)" if change["undo"] else ""
    return f"{change['field']}: {shown(change['old'])} -> {shown(change['new'])}{undo}"


def _facts(report: Report) -> Iterator[tuple[str, str]]:
    yield "state", painted(report.state.value)
    if report.message:
        yield "message", harmless(report.message)
    rows = "" if report.file.rows is None else f", {counted(report.file.rows, 'row', 'rows')}"
    yield "file", f"{harmless(report.file.name)}, {counted(report.file.size, 'byte', 'bytes')}{rows}"
    if report.id:
        yield "uploaded", shown_fact("uploaded_at", report.uploaded_at)
    if report.sent_by:
        yield "sent by", harmless(report.sent_by)
    if report.finished_at:
        yield "finished", shown_fact("finished_at", report.finished_at) + _lasted(report)
    if report.decided_by:
        when = shown_fact("decided_at", report.decided_at)
        yield "decided", f"{when} by {harmless(report.decided_by)}"
    yield "counts", summary(report.counts.to_json())


def _lasted(report: Report) -> str:
    if not (report.started_at and report.finished_at):
        return ""
    lasted = datetime.fromisoformat(report.finished_at) - datetime.fromisoformat(report.started_at)
    return f" ({lasted.total_seconds():.1f} s)" if lasted >= timedelta() else ""  # the clock was set back meanwhile


def _print_messages(report: Report, messages: Path | None) -> None:
    """Print equal messages once. All messages about the file are printed, and the first GROUPS_SHOWN about rows."""
    groups, limit = [], MESSAGES_KEPT
    if messages is not None and report.state is not ImportState.UNDONE:  # the report has the messages of the undo
        groups = groups_in(messages)
    if not groups:
        groups, limit = grouped_problems(report.messages), MESSAGES_IN_REPORT
    shown_groups = first_groups(groups, GROUPS_SHOWN)
    if groups:
        click.echo()
    for group in shown_groups:
        click.echo(f"{group.severity.ljust(8)} {harmless(group.sentence())} [{group.code}]")
    total = sum(group.count for group in groups)
    if more := total - sum(group.count for group in shown_groups):
        click.echo(f"... and {counted(more, 'more message', 'more messages')}")
    if total >= limit:
        click.echo(f"Only the first {limit:,} messages are listed.")


def _print_guard(report: Report, guard: Guard, touched: Path) -> None:
    click.echo(f"\nHeld because {'; '.join(REASONS[reason] for reason in guard.reasons)}.")
    rule = guard.deactivation_rule if GuardReason.TOO_MANY_DEACTIVATIONS in guard.reasons else ""
    why = f" ({rule})" if rule else ""
    active = counted(guard.active, "active user", "active users")
    click.echo(f"It would deactivate {guard.would_deactivate:,} of {active}{why}.")
    names = list(islice(_deactivated(touched), NAMES_SHOWN))
    for name in names:
        click.echo(f"  {harmless(name)}")
    if guard.would_deactivate > len(names):
        click.echo(f"  ... and {guard.would_deactivate - len(names):,} more")
    if not report.dry_run:
        click.echo(f"To apply it: headcount import approve {report.tenant} {report.id}")
        click.echo(f"To reject it: headcount import discard {report.tenant} {report.id}")


def _deactivated(touched: Path) -> Iterator[str]:
    if touched.exists():
        with touched.open(encoding="utf-8") as lines:
            yield from (one["name"] for one in map(json.loads, lines) if one["action"] == "deactivated")
