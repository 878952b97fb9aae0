"""`headcount import`: list, show, approve, discard and undo imports."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from typing import Any, NamedTuple

import click

from ground.moments import utc_now
from importer.advice.kept import kept_advice, report_of
from importer.archive import Archive
from importer.errors import Refused
from importer.folder import TenantFolder
from importer.model import APPLIED, WAITING, ImportState
from importer.queue.entry import Entry
from importer.queue.queue import Queue
from importer.rules.identity import identity_of
from importer.worker import decisions
from server.cli.advice_view import print_advice
from server.cli.data import COUNT, ID, runs, tenants
from server.cli.output import (
    harmless,
    json_option,
    list_options,
    print_json,
    print_json_pages,
    print_list,
    progress,
    shown,
)
from server.cli.report_view import change_line, print_report, summary
from server.places import place_of
from server.settings import load_settings
from server.tenants.pauses import pause_of

BY = "operator"
STATES = [state.value for state in ImportState if state is not ImportState.ARRIVING]
ABOUT_ONE = {"unknown_import", "nothing_to_undo", "not_held", "not_applied", "dry_run"}
"""The codes of refusals that are about one import: a command on another one may succeed."""

LOOK_S = 0.1
NO_SERVER_S = 10.0
"""How long a command waits without a server on the data folder before it fails. A server may be starting."""


class _Kept(NamedTuple):
    """The files of a tenant's imports."""

    archive: Archive
    folder: TenantFolder


def _one_import(command: Callable[..., Any]) -> Callable[..., Any]:
    """Add the arguments TENANT and [ID] to a command about one import."""
    with_id = click.argument("import_id", metavar="[ID]", type=ID, required=False)
    return click.argument("tenant")(with_id(command))


timeout_option = click.option(
    "--timeout", metavar="SECONDS", type=click.FloatRange(0), help="Stop waiting after SECONDS."
)


@click.group("import")
def import_() -> None:
    """List, show, approve, discard and undo imports.

    Without an ID, a command uses the newest import that is not a dry run. Undo uses the newest that changed a user.
    """


@import_.command("list")
@click.argument("tenant")
@click.option("--state", type=click.Choice(STATES), metavar="STATE", help=f"Filter by state: {', '.join(STATES)}.")
@click.option("--limit", type=COUNT, default=50, show_default=True, help="Maximum to list.")
@list_options
@runs
async def list_(tenant: str, state: str | None, limit: int, as_json: bool) -> None:
    """List the imports of TENANT, newest first."""
    async with _opened(tenant) as (queue, _):
        entries = await queue.page(tenant, state=ImportState(state) if state else None, limit=limit)
    columns = {"id": "ID", "state": "STATE", "dry_run": "DRY RUN", "uploaded_at": "UPLOADED", "result": "RESULT"}
    reports = [entry.report().to_json() for entry in entries]
    rows: list[Mapping[str, object]] = [*reports]
    if not as_json:
        rows = [{**report, "result": _result(entry)} for entry, report in zip(entries, reports, strict=True)]
    print_list(rows, columns, as_json=as_json, empty=f"{tenant} has no imports yet.", wrapped=["result"])


def _result(entry: Entry) -> str:
    """Return the result of `entry` on one line: its message, its counts, or both if it was applied."""
    counts = summary(entry.outcome.counts.to_json()) if entry.outcome else "nothing"
    if entry.message is None:
        return counts
    return f"{entry.message} ({counts})" if entry.state in APPLIED else entry.message


@import_.command()
@_one_import
@json_option
@runs
async def show(tenant: str, import_id: int | None, as_json: bool) -> None:
    """Show the report of an import of TENANT."""
    async with _opened(tenant) as (queue, kept):
        entry = await _find(queue, tenant, import_id)
        await _print_report(entry, kept, as_json=as_json)


@import_.command()
@_one_import
@timeout_option
@json_option
@runs
async def wait(tenant: str, import_id: int | None, timeout: float | None, as_json: bool) -> int:
    """Wait until an import of TENANT ends; show its report.

    Exits with 0 if the import was applied or undone, 1 otherwise.
    """
    async with _opened(tenant) as (queue, kept):
        entry = await _find(queue, tenant, import_id)
        return await _follow(queue, kept, entry, timeout, as_json=as_json)


@import_.command()
@_one_import
@click.option("--no-wait", is_flag=True, help="Do not wait until the import has run.")
@timeout_option
@json_option
@runs
async def approve(tenant: str, import_id: int | None, no_wait: bool, timeout: float | None, as_json: bool) -> int:
    """Approve a held import.

    The import of TENANT runs, and the command waits for its end. The import is held again if it would deactivate a
    user who is not on its list. Exits with 0 if the import was applied, 1 otherwise.
    """
    async with _opened(tenant) as (queue, kept):
        entry = await _find(queue, tenant, import_id)
        approved = await decisions.approve(queue, kept.folder, entry, by=BY, archive=kept.archive)
        if not no_wait:
            return await _follow(queue, kept, approved, timeout, as_json=as_json)
    _print_done(approved, f"Approved import {entry.id} of {tenant}; it is queued", as_json=as_json)
    return 0


@import_.command()
@_one_import
@json_option
@runs
async def discard(tenant: str, import_id: int | None, as_json: bool) -> None:
    """Discard a held import.

    The import of TENANT changes nothing and cannot be approved later.
    """
    async with _opened(tenant) as (queue, _):
        entry = await _find(queue, tenant, import_id)
        discarded = await queue.discard(tenant, entry.id, by=BY)
    _print_done(discarded, f"Discarded import {entry.id} of {tenant}", as_json=as_json)


