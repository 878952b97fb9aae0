"""Helpers of all commands: open the tenants of the data folder, read files, and wait for a busy database."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import ExitStack, asynccontextmanager, suppress
from typing import Any, ParamSpec, TypeVar

import click

from importer.errors import DatabaseAway, TryAgain
from importer.model import INTEGER_MAX
from server.cli.output import tell
from server.interrupts import loading
from server.places import place_of
from server.places.place import Place
from server.settings import environment_of_hooks, load_settings
from server.tenants.hook_settings import need_hooks
from server.tenants.tenants import Tenants

P = ParamSpec("P")
T = TypeVar("T")

ID = click.IntRange(max=INTEGER_MAX)


class _Count(click.ParamType[int]):
    """A whole number from 1. IntRange would show the highest integer of SQLite in each help text."""

    name = "n"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        return int(click.IntRange(1, INTEGER_MAX).convert(value, param, ctx))


COUNT = _Count()

PATIENCE = 6  # tries; each waits ten seconds for a busy database


def runs(
    command: Callable[P, Coroutine[Any, Any, T]], *, loop: Callable[[], asyncio.AbstractEventLoop] | None = None
) -> Callable[P, T]:
    """Make a command of a coroutine function. Each call runs in its own event loop, made by `loop`."""

    @functools.wraps(command)
    def run(*args: P.args, **kwargs: P.kwargs) -> T:
        async def begun() -> T:
            held.close()  # Python reports a coroutine that an interrupt ends before it begins
            return await command(*args, **kwargs)

        runner = asyncio.Runner(loop_factory=loop)
        try:
            with ExitStack() as held:
                held.enter_context(loading())
                result = runner.run(begun())
        except KeyboardInterrupt:
            _interrupted.append((runner, asyncio.all_tasks(runner.get_loop())))
            raise
        except BaseException:
            runner.close()
            raise
        runner.close()
        return result

    return run


_interrupted: list[tuple[asyncio.Runner, set[asyncio.Task[Any]]]] = []
"""Kept until the process ends: closing one waits for its threads, and deleting one writes about its tasks."""


@asynccontextmanager
async def tenants(*, make: bool = False) -> AsyncIterator[Tenants]:
    """Open the tenants of the place that the settings name, and warn on stderr if no server runs on it.

    Raises TenantRefused if it is absent or has no data. With `make`, the command creates the data, and says where
    (see `Place.may_be_made`).
    """
    settings = load_settings()
    place = place_of(settings)
    made = make and place.may_be_made()
    if not made and not place.has_data():
        raise place.no_data()
    async with place.opened() as home:
        if made:
            tell(f"Created {place.name}", "data_folder_created")
        else:
            await _warn_without_server(place)
        yield Tenants(home, settings.http_public_url)


async def _warn_without_server(place: Place) -> None:
    """Say on stderr that no server runs on the place, if that is so."""
    with suppress(OSError, TryAgain):
        if not await place.server_runs():
            tell(f"no server runs on {place.name}", "no_server", "warning")


async def find_hooks_for(changes: Mapping[str, object], opened: Tenants) -> None:
    """Let `opened` know the hooks of the server if `changes` need them. Imports the modules of hooks."""
    if not need_hooks(changes):
        return
    from server.runs.finding import find_hooks, known_hooks  # imports much, and few commands need it
    from server.runs.outside.hooks_toml import read_hooks_file

    settings = load_settings()
    files = read_hooks_file(settings.hooks_file)
    found = await find_hooks(settings.hooks, opened.store.runs(), files=files, env=environment_of_hooks())
    known = known_hooks(found.hooks)
    opened.hooks = lambda: known


async def patiently(change: Callable[[], Awaitable[T]]) -> T:
    """Run `change`, and again while an import holds the tenant's database; print that it waits.

    Raises TryAgain after a minute.
    """
    for _ in range(PATIENCE - 1):
        try:
            return await change()
        except TryAgain as error:
            if error.code != "database_busy" or isinstance(error, DatabaseAway):
                raise
            tell("An import of this tenant is running. Waiting for it to end ...", "database_busy")
    return await change()


def read_text(file: str) -> str:
    """Return the text of `file`, or of stdin for `-`: UTF-8, or UTF-16 with a byte order mark (Windows)."""
    with click.open_file(file, "rb") as stream:
        content: bytes = stream.read(1024 * 1024)
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    return content.decode(encoding, errors="replace")
