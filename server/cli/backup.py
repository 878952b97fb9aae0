"""`headcount backup` and `headcount restore`."""

from __future__ import annotations

import asyncio
import os
import shlex
from pathlib import Path

import click

from ground.moments import utc_now
from ground.words import counted, listed
from importer.errors import TryAgain
from server import process
from server.backup.copies import is_upgraded
from server.backup.restoring import Restored
from server.backup.restoring import restore as restore_backup
from server.backup.taking import Taken, back_up
from server.cli.data import runs, tenants
from server.cli.folder import target_of_restore, tell_without_backup
from server.cli.output import harmless, json_option, print_json, tell
from server.data_disk import DISK_CODES
from server.places import place_of
from server.settings import load_settings
from server.tenants.local.folder import server_database

BACK = "Tenants, tokens and keys that were removed or revoked since the backup are back"


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--replace", is_flag=True, help="Replace the backup of another data folder in FOLDER.")
@click.option("--verify", is_flag=True, help="Read all of FOLDER, and replace what is damaged.")
@json_option
@runs
async def backup(folder: Path, replace: bool, verify: bool, as_json: bool) -> int:
    """Back up the data folder to FOLDER, beside a running server.

    FOLDER has the newest complete state, with checksums; what it has already is not copied again. It is made if it is
    absent. A backup that fails or is killed leaves the previous one as it was. Exits with 1 if something
    cannot be read or a tenant is broken: its newest usable copy stays in FOLDER, and all else is saved.

    With --verify, all files in FOLDER are checked against their checksums. Exits with 1 if one was damaged.
    """
    data_dir = await _data_dir()
    process.prepare()
    taken = await asyncio.to_thread(back_up, data_dir, folder.absolute(), utc_now(), replace=replace, verify=verify)
    if as_json:
        print_json(_facts(folder, taken))
    else:
        click.echo(
            f"Backed up {counted(taken.tenants, 'tenant', 'tenants')} to {folder}: "
            f"{counted(taken.files, 'file', 'files')} ({_size(taken.bytes)}), "
            f"of which {counted(taken.added, 'was', 'were')} new ({_size(taken.added_bytes)})"
        )
    for name, why in taken.manifest.broken.items():
        tell(f"the tenant {name} was not backed up completely: {harmless(why)}", "tenant_broken", "error")
    for why in taken.manifest.skipped.values():
        tell(f"not backed up: {harmless(why)}", "not_backed_up", "error")
    _tell_damage(folder, taken)
    if taken.unnoted:
        why = f"{data_dir} cannot be written: {taken.unnoted}"
        tell(f"the backup is complete, but the metrics show an older one: {why}", "backup_unnoted", "warning")
    faults = taken.manifest.broken or taken.manifest.skipped or taken.damaged or taken.lost
    return 1 if faults else 0


def _tell_damage(folder: Path, taken: Taken) -> None:
    if taken.damaged:
        damaged = counted(taken.damaged, "file was", "files were")
        tell(
            f"{damaged} damaged or missing in {folder}. Those that the data folder has were copied again. "
            f"Check the disk of {folder}",
            "backup_damaged",
            "error",
        )
    for path in taken.lost:
        tell(
            f"the copy of {harmless(path)} in {folder} is damaged or missing, and the data folder has no usable one",
            "backup_lacks_file",
            "error",
        )


@click.command()
@click.argument("folder", type=click.Path(path_type=Path, exists=True, file_okay=False))
@click.option("--drop-owed", is_flag=True, help="Drop the messages that wait, and turn sending off.")
@click.option("--without-damaged", is_flag=True, help="Leave out and list what is damaged in FOLDER.")
@json_option
def restore(folder: Path, drop_owed: bool, without_damaged: bool, as_json: bool) -> int:
    """Restore the backup in FOLDER into the data folder.

    The data folder (HEADCOUNT_DATA_DIR) must be empty or absent. Everything is checked; if something is wrong,
    nothing is restored. The server sends the messages that wait when it starts. With --drop-owed these are dropped,
    and it sends nothing until you run headcount notify on: use it for a drill.

    All sign-ins end. Tenants, tokens and keys that were removed or revoked since the backup are back.

    With --without-damaged, damaged files are listed, and all others are restored: exits with 1 if there are any.
    """
    data_dir = target_of_restore(load_settings())
    try:
        restored = restore_backup(
            folder.absolute(), data_dir, utc_now(), drop=drop_owed, without_damaged=without_damaged
        )
    except process.InUse as error:
        raise click.ClickException(str(error)) from error
    if os.geteuid() == 0:
        do = f"If the server runs as another user, give it to that user: chown -R USER {shlex.quote(str(data_dir))}"
        tell(f"root owns {data_dir}. {do}", "owned_by_root", "warning")
    for path in restored.damaged:
        tell(f"{harmless(path)} was not restored: it is damaged or missing in {folder}", "not_restored", "error")
    if as_json:
        print_json(_restored_facts(data_dir, restored, dropped=drop_owed))
    else:
        _print_restored(data_dir, restored, dropped=drop_owed)
    if drop_owed:
        tell_without_backup(data_dir)
    return 1 if restored.damaged else 0


