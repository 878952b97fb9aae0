"""`headcount doctor`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import click

from ground.words import as_sentence, counted, listed
from server.cli.output import harmless, json_option, print_json
from server.doctor.findings import Finding, Severity, need_action
from server.places import place_of
from server.settings import load_settings


@click.command()
@json_option
def doctor(as_json: bool) -> int:
    """Find what is wrong with the data folder.

    It reads all databases, and checks owners, modes, links, files of imports, versions, disk and clock. It changes
    nothing, and works beside a running server. It says what to do about each finding. Exits with 1 if something
    needs action.
    """
    place = place_of(load_settings())
    findings = place.findings()
    if as_json:
        print_json([each.to_json() for each in findings])
    else:
        _print(place.where, findings)
    return 1 if need_action(findings) else 0


def _print(where: str, findings: Sequence[Finding]) -> None:
    for each in findings:
        of = f" of tenant {each.tenant}" if each.tenant else ""
        click.echo(f"{each.severity.capitalize()}{of}: {harmless(as_sentence(each.what))}")
        click.echo(f"  {harmless(each.do)}\n")  # without a full stop, which would be copied with the command
    click.echo(f"Found {_counts(findings)} in {where}" if findings else f"Found well: {where}")


def _counts(findings: Sequence[Finding]) -> str:
    counts = Counter(each.severity for each in findings)
    return listed([counted(counts[each], each, f"{each}s") for each in Severity if counts[each]])
