"""How imports end: results before states, and copies only while they may be needed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from pathlib import Path

import pytest

from importer.folder import TenantFolder
from importer.model import ImportState
from importer.worker.results import KEPT
from importer.worker.results_folder import ResultsFolder
from tests.support.chosen import EMBEDDED, chosen_engine
from tests.support.queues import NOON, House, enqueue, found, open_house, outcome, promise

REJECTED = "first_name,email,_line,_code,_message\n"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, "acme") as built:
        yield built


def tried(house: House, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Return the tenants of all tries to write a report from now on."""
    tries: list[str] = []
    change = house.results.change

    async def noted(folder: TenantFolder, work: Callable[[ResultsFolder], None]) -> None:
        tries.append(folder.root.name)
        await change(folder, work)

    monkeypatch.setattr(house.results, "change", noted)
    return tries


def reject(house: House, import_id: int) -> None:
    """Keep rejected rows of an import."""
    house.stored.keep("acme", f"messages/{import_id}.errors.csv", REJECTED.encode())


def rejected(house: House, import_id: int) -> str | None:
    """Return the rejected rows in /results; None without any."""
    content = house.stored.visible("acme", f"/results/sync_users-{import_id}.errors.csv")
    return None if content is None else content.decode()


async def end(house: House, import_id: int, state: ImportState, **counts: int) -> None:
    entry = await house.queue.claim("acme", import_id)
    assert entry
    await house.closing.finish(entry, outcome(state, **counts), 0.5)


async def test_the_end_of_an_import_is_in_results(house: House) -> None:
    await end(house, await house.upload(), ImportState.COMPLETED, created=3)
    shown = house.shown(1)
    assert shown == (await found(house.queue, 1)).report().to_json()
    assert (shown["state"], shown["counts"]["created"], shown["file"]["rows"]) == ("completed", 3, 3)
    assert house.watching.ends == [(1, ImportState.COMPLETED)]
    if chosen_engine() == EMBEDDED:
        assert (house.folder().results / "sync_users-1.json").stat().st_mode & 0o777 == 0o600
    assert house.stored.unfinished("acme") == []


async def test_rejected_rows_are_beside_the_report(house: House) -> None:
    await house.upload()
    reject(house, 1)
    await end(house, 1, ImportState.COMPLETED_WITH_ERRORS, rejected=1)
    assert rejected(house, 1) == REJECTED
    entry = await found(house.queue, 1)
    assert await house.closing._publish(entry)
    assert house.stored.names("acme", "/results") == ["sync_users-1.errors.csv", "sync_users-1.json"]
    assert house.stored.unfinished("acme") == []


async def test_rejected_rows_of_an_earlier_start_do_not_stay(house: House) -> None:
    await house.upload()
    reject(house, 1)
    await end(house, 1, ImportState.HELD, rejected=1)
    await house.queue.approve("acme", 1, by="operator", users=frozenset())
    house.stored.drop("acme", "messages/1.errors.csv")
    await end(house, 1, ImportState.COMPLETED)
    assert rejected(house, 1) is None


async def test_a_superseded_import_gets_a_report_and_loses_its_copy(house: House) -> None:
    old, new = await house.upload(), await house.upload()
    await house.closing.supersede(await found(house.queue, old), await found(house.queue, new))
    assert house.shown(old)["state"] == "superseded"
    assert house.copy(old) is None
    assert house.copy(new) is not None


async def test_an_upload_that_became_no_import_has_a_report(house: House) -> None:
    number = await promise(house.queue)
    await house.closing.end_upload(await found(house.queue, number), ImportState.IGNORED, "Wrong name.")
    assert house.shown(number)["message"] == "Wrong name."
    assert house.shown(number)["state"] == "ignored"


async def test_a_decision_by_another_process_is_published(house: House) -> None:
    await end(house, await house.upload(), ImportState.HELD)
    assert house.copy(1) is not None
    await house.queue.discard("acme", 1, by="operator")
    assert house.shown(1)["state"] == "held"
    await house.closing.catch_up()
    assert house.shown(1)["state"] == "discarded"
    assert house.shown(1)["decided_by"] == "operator"
    assert house.copy(1) is None
    assert house.watching.ends[-1] == (1, ImportState.DISCARDED)


