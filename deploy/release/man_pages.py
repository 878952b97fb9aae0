"""Man pages, one for each command, from the help that the commands print."""

from __future__ import annotations

import copy
import re
from collections.abc import Iterator
from pathlib import Path

import click

from headcount import __version__
from server.cli import cli

CHANGELOG = Path(__file__).resolve().parents[2] / "CHANGELOG.md"


def write_man_pages(folder: Path) -> None:
    """Write a man page of section 1 for each command into `folder`, which is created."""
    from click_man.core import generate_man_page  # of the extra `dist`; the server does not need it

    folder.mkdir(parents=True, exist_ok=True)
    released = release_date()
    for context in contexts(readable(cli), "headcount"):
        name = context.command_path.replace(" ", "-")
        page = generate_man_page(context, f"Headcount {__version__}", released)
        # click-man writes a blank into the names of the pages that it refers to.
        page = page.replace(rf"\fB{context.command_path}-", rf"\fB{name}-")
        (folder / f"{name}.1").write_text(page, encoding="utf-8")


def readable(command: click.Command) -> click.Command:
    """Return a copy of a command, and of all below it, that click-man reads completely.

    It reads `commands` of a group, which has no lazy ones, and cuts a help without a `short_help` at 45 characters.
    """
    found = copy.copy(command)
    found.short_help = opening(command)
    if isinstance(command, click.Group) and isinstance(found, click.Group):
        context = click.Context(command)
        inner = {name: command.get_command(context, name) for name in command.list_commands(context)}
        found.commands = {name: readable(each) for name, each in inner.items() if each}
    return found


def contexts(command: click.Command, name: str, parent: click.Context | None = None) -> Iterator[click.Context]:
    """Yield the context of a readable command, and of all below it."""
    context = click.Context(command, info_name=name, parent=parent)
    yield context
    if isinstance(command, click.Group):
        for each, inner in command.commands.items():
            yield from contexts(inner, each, context)


def opening(command: click.Command) -> str:
    """Return the first sentence of the help of a command, without its full stop."""
    return re.split(r"\.(?:\s|$)", " ".join((command.help or "").split()), maxsplit=1)[0]


def release_date() -> str:
    """Return the date of this version in CHANGELOG.md. Raises ValueError if it has none."""
    found = re.search(rf"^## {re.escape(__version__)} \((.+)\)$", CHANGELOG.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise ValueError(f"CHANGELOG.md has no heading for {__version__} with its date")
    return found[1]
