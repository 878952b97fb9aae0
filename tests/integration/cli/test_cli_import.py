"""`headcount import`: its output, its decisions and its exit codes, with a simulated server."""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from importer.model import Counts, ImportState, Outcome, Problem, Severity
from importer.queue.queue import Queue
from server.cli import import_ as module
from tests.support.cli import run_cli
from tests.support.installation import installation, open_tenants
from tests.support.queues import GUARD, NOON, enqueue, outcome, promise, run_to
from tests.support.waiting import eventually


@pytest.fixture(autouse=True)
def data(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    installation(tmp_path).use(monkeypatch)
    assert run_cli("tenant", "add", "acme").code == 0
    return tmp_path


def on_queue(data: Path, work: Callable[[Queue], Awaitable[object]]) -> None:
    """Run `work` on the queue, as the server would."""

    async def do() -> None:
        async with open_tenants(data) as tenants:
            await work(tenants.store.imports())

    asyncio.run(do())


def ended(data: Path, *states: ImportState, dry_run: bool = False) -> None:
    """Create imports that ended in these states, in this order."""

    async def end(queue: Queue) -> None:
        for state in states:
            await run_to(queue, await enqueue(queue, dry_run=dry_run), state)

    on_queue(data, end)


@contextmanager
def played_server(data: Path, work: Callable[[Queue], Awaitable[object]]) -> Iterator[None]:
    """Be a server that runs, and run `work` on the queue meanwhile."""
    with installation(data).served():
        thread = threading.Thread(target=on_queue, args=(data, work))
        thread.start()
        try:
            yield
        finally:
            thread.join()


def test_imports_are_listed_newest_first(data: Path) -> None:
    ended(data, ImportState.COMPLETED, ImportState.FAILED)
    listed = run_cli("import", "list", "acme", "--json").json
    assert [(one["id"], one["state"]) for one in listed] == [(2, "failed"), (1, "completed")]
    assert [one["id"] for one in run_cli("import", "list", "acme", "--state", "completed", "--json").json] == [1]
    assert [one["id"] for one in run_cli("import", "list", "acme", "--limit", "1", "--json").json] == [2]
    table = run_cli("import", "list", "acme").text.splitlines()
    assert len(table) == 3
    assert "It went wrong." in table[1]


def test_the_list_of_imports_shows_the_message_and_the_counts(data: Path) -> None:
    async def end(queue: Queue) -> None:
        entry = await queue.claim("acme", await enqueue(queue))
        assert entry
        garbled = replace(outcome(ImportState.COMPLETED, updated=19), message="Look at this first: names.")
        assert await queue.finish(entry.ended(garbled, NOON), published=True)

    on_queue(data, end)
    assert "Look at this first: names. (19 updated)" in run_cli("import", "list", "acme").text


def test_a_tenant_without_imports_has_an_empty_list(data: Path) -> None:
    assert run_cli("import", "list", "acme", "--json").json == []
    shown = run_cli("import", "show", "acme")
    assert (shown.code, shown.err) == (1, "Error: acme has no imports yet. Test a file: headcount check acme FILE\n")


def test_without_an_id_a_command_uses_the_newest_import_that_is_not_a_dry_run(data: Path) -> None:
    ended(data, ImportState.UNCHANGED)
    ended(data, ImportState.COMPLETED, dry_run=True)
    assert run_cli("import", "show", "acme", "--json").json["id"] == 1
    assert run_cli("import", "show", "acme", "2", "--json").json["dry_run"] is True


def test_an_unknown_import_is_refused_in_a_sentence(data: Path) -> None:
    unknown = "Error: there is no import 7 of acme; see: headcount import list acme\n"
    assert run_cli("import", "show", "acme", "7").err == unknown
    assert "no tenant globex" in run_cli("import", "list", "globex").err
    assert run_cli("import", "show", "acme", "first").code == 2


@pytest.mark.usefixtures("data")
@pytest.mark.parametrize("command", ["show", "wait", "approve", "discard", "undo", "changes"])
def test_an_id_too_large_for_the_database_is_wrong_usage(command: str) -> None:
    ran = run_cli("import", command, "acme", "9" * 20)
    assert ran.code == 2
    assert "is not in the range" in ran.err


def test_a_report_has_plurals_messages_and_no_control_characters(data: Path) -> None:
    async def end(queue: Queue) -> None:
        entry = await queue.claim("acme", await enqueue(queue))
        assert entry
        problems = (
            Problem(Severity.WARNING, "unknown_manager", "No user has this address.", 3, "manager", "x\x1b[2Jy"),
        )
        outcome = Outcome(ImportState.COMPLETED, Counts(created=2, warnings=1), entry.file, problems)
        await queue.finish(entry.ended(outcome, NOON), published=True)

    on_queue(data, end)
    text = run_cli("import", "show", "acme").text
    assert "2 created, 1 warning\n" in text
    assert "line 3: manager: No user has this address. (x\\x1b[2Jy) [unknown_manager]" in text
    assert "\x1b" not in text


def test_a_held_import_shows_the_users_that_it_would_deactivate(data: Path) -> None:
    ended(data, ImportState.HELD)
    users = [{"action": "deactivated", "user_id": number, "name": f"Name {number}"} for number in range(25)]
    text = "".join(json.dumps(user) + "\n" for user in users)
    installation(data).keep("acme", "messages/1.touched.jsonl", text.encode())
    text = run_cli("import", "show", "acme").text
    assert "It would deactivate 15 of 20 active users (more than half).\n" in text
    assert "  Name 19\n" in text
    assert "Name 20" not in text
    assert "headcount import approve acme 1" in text


@pytest.mark.parametrize(
    ("state", "code"),
    [("completed", 0), ("completed_with_errors", 0), ("unchanged", 0), ("held", 1), ("failed", 1), ("discarded", 1)],
)
def test_import_wait_exits_by_the_outcome(data: Path, state: str, code: int) -> None:
    ended(data, ImportState(state))
    waited = run_cli("import", "wait", "acme", "--json")
    assert (waited.code, waited.json["state"]) == (code, state)


def test_import_wait_ends_with_the_import(data: Path) -> None:
    on_queue(data, enqueue)
    with played_server(data, lambda queue: run_to(queue, 1, ImportState.COMPLETED)):
        waited = run_cli("import", "wait", "acme", "--json")
    assert (waited.code, waited.json["state"]) == (0, "completed")


@pytest.mark.parametrize(("timeout", "waited_for"), [("0", "0 seconds"), ("1", "1 second")])
def test_import_wait_stops_at_the_timeout(data: Path, timeout: str, waited_for: str) -> None:
    on_queue(data, enqueue)
    waited = run_cli("import", "wait", "acme", "--timeout", timeout)
    assert (waited.code, waited.err) == (1, f"Error: import 1 is still queued after {waited_for}\n")


def test_import_wait_fails_if_no_server_runs(data: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "NO_SERVER_S", 0)
    on_queue(data, enqueue)
    waited = run_cli("import", "wait", "acme")
    assert waited.code == 1
    assert waited.err == "Error: import 1 is queued but no server runs. Start it: headcount serve\n"


def test_the_last_frame_of_a_bar_shows_the_end(data: Path) -> None:
    ended(data, ImportState.COMPLETED)

    async def look(queue: Queue) -> None:
        entry = await queue.get("acme", 1)
        assert entry
        assert module.frame(entry) == (1.0, "Import 1 of acme: completed")

    on_queue(data, look)


def test_import_approve_stops_at_the_timeout_and_says_that_no_server_runs(data: Path) -> None:
    ended(data, ImportState.HELD)
    approved = run_cli("import", "approve", "acme", "--timeout", "0")
    assert (approved.code, approved.err) == (1, "Error: import 1 is still queued after 0 seconds\n")
    assert approved.warned == f"Warning: no server runs on {installation(data).name}\n"


def test_import_undo_stops_at_the_timeout_and_says_that_no_server_runs(data: Path) -> None:
    ended(data, ImportState.COMPLETED)
    undone = run_cli("import", "undo", "acme", "1", "--timeout", "0")
    assert (undone.code, "is still" in undone.err) == (1, True)
    assert undone.warned == f"Warning: no server runs on {installation(data).name}\n"


def test_import_approve_waits_for_the_end_and_exits_by_the_outcome(data: Path) -> None:
    ended(data, ImportState.HELD)

    async def run_when_approved(queue: Queue) -> None:
        entry = await eventually(lambda: queue.claim("acme", 1), what="the import to be approved")
        assert entry
        assert entry.approval
        assert entry.approval.reasons == GUARD.reasons
        await queue.finish(entry.ended(Outcome(ImportState.COMPLETED, Counts(), entry.file), NOON), published=True)

    with played_server(data, run_when_approved):
        approved = run_cli("import", "approve", "acme", "--json")
    assert approved.code == 0
    assert (approved.json["state"], approved.json["decided_by"]) == ("completed", "operator")


def test_an_approval_keeps_the_users_on_its_list(data: Path) -> None:
    ended(data, ImportState.HELD)
    users = [{"action": "deactivated", "user_id": 4}, {"action": "updated", "user_id": 5}]
    text = "".join(json.dumps(user) + "\n" for user in users)
    installation(data).keep("acme", "messages/1.touched.jsonl", text.encode())
    assert run_cli("import", "approve", "acme", "1", "--no-wait").code == 0

    async def look(queue: Queue) -> None:
        entry = await queue.get("acme", 1)
        assert entry
        assert entry.state is ImportState.QUEUED
        assert entry.approval
        assert entry.approval.users == {4}

    on_queue(data, look)


def test_a_discarded_import_has_who_decided_and_stays_discarded(data: Path) -> None:
    ended(data, ImportState.HELD)
    discarded = run_cli("import", "discard", "acme", "--json")
    assert (discarded.code, discarded.json["state"], discarded.json["decided_by"]) == (0, "discarded", "operator")
    assert discarded.json["decided_at"]
    again = run_cli("import", "discard", "acme")
    why = "import 1 of acme is discarded: only a held import can be discarded"
    assert (again.code, again.err) == (1, f"Error: {why}; see: headcount import list acme\n")


@pytest.mark.parametrize("decision", ["approve", "discard"])
def test_a_dry_run_can_be_neither_approved_nor_discarded(data: Path, decision: str) -> None:
    ended(data, ImportState.HELD, dry_run=True)
    refused = run_cli("import", decision, "acme", "1")
    assert refused.code == 1
    assert "dry run" in refused.err


def test_an_upload_in_progress_is_not_the_newest_import(data: Path) -> None:
    on_queue(data, promise)
    assert run_cli("import", "show", "acme").code == 1
