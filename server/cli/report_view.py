"""A report as a person reads it: what happened, the counts that are not 0, why it is held, and the messages."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import click

from importer.model import MESSAGES_IN_REPORT, Guard, GuardReason, Report
from server.cli.output import harmless, print_table, shown

REASONS = {
    GuardReason.TOO_MANY_DEACTIVATIONS: "it would deactivate too many users",
    GuardReason.TOO_MANY_CREATIONS: "it would create too many users",
    GuardReason.TOO_MANY_UPDATES: "it would change too many users",
    GuardReason.POSSIBLY_TRUNCATED: "the file may have been cut short",
}


def print_report(report: Report, title: str = "") -> None:
    """The whole report on stdout, under `title` (else its number and tenant)."""
    click.echo(title or f"Import {report.id} of {report.tenant}{' (a dry run)' if report.dry_run else ''}")
    for name, value in _facts(report):
        click.echo(f"  {name.ljust(10)}{value}")
    for line in _held(report.guard) if report.guard else ():
        click.echo(f"  {line}")
    if report.messages:
        click.echo()
        rows = [
            [shown(one.line), shown(one.column), one.severity.value, one.code, harmless(one.message)]
            for one in report.messages
        ]
        print_table(rows, ["LINE", "COLUMN", "SEVERITY", "CODE", "MESSAGE"])
        if len(rows) >= MESSAGES_IN_REPORT:
            click.echo(f"These are the first {MESSAGES_IN_REPORT} messages.")


def _facts(report: Report) -> Iterator[tuple[str, str]]:
    yield "state", report.state.value
    if report.message:
        yield "message", harmless(report.message)
    rows = "" if report.file.rows is None else f", {_number(report.file.rows)} rows"
    yield "file", f"{harmless(report.file.name)}, {_number(report.file.size)} bytes{rows}"
    if report.id:
        yield "uploaded", report.uploaded_at
    if report.finished_at:
        yield "finished", report.finished_at + _lasted(report)
    if report.decided_by:
        yield "decided", f"{report.decided_at} by {harmless(report.decided_by)}"
    counts = {name: count for name, count in report.counts.to_json().items() if count}
    yield (
        "counts",
        ", ".join(f"{_number(count)} {name.replace('_', ' ')}" for name, count in counts.items()) or "none",
    )


def _held(guard: Guard) -> Iterator[str]:
    yield f"held because {'; '.join(REASONS[reason] for reason in guard.reasons)}"
    yield (
        f"of {_number(guard.active)} active users it would deactivate {_number(guard.would_deactivate)}"
        f" (the limit is {guard.limit_percent:g}%)"
    )


def _lasted(report: Report) -> str:
    if not (report.started_at and report.finished_at):
        return ""
    lasted = datetime.fromisoformat(report.finished_at) - datetime.fromisoformat(report.started_at)
    return f" ({lasted.total_seconds():.1f} s)"


def _number(value: int) -> str:
    return f"{value:,}"
