"""Advice on a file as a person reads it: the sentences, what becomes of each column, and what it would come to."""

from __future__ import annotations

from pathlib import Path

import click

from importer.advice.model import Advice
from server.cli.output import harmless
from server.cli.report_view import summary


def print_advice(advice: Advice) -> None:
    """What the page of an import shows, too."""
    click.echo(f"\n{_heading(advice)}")
    for sentence in advice.sentences:
        click.echo(f"  {harmless(sentence)}")
    for gap in advice.gaps:
        click.echo(f"  {harmless(gap)} No setting can fix this.")
    for column in advice.columns:
        click.echo(f"  Column “{harmless(column.header)}”: {harmless(column.note)}")
    if advice.counts is not None:
        click.echo(f"  With them: {advice.state}, {summary(advice.counts)}")


def print_toml(tenant: str, advice: Advice, target: str | None) -> None:
    """The settings as a file, or where they are: `target`."""
    if advice.toml is None:
        return
    if target:
        Path(target).write_text(advice.toml, encoding="utf-8")
        click.echo(f"  They are in {target}. Look at them, then: headcount tenant load {tenant} {target}")
        return
    click.echo(f"  Save these as a file, look at them, then: headcount tenant load {tenant} FILE\n")
    for line in advice.toml.splitlines():
        click.echo(harmless(line))


def _heading(advice: Advice) -> str:
    if advice.settings:
        return "Settings that would fit this file better"
    return "Settings to complete" if advice.toml else "Advice on this file"
