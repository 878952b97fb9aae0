"""A command says which data folder it uses, and never creates a second one by mistake."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

from server import process
from tests.support.cli import run_cli

pytestmark = pytest.mark.only_on("sqlite", "no other engine has a data folder")


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the working folder of the commands. No data folder is named."""
    for name in [name for name in os.environ if name.startswith("HEADCOUNT_")]:
        monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    return tmp_path


CREATING = [("tenant", "add", "acme"), ("token", "create", "--operator")]
READING = [("tenant", "list"), ("tenant", "show", "acme"), ("key", "list", "acme"), ("import", "list", "acme")]


@pytest.mark.parametrize("command", [*CREATING, *READING])
def test_a_command_in_another_working_folder_creates_no_second_installation(
    here: Path, command: tuple[str, ...]
) -> None:
    ran = run_cli(*command)
    assert (ran.code, ran.out) == (1, b"")
    assert f"there is no data folder {here / 'data'}. Name the right one with headcount --data-dir FOLDER" in ran.err
    assert list(here.iterdir()) == []


@pytest.mark.parametrize("command", CREATING)
def test_a_folder_with_other_files_does_not_become_the_data_folder(here: Path, command: tuple[str, ...]) -> None:
    (here / "data").mkdir()
    (here / "data" / "sales.csv").write_text("a\n")
    ran = run_cli(*command)
    assert (ran.code, ran.out) == (1, b"")
    assert f"{here / 'data'} has no Headcount data, but other files (sales.csv). " in ran.err
    assert [path.name for path in (here / "data").iterdir()] == ["sales.csv"]


@pytest.mark.parametrize("command", CREATING)
def test_a_data_folder_that_is_named_is_created_and_shown(here: Path, command: tuple[str, ...]) -> None:
    ran = run_cli("--data-dir", str(here / "new"), *command)
    assert (ran.code, ran.warned) == (0, f"Created the data folder {here / 'new'}\n")
    assert (here / "new" / "headcount.db").exists()


def test_an_empty_data_folder_is_named_by_the_list(here: Path) -> None:
    (here / "data").mkdir()
    assert run_cli("tenant", "list").err == (
        f"No tenants yet in {here / 'data'}. Add one: headcount tenant add NAME\n"
    )
    listed = run_cli("tenant", "list", "--json")
    assert listed.json == []
    told = json.loads(listed.warned)
    assert (told["code"], f"{here / 'data'} has no Headcount data. " in told["message"]) == ("no_data_folder", True)
    shown = run_cli("tenant", "show", "acme")
    assert (shown.code, f"{here / 'data'} has no Headcount data. " in shown.err) == (1, True)


def test_a_restore_in_another_working_folder_creates_no_second_installation(here: Path) -> None:
    run_cli("--data-dir", str(here / "real"), "tenant", "add", "acme")
    assert run_cli("--data-dir", str(here / "real"), "backup", str(here / "backup")).code == 0
    ran = run_cli("restore", str(here / "backup"))
    assert (ran.code, ran.out) == (1, b"")
    assert f"there is no data folder {here / 'data'}. Name the right one with headcount --data-dir FOLDER" in ran.err
    assert not (here / "data").exists()
    assert run_cli("--data-dir", str(here / "new"), "restore", str(here / "backup")).code == 0


def test_the_list_of_hooks_refuses_a_named_folder_that_is_absent(here: Path) -> None:
    assert run_cli("hook", "list").code == 0
    ran = run_cli("--data-dir", str(here / "wrong"), "hook", "list")
    assert (ran.code, ran.out, f"there is no data folder {here / 'wrong'}" in ran.err) == (1, b"", True)


def test_the_option_wins_over_the_environment(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADCOUNT_DATA_DIR", str(here / "one"))
    run_cli("tenant", "add", "acme")
    run_cli("--data-dir", "two", "tenant", "add", "globex")
    assert [one["name"] for one in run_cli("--data-dir", "two", "tenant", "list", "--json").json] == ["globex"]
    assert [one["name"] for one in run_cli("tenant", "list", "--json").json] == ["acme"]


def test_commands_say_whole_paths_if_the_name_of_the_data_folder_is_relative(here: Path) -> None:
    at, folder = ("--data-dir", "new"), here / "new" / "tenants" / "acme"
    assert f"its folder is {folder}\n" in run_cli(*at, "tenant", "add", "acme").out.decode()
    (folder / "keys.json").write_text("x")
    assert f"Error: {folder / 'keys.json'} is not a key file" in run_cli(*at, "key", "list", "acme").err
    folder.rename(here / "aside")
    assert f"Restore {folder}, or finish" in run_cli(*at, "import", "list", "acme").err


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("--data-dir", "", "tenant", "add", "acme"), "Invalid value for '--data-dir': is empty. Name a folder"),
        (("tenant", "list", "--data-dir", "x"), "--data-dir comes before the command: headcount --data-dir FOLDER"),
    ],
)
def test_a_misplaced_or_empty_option_is_wrong_usage(here: Path, command: tuple[str, ...], says: str) -> None:
    ran = run_cli(*command)
    assert (ran.code, ran.out, says in ran.err) == (2, b"", True)
    assert list(here.iterdir()) == []


def test_a_command_warns_if_no_server_runs_on_the_data_folder(here: Path) -> None:
    at = ("--data-dir", str(here / "data"))
    run_cli(*at, "tenant", "add", "acme")
    warning = f"Warning: no server runs on the data folder {here / 'data'}\n"
    for command in (("tenant", "list"), ("tenant", "set", "acme", "max_sessions=3"), ("key", "list", "acme")):
        assert run_cli(*at, *command).warned == warning
    assert not (here / "data" / "headcount.lock").exists()
    with process.hold(here / "data"):
        assert run_cli(*at, "tenant", "list").warned == ""


def test_a_variable_that_is_not_a_setting_is_warned_of(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADCOUNT_DATADIR", str(here / "data"))
    ran = run_cli("tenant", "list")
    assert ran.code == 1
    assert ran.warned == "Warning: HEADCOUNT_DATADIR is not a setting; did you mean HEADCOUNT_DATA_DIR?\n"
