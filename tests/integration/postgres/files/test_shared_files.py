"""Files in PostgreSQL as sessions use them: several processes, lost connections, and tenants apart."""

from __future__ import annotations

import asyncio
import errno
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

from engine.postgres.files.contents import PostgresContents
from engine.postgres.files.names import FEW_COPIES
from engine.postgres.store import PostgresStore, open_store
from engine.shared.files import CHUNK
from engine.tenants import Tenant
from importer.errors import TryAgain
from importer.folder import TenantFolder
from importer.model import ImportState
from server.files.contracts import TenantLimits
from server.files.shared.files import SharedFiles
from server.files.shared.reaching import TRIES
from server.files.shared.space import MANY_COPIES_AGE_S
from server.files.shared.spool import Spooled
from tests.integration.files.test_names import Player
from tests.integration.postgres.test_database import end_others
from tests.support.clients import POSTGRES, needs
from tests.support.engines import SINCE, add_tenants
from tests.support.file_house import MAKE, TENANT, FileHouse, done, file_house, path
from tests.support.own_postgres import own_postgres
from tests.support.postgres import rows_of
from tests.support.waiting import eventually

pytestmark = needs(POSTGRES)

FILES = ("chunks", "contents", "drafts", "kept_files", "names", "usage")
"""The tables of tenants' files."""

HOOKED = ["/invoices/*.csv"]
AT = "/invoices/march.csv"


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[FileHouse]:
    async with file_house(tmp_path, "postgres", HOOKED) as opened:
        yield opened


def another(house: FileHouse, folder: str = "another") -> FileHouse:
    """Return the files of the same tenant in another process."""
    root = house.root.parent.parent / folder / TENANT
    return FileHouse(house.store, root, lambda house, _: MAKE["postgres"](house, folder), HOOKED)


async def test_a_process_sees_the_files_of_another_at_once(house: FileHouse) -> None:
    other = another(house)
    await house.put("/file", b"123")
    assert (await other.get("/file"), await other.taken()) == (b"123", (3, 1))
    await other.rename("/file", AT)
    assert (await house.get(AT), await house.states()) == (b"123", {1: ImportState.QUEUED})


async def test_the_removal_of_files_whose_many_copies_wait_frees_nothing(house: FileHouse) -> None:
    many = FEW_COPIES + 2
    for number in range(many):
        await house.put(f"/invoices/{number}.csv", b"12")
    assert await house.taken() == (2 * many, many)
    for number in range(many):
        await house.files.remove(path(f"/invoices/{number}.csv"))
    assert await house.taken() == (2 * many, 0)
    await asyncio.sleep(MANY_COPIES_AGE_S)  # they are added up again
    assert await house.taken() == (2 * many, 0)


async def test_processes_that_race_for_the_last_bytes_never_pass_the_quota(house: FileHouse) -> None:
    other = another(house)
    house.limits = other.limits = TenantLimits(quota_bytes=10, quota_files=1)
    first, second = await house.begin(AT), await other.begin("/other")
    for draft in (first, second):
        await done(draft.write(0, b"123456"))
    await other.files.finish(second)
    with pytest.raises(OSError, match="quota exceeded: at most 1 files") as refused:
        await house.files.finish(first)
    assert (house.hook.events, await house.states()) == (["arriving", "failed"], {1: ImportState.ABORTED})
    assert (await house.names("/invoices"), await house.taken()) == ([], (6, 1))
    assert refused.value.errno == errno.EIO
    third = await house.begin("/other")
    await done(third.write(0, b"1234"))
    house.limits = TenantLimits(quota_bytes=3)
    with pytest.raises(OSError, match="quota exceeded: at most 3 bytes"):
        await house.files.finish(third)
    assert await other.get("/other") == b"123456"


async def test_landings_of_two_processes_are_in_the_order_of_their_ids(house: FileHouse) -> None:
    other = another(house)
    uploads = [each.put(AT, f"{at}{each.root}".encode()) for at in range(4) for each in (house, other)]
    ids = [number or 0 for number in await asyncio.gather(*uploads)]
    runs = [await house.runs.require(TENANT, number) for number in sorted(ids)]
    assert [run.sequence for run in runs] == sorted(run.sequence for run in runs)
    assert await house.get(AT) == await house.copy(max(ids))


