"""A file at a hook's path by each implementation: queued once with its copy, or not at all."""

from __future__ import annotations

import asyncio
import errno

import pytest

from importer.errors import TryAgain
from importer.model import ImportState, Written
from server.files.contracts import TenantLimits
from tests.support.file_house import FileHouse, done, path
from tests.support.waiting import eventually

QUEUED, ABORTED = ImportState.QUEUED, ImportState.ABORTED
AT = "/invoices/march.csv"


async def test_a_finished_upload_is_queued_with_its_copy(house: FileHouse) -> None:
    assert await house.put(AT, b"1,2") == 1
    assert (await house.get(AT), await house.copy(1), await house.states()) == (b"1,2", b"1,2", {1: QUEUED})
    assert (house.hook.events, house.hook.offered) == (["arriving", "landed"], b"1,2")
    upload = house.hook.uploads[-1]
    assert (upload.path, upload.size, upload.written) == (AT, 3, Written(1, 3, 3, foreign=False))
    assert await house.put(AT, b"newer") == 2
    assert (await house.copy(1), await house.copy(2), await house.get(AT)) == (b"1,2", b"newer", b"newer")
    assert await house.taken() == (8, 1)  # the first copy waits, and has no other name


async def test_an_upload_that_the_hook_does_not_want_changes_nothing(house: FileHouse) -> None:
    await house.put(AT, b"old")
    house.hook.unwanted = "It has a virus"
    with pytest.raises(OSError, match="It has a virus"):
        await house.put(AT, b"new")
    house.hook.unwanted = None
    house.hook.refuse = "Too many wait"
    with pytest.raises(OSError, match="Too many wait"):
        await house.put(AT, b"new")
    assert await house.states() == {1: QUEUED, 2: ABORTED}  # recorded by the hook in `arriving`
    assert (await house.get(AT), await house.taken()) == (b"old", (3, 1))
    assert house.metrics.uploads == [("acme", "completed"), ("acme", "refused"), ("acme", "refused")]


@pytest.mark.parametrize(
    ("failure", "said"),
    [(TryAgain("disk_full", "no room"), "no room"), (OSError(errno.EIO, "it broke"), "it broke")],
)
async def test_an_upload_that_cannot_be_queued_changes_nothing(
    house: FileHouse, failure: Exception, said: str
) -> None:
    await house.put(AT, b"old")
    house.hook.fail = failure
    with pytest.raises(OSError, match=said):
        await house.put(AT, b"newer")
    assert (house.hook.events[2:], house.hook.reasons) == (["arriving", "failed"], [said])
    assert await house.states() == {1: QUEUED, 2: ABORTED}
    assert (await house.get(AT), await house.copy(2), await house.taken()) == (b"old", None, (3, 1))


async def test_an_internal_error_while_landing_is_recorded_and_raised(house: FileHouse) -> None:
    house.hook.fail = KeyError("bug")
    with pytest.raises(KeyError):
        await house.put(AT, b"new")
    assert (house.hook.reasons, await house.states()) == (["internal error"], {1: ABORTED})
    assert (await house.names("/invoices"), await house.taken()) == ([], (0, 0))


async def test_an_interrupted_upload_is_reported_once(house: FileHouse) -> None:
    draft = await house.begin(f"{AT}.filepart")
    await done(draft.write(0, b"12345"))
    await house.files.abandon(draft, "the client left")
    assert (house.hook.events, house.hook.reasons) == (["aborted"], ["the client left"])
    assert house.hook.uploads[0].size == 5
    unchanged = await house.begin(AT)
    await house.files.discard(unchanged)
    assert await house.restart() == 0
    assert (house.hook.events, await house.states()) == (["aborted"], {1: ABORTED})


async def test_uploads_that_a_killed_process_left_are_reported(house: FileHouse) -> None:
    for name in (AT, "/elsewhere", "/invoices/moved.csv", "/invoices/removed.csv"):
        await done((await house.begin(name)).write(0, b"12"))
    moved, removed = await house.begin("/plain"), await house.begin("/invoices/x.csv")
    await house.files.move_open(moved, path("/invoices/y.csv"), replace=False)
    await house.files.remove_open(removed)
    landed = await house.put("/invoices/landed.csv")
    del house.hook.events[:], house.hook.uploads[:]
    await house.restart()
    assert house.hook.events == ["aborted"] * 4
    assert {upload.path for upload in house.hook.uploads} == {
        AT, "/invoices/moved.csv", "/invoices/removed.csv", "/invoices/y.csv",
    }  # fmt: skip
    assert (await house.runs.require("acme", landed or 0)).state is QUEUED
    assert await house.names("/invoices") == ["landed.csv"]
    assert await house.restart("third") == 0


async def test_a_client_that_leaves_before_the_decision_lands_nothing(house: FileHouse) -> None:
    house.hook.may_answer.clear()
    draft = await house.begin(AT)
    await done(draft.write(0, b"1"))
    left = asyncio.Event()
    landing = asyncio.create_task(house.files.finish(draft, gone=left.wait))
    await house.hook.asked.wait()
    left.set()
    with pytest.raises(OSError, match="the client left before"):
        await landing
    assert (house.hook.events, await house.names("/invoices")) == (["aborted"], [])