def _print_restored(data_dir: Path, restored: Restored, *, dropped: bool) -> None:
    click.echo(
        f"Restored {counted(restored.tenants, 'tenant', 'tenants')} and {counted(restored.files, 'file', 'files')} "
        f"to {data_dir}, as of {restored.manifest.made_at}"
    )
    click.echo(_owed_line(restored, dropped=dropped))
    click.echo(f"Imports and runs that wait or need a decision: {restored.waiting:,}")
    click.echo("Ended all sign-ins and sign-in links of the backup")
    click.echo(f"{BACK}. To find them: headcount tenant list, headcount token list, headcount key list TENANT")
    if restored.sending_off:
        click.echo("Sending is off: no mail, webhook or invitation is sent. To turn it on: headcount notify on")
    for name, why in restored.manifest.broken.items():
        tell(f"The tenant {name} was broken when the backup was made: {harmless(why)}", "tenant_broken")
    for path, why in restored.manifest.skipped.items():
        has = "only an earlier copy" if restored.manifest.under(path) else "no copy"
        tell(f"The backup has {has} of {harmless(path)}: {harmless(why)}", "not_backed_up", "warning")


async def _data_dir() -> Path:
    """Return the data folder with a current headcount.db; a full disk may keep it from being opened for writing."""
    place_of(load_settings()).require_folder()
    try:
        async with tenants() as opened:
            return opened.data_dir
    except TryAgain as error:
        data_dir = load_settings().data_dir.absolute()
        if error.code not in DISK_CODES or not await asyncio.to_thread(is_upgraded, server_database(data_dir)):
            raise
        return data_dir


def _owed_line(restored: Restored, *, dropped: bool) -> str:
    owed = restored.owed
    counts = listed(
        [
            counted(owed.mails, "mail", "mails"),
            counted(owed.webhooks, "webhook", "webhooks"),
            counted(owed.invitations, "invitation", "invitations"),
        ]
    )
    if dropped:
        return f"Dropped {counts}"
    return f"Owed when sending is on: {counts}" if restored.sending_off else f"Owed when the server starts: {counts}"


def _facts(folder: Path, taken: Taken) -> dict[str, object]:
    return {
        "folder": str(folder),
        "made_at": taken.manifest.made_at,
        "tenants": taken.tenants,
        "files": taken.files,
        "bytes": taken.bytes,
        "new_files": taken.added,
        "new_bytes": taken.added_bytes,
        "damaged": taken.damaged,
        "lost": list(taken.lost),
        "broken": dict(taken.manifest.broken),
        "skipped": dict(taken.manifest.skipped),
    }


def _restored_facts(data_dir: Path, restored: Restored, *, dropped: bool) -> dict[str, object]:
    owed = restored.owed
    return {
        "data_dir": str(data_dir),
        "made_at": restored.manifest.made_at,
        "tenants": restored.tenants,
        "files": restored.files,
        "owed": {"mails": owed.mails, "webhooks": owed.webhooks, "invitations": owed.invitations},
        "dropped": dropped,
        "sending": "off" if restored.sending_off else "on",
        "waiting": restored.waiting,
        "damaged": list(restored.damaged),
        "broken": dict(restored.manifest.broken),
        "skipped": dict(restored.manifest.skipped),
    }


def _size(size: int) -> str:
    """Return a number of bytes as people read it."""
    for unit, step in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if size >= step:
            return f"{size / step:,.1f} {unit}"
    return counted(size, "byte", "bytes")
