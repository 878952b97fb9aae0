"""Output on a real terminal: at 60, 80 and 120 columns, everything that is copied is on one line."""

from __future__ import annotations

import asyncio
import shutil
from datetime import timedelta
from pathlib import Path

import pytest

from engine.bans import Ban
from ground.moments import rfc3339, utc_now
from importer.model import ImportState
from importer.reconcile.job import Job
from importer.reconcile.run import run_import
from server.cli.output import shown
from server.tenants.settings import read_settings
from tests.support.cli import run_cli
from tests.support.installation import installation, open_tenants
from tests.support.keypairs import public_line
from tests.support.queues import enqueue, run_to
from tests.support.runs import put_in_line
from tests.support.terminal import ESCAPE, on_terminal

NAME = "a-company-with-a-very-long-name"


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    installation(tmp_path / "data").use(monkeypatch)
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert run_cli("tenant", "add", NAME).code == 0
    return tmp_path / "data"


TEAM = "Research and Development of Everything East of the River"
USERS = f"""email,first_name,last_name,primary_team
anna.maria.theresia@subsidiary.example.com,Anna Maria Theresia,van der Berg,{TEAM}
bo@example.com,Bo,Li,Sales
"""
COPIED = {
    ("tenant", "list"): ["name"],
    ("tenant", "history", NAME): ["key", "new"],
    ("key", "list", NAME): ["fingerprint", "type", "comment"],
    ("token", "list"): ["id", "tenant", "comment", "email"],
    ("ban", "list"): ["source"],
    ("hook", "list"): ["name", "path", "package"],
    ("hook", "runs", NAME): ["id", "hook", "state"],
    ("users", "list", NAME): ["email", "first_name", "last_name", "primary_team"],
    ("import", "list", NAME): ["id", "state"],
    ("notify", "list", NAME): ["channel", "topic", "state"],
}
"""The lists, with what is copied from them, by its name in JSON."""


def fill(data: Path) -> None:
    """Store something for every list."""
    run_cli("key", "add", NAME, "-", "--comment", "HR of the company", stdin=public_line().encode())
    run_cli("token", "create", NAME, "--role", "owner", "--email", "anna.long@example.com", "--comment", "Anna Long")
    run_cli("tenant", "set", NAME, "notify_email=anna.maria@subsidiary.example.com")
    run_cli("notify", "test", NAME)
    stored = installation(data)
    folder, users = stored.folder(NAME), stored.users_of(NAME)
    file = folder.uploads / "1.csv"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(USERS)
    job = Job(NAME, 1, file, "sync_users.csv", False, None, None, utc_now())
    asyncio.run(run_import(job, users, read_settings(users), folder.messages))
    asyncio.run(_fill_queues(data))


async def _fill_queues(data: Path) -> None:
    until = rfc3339(utc_now() + timedelta(seconds=500))
    async with open_tenants(data) as opened:
        imports = opened.store.imports()
        await run_to(imports, await enqueue(imports, NAME), ImportState.FAILED, NAME)
        await put_in_line(opened.store.runs(), NAME)
        ban = Ban("2001:0db8:85a3:0000::/64", until, "20 connections ended without a login")
        await opened.store.bans().write([ban], [], known=[])


@pytest.mark.parametrize("columns", [60, 80, 120])
def test_values_that_are_copied_are_whole_on_a_terminal_of_any_width(data: Path, columns: int) -> None:
    fill(data)
    for command, names in COPIED.items():
        rows = run_cli(*command, "--json").json
        lines = on_terminal(*command, columns=columns, NO_COLOR="1").splitlines()
        assert rows
        for value in (shown(row[name]) for row in rows for name in names):
            assert any(value in line for line in lines), (command, value)
        if len(lines) == len(rows) + 1:  # a table without wrapped texts
            assert max(map(len, lines)) <= columns


@pytest.mark.only_on("sqlite", "no other engine has a tenant alone that is broken")
@pytest.mark.parametrize("columns", [60, 80, 120])
def test_a_path_and_a_command_in_a_text_are_whole_on_a_terminal_of_any_width(data: Path, columns: int) -> None:
    run_cli("tenant", "add", "acme")
    shutil.rmtree(data / "tenants" / NAME)
    (data / "tenants" / "acme" / "keys.json").write_text("{")
    listed = on_terminal("tenant", "list", columns=columns, NO_COLOR="1").splitlines()
    for whole in (f"headcount tenant remove {NAME} --yes", str(data / "tenants" / NAME)):
        assert sum(whole in line for line in listed) == 1
    assert sum(str(data / "tenants" / "acme" / "keys.json") in line for line in listed) == 1


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
