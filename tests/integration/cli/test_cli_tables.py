"""Lists on a real terminal: at 60, 80 and 120 columns, everything that is copied is on one line."""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import ROOT
from tests.support.cli import run_cli
from tests.support.keypairs import public_line

ESCAPE = re.compile(r"\x1b\[[0-9;]*m")
NAME = "a-company-with-a-very-long-name"


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("HEADCOUNT_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("HEADCOUNT_DATA_DIR", str(tmp_path / "data"))
    monkeypatch.delenv("NO_COLOR", raising=False)
    assert run_cli("tenant", "add", NAME).code == 0
    return tmp_path / "data"


def on_terminal(*command: str, columns: int = 80, **environment: str) -> str:
    """Run a command with a terminal as its stdout; return what the terminal gets."""
    ours, its = pty.openpty()
    env = {**os.environ, "TERM": "xterm", "COLUMNS": str(columns), "TZ": "America/New_York", **environment}
    command = (sys.executable, "-m", "server", *command)
    with subprocess.Popen(command, cwd=ROOT, env=env, stdout=its, stderr=subprocess.DEVNULL):
        os.close(its)
        got = b""
        while part := _read(ours):
            got += part
    os.close(ours)
    return got.decode().replace("\r\n", "\n")


def _read(terminal: int) -> bytes:
    try:
        return os.read(terminal, 65_536)
    except OSError:  # the command has ended
        return b""


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
