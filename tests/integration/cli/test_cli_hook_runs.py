"""`headcount hook runs` and `hook rerun`: what hooks did with files, and a failed one again."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path

import pytest

from engine.runs import RunStore
from importer.model import ImportState
from tests.support.cli import run_cli
from tests.support.installation import installation, open_tenants
from tests.support.runs import end_in, ended, put_in_line, start

HOOKS = """
[[hooks]]
name = "invoices"
path = "/invoices/*.csv"
command = ["true"]
"""


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    installation(tmp_path).use(monkeypatch)
    (tmp_path / "hooks.toml").write_text(HOOKS)
    monkeypatch.setenv("HEADCOUNT_HOOKS_FILE", str(tmp_path / "hooks.toml"))
    assert run_cli("tenant", "add", "acme").code == 0
    return tmp_path


def on_runs(data: Path, work: Callable[[RunStore], Awaitable[object]]) -> None:
    """Do `work` on the runs, as the server would."""

    async def do() -> None:
        async with open_tenants(data) as tenants:
            await work(tenants.store.runs())

    asyncio.run(do())


def filed(data: Path, state: ImportState, hook: str = "invoices") -> None:
    """Store a run that ended in `state`, with the copy of its file."""

    async def end(runs: RunStore) -> None:
        number = await put_in_line(runs, hook=hook)
        if state is not ImportState.QUEUED:
            await end_in(runs, number, state)
        installation(data).keep_run_copy("acme", number, b"No,Sum\n")

    on_runs(data, end)


def test_runs_are_listed_newest_first_with_their_errors(data: Path) -> None:
    filed(data, ImportState.COMPLETED)
    filed(data, ImportState.FAILED, "scans")
    listed = run_cli("hook", "runs", "acme", "--json").json
    assert [(one["id"], one["hook"], one["state"], one["error"]) for one in listed] == [
        (2, "scans", "failed", "ValueError: no"),
        (1, "invoices", "completed", None),
    ]
    assert listed[0]["file"]["name"] == "march.csv"
    assert (listed[0]["attempt"], listed[0]["message"]) == (1, "It failed.")
    table = run_cli("hook", "runs", "acme").text.splitlines()
    assert len(table) == 3
    assert "It failed. (rows: 3) [ValueError: no]" in table[1]


def test_runs_are_found_by_hook_state_and_number(data: Path) -> None:
    filed(data, ImportState.COMPLETED)
    filed(data, ImportState.FAILED, "scans")
    filed(data, ImportState.FAILED)

    def ids(*options: str) -> list[int]:
        return [one["id"] for one in run_cli("hook", "runs", "acme", *options, "--json").json]

    assert (ids("--hook", "invoices"), ids("--state", "failed"), ids("--limit", "1")) == ([3, 1], [3, 2], [3])
    assert ids("--hook", "scans", "--state", "completed") == []
    assert run_cli("hook", "runs", "acme", "--state", "held").code == 2


def test_a_tenant_without_runs_has_an_empty_list() -> None:
    assert run_cli("hook", "runs", "acme", "--json").json == []
    assert run_cli("hook", "runs", "acme").err == "acme has no runs of hooks yet.\n"
    assert (
        run_cli("hook", "runs", "acme", "--state", "failed").err == "acme has no runs of hooks with these filters.\n"
    )
    assert "no tenant globex" in run_cli("hook", "runs", "globex").err


def test_what_a_hook_said_cannot_control_the_terminal(data: Path) -> None:
    async def end(runs: RunStore) -> None:
        run = ended(await start(runs, await put_in_line(runs)), ImportState.FAILED)
        assert await runs.finish(replace(run, message="\x1b[31mred", error="E: \x07"), published=True)

    on_runs(data, end)
    assert "\\x1b[31mred (rows: 3) [E: \\x07]" in run_cli("hook", "runs", "acme").text


def test_a_failed_run_is_queued_again_as_the_last(data: Path) -> None:
    filed(data, ImportState.FAILED)
    filed(data, ImportState.QUEUED)
    ran = run_cli("hook", "rerun", "acme", "1")
    assert (ran.code, ran.text) == (0, "Queued run 1 of acme (hook invoices) again, with 5 attempts\n")
    assert [(one["id"], one["state"], one["attempt"]) for one in run_cli("hook", "runs", "acme", "--json").json] == [
        (2, "queued", 0),
        (1, "queued", 0),
    ]

    async def heads(runs: RunStore) -> None:
        assert [run.id for run in await runs.heads()] == [2]

    on_runs(data, heads)


def test_a_run_queued_again_is_printed_as_json(data: Path) -> None:
    filed(data, ImportState.FAILED)
    printed = run_cli("hook", "rerun", "acme", "1", "--json").json
    assert (printed["id"], printed["state"], printed["attempt"]) == (1, "queued", 0)


def test_a_run_whose_hook_is_gone_is_not_queued_again(data: Path) -> None:
    filed(data, ImportState.FAILED, "scans")
    ran = run_cli("hook", "rerun", "acme", "1")
    assert (ran.code, ran.text) == (1, "")
    assert "the server does not have the hook scans of run 1 now; see: headcount hook list" in ran.err
    assert run_cli("hook", "runs", "acme", "--json").json[0]["state"] == "failed"


def test_a_run_that_cannot_be_run_again_is_refused_in_a_sentence(data: Path) -> None:
    filed(data, ImportState.COMPLETED)
    filed(data, ImportState.FAILED)
    installation(data).drop("acme", "runs/2.file")
    see = "; see: headcount hook runs acme\n"
    for number, why in (
        (1, "run 1 of acme is completed: only a failed run can be run again"),
        (2, "the file of run 2 of acme is no longer kept: send it again"),
        (7, "there is no run 7 of acme"),
    ):
        ran = run_cli("hook", "rerun", "acme", str(number))
        assert (ran.code, ran.err) == (1, f"Error: {why}{see}")
    filed(data, ImportState.FAILED)
    assert run_cli("tenant", "set", "acme", "hooks=sync_users").code == 0
    ran = run_cli("hook", "rerun", "acme", "3")
    off = "the hook invoices is off for acme: turn it on in the settings first"
    assert (ran.code, ran.err) == (1, f"Error: {off}{see}")
    assert run_cli("hook", "rerun", "acme", "first").code == 2
    assert run_cli("hook", "rerun", "acme", "9" * 20).code == 2
