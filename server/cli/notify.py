"""`headcount notify`: the mails and webhooks of a tenant, and the secret that signs its webhooks."""

from __future__ import annotations

import click

from ground.moments import utc_now
from server.cli.data import COUNT, runs, tenants
from server.cli.output import json_option, list_options, print_json, print_list
from server.notify.herald import TenantHerald
from server.notify.outbox import Outbox
from server.settings import load_settings
from server.signing import renew_secret, webhook_secret
from server.tenants.settings import TenantRefused


@click.group()
def notify() -> None:
    """List and test notifications by mail and webhook."""


@notify.command("list")
@click.argument("tenant")
@click.option("--limit", type=COUNT, default=50, show_default=True, help="Maximum to list.")
@list_options
@runs
async def list_(tenant: str, limit: int, as_json: bool) -> None:
    """List the notifications of TENANT, newest first.

    The list has sent and waiting mails and webhooks, and why the newest try failed.
    """
    async with tenants() as opened:
        await opened.get(tenant)
        rows = [message.to_json() for message in await Outbox(opened.store.outbox()).newest(tenant, limit)]
    columns = {"created_at": "CREATED", "channel": "BY", "topic": "ABOUT", "state": "STATE"}
    columns |= {"attempts": "TRIES", "error": "ERROR"}
    empty = f"{tenant} had no notifications in the last 30 days."
    print_list(rows, columns, as_json=as_json, empty=empty, wrapped=["error"])


@notify.command()
@click.argument("tenant")
@click.option("--renew", is_flag=True, help="Create a new secret. The old one stops working at once.")
@json_option
@runs
async def secret(tenant: str, renew: bool, as_json: bool) -> None:
    """Print the secret that signs the webhooks of TENANT.

    Signatures follow Standard Webhooks. The secret is created when it is first printed or used.
    """
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
    """Queue a test notification for TENANT.

    The server sends it to all addresses in notify_email and to notify_webhook.
    """
    async with tenants() as opened:
        settings = await opened.settings(tenant)
        herald = TenantHerald(opened.folder, opened.settings, load_settings().http_public_url)
        notices = await herald.test_notices(tenant, utc_now())
        if not notices:
            raise TenantRefused(
                "no_notifications",
                f"{tenant} has no notifications. Set notify_email or notify_webhook: "
                f"headcount tenant set {tenant} notify_email=ADDRESS",
            )
        await Outbox(opened.store.outbox()).put(notices)
    where = [*settings.notify_email, *([settings.notify_webhook] if settings.notify_webhook else [])]
    if as_json:
        print_json({"tenant": tenant, "told": where})
    else:
        click.echo(f"Queued a test for {', '.join(where)}; see: headcount notify list {tenant}")
