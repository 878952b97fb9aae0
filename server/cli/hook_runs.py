"""`headcount hook runs` and `headcount hook rerun`: the runs of a tenant's hooks."""

from __future__ import annotations

from typing import Any

import click

from engine.runs import Run, RunStore
from importer.errors import Refused
from importer.model import ImportState
from server.cli.data import COUNT, ID, runs, tenants
from server.cli.output import json_option, list_options, print_json, print_list, shown
from server.runs.again import run_again
from server.runs.ends import ATTEMPTS
from server.runs.finding import find_hooks
from server.runs.outside.hooks_toml import read_hooks_file
from server.runs.registry import Registry
from server.runs.report import run_json
from server.settings import ServerSettings, environment_of_hooks, load_settings

STATES = [
    state.value
    for state in (
        *(ImportState.QUEUED, ImportState.RUNNING, ImportState.COMPLETED, ImportState.COMPLETED_WITH_ERRORS),
        *(ImportState.FAILED, ImportState.ABORTED, ImportState.IGNORED),
    )
]


@click.command("runs")
@click.argument("tenant")
@click.option("--hook", metavar="NAME", help="Filter by the name of the hook.")
@click.option("--state", type=click.Choice(STATES), metavar="STATE", help=f"Filter by state: {', '.join(STATES)}.")
@click.option("--limit", type=COUNT, default=50, show_default=True, help="Maximum to list.")
@list_options
@runs
async def runs_(tenant: str, hook: str | None, state: str | None, limit: int, as_json: bool) -> None:
    """List the runs of hooks of TENANT, newest first.

    The imports of user lists are in: headcount import list TENANT
    """
    async with tenants() as opened:
        await opened.get(tenant)
        found = await opened.store.runs().page(
            tenant, hook=hook, state=ImportState(state) if state else None, limit=limit
        )
    columns = {"id": "ID", "hook": "HOOK", "state": "STATE", "attempt": "ATTEMPT", "path": "FILE", "result": "RESULT"}
    rows = [to_json(run) if as_json else {**to_json(run), "result": result(run)} for run in found]
    print_list(
        rows, columns, as_json=as_json, empty=f"{tenant} has no runs of hooks{_of(hook, state)}.", wrapped=["result"]
    )


async def found_hooks(settings: ServerSettings, store: RunStore | None) -> Registry:
    """Return the hooks of the server, as this command finds them with its own environment."""
    files = read_hooks_file(settings.hooks_file)
    return await find_hooks(settings.hooks, store, files=files, env=environment_of_hooks())


def to_json(run: Run) -> dict[str, Any]:
    """Return the report of a run, with its error for the operator."""
    return {**run_json(run), "error": run.error}


def result(run: Run) -> str:
    """Return the result of a run on one line: its message and its counts, and its error for the operator."""
    counts = shown(run.outcome.counts) if run.outcome and run.outcome.counts else ""
    said = " ".join(part for part in (run.message, f"({counts})" if counts else "") if part)
    return f"{said} [{run.error}]".strip() if run.error else said


def _of(hook: str | None, state: str | None) -> str:
    """Return the filters as words of a sentence about an empty list."""
    return " with these filters" if hook or state else " yet"


@click.command("rerun")
@click.argument("tenant")
@click.argument("run_id", metavar="ID", type=ID)
@json_option
@runs
async def rerun(tenant: str, run_id: int, as_json: bool) -> None:
    """Run a failed file of a hook again.

    The run of TENANT is queued after all others of its hook, with new attempts. It does not wait for the end.
    """
    async with tenants() as opened:
        await opened.get(tenant)
        store = opened.store.runs()
        try:
            found = await found_hooks(load_settings(), store)
            asked, settings = await store.require(tenant, run_id), await opened.settings(tenant)
            run = await run_again(store, opened.folder(tenant), asked, settings, found, opened.archive)
        except Refused as error:
            see = "headcount hook list" if error.code == "no_hook" else f"headcount hook runs {tenant}"
            raise Refused(error.code, f"{error.message}; see: {see}") from error
    if as_json:
        print_json(to_json(run))
    else:
        click.echo(f"Queued run {run.id} of {tenant} (hook {run.hook}) again, with {ATTEMPTS} attempts")
