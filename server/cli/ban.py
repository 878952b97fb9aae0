"""`headcount ban`: the source addresses that may not connect over SFTP now."""

from __future__ import annotations

import click

from server.cli.data import runs, tenants
from server.cli.output import json_option, list_options, print_json, print_list
from server.settings import load_settings
from server.tenants.access.bans import BanBook
from server.tenants.tenants import Tenants


@click.group()
def ban() -> None:
    """List and lift bans of source addresses."""


@ban.command("list")
@list_options
@runs
async def list_(as_json: bool) -> None:
    """List the source addresses banned now, longest first."""
    async with tenants() as opened:
        rows = [each.to_json() for each in await _book(opened).list()]
    columns = {"source": "SOURCE", "until": "UNTIL", "reason": "REASON"}
    print_list(rows, columns, as_json=as_json, empty="No bans.", wrapped=["reason"])


@ban.command()
@click.argument("source")
@json_option
@runs
async def lift(source: str, as_json: bool) -> None:
    """Lift the ban of SOURCE.

    SOURCE is an IP address, or an IPv6 network (/64).
    """
    async with tenants() as opened:
        lifted = await _book(opened).lift(source)
    if as_json:
        print_json(lifted.to_json())
    else:
        click.echo(f"Lifted the ban of {lifted.source}")


def _book(opened: Tenants) -> BanBook:
    return BanBook(opened.store.bans(), load_settings().penalty_max_s)
