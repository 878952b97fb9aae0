"""How runs of hooks end: results before states, and files only while they may be needed."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import replace

import pytest

from engine.runs import Run
from headcount.hooks import Message, Result
from importer.model import ImportState
from server.runs.ends import ATTEMPTS, Again, Done, End, Failed, Stopped
from server.runs.report import run_json
from server.runs.results import KEPT
from tests.support.chosen import EMBEDDED, chosen_engine
from tests.support.run_house import RunHouse
from tests.support.runs import put_in_line, start

FINE = Done(Result("2 invoices.", {"invoices": 2}))
WRONG = Failed("The hook failed.", "KeyError: 'net'")


async def end(house: RunHouse, run: Run, how: End) -> Run:
    await house.ending.finish(await house.start(run), how)
    return await house.found(run)


@pytest.mark.logs("run_ended")
async def test_the_end_of_a_run_is_in_results(house: RunHouse) -> None:
    run = await end(house, await house.upload(), FINE)
    assert house.shown(run) == run_json(run)
    assert (run.state, run.message, run.attempts) == (ImportState.COMPLETED, "2 invoices.", 1)
    assert house.ends == [("invoices", 1, ImportState.COMPLETED)]
    assert await house.told() == ["run 1 completed"]
    if chosen_engine() == EMBEDDED:
        assert (house.folder().results / "invoices-1.json").stat().st_mode & 0o777 == 0o600
    assert house.stored.unfinished("acme") == []
    assert house.stored.kept_names("acme", "runs") == set()
    assert await house.runs.unpublished() == []


async def test_a_failed_run_keeps_its_copy_for_a_rerun(house: RunHouse) -> None:
    run = await end(house, await house.upload("net\n1\n"), WRONG)
    assert (run.state, run.error) == (ImportState.FAILED, "KeyError: 'net'")
    assert "KeyError" not in json.dumps(house.shown(run))
    assert house.copy(1) == b"net\n1\n"
    again = await end(house, await house.runs.rerun("acme", 1), FINE)
    assert (again.state, again.attempts, again.error) == (ImportState.COMPLETED, 1, None)
    assert house.shown(run)["state"] == "completed"
    assert await house.told() == ["run 1 failed", "run 1 completed"]
    assert house.copy(1) is None


async def test_what_a_hook_reported_is_beside_the_report(house: RunHouse) -> None:
    run = await house.start(await house.upload())
    house.report(run, "rejected.csv", b"line\n2\n")
    house.report(run, "summary.txt")
    await house.ending.finish(run, FINE)
    assert house.in_results() == ["invoices-1.json", "invoices-1.rejected.csv", "invoices-1.summary.txt"]
    assert house.stored.visible("acme", "/results/invoices-1.rejected.csv") == b"line\n2\n"
    if chosen_engine() == EMBEDDED:
        assert (house.folder().results / "invoices-1.rejected.csv").stat().st_mode & 0o777 == 0o600
    assert not house.folder().run_reports(1).exists()


async def test_only_regular_files_with_names_of_reports_are_published(house: RunHouse) -> None:
    run = await house.start(await house.upload())
    reports = house.folder().run_reports(1)
    (reports / "secret").symlink_to("/etc/passwd")
    (reports / "folder").mkdir()
    os.mkfifo(reports / "pipe")
    for name in ("json", "two words", "new\nline", "x" * 101):
        house.report(run, name, b"not the report")
    await house.ending.finish(run, FINE)
    assert house.in_results() == ["invoices-1.json"]
    assert house.shown(run)["state"] == "completed"


async def test_files_of_an_earlier_end_do_not_stay(house: RunHouse) -> None:
    run = await house.start(await house.upload())
    house.report(run, "a.csv")
    house.report(run, "b.csv", b"old")
    await house.ending.finish(run, WRONG)
    run = await house.start(await house.runs.rerun("acme", 1))
    house.report(run, "b.csv", b"new")
    await house.ending.finish(run, FINE)
    assert house.in_results() == ["invoices-1.b.csv", "invoices-1.json"]
    assert house.stored.visible("acme", "/results/invoices-1.b.csv") == b"new"


@pytest.mark.only_on("sqlite", "no other engine has links")
async def test_a_link_in_place_of_results_is_not_followed(house: RunHouse) -> None:
    elsewhere = house.stored.data / "elsewhere"
    elsewhere.mkdir()
    house.folder().results.rmdir()
    house.folder().results.symlink_to(elsewhere)
    run = await end(house, await house.upload(), FINE)
    assert run.state is ImportState.COMPLETED
    assert list(elsewhere.iterdir()) == []


@pytest.mark.logs("run_waits")
async def test_an_attempt_that_fails_is_followed_by_another(house: RunHouse) -> None:
    run = await end(house, await house.upload(), Again("The bank is closed.", "Retry", 60))
    assert (run.state, run.attempts, run.message, run.error) == (
        ImportState.QUEUED,
        1,
        "The bank is closed.",
        "Retry",
    )
    assert run.not_before == house.clock.now.timestamp() + 60
    assert house.copy(1) is not None
    assert (house.in_results(), house.ends, await house.told()) == ([], [], [])


async def test_the_fifth_failure_ends_the_run(house: RunHouse) -> None:
    run = await house.upload()
    for attempt in range(1, ATTEMPTS + 1):
        house.folder().run_reports(1).rmdir() if attempt > 1 else None
        run = await end(house, run, Again("The hook failed.", "KeyError: 'net'"))
        assert run.state is (ImportState.QUEUED if attempt < ATTEMPTS else ImportState.FAILED)
    assert house.shown(run)["attempt"] == ATTEMPTS
    assert await house.told() == ["run 1 failed"]


async def test_an_attempt_that_the_server_ended_does_not_count(house: RunHouse) -> None:
    run = await end(house, await house.upload(), Stopped())
    assert (run.state, run.attempts, run.not_before) == (ImportState.QUEUED, 0, 0)


async def test_a_message_of_severity_error_is_in_the_report(house: RunHouse) -> None:
    said = Message("error", "Column net has no number.", line=3, column="net")
    run = await end(house, await house.upload(), Done(Result(messages=[said])))
    assert house.shown(run)["state"] == "completed_with_errors"
    assert house.shown(run)["messages"] == [
        {
            "severity": "error",
            "code": "hook",
            "line": 3,
            "column": "net",
            "value": None,
            "message": "Column net has no number.",
        }
    ]


@pytest.mark.parametrize("state", [ImportState.ABORTED, ImportState.IGNORED])
async def test_an_upload_that_became_no_run_has_a_report(house: RunHouse, state: ImportState) -> None:
    run = await house.arrive()
    await house.ending.end_upload(run, state, "The file has a virus.", error="Eicar-Test")
    ended = await house.found(run)
    assert (ended.state, ended.error) == (state, "Eicar-Test")
    assert (house.shown(run)["state"], house.shown(run)["message"]) == (state.value, "The file has a virus.")
    assert house.copy(1) is None
    assert house.ends == [("invoices", 1, state)]


@pytest.mark.logs("run_report_owed")
async def test_a_report_that_cannot_be_written_is_retried_and_delays_no_run(house: RunHouse) -> None:
    house.stored.make_folder("acme", "/results/invoices-1.json")
    run = await house.start(await house.upload())
    house.report(run, "notes.txt")
    await house.ending.finish(run, FINE)
    assert (await house.found(run)).state is ImportState.COMPLETED
    await house.ending.catch_up()
    assert house.shown(run) is None
    house.stored.unpublish("acme", "/results/invoices-1.json")
    house.clock.pass_(1)
    await house.ending.catch_up()
    assert house.shown(run)["state"] == "completed"
    assert house.in_results() == ["invoices-1.json", "invoices-1.notes.txt"]
    assert (await house.runs.unpublished(), house.ends) == ([], [("invoices", 1, ImportState.COMPLETED)])
    assert not house.folder().run_reports(1).exists()


async def test_reports_that_cannot_be_written_delay_no_report_of_another_tenant(house: RunHouse) -> None:
    async def owed(tenant: str) -> Run:
        run = await start(house.runs, await put_in_line(house.runs, tenant), tenant)
        ended = replace(run, state=ImportState.COMPLETED, finished_at=run.uploaded_at)
        assert await house.runs.finish(ended, published=False)
        return run

    runs = [await owed("acme") for _ in range(100)]
    with house.stored.without_results("acme"):
        other = await owed("globex")
        for _ in range(2):
            await house.ending.catch_up()
        assert house.shown(other)["state"] == "completed"
    house.clock.pass_(1)
    await house.ending.catch_up()
    assert house.shown(runs[-1])["state"] == "completed"


async def test_the_newest_reports_of_each_hook_are_kept(house: RunHouse) -> None:
    other = await end(house, await house.upload(hook="scans"), FINE)
    house.stored.publish("acme", "/results/invoices-notes.txt", b"mine")
    first = await house.start(await house.upload())
    house.report(first, "notes.txt")
    await house.ending.finish(first, FINE)
    for _ in range(KEPT - 1):
        last = await end(house, await house.upload(), FINE)
    assert house.shown(first)
    last = await end(house, await house.upload(), FINE)
    assert house.shown(first) is None
    assert "invoices-2.notes.txt" not in house.in_results()
    assert house.shown(last)
    assert house.shown(other)
    assert house.stored.visible("acme", "/results/invoices-notes.txt") == b"mine"


async def test_simultaneous_ends_keep_each_others_reports(house: RunHouse) -> None:
    ran = await house.start(await house.upload())
    runs = [await house.arrive() for _ in range(8)]
    aborting = [house.ending.end_upload(run, ImportState.ABORTED, "Interrupted.") for run in runs]
    await asyncio.gather(house.ending.finish(ran, FINE), *aborting)
    assert [house.shown(run)["state"] for run in (ran, *runs)] == ["completed", *["aborted"] * 8]


async def test_an_upload_that_landed_meanwhile_is_not_ended(house: RunHouse) -> None:
    run = await house.arrive()
    await house.runs.landed(*run.key)
    await house.ending.end_upload(run, ImportState.ABORTED, "Interrupted.")
    assert ((await house.found(run)).state, house.copy(run.id)) == (ImportState.QUEUED, b"x\n")
    assert (house.ends, await house.told()) == ([], [])


async def test_a_late_report_of_a_failed_run_leaves_what_its_rerun_reports(
    house: RunHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = await house.start(await house.upload())
    with house.stored.without_results("acme"):
        await house.ending.finish(run, WRONG)
    published = house.runs.published

    async def then_run_again(ended: Run) -> None:
        await published(ended)
        await house.runs.rerun(*ended.key)
        house.report(run, "new.csv")

    monkeypatch.setattr(house.runs, "published", then_run_again)
    house.clock.pass_(60)
    await house.ending.catch_up()
    assert house.shown(run)["state"] == "failed"
    assert (house.folder().run_reports(run.id) / "new.csv").exists()


async def test_a_run_of_a_removed_tenant_ends_without_a_trace(house: RunHouse) -> None:
    run = await house.start(await house.upload())
    await house.store.tenants().remove("acme")
    await house.ending.finish(run, FINE)
    await house.ending.finish(run, Again("x", None))
    assert (house.in_results(), house.ends) == ([], [])


async def test_each_tenant_has_its_own_results(house: RunHouse) -> None:
    run = await end(house, await house.upload(tenant="globex"), FINE)
    assert (house.in_results(), house.in_results("globex")) == ([], ["invoices-1.json"])
    assert await house.told("acme") == []
    assert house.shown(run)
