"""The help of every command begins with an imperative that no list cuts."""

from __future__ import annotations

import re
from collections.abc import Iterator

import click
import pytest

from server.cli import cli

OPENING_MOST = 60
IMPERATIVES = {
    *("Add", "Approve", "Back", "Change", "Create", "Discard", "Lift", "List", "Move", "Print", "Protect", "Queue"),
    *("Find", "Remove", "Replace", "Restore", "Revoke", "Run", "Show", "Turn", "Undo", "Unprotect", "Wait"),
}


def commands(command: click.Command, name: str) -> Iterator[tuple[str, click.Command]]:
    yield name, command
    if isinstance(command, click.Group):
        for each in command.list_commands(click.Context(command)):
            inner = command.get_command(click.Context(command), each)
            assert inner is not None
            yield from commands(inner, f"{name} {each}")


COMMANDS = dict(commands(cli, "headcount"))


def opening(command: click.Command) -> str:
    """Return the first sentence of a command's help."""
    return re.split(r"(?<=\.)\s", " ".join((command.help or "").split()), maxsplit=1)[0]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_opens_with_an_imperative_of_at_most_60_characters(name: str) -> None:
    sentence = opening(COMMANDS[name])
    assert sentence.split()[0].rstrip(",") in IMPERATIVES
    assert sentence.endswith(".")
    assert len(sentence) <= OPENING_MOST


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if isinstance(command, click.Group)])
def test_no_list_of_commands_cuts_a_sentence_on_80_columns(name: str) -> None:
    group = COMMANDS[name]
    assert isinstance(group, click.Group)
    context = click.Context(group, info_name=name, terminal_width=80)
    shown = " ".join(group.get_help(context).split())
    for each in group.list_commands(context):
        inner = group.get_command(context, each)
        assert inner is not None
        assert f"{each} {opening(inner)}" in shown
    assert "..." not in shown.partition("Commands:")[2]


@pytest.mark.parametrize("name", COMMANDS)
def test_the_help_of_every_option_is_a_sentence(name: str) -> None:
    for option in COMMANDS[name].params:
        if isinstance(option, click.Option):
            assert re.match(r"[A-Za-z].*\.$", option.help or ""), (name, option.name, option.help)
