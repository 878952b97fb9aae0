"""Values are shown on one line, harmless to a terminal, and in a drawn table only on a terminal."""

from __future__ import annotations

import io
import sys

import pytest

from server.cli.output import print_json, print_table, shown


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_table_on_a_terminal_shows_names_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stdout", terminal)
    monkeypatch.setenv("COLUMNS", "60")
    print_table([[shown("[red]Robert[/red]"), shown("\x1b[2J:smile:")]], ["NAME", "TITLE"])
    told = terminal.getvalue()
    assert "[red]Robert[/red]" in told
    assert "\\x1b[2J:smile:" in told
    assert "\x1b[2J" not in told


def test_a_table_for_a_pipe_is_plain_columns(capsys: pytest.CaptureFixture[str]) -> None:
    print_table([["a", "b" * 300], ["long name", ""]], ["NAME", "TITLE"])
    assert capsys.readouterr().out == f"NAME       TITLE\na          {'b' * 300}\nlong name\n"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        ("", "-"),
        ([], "-"),
        (True, "yes"),
        (0, "0"),
        (["a", "b\n"], "a, b\\n"),
        ({"active": 1, "name": None}, "active: 1, name: -"),
        ("Zoë 🎉", "Zoë 🎉"),
        ("a\u202eb\u2028", "a\\u202eb\\u2028"),
    ],
)
def test_a_value_is_shown_on_one_line_with_control_characters_escaped(value: object, text: str) -> None:
    assert shown(value) == text


@pytest.mark.parametrize(("encoding", "text"), [("utf-8", '"Zoë"'), ("latin-1", '"Zo\\u00eb"')])
def test_json_is_readable_in_any_encoding_of_the_terminal(
    monkeypatch: pytest.MonkeyPatch, encoding: str, text: str
) -> None:
    raw = io.BytesIO()
    stream = io.TextIOWrapper(raw, encoding=encoding, write_through=True)
    monkeypatch.setattr(sys, "stdout", stream)
    print_json("Zoë")
    assert raw.getvalue().decode(encoding).strip() == text
