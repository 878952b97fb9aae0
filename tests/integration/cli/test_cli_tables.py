"""Output on a real terminal: at 60, 80 and 120 columns, everything that is copied is on one line."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.support.cli import run_cli
from tests.support.keypairs import public_line
from tests.support.terminal import ESCAPE, on_terminal

NAME = "a-company-with-a-very-long-name"


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("HEADCOUNT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HEADCOUNT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert run_cli("tenant", "add", NAME).code == 0
    return tmp_path / "data"


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_values_that_are_copied_are_whole_on_a_terminal_of_any_width(columns: int) -> None:
    added = run_cli("key", "add", NAME, "-", "--comment", "HR of the company", "--json", stdin=public_line().encode())
    token = run_cli("token", "create", NAME, "--role", "owner", "--email", "anna.long@example.com", "--json").json
    keys = ESCAPE.sub("", on_terminal("key", "list", NAME, columns=columns)).splitlines()
    assert sum(added.json["fingerprint"] in line for line in keys) == 1
    tokens = ESCAPE.sub("", on_terminal("token", "list", columns=columns)).splitlines()
    assert sum(NAME in line for line in tokens) == sum("anna.long@example.com" in line for line in tokens) == 1
    assert any(str(token["id"]) in line.split() for line in tokens)
    assert sum(NAME in line for line in on_terminal("tenant", "list", columns=columns).splitlines()) == 1


def test_times_are_short_and_local_on_a_terminal_and_exact_elsewhere() -> None:
    exact = run_cli("token", "create", "--operator", "--expires", "2099-07-01T12:00:00Z", "--json").json["expires_at"]
    assert exact == "2099-07-01T12:00:00.000Z"
    assert "2099-07-01 08:00" in on_terminal("token", "list", columns=120)
    assert exact in run_cli("token", "list").text
    assert exact in on_terminal("token", "list", "--wide", columns=60)


def test_wide_prints_each_row_on_one_line() -> None:
    run_cli("key", "add", NAME, "-", stdin=public_line().encode())
    wide = on_terminal("key", "list", NAME, "--wide", columns=60)
    assert wide == run_cli("key", "list", NAME).text


def test_colors_are_on_a_terminal_alone_and_not_with_no_color() -> None:
    run_cli("token", "create", "--operator")
    assert ESCAPE.search(on_terminal("token", "list"))
    assert not ESCAPE.search(on_terminal("token", "list", NO_COLOR="1"))
    assert not ESCAPE.search(on_terminal("token", "list", TERM="dumb"))
    assert "\x1b" not in run_cli("token", "list").text


def test_check_shows_its_progress_on_a_terminal_and_removes_it(tmp_path: Path) -> None:
    file = tmp_path / "export.csv"
    file.write_text("email,first_name,last_name\nann@e.com,Ann,Lee\n")
    shown = on_terminal("check", NAME, str(file), stream="stderr")
    assert "Reading export.csv" in ESCAPE.sub("", shown)
    assert shown.rstrip("\n").endswith("\x1b[2K")  # the line of the bar is erased