@import_.command()
@_one_import
@click.option("--no-wait", is_flag=True, help="Do not wait until the import is undone.")
@timeout_option
@json_option
@runs
async def undo(tenant: str, import_id: int | None, no_wait: bool, timeout: float | None, as_json: bool) -> int:
    """Undo an applied import.

    The users of TENANT get the values from before the import, and the command waits for the end of the undo. Without
    an ID, it undoes the newest import that changed a user; then the one before it can be undone. Fields that changed
    after the import keep their values and are reported. Exits with 0 if the import was undone, 1 otherwise.
    """
    async with tenants() as opened:
        pause = pause_of(await opened.settings(tenant), utc_now())
        queue, kept = opened.store.imports(), _Kept(opened.archive, opened.folder(tenant))
        with _naming_the_list(tenant):
            asked = await queue.undo(tenant, import_id, by=BY, pause=pause)
        if not no_wait:
            ended = await _end_of(queue, asked, timeout)
            await _print_report(ended, kept, as_json=as_json)
            return 0 if ended.state is ImportState.UNDONE else 1
    _print_done(asked, f"Queued the undo of import {asked.id} of {tenant}", as_json=as_json)
    return 0


@import_.command()
@_one_import
@json_option
@runs
async def changes(tenant: str, import_id: int | None, as_json: bool) -> None:
    """List what an import of TENANT and its undo changed.

    One line for each change: the user, the field, the old and the new value.
    """
    async with tenants() as opened:
        settings = await opened.settings(tenant)
        entry = await _find(opened.store.imports(), tenant, import_id)
        async with opened.users(tenant).history(identity_of(settings), upgrade=True) as history:
            pages = history.of_import(entry.id)
            if as_json:
                await print_json_pages(pages)
                return
            async for page in pages:
                for change in page:
                    click.echo(harmless(f"{change['name']} ({shown(change['identifier'])}): {change_line(change)}"))


@asynccontextmanager
async def _opened(tenant: str) -> AsyncIterator[tuple[Queue, _Kept]]:
    """Open a tenant. A refusal that is about one import also names the command that lists the imports."""
    async with tenants() as opened:
        await opened.get(tenant)
        with _naming_the_list(tenant):
            yield opened.store.imports(), _Kept(opened.archive, opened.folder(tenant))


@contextmanager
def _naming_the_list(tenant: str) -> Iterator[None]:
    try:
        yield
    except Refused as error:
        if error.code not in ABOUT_ONE:
            raise
        raise Refused(error.code, f"{error.message}; see: headcount import list {tenant}") from error


async def _find(queue: Queue, tenant: str, import_id: int | None) -> Entry:
    if import_id is None:
        entry = await queue.newest(tenant)
        if entry is None:
            raise Refused("no_imports", f"{tenant} has no imports yet. Test a file: headcount check {tenant} FILE")
        return entry
    return await queue.require(tenant, import_id)


async def _follow(queue: Queue, kept: _Kept, entry: Entry, timeout: float | None, *, as_json: bool) -> int:
    ended = await _end_of(queue, entry, timeout)
    await _print_report(ended, kept, as_json=as_json)
    return 0 if ended.state in APPLIED | {ImportState.UNDONE} else 1


async def _end_of(queue: Queue, entry: Entry, timeout: float | None) -> Entry:
    """Wait until `entry` ends and return it. Raises Refused at the timeout, or if no server runs."""
    began = served = time.monotonic()
    place = place_of(load_settings())
    with progress() as advance:
        advance(*frame(entry))
        while entry.state in WAITING:
            await asyncio.sleep(LOOK_S)
            now = time.monotonic()
            if now - served >= 1 and await place.server_runs():
                served = now
            if now - served >= NO_SERVER_S:
                raise Refused(
                    "no_server",
                    f"import {entry.id} is {entry.state.value} but no server runs. Start it: headcount serve",
                )
            if timeout is not None and now - began >= timeout:
                unit = "second" if timeout == 1 else "seconds"
                why = f". {entry.message}" if entry.message else ""
                raise Refused(
                    "timeout", f"import {entry.id} is still {entry.state.value} after {timeout:g} {unit}{why}"
                )
            entry = await _find(queue, entry.tenant, entry.id)
            advance(*frame(entry))
    return entry


def frame(entry: Entry) -> tuple[float, str]:
    """Return the share of `entry` that is done, and its state in words: all of it, once it has ended."""
    share = entry.progress or 0.0 if entry.state in WAITING else 1.0
    return share, f"Import {entry.id} of {entry.tenant}: {entry.state.value}"


def _print_done(entry: Entry, sentence: str, *, as_json: bool) -> None:
    if as_json:
        print_json(entry.report().to_json())
    else:
        click.echo(sentence)


async def _print_report(entry: Entry, kept: _Kept, *, as_json: bool) -> None:
    folder = kept.folder
    if as_json:
        print_json((await report_of(kept.archive, folder, entry)).to_json())
        return
    await kept.archive.fetch(folder, folder.touched(entry.id), folder.said(entry.id), folder.advice(entry.id))
    print_report(entry.report(), folder.touched(entry.id), messages=folder.said(entry.id))
    advice = kept_advice(folder, entry.id)
    if advice:
        print_advice(advice)
    if advice and advice.toml:
        click.echo("  With --json, advice.toml has all settings including these, for: headcount tenant load")
