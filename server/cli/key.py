"""`headcount key`: the public keys that open SFTP for a tenant."""

from __future__ import annotations

import click

from server.cli.data import read_text, runs, tenants
from server.cli.output import json_option, list_options, print_json, print_list
from server.tenants.access.key_uses import KeyUses, with_uses


@click.group()
def key() -> None:
    """Add, list and revoke the public keys of a tenant."""


@key.command()
@click.argument("tenant")
@click.argument("file")
@click.option("--comment", help="Comment shown in lists. Default: the comment in the file.")
@click.option("--expires", metavar="DATE", help="Last valid day (UTC), such as 2027-01-31, or a time in RFC 3339.")
@click.option("--from", "networks", metavar="CIDR", multiple=True, help="Allowed network. Repeat for more.")
@json_option
@runs
async def add(
    tenant: str, file: str, comment: str | None, expires: str | None, networks: tuple[str, ...], as_json: bool
) -> None:
    """Add a public key with which TENANT can log in.

    FILE has the key on one line, as a .pub file has it; - reads stdin.
    """
    async with tenants() as opened:
        await opened.get(tenant)
        added = await opened.ring(tenant).add(read_text(file), comment, expires, networks)
    if as_json:
        print_json(with_uses([added], {})[0])
    else:
        click.echo(f"Added key {added.fingerprint} of {tenant}")


@key.command("list")
@click.argument("tenant")
@list_options
@runs
async def list_(tenant: str, as_json: bool) -> None:
    """List the keys of TENANT, oldest first."""
    async with tenants() as opened:
        await opened.get(tenant)
        uses = await KeyUses(opened.store.key_uses(), opened.ring).of(tenant)
        rows = with_uses(await opened.ring(tenant).keys(), uses)
    columns = {
        "fingerprint": "FINGERPRINT",
        "type": "TYPE",
        "comment": "COMMENT",
        "added_at": "ADDED",
        "expires": "EXPIRES",
        "networks": "FROM",
        "last_used_at": "LAST USED",
    }
    empty = f"{tenant} has no keys yet, so no client can log in. Add one: headcount key add {tenant} FILE"
    print_list(rows, columns, as_json=as_json, empty=empty)


@key.command()
@click.argument("tenant")
@click.argument("fingerprint")
@json_option
@runs
async def revoke(tenant: str, fingerprint: str, as_json: bool) -> None:
    """Revoke a key of TENANT and end its sessions.

    Sessions that the key opened end within seconds. `key list` shows the FINGERPRINT.
    """
    async with tenants() as opened:
        await opened.get(tenant)
        revoked = await opened.ring(tenant).revoke(fingerprint)
        await KeyUses(opened.store.key_uses(), opened.ring).forget(tenant, revoked.fingerprint)
    if as_json:
        print_json(revoked.to_json())
    else:
        click.echo(f"Revoked key {revoked.fingerprint} of {tenant}")
