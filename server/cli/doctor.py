"""`headcount doctor` and `headcount reseal`: the installation as a whole."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from ground.words import as_sentence, counted, listed
from server.cli.data import runs
from server.cli.output import harmless, json_option, print_json
from server.doctor.findings import Finding, Severity, need_action
from server.places import place_of
from server.settings import load_settings


@click.command()
@json_option
def doctor(as_json: bool) -> int:
    """Find what is wrong with the data folder.

    It reads all databases, and checks owners, modes, links, files of imports, versions, disk and clock. It changes
    nothing, and works beside a running server. It says what to do about each finding. Where PostgreSQL has the data,
    it checks its settings, connections, keys, files and quotas. Exits with 1 if something needs action.
    """
    place = place_of(load_settings())
    findings = place.findings()
    if as_json:
        print_json([each.to_json() for each in findings])
    else:
        _print(place.where, findings)
    return 1 if need_action(findings) else 0


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@runs
async def reseal(file: Path) -> None:
    """Change the secret that seals keys in the database.

    FILE has the new secret, and HEADCOUNT_SECRET_KEY_FILE names the present one. Stop the server first. If this
    command is interrupted, run it again. Then name FILE in HEADCOUNT_SECRET_KEY_FILE, and keep a copy of it.
    """
    file = file.absolute()
    if await place_of(load_settings()).change_secret(file):
        click.echo("Sealed the keys with the new secret")
    else:
        click.echo("The keys were already sealed with this secret")
    click.echo(f"  Before the next start, set HEADCOUNT_SECRET_KEY_FILE={shlex.quote(str(file))}")


def _print(where: str, findings: Sequence[Finding]) -> None:
    for each in findings:
        of = f" of tenant {each.tenant}" if each.tenant else ""
        click.echo(f"{each.severity.capitalize()}{of}: {harmless(as_sentence(each.what))}")
        click.echo(f"  {harmless(each.do)}\n")  # without a full stop, which would be copied with the command
    click.echo(f"Found {_counts(findings)} in {where}" if findings else f"Found well: {where}")


def _counts(findings: Sequence[Finding]) -> str:
    counts = Counter(each.severity for each in findings)
    return listed([counted(counts[each], each, f"{each}s") for each in Severity if counts[each]])