async def test_an_approved_import_is_shown_as_queued(house: House) -> None:
    await end(house, await house.upload(), ImportState.HELD)
    await house.queue.approve("acme", 1, by="operator", users=frozenset())
    await house.closing.catch_up()
    assert house.shown(1)["state"] == "queued"
    assert house.copy(1) is not None


@pytest.mark.logs("report_owed")
async def test_a_report_that_cannot_be_written_is_retried_and_delays_no_import(house: House) -> None:
    house.stored.make_folder("acme", "/results/sync_users-1.json")
    await end(house, await house.upload(), ImportState.COMPLETED)
    assert (await found(house.queue, 1)).state is ImportState.COMPLETED
    await end(house, await house.upload(), ImportState.HELD)
    await house.queue.discard("acme", 2, by="operator")
    await house.closing.catch_up()
    assert house.shown(2)["state"] == "discarded"
    assert [entry.id for entry in await house.queue.unpublished()] == [1]
    house.stored.unpublish("acme", "/results/sync_users-1.json")
    await house.closing.catch_up()
    assert house.shown(1)["state"] == "completed"
    assert house.watching.ends.count((1, ImportState.COMPLETED)) == 1


async def test_reports_that_cannot_be_written_delay_no_report_of_another_tenant(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with open_house(tmp_path, "acme", "globex") as house:
        tries = tried(house, monkeypatch)
        house.closing.clock = lambda: NOON + timedelta(seconds=len(tries))  # each takes a second

        async def owed(tenant: str) -> int:
            number = await enqueue(house.queue, tenant)
            entry = await house.queue.claim(tenant, number)
            assert entry
            ended = entry.ended(outcome(ImportState.COMPLETED), NOON)
            assert await house.queue.finish(ended, published=False)
            return number

        for _ in range(100):
            await owed("acme")
        await owed("globex")
        with house.stored.without_results("acme"):
            for _ in range(2):
                await house.closing.catch_up()
        assert [entry.tenant for entry in await house.queue.unpublished()] == ["acme"] * 100
        assert await house.queue.unpublished(without=["acme"]) == []


async def test_the_newest_reports_of_imports_and_of_dry_runs_are_kept(house: House) -> None:
    for each in range(KEPT + 2):
        reject(house, each + 1)
        await end(house, await house.upload(dry_run=each < 2), ImportState.HELD, rejected=1)
    assert house.shown(1)
    assert house.shown(KEPT + 2)
    house.stored.publish("acme", "/results/notes.txt", b"mine")
    await end(house, await house.upload(), ImportState.COMPLETED)
    assert house.shown(3) is None
    assert rejected(house, 3) is None
    assert house.shown(1)
    assert house.shown(4)
    assert house.stored.visible("acme", "/results/notes.txt") == b"mine"


async def test_simultaneous_ends_keep_each_others_reports(house: House) -> None:
    entries = [await found(house.queue, await promise(house.queue)) for _ in range(8)]
    ends = [house.closing.end_upload(entry, ImportState.ABORTED, "Interrupted.") for entry in entries]
    await asyncio.gather(*ends)
    assert [house.shown(entry.id)["state"] for entry in entries] == ["aborted"] * 8


@pytest.mark.parametrize("how", ["finished", "superseded"])
async def test_an_import_that_ends_beside_interrupted_uploads_keeps_its_report(house: House, how: str) -> None:
    for _ in range(8):
        number, newer = await house.upload(), await house.upload()
        broken = [await found(house.queue, await promise(house.queue)) for _ in range(6)]
        ends = [house.closing.end_upload(entry, ImportState.ABORTED, "Interrupted.") for entry in broken]
        if how == "finished":
            running = await house.queue.claim("acme", number)
            assert running
            ends.insert(1, house.closing.finish(running, outcome(ImportState.COMPLETED), 0.5))
        else:
            old, new = await found(house.queue, number), await found(house.queue, newer)
            ends.insert(1, house.closing.supersede(old, new))
        await asyncio.gather(*ends)
        assert house.shown(number)["state"] == ("completed" if how == "finished" else how)


async def test_the_duration_of_an_import_is_only_its_own_time(house: House) -> None:
    await end(house, await house.upload(), ImportState.COMPLETED)
    await house.queue.undo("acme", 1, by="operator")
    await end(house, 1, ImportState.UNDONE)
    await house.closing.end_upload(await found(house.queue, await promise(house.queue)), ImportState.ABORTED, "No.")
    states = [ImportState.COMPLETED, ImportState.UNDONE, ImportState.ABORTED]
    assert [state for _, state in house.watching.ends] == states
    assert house.watching.durations == [0.5, None, None]


async def test_a_decision_does_not_publish_a_report_that_is_too_old(house: House) -> None:
    for _ in range(KEPT + 1):
        await end(house, await house.upload(), ImportState.HELD)
    await house.queue.discard("acme", 1, by="operator")
    await house.closing.catch_up()
    assert house.shown(1) is None
    assert await house.queue.unpublished() == []


async def test_copies_of_dry_runs_are_deleted_at_once_and_of_applied_imports_kept(house: House) -> None:
    await end(house, await house.upload(dry_run=True), ImportState.COMPLETED)
    await end(house, await house.upload(), ImportState.COMPLETED)
    assert house.copy(1) is None
    assert house.copy(2) is not None


async def test_the_copy_of_a_failed_import_is_deleted_after_ten_more_failures(house: House) -> None:
    for _ in range(10):
        await end(house, await house.upload(), ImportState.FAILED)
    assert house.copy(1) is not None
    await end(house, await house.upload(), ImportState.FAILED)
    assert house.copy(1) is None
    assert house.copy(2) is not None


async def test_an_import_of_a_removed_tenant_leaves_no_files(house: House) -> None:
    import_id = await enqueue(house.queue)
    entry = await house.queue.claim("acme", import_id)
    assert entry
    house.stored.remove("acme")
    await house.closing.finish(entry, outcome(ImportState.COMPLETED))
    if chosen_engine() == EMBEDDED:
        assert not house.folder().root.exists()
    assert house.watching.ends == []


async def test_a_tenant_added_again_gets_no_report_of_an_import_that_still_ran(house: House) -> None:
    entry = await house.queue.claim("acme", await enqueue(house.queue))
    assert entry
    house.stored.remove("acme")
    house.stored.add("acme")
    await house.closing.finish(entry, outcome(ImportState.COMPLETED))
    assert house.stored.names("acme", "/results") == []
    assert house.watching.ends == []


@pytest.mark.only_on("sqlite", "no other engine has links")
@pytest.mark.parametrize("place", ["results", "files", "staging"])
async def test_reports_do_not_follow_a_link_in_place_of_a_folder(house: House, tmp_path: Path, place: str) -> None:
    """A restored backup or an operator may leave such a link, whose target is not the tenant's."""
    outside = tmp_path / "outside"
    (outside / "results").mkdir(parents=True)
    theirs = [outside / "sync_users-1.json", outside / "results" / "sync_users-1.json"]
    for file in theirs:
        file.write_text("theirs")
    await house.upload()
    there = getattr(house.folder(), place)
    there.rename(tmp_path / "aside")
    there.symlink_to(outside)
    await end(house, 1, ImportState.COMPLETED, created=3)
    assert (await found(house.queue, 1)).state is ImportState.COMPLETED
    assert [file.read_text() for file in theirs] == ["theirs", "theirs"]
    assert sorted(file.name for file in outside.iterdir()) == ["results", "sync_users-1.json"]
    there.unlink()
    (tmp_path / "aside").rename(there)
    await house.closing.catch_up()
    assert house.shown(1)["state"] == "completed"


@pytest.mark.only_on("sqlite", "no other engine has links")
async def test_a_link_in_results_is_replaced_or_removed_and_never_followed(house: House, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.write_text("theirs")
    reject(house, 1)
    for name in ("sync_users-1.json", "sync_users-1.errors.csv", "sync_users-7.json"):
        (house.folder().results / name).symlink_to(outside)
    await house.upload()
    await end(house, 1, ImportState.COMPLETED_WITH_ERRORS, rejected=1)
    assert outside.read_text() == "theirs"
    assert house.shown(1)["state"] == "completed_with_errors"
    assert rejected(house, 1) == REJECTED
    assert not any(file.is_symlink() for file in house.folder().results.iterdir())
