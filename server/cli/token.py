"""`headcount token`: tokens for the API and the pages."""

from __future__ import annotations

import click

from engine.tokens import Role
from server.cli.data import ID, runs, tenants
from server.cli.output import json_option, list_options, print_json, print_list
from server.tenants.access.tokens import Tokens


@click.group()
def token() -> None:
    """Create, list and revoke tokens for the API and pages."""


@token.command()
@click.argument("tenant", required=False)
@click.option("--role", type=click.Choice(["owner", "viewer"]), help="owner may change TENANT; viewer may only read.")
@click.option("--operator", is_flag=True, help="Create a token of the operator, for all tenants.")
@click.option("--expires", metavar="DATE", help="Last valid day (UTC), such as 2027-01-31, or a time in RFC 3339.")
@click.option("--comment", default="", help="Name of the holder, shown beside their decisions.")
@click.option("--email", help="Address of the holder, for sign-in links.")
@json_option
@runs
async def create(
    tenant: str | None,
    role: str | None,
    operator: bool,
    expires: str | None,
    comment: str,
    email: str | None,
    as_json: bool,
) -> None:
    """Create a token and print it once.

    The token cannot be shown again: the server keeps only its hash.
    """
    if operator == (tenant is not None) or operator == (role is not None):
        raise click.UsageError("give TENANT and --role, or only --operator")
    async with tenants(make=operator) as opened:
        kept = Tokens(opened.store.tokens())
        made, text = await kept.create(tenant, Role(role or "operator"), expires, comment, email)
    if as_json:
        print_json({"token": text, **made.to_json()})
    else:
        click.echo(text)


@token.command("list")
@list_options
@runs
async def list_(as_json: bool) -> None:
    """List all tokens, without their secret text."""
    async with tenants() as opened:
        rows = [each.to_json() for each in await Tokens(opened.store.tokens()).list()]
    columns = {"id": "ID", "tenant": "TENANT", "role": "ROLE", "created_at": "CREATED", "expires_at": "EXPIRES"}
    columns |= {"comment": "COMMENT", "email": "EMAIL"}
    print_list(rows, columns, as_json=as_json, empty="No tokens yet. Create one: headcount token create --operator")


@token.command()
@click.argument("number", metavar="ID", type=ID)
@json_option
@runs
async def revoke(number: int, as_json: bool) -> None:
    """Revoke a token by its ID and end its page sessions.

    `token list` shows the ID.
    """
    async with tenants() as opened:
        revoked = await Tokens(opened.store.tokens()).revoke(number)
    if as_json:
        print_json(revoked.to_json())
    else:
        click.echo(f"Revoked token {revoked.id}")