async def test_a_file_lands_although_a_removed_tenant_of_the_name_had_the_same_copy(house: FileHouse) -> None:
    """The copy was fetched into the scratch folder, where both tenants have the same paths."""
    copy = TenantFolder(house.root).run_copy(1)
    copy.parent.mkdir(parents=True, exist_ok=True)
    copy.write_bytes(b"old")
    assert await house.put(AT, b"123") == 1
    assert (await house.copy(1), await house.states()) == (b"123", {1: ImportState.QUEUED})


async def test_a_content_is_deleted_when_its_reader_has_ended(house: FileHouse) -> None:
    store = house.store
    assert isinstance(store, PostgresStore)
    await house.put("/file", b"1" * 3 * CHUNK)
    reading = await house.files.open(path("/file"))
    assert await done(reading.read(0, 1)) == b"1"
    await house.files.remove(path("/file"))
    assert await PostgresContents(store.database).collect(9) == 0
    assert await done(reading.read(2 * CHUNK, 1)) == b"1"
    assert await PostgresContents(store.database, unneeded_s=0).collect(9) == 1
    with pytest.raises(OSError, match="another session removed or replaced the file; open it again"):
        await done(reading.read(CHUNK, 1))


async def test_a_note_of_an_upload_says_how_much_came(house: FileHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.files.shared.spool.NOTED_EVERY_S", 0)
    draft = await house.begin(AT)
    await done(draft.write(0, b"12345"))
    await house.files.follow_copies()
    await house.restart()
    assert [(upload.path, upload.size) for upload in house.hook.uploads] == [(AT, 5)]
    assert isinstance(draft, Spooled)


async def test_files_of_tenants_are_apart(house: FileHouse) -> None:
    store = house.store
    assert isinstance(store, PostgresStore)
    await add_tenants(store, ("globex",))
    await house.put("/file", b"secret")
    folder = house.root.parent / "globex"
    other = house.all.open("globex", folder)
    other.enter()
    assert [each.name async for each in every(other)] == [b".", b"..", b"invoices", b"results", b"test"]
    for act in (other.remove, other.open, other.stat):
        with pytest.raises(FileNotFoundError):
            await act(path("/file"))
    draft = await other.begin(path("/file"), lambda: TenantLimits(), truncate=True, create=True, exclusive=False)
    await done(draft.write(0, b"theirs"))
    await other.finish(draft)
    assert (await house.get("/file"), await house.taken()) == (b"secret", (6, 1))
    assert house.all.identity(folder) != house.all.identity(house.root)
    assert house.all.identity(folder.with_name("initech")) is None


async def test_no_change_of_files_touches_a_row_of_another_tenant(house: FileHouse) -> None:
    store = house.store
    assert isinstance(store, PostgresStore)
    await add_tenants(store, ("globex",))
    other = house.all.open("globex", house.root.parent / "globex")
    for name in ("/a", "/b", "/test/c"):
        draft = await other.begin(path(name), TenantLimits, truncate=True, create=True, exclusive=False)
        await done(draft.write(0, b"theirs"))
        await other.finish(draft)
    left = await other.begin(path("/sync_users.csv"), TenantLimits, truncate=True, create=True, exclusive=False)
    content = await store.contents().store("globex", left.fd, 0)  # type: ignore[attr-defined]
    await store.kept_files().keep("globex", [("uploads/1.csv", content), ("runs/1.file", content)])
    before = rows_of(store.database.url, "globex", FILES)
    assert all(before.values())
    player = Player(house, seed=5)
    for _ in range(80):
        await player.step()
    assert await house.restart() == 0
    await house.files.follow_copies()
    assert rows_of(store.database.url, "globex", FILES) == before


async def every(files: object) -> AsyncIterator[SimpleNamespace]:
    """Yield the entries of "/"."""
    assert isinstance(files, SharedFiles)
    listed = await files.listing(path("/"))
    while entries := await listed.next(2):
        for each in entries:
            yield SimpleNamespace(name=each.name)


async def test_a_file_lands_once_although_its_connection_is_lost(house: FileHouse) -> None:
    store = house.store
    assert isinstance(store, PostgresStore)
    await house.put(AT, b"old")
    house.hook.landing.clear()
    house.hook.may_land.clear()
    landing = asyncio.create_task(house.put(AT, b"newer"))
    await house.hook.landing.wait()
    await end_others(store.database.url)
    house.hook.may_land.set()
    assert await landing == 2
    assert (await house.get(AT), await house.states()) == (
        b"newer", {1: ImportState.QUEUED, 2: ImportState.QUEUED},
    )  # fmt: skip


async def test_a_file_whose_connection_is_lost_again_and_again_changes_nothing(house: FileHouse) -> None:
    store = house.store
    assert isinstance(store, PostgresStore)
    await house.put(AT, b"old")
    house.hook.may_land.clear()
    landing = asyncio.create_task(house.put(AT, b"newer"))
    for _ in range(TRIES):
        house.hook.landing.clear()
        house.hook.may_land.clear()
        await house.hook.landing.wait()
        await end_others(store.database.url)
        house.hook.may_land.set()
    with pytest.raises(OSError, match="the storage of the server cannot be used now; try again later") as failed:
        await landing
    assert isinstance(failed.value.__cause__, TryAgain)
    assert (await house.get(AT), await house.states()) == (
        b"old", {1: ImportState.QUEUED, 2: ImportState.ABORTED},
    )  # fmt: skip
    assert await house.put(AT, b"newer") == 3


async def test_a_landing_that_goes_no_further_holds_other_processes_for_a_limited_time(
    house: FileHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = another(house)
    for each in (house, other):
        await each.put(AT, b"old")
    monkeypatch.setattr("engine.postgres.database.IDLE_S", 1.0)
    house.hook.landing.clear()
    house.hook.may_land.clear()
    landing = asyncio.create_task(house.put(AT, b"newer"))
    await house.hook.landing.wait()
    await other.put("/file", b"1")
    assert not landing.done()
    house.hook.may_land.set()
    assert await landing == 3  # in a transaction of its own: PostgreSQL had ended the first one
    assert (await other.get(AT), await other.get("/file")) == (b"newer", b"1")
    assert await house.states() == dict.fromkeys((1, 2, 3), ImportState.QUEUED)


@asynccontextmanager
async def lone_house(url: str, folder: Path) -> AsyncIterator[FileHouse]:
    """Yield the files of `acme` in a database that has no tables yet."""
    async with open_store(url, login_wait_s=30) as store:
        await store.tenants().add(Tenant(TENANT, SINCE, 0))
        yield FileHouse(store, folder / TENANT, MAKE["postgres"], HOOKED)


async def test_a_client_is_told_in_a_sentence_that_postgresql_is_away(tmp_path: Path) -> None:
    with own_postgres() as server:
        async with lone_house(server.url, tmp_path) as house:
            await house.put("/file", b"123")
            draft = await house.begin(AT)
            await done(draft.write(0, b"1"))
            server.stop()
            acts: list[Awaitable[object]] = [house.get("/file"), house.put("/x"), house.files.finish(draft)]
            acts += [house.taken(), house.names(), house.rename("/file", "/y"), house.make_folder("/z")]
            said = [str(each) for each in await asyncio.gather(*acts, return_exceptions=True)]
            assert said == ["[Errno 5] the storage of the server cannot be used now; try again later"] * len(acts)
            server.start()

            async def works() -> bool:
                try:
                    return bool(await house.put(AT, b"again"))
                except OSError:
                    return False

            await eventually(works)
            assert await house.taken() == (8, 2)


async def test_files_land_through_pgbouncer(through: str, tmp_path: Path) -> None:
    async with lone_house(through, tmp_path) as house:
        uploads = [house.put(f"/invoices/{number}.csv", b"1" * number * CHUNK) for number in range(5)]
        assert sorted(number or 0 for number in await asyncio.gather(*uploads)) == [1, 2, 3, 4, 5]
        assert (await house.taken())[1] == 5
        assert await house.get("/invoices/3.csv") == b"1" * 3 * CHUNK
