"""`headcount tenant`: add, list, show, change and remove tenants."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

import click

from engine.tenants import Tenant
from ground.moments import utc_now
from importer.errors import DatabaseFault, ImporterError, TryAgain
from keys.errors import RingUnreadable
from server.cli.data import COUNT, find_hooks_for, patiently, read_text, runs, tenants
from server.cli.output import harmless, json_option, list_options, print_json, print_list, print_thing, shown, tell
from server.places import place_of
from server.settings import load_settings
from server.tenants.feeds import Feed, feed_of
from server.tenants.figures import NEWEST_CHANGES
from server.tenants.inspection import why_not_upgraded
from server.tenants.pauses import Span, pause_of, spans
from server.tenants.settings import TenantRefused, differences, settings_history
from server.tenants.settings_toml import from_toml, to_toml
from server.tenants.tenants import Tenants

CANNOT_READ = (TenantRefused, RingUnreadable, ImporterError, DatabaseFault, OSError, ValueError)
"""The exceptions of an unusable folder or database of a tenant."""


@click.group()
def tenant() -> None:
    """Add, list, show, change and remove tenants.

    A tenant is a company that sends files. Each has its own folder, keys, users and settings.
    """


@tenant.command()
@click.argument("name")
@click.option("--key", "keys", metavar="FILE", multiple=True, help="File with a public key. Repeat for more.")
@json_option
@runs
async def add(name: str, keys: tuple[str, ...], as_json: bool) -> None:
    """Add the tenant NAME, with its folder and settings."""
    lines = [read_text(file) for file in keys]
    async with tenants(make=True) as opened:
        made = await opened.add(name, lines)
        facts = await _facts(opened, made)
    if as_json:
        print_json(facts)
    else:
        click.echo(f"Added tenant {name}" + (f"; its folder is {facts['folder']}" if facts["folder"] else ""))
        if not facts["keys"]:
            click.echo(f"No client can log in yet. Add a key: headcount key add {name} FILE")


@tenant.command("list")
@list_options
@runs
async def list_(as_json: bool) -> None:
    """List all tenants by name."""
    rows = []
    place = place_of(load_settings())
    if place.has_data():
        async with tenants() as opened:
            queue = opened.store.imports()
            successes = await queue.last_successes()
            for one in await opened.list():
                broken = await _broken(opened, one.name, await queue.copies_needed(one.name))
                summary = await _summary(opened, one)
                limit, pauses = await _limit(opened, one.name)
                feed = feed_of(one, successes.get(one.name), limit, utc_now(), pauses)
                rows.append({**summary, **_freshness(feed), "broken": broken})
    elif as_json:
        tell(str(place.no_data()), "no_data_folder", "warning")
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
    empty = f"No tenants yet in {place.where}. Add one: headcount tenant add NAME"
    wrapped = [key for key in ("users", "broken") if key in columns]
    print_list(rows, columns, as_json=as_json, empty=empty, wrapped=wrapped)


@tenant.command()
@click.argument("name")
@click.option("--toml", "as_toml", is_flag=True, help="Print only the settings, as TOML for `tenant load`.")
@json_option
@runs
async def show(name: str, as_toml: bool, as_json: bool) -> None:
    """Show the tenant NAME: keys, number of users, settings."""
    async with tenants() as opened:
        if as_toml:
            click.echo(to_toml(name, await opened.settings(name), utc_now()).encode("utf-8"), nl=False)
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
    """Change settings of the tenant NAME.

    All given settings are changed, or none. `KEY=` resets a setting to its default.
    """
    changes = dict(_pair(text) for text in pairs)
    async with tenants() as opened:
        await find_hooks_for(changes, opened)
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
    """Replace all settings of NAME by those of a TOML file.

    FILE is a path, or - for stdin. Settings that it does not name are reset to their defaults. `tenant show NAME
    --toml` prints such a file.
    """
    values = from_toml(read_text(file))
    async with tenants() as opened:
        before = await opened.settings(name)
        await find_hooks_for(values, opened)
        after = await patiently(lambda: opened.change_settings(name, values, whole=True))
    if as_json:
        print_json(after.to_json())
        return
    changes = differences(before, after)
    _print_settings({key: new for key, (_, new) in changes.items()})
    if not changes:
        click.echo("No changes.")


@tenant.command()
@click.argument("name")
@click.option("--limit", type=COUNT, default=50, show_default=True, help="Maximum to list.")
@list_options
@runs
async def history(name: str, limit: int, as_json: bool) -> None:
    """List changes of the settings of NAME, newest first.

    Each line has the time, who changed the setting, the old and the new value.
    """
    async with tenants() as opened:
        await opened.get(name)
        rows, _ = await settings_history(opened.users(name), limit, upgrade=True)
    columns = {"changed_at": "WHEN", "changed_by": "WHO", "key": "SETTING", "old": "FROM", "new": "TO"}
    shown_rows = rows if as_json else [{**row, "old": _typed(row["old"]), "new": _typed(row["new"])} for row in rows]
    print_list(shown_rows, columns, as_json=as_json, empty=f"{name} has no changed settings yet.")


@tenant.command()
@click.argument("name")
@click.option("--yes", is_flag=True, help="Confirm the removal.")
@json_option
@runs
async def remove(name: str, yes: bool, as_json: bool) -> None:
    """Remove the tenant NAME and keep its folder in removed/.

    Its sessions, tokens and imports end. Its folder is moved to removed/ in the data folder, with all its users.
    """
    if not yes:
        raise click.UsageError(
            f"this ends {name}'s sessions, tokens and imports, and puts its users and files aside. "
            "Add --yes to confirm"
        )
    async with tenants() as opened:
        aside, days = await patiently(lambda: opened.remove(name)), opened.home.kept_days
    if as_json:
        print_json({"name": name, "moved_to": str(aside) if aside else None})
    else:
        kept = f"its folder is now {aside}" if aside else f"its users and files are deleted after {days} days"
        click.echo(f"Removed tenant {name}; {kept}")


def _freshness(feed: Feed) -> dict[str, Any]:
    return {"last_applied_at": feed.last_applied_at, "stale": feed.stale}


async def _limit(opened: Tenants, name: str) -> tuple[int | None, Sequence[Span]]:
    """Return `stale_after_days` of the tenant, and its pauses. None if it is unset or cannot be read."""
    with suppress(*CANNOT_READ):
        days = (await opened.settings(name)).stale_after_days
        changes, _ = await settings_history(opened.users(name), NEWEST_CHANGES, upgrade=True) if days else ([], None)
        return days, spans(changes)
    return None, ()


async def _summary(opened: Tenants, one: Tenant) -> dict[str, Any]:
    """Return one line of the list. Facts that cannot be read are None: a broken tenant must not hide the others."""
    users: dict[str, int] | None = None
    key_count: int | None = None
    with suppress(*CANNOT_READ):
        await opened.get(one.name)
        key_count = len(await opened.ring(one.name).keys())
        users = await opened.users(one.name).count_by_state()
    return {**one.to_json(), "key_count": key_count, "users": users}


async def _facts(opened: Tenants, one: Tenant) -> dict[str, Any]:
    """Return all facts about a tenant; about a broken one only those that need no database of it."""
    folder = opened.home.lasting_folder(one.name)
    broken = await _broken(opened, one.name, await opened.store.imports().copies_needed(one.name))
    facts: dict[str, Any] = {**one.to_json(), "folder": str(folder) if folder else None, "broken": broken}
    if broken:
        return {**facts, "users": None, "keys": [], "settings": {}, "notes": []}
    users = await opened.users(one.name).count_by_state()
    keys = [key.to_json() for key in await opened.ring(one.name).keys()]
    settings = await opened.settings(one.name)
    pause = pause_of(settings, utc_now())
    notes = [pause.sentence] if pause else []
    notes += [_shadowed(name) for name in settings.shadowed]
    return {**facts, "users": users, "keys": keys, "settings": settings.to_json(), "notes": notes}


def _shadowed(name: str) -> str:
    return (
        f"{name} is a custom field of this tenant, so the built-in field {name}, which marks leavers, cannot be used"
    )


async def _broken(opened: Tenants, name: str, needed: list[tuple[int, int]]) -> str | None:
    """Return why the tenant cannot be used, and what to do; None if it can."""
    with suppress(TryAgain):
        found = await opened.home.inspect(name)
        why = await why_not_upgraded(opened.users(name)) if found.outdated else found.why
        if why:
            return why
    return (await opened.home.unusable_copies({name: needed})).get(name)


def _pair(text: str) -> tuple[str, str | None]:
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise click.UsageError(f"“{text}” is not KEY=VALUE. Example: max_sessions=20")
    return name.strip().lower(), value.strip() or None


def _print_settings(settings: dict[str, Any]) -> None:
    """Print settings as `tenant set` accepts them."""
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
