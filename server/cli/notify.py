"""`headcount notify`: what tenants are told outside, and how receivers know that it comes from here."""

from __future__ import annotations

import click

from ground.moments import utc_now
from server.cli.data import COUNT, runs, tenants
from server.cli.output import json_option, print_json, print_list
from server.notify.herald import TenantHerald
from server.notify.outbox import Outbox
from server.notify.secret import renew_secret, webhook_secret
from server.tenants.settings import TenantRefused


@click.group()
def notify() -> None:
    """What tenants are told by mail and webhook."""


@notify.command("list")
@click.argument("tenant")
@click.option("--limit", type=COUNT, default=50, show_default=True, help="So many of the newest.")
@json_option
@runs
async def list_(tenant: str, limit: int, as_json: bool) -> None:
    """What TENANT was told, or is to be told, newest first; and why a try failed."""
    async with tenants() as opened:
        await opened.get(tenant)
        rows = [message.to_json() for message in await Outbox(opened.store.outbox()).newest(tenant, limit)]
    columns = {"created_at": "CREATED", "channel": "BY", "topic": "ABOUT", "state": "STATE"}
    columns |= {"attempts": "TRIES", "error": "ERROR"}
    print_list(rows, columns, as_json=as_json, empty=f"Nothing was to be told to {tenant} lately.")


@notify.command()
@click.argument("tenant")
@click.option("--renew", is_flag=True, help="Make a new one; the old one is worth nothing from now on.")
@json_option
@runs
async def secret(tenant: str, renew: bool, as_json: bool) -> None:
    """Print the secret that the webhooks of TENANT are signed with (Standard Webhooks)."""
    async with tenants() as opened:
        await opened.get(tenant)
        file = opened.folder(tenant).webhook_secret
    text = renew_secret(file) if renew else webhook_secret(file)
    if as_json:
        print_json({"tenant": tenant, "secret": text})
    else:
        click.echo(text)


@notify.command()
@click.argument("tenant")
@json_option
@runs
async def test(tenant: str, as_json: bool) -> None:
    """Tell TENANT something that is only a test, wherever it wants to be told. The server sends it."""
    async with tenants() as opened:
        settings = await opened.settings(tenant)
        herald = TenantHerald(opened.folder, opened.settings)
        notices = await herald.test_notices(tenant, utc_now())
        if not notices:
            raise TenantRefused(
                "nobody_to_tell",
                f"{tenant} wants to be told nowhere: set notify_email or notify_webhook with: headcount tenant set",
            )
        await Outbox(opened.store.outbox()).put(notices)
    where = [*settings.notify_email, *([settings.notify_webhook] if settings.notify_webhook else [])]
    if as_json:
        print_json({"tenant": tenant, "told": where})
    else:
        click.echo(f"A test is on its way to {', '.join(where)}; see: headcount notify list {tenant}")
