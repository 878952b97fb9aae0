"""`headcount tenant`: the companies that may send files."""

from __future__ import annotations

import asyncio
import json
from contextlib import suppress
from typing import Any

import click

from engine.tenants import Tenant
from ground.moments import utc_now
from importer.errors import DatabaseFault, ImporterError, TryAgain
from keys.errors import RingUnreadable
from server.cli.data import COUNT, patiently, read_text, runs, tenants
from server.cli.output import harmless, json_option, print_json, print_list, print_thing, shown
from server.settings import load_settings
from server.tenants.feeds import Feed, feed_of
from server.tenants.inspection import inspect, unusable_copy
from server.tenants.settings import TenantRefused, differences, settings_history
from server.tenants.settings_toml import from_toml, to_toml
from server.tenants.tenants import Tenants, refuse_lost, server_database

CAN_NOT_READ = (TenantRefused, RingUnreadable, ImporterError, DatabaseFault, OSError, ValueError)
"""What is raised where a folder or a database of a tenant cannot be used."""


@click.group()
def tenant() -> None:
    """The companies that may send files: one account and one folder each."""


@tenant.command()
@click.argument("name")
@click.option("--key", "keys", metavar="FILE", multiple=True, help="A public key it may log in with; again for more.")
@json_option
@runs
async def add(name: str, keys: tuple[str, ...], as_json: bool) -> None:
    """Make the tenant NAME: its account, folder and settings."""
    lines = [read_text(file) for file in keys]
    async with tenants(make=True) as opened:
        made = await opened.add(name, lines)
        facts = await _facts(opened, made)
    if as_json:
        print_json(facts)
    else:
        click.echo(f"Added tenant {name}; its folder is {facts['folder']}")
        if not facts["keys"]:
            click.echo(f"Nobody can log in yet: give it a key with: headcount key add {name} FILE")


@tenant.command("list")
@json_option
@runs
async def list_(as_json: bool) -> None:
    """All tenants, by name."""
    rows = []
    refuse_lost(load_settings().data_dir)
    if server_database(load_settings().data_dir).exists():
        async with tenants() as opened:
            queue = opened.store.imports()
            successes = await queue.last_successes()
            for one in await opened.list():
                broken = await _broken(opened, one.name, await queue.copies_needed(one.name))
                summary = await _summary(opened, one)
                feed = feed_of(one, successes.get(one.name), await _limit(opened, one.name), utc_now())
                rows.append({**summary, **_stands(feed), "broken": broken})
    columns = {
        "name": "NAME",
        "created_at": "CREATED",
        "key_count": "KEYS",
        "users": "USERS",
        "last_applied_at": "LAST APPLIED",
        "stale": "STALE",
    }
    if any(row["broken"] for row in rows):
        columns["broken"] = "BROKEN"
    print_list(
        rows, columns, as_json=as_json, empty="There are no tenants yet; make one with: headcount tenant add NAME"
    )


@tenant.command()
@click.argument("name")
@click.option("--toml", "as_toml", is_flag=True, help="Print its settings as a file for `tenant load`.")
@json_option
@runs
async def show(name: str, as_toml: bool, as_json: bool) -> None:
    """Everything about the tenant NAME: its keys, users and settings."""
    async with tenants() as opened:
        if as_toml:
            click.echo(to_toml(name, await opened.settings(name)).encode("utf-8"), nl=False)
            return
        facts = await _facts(opened, await opened.require(name))
    if as_json:
        print_json(facts)
        return
    keys, settings, notes = facts.pop("keys"), facts.pop("settings"), facts.pop("notes")
    print_thing(facts, as_json=False)
    for note in notes:
        click.echo(harmless(note))
    click.echo("\nsettings")
    _print_settings(settings)
    click.echo("\nkeys")
    for key in keys:
        click.echo(f"  {key['fingerprint']}  {key['type']}  {shown(key['comment'])}")


@tenant.command("set")
@click.argument("name")
@click.argument("pairs", metavar="KEY=VALUE...", nargs=-1, required=True)
@json_option
@runs
async def set_(name: str, pairs: tuple[str, ...], as_json: bool) -> None:
    """Change settings of the tenant NAME: all that are given, or none. `KEY=` puts a default back."""
    changes = dict(_pair(text) for text in pairs)
    async with tenants() as opened:
        after = await patiently(lambda: opened.change_settings(name, changes))
    if as_json:
        print_json(after.to_json())
    else:
        _print_settings({key: after.to_json()[key] for key in changes})


