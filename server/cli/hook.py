"""`headcount hook`: the hooks of the server, and their runs."""

from __future__ import annotations

from contextlib import AsyncExitStack

import click

from server.cli.data import runs, tenants
from server.cli.hook_runs import found_hooks, rerun, runs_
from server.cli.output import list_options, print_list
from server.places import place_of
from server.runs.sources import OWN_HOOK
from server.settings import load_settings


@click.group()
def hook() -> None:
    """List hooks and their runs, and run failed files again."""


@hook.command("list")
@list_options
@runs
async def list_(as_json: bool) -> None:
    """List the hooks of the server, and what is wrong.

    They come from installed packages, from the modules in HEADCOUNT_HOOKS, and from HEADCOUNT_HOOKS_FILE. ERROR says
    why a hook cannot be used.
    """
    settings = load_settings()
    place = place_of(settings)
    place.refuse_absent()
    async with AsyncExitStack() as stack:
        store = None
        if place.exists():
            store = (await stack.enter_async_context(tenants())).store.runs()
        found = await found_hooks(settings, store)
    rows = [
        {"name": each.name, "path": each.path, "package": each.package, "error": each.error}
        for each in (OWN_HOOK, *found.hooks)
    ]
    columns = {"name": "NAME", "path": "PATH", "package": "PACKAGE"}
    if any(row["error"] for row in rows):
        columns["error"] = "ERROR"
    print_list(rows, columns, as_json=as_json, empty="", wrapped=["error"] if "error" in columns else [])


hook.add_command(runs_)
hook.add_command(rerun)
