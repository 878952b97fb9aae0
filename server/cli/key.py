"""`headcount key`: the public keys a tenant logs in with."""

from __future__ import annotations

import click

from server.cli.data import read_text, runs, tenants
from server.cli.output import json_option, print_json, print_list
from server.tenants.key_uses import KeyUses, with_uses


@click.group()
def key() -> None:
    """The public keys a tenant logs in with."""


@key.command()
@click.argument("tenant")
@click.argument("file")
@click.option("--comment", help="What to know it by; without it, the comment in the file.")
@click.option("--expires", metavar="DATE", help="Its last day (UTC), such as 2027-01-31; or a time in RFC 3339.")
@click.option("--from", "networks", metavar="CIDR", multiple=True, help="Only from this network; again for more.")
@json_option
@runs
async def add(
    tenant: str, file: str, comment: str | None, expires: str | None, networks: tuple[str, ...], as_json: bool
) -> None:
    """Let TENANT log in with the public key in FILE (- for stdin): one line, as in a .pub file."""
    async with tenants() as opened:
        await opened.get(tenant)
        added = opened.ring(tenant).add(read_text(file), comment, expires, networks)
    if as_json:
        print_json(with_uses([added], {})[0])
    else:
        click.echo(f"{tenant} may log in with {added.fingerprint}")


@key.command("list")
@click.argument("tenant")
@json_option
@runs
async def list_(tenant: str, as_json: bool) -> None:
    """The keys of TENANT, oldest first."""
    async with tenants() as opened:
        await opened.get(tenant)
        uses = await KeyUses(opened.store.key_uses(), opened.ring).of(tenant)
        rows = with_uses(opened.ring(tenant).keys(), uses)
    columns = {
        "fingerprint": "FINGERPRINT",
        "type": "TYPE",
        "comment": "COMMENT",
        "added_at": "ADDED",
        "expires": "EXPIRES",
        "networks": "FROM",
        "last_used_at": "LAST USED",
    }
    empty = f"{tenant} has no keys: nobody can log in. Add one with: headcount key add {tenant} FILE"
    print_list(rows, columns, as_json=as_json, empty=empty)


@key.command()
@click.argument("tenant")
@click.argument("fingerprint")
@json_option
@runs
async def revoke(tenant: str, fingerprint: str, as_json: bool) -> None:
    """Take a key from TENANT; sessions it opened end within seconds."""
    async with tenants() as opened:
        await opened.get(tenant)
        gone = opened.ring(tenant).revoke(fingerprint)
        await KeyUses(opened.store.key_uses(), opened.ring).forget(tenant, gone.fingerprint)
    if as_json:
        print_json(gone.to_json())
    else:
        click.echo(f"{tenant} can no longer log in with {gone.fingerprint}")
