"""Advice on a file as text: its sentences, how each column is used, and the expected result."""

from __future__ import annotations

from pathlib import Path

import click

from importer.advice.model import Advice
from server.cli.output import harmless
from server.cli.report_view import summary


def print_advice(advice: Advice) -> None:
    """Print the advice: the same facts as on the import's page."""
    click.echo(f"\n{_heading(advice)}")
    for sentence in advice.sentences:
        click.echo(f"  {harmless(sentence)}")
    for gap in advice.gaps:
        click.echo(f"  {harmless(gap)} No setting can fix this.")
    for column in advice.columns:
        click.echo(f"  Column “{harmless(column.header)}”: {harmless(column.note)}")
    if advice.counts is not None:
        click.echo(f"  With these settings: {advice.state}, {summary(advice.counts)}")


def print_toml(tenant: str, advice: Advice, target: str | None) -> None:
    """Write the suggested settings to the file `target`, or print them as TOML."""
    if advice.toml is None:
        return
    if target:
        Path(target).write_text(advice.toml, encoding="utf-8")
        click.echo(f"  Wrote them to {target}. Review them, then: headcount tenant load {tenant} {target}")
        return
    click.echo(f"  Save these as a file, review them, then: headcount tenant load {tenant} FILE\n")
    for line in advice.toml.splitlines():
        click.echo(harmless(line))


def _heading(advice: Advice) -> str:
    if advice.settings:
        return "Suggested settings"
    return "Settings to complete" if advice.toml else "Advice on this file"