async def test_work_that_follows_a_landing_may_change_files(house: FileHouse) -> None:
    seen: list[object] = []

    async def follow() -> None:
        seen.append(await house.put("/follows", b"1"))
        seen.append(await house.states())

    house.hook.then = follow
    await house.put(AT, b"1")
    assert (seen, await house.get("/follows")) == ([None, {1: QUEUED}], b"1")


async def test_files_land_in_the_order_of_their_ids(house: FileHouse) -> None:
    house.hook.may_land.clear()
    uploads = [asyncio.create_task(house.put(AT, str(at).encode())) for at in range(5)]
    await house.hook.landing.wait()
    house.hook.may_land.set()
    ids = await asyncio.gather(*uploads)
    assert sorted(each or 0 for each in ids) == [1, 2, 3, 4, 5]
    runs = sorted([await house.runs.require("acme", number) for number in range(1, 6)], key=lambda run: run.sequence)
    assert [run.id for run in runs] == [1, 2, 3, 4, 5]
    assert await house.get(AT) == await house.copy(5) == str(ids.index(5)).encode()
    assert await house.taken() == (5, 1)


async def test_a_rename_to_a_hooks_path_lands_the_file(house: FileHouse) -> None:
    await house.put(AT, b"old")
    await house.put("/upload.part", b"newer")
    await house.rename("/upload.part", AT)
    assert (await house.get(AT), await house.copy(2), await house.names()) == (
        b"newer", b"newer", ["invoices", "results", "test"],
    )  # fmt: skip
    assert (house.hook.uploads[-1].origin, house.hook.uploads[-1].written) == (
        "rename",
        Written(1, 5, 5, foreign=False),
    )
    assert (await house.taken(), house.metrics.uploads.count(("acme", "refused"))) == ((8, 1), 0)


async def test_a_rename_that_the_hook_refuses_leaves_both_files(house: FileHouse) -> None:
    await house.put(AT, b"old")
    await house.put("/upload.part", b"newer")
    house.hook.fail = TryAgain("busy", "later")
    with pytest.raises(OSError, match="later"):
        await house.rename("/upload.part", AT, replace=True)
    assert (await house.get(AT), await house.get("/upload.part"), await house.taken()) == (b"old", b"newer", (8, 2))
    assert await house.states() == {1: QUEUED, 2: ABORTED}


async def test_a_file_changed_while_the_hook_decides_is_not_renamed(house: FileHouse) -> None:
    await house.put("/upload.part", b"newer")
    house.hook.may_answer.clear()
    landing = asyncio.create_task(house.rename("/upload.part", AT))
    await house.hook.asked.wait()
    await house.put("/upload.part", b"another")
    house.hook.may_answer.set()
    with pytest.raises(FileNotFoundError, match="another session removed, moved or replaced the file"):
        await landing
    assert (house.hook.events, await house.names("/invoices")) == ([], [])
    assert (await house.get("/upload.part"), await house.taken()) == (b"another", (7, 1))


async def test_a_near_name_is_reported_and_stays(house: FileHouse) -> None:
    await house.put("/Sync_Users.csv", b"1")
    await house.put("/other", b"1")
    await house.rename("/other", "/sync_users (1).csv")
    assert (house.hook.events, house.metrics.uploads.count(("acme", "completed"))) == (["ignored", "ignored"], 2)


async def test_nothing_of_a_removed_tenant_lands(house: FileHouse) -> None:
    draft, plain = await house.begin(AT), await house.begin(AT)
    for each in (draft, plain):
        await done(each.write(0, b"1"))
    house.hook.may_answer.clear()
    landing = asyncio.create_task(house.files.finish(draft))
    await house.hook.asked.wait()
    await house.remove_tenant()
    house.hook.may_answer.set()
    with pytest.raises(OSError, match="your company was removed from this server"):
        await landing
    await house.files.abandon(plain, "the client left")
    assert (house.hook.events, house.files.removed) == ([], True)


async def test_hooks_that_go_and_come_keep_the_quota_true(house: FileHouse) -> None:
    assert await house.taken() == (0, 0)
    house.on = []
    house.files.enter()
    assert (await house.names("/invoices"), await house.taken()) == ([], (0, 1))
    assert await house.put(AT, b"123") is None
    house.on = None
    house.files.enter()
    assert await house.taken() == (3, 1)
    with pytest.raises(PermissionError, match="belongs to a hook"):
        await house.files.remove_folder(path("/invoices"))


async def test_copies_that_wait_count_against_the_quota(house: FileHouse) -> None:
    house.limits = TenantLimits(quota_bytes=10)
    await house.put(AT, b"12345")
    await house.put(AT, b"12")
    assert await house.taken() == (7, 1)
    draft = await house.begin(AT)
    with pytest.raises(OSError, match="including unfinished uploads and 5 bytes of files that are queued"):
        await done(draft.write(0, b"1234"))
    await house.files.abandon(draft, "quota")
    assert await house.states() == {1: QUEUED, 2: QUEUED, 3: ABORTED}


async def test_a_canceled_landing_has_happened_or_not(house: FileHouse) -> None:
    house.hook.may_land.clear()
    landing = asyncio.create_task(house.put(AT, b"1"))
    await house.hook.landing.wait()
    landing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await landing
    house.hook.may_land.set()
    assert await eventually(lambda: house.put("/invoices/next.csv", b"2"))
    assert (await house.get("/invoices/next.csv"), QUEUED in (await house.states()).values()) == (b"2", True)