@tenant.command()
@click.argument("name")
@click.argument("file")
@json_option
@runs
async def load(name: str, file: str, as_json: bool) -> None:
    """Make the settings of the tenant NAME those of FILE (- for stdin), in TOML: what it does not name is a default.

    `tenant show NAME --toml` writes such a file.
    """
    values = from_toml(read_text(file))
    async with tenants() as opened:
        before = await opened.settings(name)
        after = await patiently(lambda: opened.change_settings(name, values, whole=True))
    if as_json:
        print_json(after.to_json())
        return
    changes = differences(before, after)
    _print_settings({key: new for key, (_, new) in changes.items()})
    if not changes:
        click.echo("These were its settings already.")


@tenant.command()
@click.argument("name")
@click.option("--limit", type=COUNT, default=50, show_default=True, help="Not more than this many.")
@json_option
@runs
async def history(name: str, limit: int, as_json: bool) -> None:
    """Who changed which setting of the tenant NAME, and when, newest first."""
    async with tenants() as opened:
        await opened.get(name)
        rows, _ = await settings_history(opened.users(name), limit, upgrade=True)
    columns = {"changed_at": "WHEN", "changed_by": "WHO", "key": "SETTING", "old": "FROM", "new": "TO"}
    shown_rows = rows if as_json else [{**row, "old": _typed(row["old"]), "new": _typed(row["new"])} for row in rows]
    print_list(shown_rows, columns, as_json=as_json, empty="No setting was ever changed.")


@tenant.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Really.")
@json_option
@runs
async def remove(name: str, yes: bool, as_json: bool) -> None:
    """End the tenant NAME: sessions, tokens, imports. Its folder is moved aside, with all its users in it."""
    if not yes:
        raise click.UsageError(f"this ends the tenant {name} and everything that waits; say --yes if that is meant")
    async with tenants() as opened:
        aside = await opened.remove(name)
    if as_json:
        print_json({"name": name, "moved_to": str(aside)})
    else:
        click.echo(f"Tenant {name} is removed; all it had is now in {aside}")


def _stands(feed: Feed) -> dict[str, Any]:
    return {"last_applied_at": feed.last_applied_at, "stale": feed.stale}


async def _limit(opened: Tenants, name: str) -> int | None:
    """After how many days without a file its feed is stale; None too if that cannot be read."""
    with suppress(*CAN_NOT_READ):
        return (await opened.settings(name)).stale_after_days
    return None


async def _summary(opened: Tenants, one: Tenant) -> dict[str, Any]:
    """One line of the list; what can't be read is left open, for one broken tenant must not hide the others."""
    users: dict[str, int] | None = None
    key_count: int | None = None
    with suppress(*CAN_NOT_READ):
        await opened.get(one.name)
        key_count = len(opened.ring(one.name).keys())
        users = await opened.users(one.name).count_by_state()
    return {**one.to_json(), "key_count": key_count, "users": users}


async def _facts(opened: Tenants, one: Tenant) -> dict[str, Any]:
    """Everything about a tenant; of a broken one what does not need its databases."""
    folder = opened.folder(one.name)
    broken = await _broken(opened, one.name, await opened.store.imports().copies_needed(one.name))
    facts: dict[str, Any] = {**one.to_json(), "folder": str(folder.root), "broken": broken}
    if broken:
        return {**facts, "users": None, "keys": [], "settings": {}, "notes": []}
    users = await opened.users(one.name).count_by_state()
    keys, settings = opened.ring(one.name).to_json(), await opened.settings(one.name)
    notes = [_shadowed(name) for name in settings.shadowed]
    return {**facts, "users": users, "keys": keys, "settings": settings.to_json(), "notes": notes}


def _shadowed(name: str) -> str:
    return (
        f"{name} is a custom field of this tenant and stays one: Headcount's own field of that name, "
        "which tells who has left, is not there"
    )


async def _broken(opened: Tenants, name: str, needed: list[tuple[int, int]]) -> str | None:
    """Why the tenant cannot be used, and what to do."""
    folder = opened.folder(name)
    with suppress(TryAgain):
        if why := (await asyncio.to_thread(inspect, folder)).why:
            return why
    return await asyncio.to_thread(unusable_copy, folder, needed)


def _pair(text: str) -> tuple[str, str | None]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.UsageError(f"{text!r} is not KEY=VALUE")
    return name.strip().lower(), value.strip() or None


def _print_settings(settings: dict[str, Any]) -> None:
    """As they are typed; `set` takes them back."""
    for name, value in settings.items():
        click.echo(f"  {name} = {_typed(value)}")


def _typed(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:g}"
    if isinstance(value, dict) or (isinstance(value, list) and value and isinstance(value[0], dict)):
        return harmless(json.dumps(value, ensure_ascii=False)) if value else ""
    if isinstance(value, list):
        return ",".join(map(str, value))
    return "" if value is None else harmless(str(value))
