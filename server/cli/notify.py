"""`headcount notify`: mails and webhooks of a tenant, the secret that signs its webhooks, and sending on or off."""

from __future__ import annotations

from contextlib import suppress

import click

from ground.moments import utc_now
from ground.words import counted, listed
from server.cli.data import COUNT, patiently, runs, tenants
from server.cli.folder import tell_without_backup
from server.cli.output import json_option, list_options, print_json, print_list, tell
from server.notify.herald import TenantHerald
from server.notify.outbox import Outbox
from server.places import place_of
from server.settings import load_settings
from server.tenants.settings import TenantRefused
from server.tenants.tenants import Tenants


@click.group()
def notify() -> None:
    """List and test notifications, and turn sending on or off."""


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
        await _warn_if_off(opened)
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
        secrets = opened.home.secrets
        text = await (secrets.renew_webhook_secret(tenant) if renew else secrets.webhook_secret(tenant))
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
        herald = TenantHerald(opened.folder, opened.settings, load_settings().http_public_url, opened.archive)
        notices = await herald.test_notices(tenant, utc_now())
        if not notices:
            raise TenantRefused(
                "no_notifications",
                f"{tenant} has no notifications. Set notify_email or notify_webhook: "
                f"headcount tenant set {tenant} notify_email=ADDRESS",
            )
        await Outbox(opened.store.outbox()).put(notices)
        await _warn_if_off(opened)
    where = [*settings.notify_email, *([settings.notify_webhook] if settings.notify_webhook else [])]
    if as_json:
        print_json({"tenant": tenant, "told": where})
    else:
        click.echo(f"Queued a test for {', '.join(where)}; see: headcount notify list {tenant}")


@notify.command()
@json_option
@runs
async def off(as_json: bool) -> None:
    """Turn sending off: no mail, webhook or invitation.

    They wait until sending is on, also over restarts. A backup that is restored with --drop-owed begins like this.
    Sign-in links are still sent, because the person who gets one requests it.
    """
    async with tenants() as opened:
        await opened.sending.turn_off(utc_now())
        since = await opened.sending.off_since()
    if as_json:
        print_json({"sending": "off", "since": since})
    else:
        click.echo("Turned sending off: no mail, webhook or invitation is sent. To turn it on: headcount notify on")


@notify.command()
@click.option("--drop-owed", "drop", is_flag=True, help="Never send what waits.")
@click.option("--send-owed", "send", is_flag=True, help="Send what waits.")
@json_option
@runs
async def on(drop: bool, send: bool, as_json: bool) -> None:
    """Turn sending on: mails, webhooks and invitations.

    If messages wait, say whether to drop or to send them. If none waits, or with --drop-owed, nothing is sent that
    was due before: no notification of a feed that is stale now, and no digest of the last week.
    """
    if drop and send:
        raise click.UsageError("--drop-owed and --send-owed exclude each other")
    async with tenants() as opened:
        sending = opened.sending
        if not await sending.is_off():
            raise TenantRefused("sending_on", "sending is on already")
        from server.notify.owing import Owing  # imports much, and no other command needs it

        owing = Owing(opened, load_settings())
        owed, unread = await owing.counts(), await owing.unread()
        if any(owed.values()) and not (drop or send):
            raise TenantRefused(
                "owed",
                f"{_shown(owed)} wait. To drop them: headcount notify on --drop-owed. To send them: headcount notify "
                "on --send-owed",
            )
        if not send:
            await owing.drop(patiently)
        await sending.turn_on()
    if as_json:
        print_json({"sending": "on", "owed": owed, "dropped": not send})
    else:
        click.echo(f"Turned sending on. {'Owed' if send else 'Dropped'}: {_shown(owed)}")
    for name in unread:
        tell(f"the tenant {name} is broken: invitations that wait there are sent when it works", "tenant_broken")
    with suppress(TenantRefused):  # other programs back up a database
        tell_without_backup(place_of(load_settings()).require_folder())


async def _warn_if_off(opened: Tenants) -> None:
    if why := await opened.sending.why_off():
        tell(why, "sending_off", "warning")


def _shown(owed: dict[str, int]) -> str:
    return listed([counted(count, name.removesuffix("s"), name) for name, count in owed.items()])
