"""`headcount doctor`, `headcount reseal` and `headcount migrate`: the installation as a whole."""

from __future__ import annotations

import os
import shlex
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from ground.moments import utc_now
from ground.words import as_sentence, counted, listed
from server import process
from server.cli.data import runs
from server.cli.folder import tell_without_backup
from server.cli.output import harmless, json_option, print_json, print_table, tell
from server.doctor.findings import Finding, Severity, need_action
from server.places import place_of
from server.settings import load_settings
from server.tenants.moves import marks_in

if TYPE_CHECKING:
    from server.moving.checking import Report
    from server.moving.moving import Done
    from server.moving.side import Outside, Side

GO_ON = "The move has not ended. To go on, run the same command again. To give it up and use the source: add --cancel"
DIFFERENT = "To use it, run the same command with --cancel. Then move to a new place"
NAME_DATABASE = "name it in HEADCOUNT_DATABASE_URL, and its secret in HEADCOUNT_SECRET_KEY_FILE"
NAME_FOLDER = "name it in HEADCOUNT_DATA_DIR, and take HEADCOUNT_DATABASE_URL out of the settings"
"""The advice after a move to a database, and to a folder."""
TOLD_EACH_S = 10.0
"""Seconds between two lines about a long move."""


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


@click.command()
@click.option("--to", "target", required=True, metavar="TARGET", help="Move to this database or data folder.")
@click.option("--cancel", is_flag=True, help="Give a move to TARGET up, and use the source again.")
@json_option
@runs
async def migrate(target: str, cancel: bool, as_json: bool) -> int:
    """Move all data to a database, or back to a data folder.

    TARGET is the URL of a PostgreSQL database (postgresql://USER@HOST/NAME), or a folder. It must be new. The source
    is the data folder, or the database that HEADCOUNT_DATABASE_URL names. HEADCOUNT_SECRET_KEY_FILE names the secret
    of the database. Stop all servers first. If this command is interrupted, run it again: it goes on.

    At the end, everything is read at both places and compared. If all is equal, the source is marked, and no server
    and no command uses it any more. Otherwise exits with 1, and the source has the data.

    With --cancel, the source can be used again, with its data as they were when the move began, and TARGET cannot.
    """
    # Imported here: the other commands of this module do not need it.
    from server.moving import opening

    settings = load_settings()
    try:
        async with opening.both(settings, target) as (source, other):
            if cancel:
                return await _canceled(source, other, as_json=as_json)
            try:
                report = await opening.move(source, other, utc_now(), _told_seldom())
            except Exception:
                if await opening.is_begun(source, other):
                    tell(GO_ON, "move_unfinished", "warning")
                raise
            left = await source.outside()
    except process.InUse as error:
        raise click.ClickException(f"{error}. If it is another headcount migrate, wait for its end") from error
    if as_json:
        print_json(opening.to_json(report, source, other))
    if report.differences:
        for each in report.differences:
            tell(harmless(each), "not_equal", "error")
        tell(f"both places are not equal, so {source.name} has the data. {DIFFERENT}", "not_moved", "error")
        return 1
    for name, count in sorted(report.replaced.items()):
        rows = counted(count, "row", "rows")
        tell(f"{rows} of {name} had the character NUL, which PostgreSQL does not store: U+FFFD replaces it", "nul")
    if not as_json:
        _print_moved(report, source.name, other.name, NAME_DATABASE if opening.is_url(target) else NAME_FOLDER, left)
    if not opening.is_url(target):
        tell_without_backup(Path(target).absolute())
    if os.geteuid() == 0 and not opening.is_url(target):
        do = f"chown -R USER {shlex.quote(target)}"
        tell(f"root owns {target}. If the server runs as another user, give it to that user: {do}", "owned_by_root")
    return 0


def _told_seldom() -> Done:
    """Return a function that tells how many tenants are done, at most once in some seconds."""
    told_at = time.monotonic()

    def tell_done(verb: str, number: int, of: int) -> None:
        nonlocal told_at
        if (now := time.monotonic()) - told_at >= TOLD_EACH_S:
            told_at = now
            tell(f"{verb} {number:,} of {counted(of, 'tenant', 'tenants')}", "progress")

    return tell_done


def _print_moved(report: Report, source: str, target: str, to_name: str, left: Outside | None) -> None:
    if report.rows:
        rows = [[name, f"{count:,}"] for name, count in sorted(report.rows.items()) if count]
        print_table([*rows, ["(files)", f"{report.files:,}"], ["(keys)", f"{report.keys:,}"]], ["Table", "Equal"])
    click.echo(f"Moved {counted(report.tenants, 'tenant', 'tenants')} from {source} to {target}")
    click.echo(f"  Before the next start, {to_name}")
    with_ = f", with its {left}" if left else ""
    click.echo(f"  The source is marked as moved. Delete it when you do not need it any more{with_}")


async def _canceled(source: Side, target: Side, *, as_json: bool) -> int:
    """Cancel a move, and print what is left of it. Return the exit code."""
    from server.moving import opening

    begun = (await marks_in(source.marks)).source
    canceled = await opening.cancel(source, target)
    left = await target.outside() if canceled else None
    if as_json:
        print_json({"canceled": canceled, "objects": asdict(left) if left else None})
    elif canceled:
        click.echo(f"Canceled: {source.name} can be used again")
        if begun and begun.ended:
            only = "Changes since the move are only there. To keep them, see docs/moving.md (The way back)"
            click.echo(f"  {target.name} cannot. {only}")
            click.echo("  All sign-ins have ended. Keys and tokens that were revoked since the move are valid again")
        if left:
            click.echo(f"  {target.name} keeps {left}. Delete them together with that database")
    else:
        click.echo(f"No move from {source.name} was begun")
    return 0 if canceled else 1


def _print(where: str, findings: Sequence[Finding]) -> None:
    for each in findings:
        of = f" of tenant {each.tenant}" if each.tenant else ""
        click.echo(f"{each.severity.capitalize()}{of}: {harmless(as_sentence(each.what))}")
        click.echo(f"  {harmless(each.do)}\n")  # without a full stop, which would be copied with the command
    click.echo(f"Found {_counts(findings)} in {where}" if findings else f"Found well: {where}")


def _counts(findings: Sequence[Finding]) -> str:
    counts = Counter(each.severity for each in findings)
    return listed([counted(counts[each], each, f"{each}s") for each in Severity if counts[each]])
