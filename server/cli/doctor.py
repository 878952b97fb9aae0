"""`headcount doctor`."""

from __future__ import annotations

import os
import shlex
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import click

from ground.words import as_sentence, counted, listed
from server.backup.moving import RESTORING
from server.cli.output import harmless, json_option, print_json
from server.doctor.examining import examine
from server.doctor.findings import Finding, Severity, need_action
from server.doctor.gathering import owner_of, user_name
from server.places.folder import no_data_in
from server.settings import load_settings
from server.tenants.local.folder import server_database
from server.tenants.settings import TenantRefused


@click.command()
@json_option
def doctor(as_json: bool) -> int:
    """Find what is wrong with the data folder.

    It reads all databases, and checks owners, modes, links, files of imports, versions, disk and clock. It changes
    nothing, and works beside a running server. It says what to do about each finding. Exits with 1 if something
    needs action.
    """
    data_dir = load_settings().data_dir.absolute()
    _refuse_other(data_dir)
    findings = examine(data_dir)
    if as_json:
        print_json([each.to_json() for each in findings])
    else:
        _print(data_dir, findings)
    return 1 if need_action(findings) else 0


def _refuse_other(data_dir: Path) -> None:
    """Raise TenantRefused unless the folder has data of Headcount that belongs to this user."""
    places = (server_database(data_dir), data_dir / "tenants", data_dir / RESTORING)
    if not any(os.path.lexists(place) for place in places):
        raise no_data_in(data_dir)
    owner = owner_of(data_dir)
    if owner != os.geteuid():  # SQLite would make files beside the databases that the server cannot use
        user = user_name(owner)
        user = f"#{user}" if user.isdecimal() else user
        raise TenantRefused(
            "not_yours",
            f"the data in {data_dir} belongs to the user {user}. Run the same command as that user: "
            f"sudo -u {shlex.quote(user)} headcount ...",
        )


def _print(data_dir: Path, findings: Sequence[Finding]) -> None:
    for each in findings:
        of = f" of tenant {each.tenant}" if each.tenant else ""
        click.echo(f"{each.severity.capitalize()}{of}: {harmless(as_sentence(each.what))}")
        click.echo(f"  {harmless(each.do)}\n")  # without a full stop, which would be copied with the command
    click.echo(f"Found {_counts(findings)} in {data_dir}" if findings else f"Found well: {data_dir}")


def _counts(findings: Sequence[Finding]) -> str:
    counts = Counter(each.severity for each in findings)
    return listed([counted(counts[each], each, f"{each}s") for each in Severity if counts[each]])
