"""`headcount users`: list, show, export and protect the users of a tenant."""

from __future__ import annotations

import codecs
import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

import click

from ground.words import counted
from importer.rules.identity import Identity, identity_of
from importer.users.directory import Export, ShownUser, Wanted
from server.cli.data import patiently, runs, tenants
from server.cli.output import (
    harmless,
    json_option,
    list_options,
    print_json,
    print_json_pages,
    print_list,
    print_thing,
    shown_fact,
)
from server.cli.report_view import change_line
from server.tenants.settings import TenantRefused
from server.tenants.tenants import Tenants

PAGE = 1000


@click.group()
def users() -> None:
    """List, show, export and protect the users of a tenant."""


@users.command("list")
@click.argument("tenant")
@click.option("--search", default="", help="Words that begin a word of the name, address or identifier.")
@click.option("--state", type=click.Choice(["active", "deactivated"]), help="Filter by state.")
@click.option("--limit", type=click.IntRange(min=1), help="Maximum to list. Default: all.")
@list_options
@runs
async def list_(tenant: str, search: str, state: str | None, limit: int | None, as_json: bool) -> None:
    """List the users of TENANT in order of creation."""
    found: list[ShownUser] = []
    async with tenants() as opened:
        identity = identity_of(await opened.settings(tenant))
        async with opened.users(tenant).directory(identity) as directory:
            after: int | None = 0
            while after is not None and (limit is None or len(found) < limit):
                size = PAGE if limit is None else min(PAGE, limit - len(found))
                page, after = await directory.page(Wanted(search, state), limit=size, after=after)
                found += page
    columns = {
        "identifier": "IDENTIFIER",
        "email": "EMAIL",
        "name": "NAME",
        "state": "STATE",
        "role": "ROLE",
        "primary_team": "TEAM",
    }
    if not identity.custom:
        del columns["identifier"]
    rows = found if as_json else [_row(user, identity) for user in found]
    print_list(rows, columns, as_json=as_json, empty=f"No users found in {tenant}.")


@users.command()
@click.argument("tenant")
@click.argument("identifier")
@json_option
@runs
async def show(tenant: str, identifier: str, as_json: bool) -> None:
    """Show a user of TENANT.

    IDENTIFIER is the email address, or the value of the custom identifier.
    """
    async with tenants() as opened:
        user = await _get(opened, tenant, identifier)
    print_thing(user, as_json=as_json)


@users.command()
@click.argument("tenant")
@click.argument("identifier")
@json_option
@runs
async def history(tenant: str, identifier: str, as_json: bool) -> None:
    """List changes of a user of TENANT, oldest first.

    The list has what imports and undos changed: the field, the old and the new value.
    """
    async with tenants() as opened:
        await _get(opened, tenant, identifier)
        identity = identity_of(await opened.settings(tenant))
        async with opened.users(tenant).history(identity) as changes:
            pages = changes.of_user(identifier)
            if as_json:
                await print_json_pages(pages)
                return
            async for page in pages:
                for change in page:
                    at, line = shown_fact("at", change["at"]), harmless(change_line(change))
                    click.echo(f"{at}  import {change['import_id']}  {line}")


@users.command()
@click.argument("tenant")
@runs
async def export(tenant: str) -> None:
    """Print the users of TENANT as a sync_users.csv.

    Importing this file into the tenant changes no user.
    """
    left_out = 0
    async with tenants() as opened:
        settings = await opened.settings(tenant)
        export = Export(settings)
        if codecs.lookup(settings.encoding).name != "utf-8":
            click.echo(codecs.BOM_UTF8, nl=False)  # takes precedence over the encoding setting
        identity = identity_of(settings)
        async with opened.users(tenant).snapshot(identity) as directory:
            _write_rows([export.header], settings.delimiter)
            async for batch in directory.all_users(known=True):
                known = [user for user in batch if identity.of(user)]
                left_out += len(batch) - len(known)
                _write_rows([export.cells(user) for user in known], settings.delimiter)
    if left_out:
        users_without = counted(left_out, "user has no identifier and was", "users have no identifier and were")
        click.echo(f"{users_without} left out: a row cannot identify them.", err=True)


@users.command()
@click.argument("tenant")
@click.argument("identifier")
@json_option
@runs
async def protect(tenant: str, identifier: str, as_json: bool) -> None:
    """Protect a user of TENANT: imports never deactivate it."""
    await _protect(tenant, identifier, True, as_json)


@users.command()
@click.argument("tenant")
@click.argument("identifier")
@json_option
@runs
async def unprotect(tenant: str, identifier: str, as_json: bool) -> None:
    """Unprotect a user of TENANT: imports may deactivate it."""
    await _protect(tenant, identifier, False, as_json)


async def _protect(tenant: str, identifier: str, protected: bool, as_json: bool) -> None:
    async with tenants() as opened:
        await _get(opened, tenant, identifier)
        identity = identity_of(await opened.settings(tenant))
        await patiently(lambda: opened.users(tenant).set_protected(identifier, protected, identity))
        user = await _get(opened, tenant, identifier)
    if as_json:
        print_json(user)
    else:
        done = "Protected" if user["protected"] else "Unprotected"
        click.echo(f"{done} {harmless(identifier)} of {tenant}")


async def _get(opened: Tenants, tenant: str, identifier: str) -> ShownUser:
    identity = identity_of(await opened.settings(tenant))
    async with opened.users(tenant).directory(identity) as directory:
        user = await directory.get(identifier)
    if user is None:
        raise TenantRefused(
            "no_user", f"{tenant} has no user {identifier}. List the users: headcount users list {tenant}"
        )
    return user


def _row(user: ShownUser, identity: Identity) -> dict[str, Any]:
    return {**user, "name": f"{user['first_name']} {user['last_name']}", "identifier": identity.of(user)}


def _write_rows(rows: Iterable[Sequence[str]], delimiter: str) -> None:
    """Print rows as UTF-8 whatever the terminal's encoding, so that a redirected file is valid."""
    text = io.StringIO(newline="")
    csv.writer(text, delimiter=delimiter, lineterminator="\r\n").writerows(rows)
    click.echo(text.getvalue().encode("utf-8"), nl=False)
