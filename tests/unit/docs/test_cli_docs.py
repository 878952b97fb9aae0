"""docs/cli.md lists every command with its options, and no other."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterator
from itertools import takewhile

import click

from server.cli import cli
from tests.support import ROOT

PAGE = ROOT / "docs" / "cli.md"
SYNOPSIS = re.compile(r"^\| `headcount ([^`]+)` \| \S", re.MULTILINE)
EVERYWHERE = {"--help", "-h"}


def commands(command: click.Command, *names: str) -> Iterator[tuple[tuple[str, ...], set[str]]]:
    context = click.Context(command)
    if isinstance(command, click.Group):
        for name in command.list_commands(context):
            inner = command.get_command(context, name)
            assert inner is not None
            yield from commands(inner, *names, name)
    else:
        options = [parameter for parameter in command.params if isinstance(parameter, click.Option)]
        yield names, {name for option in options for name in option.opts} - EVERYWHERE


def documented() -> dict[tuple[str, ...], set[str]]:
    found: dict[tuple[str, ...], set[str]] = defaultdict(set)
    for synopsis in SYNOPSIS.findall(PAGE.read_text()):
        path = tuple(takewhile(re.compile("[a-z]+").fullmatch, synopsis.split()))
        found[path] |= set(re.findall(r"--[a-z-]+", synopsis))
    return found


def test_the_page_and_the_code_name_the_same_commands_and_options() -> None:
    assert documented() == dict(commands(cli))


def test_every_command_and_option_says_what_it_does() -> None:
    for names, _ in commands(cli):
        command: click.Command = cli
        for name in names:
            assert isinstance(command, click.Group)
            command = command.get_command(click.Context(command), name) or command
        assert command.help, names
        assert all(option.help for option in command.params if isinstance(option, click.Option)), names
