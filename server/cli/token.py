"""`headcount token`: access tokens for the API and the web page."""

from __future__ import annotations

import click

from engine.tokens import Role
from server.cli.data import ID, runs, tenants
from server.cli.output import json_option, print_json, print_list
from server.tenants.tokens import Tokens


@click.group()
def token() -> None:
    """Access tokens for the API and the web page."""


@token.command()
@click.argument("tenant", required=False)
@click.option("--role", type=click.Choice(["owner", "viewer"]), help="What it may do for TENANT.")
@click.option("--operator", is_flag=True, help="A token of the operator, for all tenants.")
@click.option("--expires", metavar="DATE", help="Its last day (UTC), such as 2027-01-31; or a time in RFC 3339.")
@click.option("--comment", default="", help="Whose it is: shown beside what its bearer decides.")
@json_option
@runs
async def create(
    tenant: str | None, role: str | None, operator: bool, expires: str | None, comment: str, as_json: bool
) -> None:
    """Make a token and print it. It is shown this once."""
    if operator == (tenant is not None) or operator == (role is not None):
        raise click.UsageError("give TENANT and --role, or --operator alone")
    async with tenants(make=operator) as opened:
        made, text = await Tokens(opened.store.tokens()).create(tenant, Role(role or "operator"), expires, comment)
    if as_json:
        print_json({"token": text, **made.to_json()})
    else:
        click.echo(text)


@token.command("list")
@json_option
@runs
async def list_(as_json: bool) -> None:
    """All tokens: what is known of them, never the tokens themselves."""
    async with tenants() as opened:
        rows = [each.to_json() for each in await Tokens(opened.store.tokens()).list()]
    columns = {"id": "ID", "tenant": "TENANT", "role": "ROLE", "created_at": "CREATED", "expires_at": "EXPIRES"}
    columns["comment"] = "COMMENT"
    print_list(rows, columns, as_json=as_json, empty="There are no tokens.")


@token.command()
@click.argument("number", metavar="ID", type=ID)
@json_option
@runs
async def revoke(number: int, as_json: bool) -> None:
    """Take back the token with this ID; it opens nothing from now on."""
    async with tenants() as opened:
        gone = await Tokens(opened.store.tokens()).revoke(number)
    if as_json:
        print_json(gone.to_json())
    else:
        click.echo(f"Token {gone.id} opens nothing any more")
