"""Files that landed at once come to the disk several at a time, in their order; until then their bytes are stored."""

from __future__ import annotations

import asyncio
import errno
import os
import resource
import threading
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import pytest

from engine.landing import Landing
from engine.sqlite.server import keeping
from engine.sqlite.store import store_file
from ground.moments import utc_now
from importer.errors import TryAgain
from importer.model import ImportState
from server.files.local.at_once import AtOnce
from tests.support.accepting import AT, NEW, OLD, AcceptingHouse
from tests.support.disk import DiskLog
from tests.support.sftp import sftp_house
from tests.support.waiting import eventually
from tests.support.writing import being_read

pytestmark = pytest.mark.only_on("sqlite", "its rows and files are in two places")

OTHER = "invoices/april.csv"
QUEUED = ImportState.QUEUED


@pytest.fixture
async def scene(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[AcceptingHouse]:
    """Files stay in the database until a test wants them on the disk."""
    monkeypatch.setattr(keeping, "LATER_S", 3600)
    scene = AcceptingHouse("/invoices/*")
    async with sftp_house(tmp_path, hooked=scene.hooked) as scene.house:
        yield scene


async def test_files_come_to_the_disk_soon_after_their_ok(
    scene: AcceptingHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "LATER_S", 0.001)
    async with scene.house.client() as sftp:
        await scene.put(sftp, NEW)
        await eventually(lambda: scene.landed_files() == [], what="the bytes to be deleted")


async def test_files_come_to_the_disk_while_all_threads_of_other_work_are_busy(scene: AcceptingHouse) -> None:
    may_go_on, loop = threading.Event(), asyncio.get_running_loop()
    async with scene.house.client() as sftp:
        await scene.put(sftp, NEW)
        others = [loop.run_in_executor(None, may_go_on.wait) for _ in range(64)]
        keeping_them = asyncio.create_task(scene.kept())
        try:
            await asyncio.wait([keeping_them], timeout=20)
            assert scene.landed_files() == []
        finally:
            may_go_on.set()
            await asyncio.gather(*others, keeping_them)


async def test_a_folder_is_flushed_once_for_several_files(
    scene: AcceptingHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with scene.house.client() as sftp:
        await scene.put(sftp, OLD)
        await scene.put(sftp, NEW, OTHER)
        disk = DiskLog(monkeypatch)
        await scene.kept()
        folders = {"folder": scene.house.files / "invoices", "copies": scene.house.folder.runs}
        steps = disk.of(march=scene.house.files / AT, april=scene.house.files / OTHER, **folders)
    assert steps == ["fsync march", "fsync folder", "fsync copies", "fsync april"]


async def test_files_in_one_folder_need_one_descriptor_of_it_until_they_are_on_disk(scene: AcceptingHouse) -> None:
    folders = [scene.house.files / "invoices", scene.house.folder.runs]
    async with scene.house.client() as sftp:
        before = open_now(*folders)
        for number in range(3):
            await scene.put(sftp, NEW, f"invoices/{number}")
        assert open_now(*folders) == before + 2
        await scene.kept()
        assert open_now(*folders) == before


def open_now(*paths: Path) -> int:
    """Return how many descriptors of this process are open on these paths."""
    found = 0
    for each in os.listdir("/proc/self/fd"):
        with suppress(FileNotFoundError):  # that of the listing
            found += Path(os.readlink(f"/proc/self/fd/{each}")) in paths
    return found


@pytest.mark.parametrize("many", ["MANY", "MANY_BYTES"])
async def test_many_files_come_to_the_disk_before_their_time(
    scene: AcceptingHouse, monkeypatch: pytest.MonkeyPatch, many: str
) -> None:
    monkeypatch.setattr(keeping, many, 3 if many == "MANY" else 3 * len(NEW))
    async with scene.house.client() as sftp:
        for number in range(1, 3):
            await scene.put(sftp, NEW, f"invoices/{number}")
        assert len(scene.landed_files()) == 2
        await scene.put(sftp, NEW, "invoices/3")
        await eventually(lambda: scene.landed_files() == [], what="the bytes to be deleted")


async def test_few_files_wait_if_the_process_may_have_few_descriptors(scene: AcceptingHouse) -> None:
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (4 * keeping.SHARE, before[1]))
    try:
        async with scene.house.client() as sftp:
            await scene.put(sftp, OLD)
            await scene.put(sftp, NEW, OTHER)
            await eventually(lambda: scene.landed_files() == [], what="the bytes to be deleted")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, before)


async def test_files_that_land_during_a_flush_come_to_the_disk_after_it(
    scene: AcceptingHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "LATER_S", 0.001)
    first, second, begun, may_go_on = Placed(), Placed(), threading.Event(), threading.Event()

    def wait(folders: set[tuple[int, int]]) -> None:
        begun.set()
        assert may_go_on.wait(30)

    monkeypatch.setattr(first, "keep", wait)
    try:
        await scene.store.land(landing(scene, first))
        await eventually(begun.is_set, what="the flush to begin")
        await scene.store.land(landing(scene, second))
    finally:
        may_go_on.set()
    await eventually(lambda: scene.landed_files() == [], what="the bytes of both to be deleted")


@pytest.mark.parametrize("how", ["removed", "renamed"])
async def test_a_change_of_a_name_waits_until_no_bytes_are_stored(scene: AcceptingHouse, how: str) -> None:
    async with scene.house.client() as sftp:
        await scene.put(sftp, OLD, OTHER)
        await scene.put(sftp, NEW)
        assert scene.landed_files() == [(1, OLD), (2, NEW)]
        await (sftp.remove(OTHER) if how == "removed" else sftp.rename(OTHER, "away"))
        assert (scene.landed_files(), scene.house.at(OTHER)) == ([], None)


async def test_a_removal_waits_for_a_file_whose_hook_was_off_when_another_landed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "LATER_S", 3600)
    scene = AcceptingHouse("/invoices/*", "/bills/*")
    async with sftp_house(tmp_path, hooked=scene.hooked) as scene.house, scene.house.client() as sftp:
        await scene.put(sftp, OLD)
        scene.house.on = ["hook_1"]
        await scene.put(sftp, NEW, "bills/march.csv")
        assert scene.landed_files() == [(1, OLD), (2, NEW)]
        await sftp.remove(AT)
        assert scene.landed_files() == []


async def test_a_file_that_fails_does_not_let_a_reader_of_the_database_hold_up_others(scene: AcceptingHouse) -> None:
    scene.house.stored.add("globex")
    failing, of_another = Placed(), Placed()
    failing.failure = OSError(errno.EIO, "it broke")
    await scene.store.land(landing(scene, failing))
    await scene.kept()
    with being_read(store_file(scene.house.folder.root.parent.parent), "SELECT count(*) FROM runs"):
        other = await scene.store.land(landing(scene, of_another, "globex"))
        await other.stored()
    assert (other.stored.done, scene.landed_files()) == (True, [(1, NEW)])
    failing.failure = None


class Placed:
    """The placing of a file that fails to come to the disk as long as `failure` is set."""

    def __init__(self) -> None:
        self.failure: OSError | None = None

    def content(self) -> tuple[bytes, int]:
        return NEW, 7

    def copy(self, path: Path) -> None: ...

    def show(self) -> None: ...

    def begin_keep(self) -> None: ...

    def keep(self, folders: set[tuple[int, int]]) -> None:
        if self.failure is not None:
            raise self.failure

    def undo(self) -> None: ...


def landing(scene: AcceptingHouse, placing: Placed, tenant: str = "acme") -> Landing:
    facts = ("invoices", "/invoices/march.csv", 5, utc_now())
    return Landing(tenant, *facts, placing, scene.house.folder.run_copy)


async def test_bytes_stay_while_an_earlier_file_of_their_tenant_fails(scene: AcceptingHouse) -> None:
    scene.house.stored.add("globex")
    first, second, of_another = Placed(), Placed(), Placed()
    await scene.store.land(landing(scene, first))
    made = await scene.store.land(landing(scene, second))
    other = await scene.store.land(landing(scene, of_another, "globex"))
    first.failure = OSError(errno.EIO, "it broke")
    with pytest.raises(OSError, match="it broke"):
        await made.stored()
    assert (made.stored.done, other.stored.done) == (False, True)
    assert scene.landed_files() == [(1, NEW), (2, NEW)]
    with pytest.raises(TryAgain, match="the disk could not be read or written"):
        await scene.store.land(landing(scene, Placed()))
    first.failure = None
    await scene.store.land(landing(scene, Placed()))
    assert (made.stored.done, scene.landed_files()) == (True, [(3, NEW)])


async def test_the_end_of_a_file_leaves_the_bytes_of_a_later_tenant_of_its_name(
    scene: AcceptingHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene.house.stored.add("globex")
    first, begun, may_go_on = Placed(), threading.Event(), threading.Event()

    def wait(folders: set[tuple[int, int]]) -> None:
        begun.set()
        assert may_go_on.wait(30)

    monkeypatch.setattr(first, "keep", wait)
    await scene.store.land(landing(scene, first, "globex"))
    ending = asyncio.create_task(scene.kept())
    try:
        await eventually(begun.is_set, what="the flush to begin")
        scene.house.stored.remove("globex")
        scene.house.stored.add("globex")
        await scene.store.land(landing(scene, Placed(), "globex"))
    finally:
        may_go_on.set()
    await ending
    assert scene.landed_files() == [(1, NEW)]


@pytest.mark.parametrize("most", ["MOST", "MOST_BYTES"])
async def test_the_database_has_the_bytes_of_a_few_files_only(
    scene: AcceptingHouse, monkeypatch: pytest.MonkeyPatch, most: str
) -> None:
    monkeypatch.setattr(keeping, most, 2 if most == "MOST" else 2 * len(NEW))
    async with scene.house.client() as sftp:
        for number in range(1, 6):
            await scene.put(sftp, NEW, f"invoices/{number}")
            assert len(scene.landed_files()) == (2 - number % 2)
        assert await scene.states() == [QUEUED] * 5


async def test_the_database_has_few_files_though_many_tenants_send_at_once(
    scene: AcceptingHouse, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(keeping, "MOST", 2)
    tenants, had = [f"tenant-{number}" for number in range(4 * keeping.AT_A_TIME)], list[int]()
    for each in tenants:
        scene.house.stored.add(each)

    def noted(placing: Placed) -> None:
        had.append(len(scene.landed_files()))

    monkeypatch.setattr(Placed, "show", noted)
    await asyncio.gather(*(scene.store.land(landing(scene, Placed(), each)) for each in tenants))
    assert len(had) == len(tenants)
    assert max(had) < 2 + keeping.AT_A_TIME


async def test_a_stop_brings_all_files_to_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(keeping, "LATER_S", 3600)
    scene = AcceptingHouse("/invoices/*")
    async with sftp_house(tmp_path, hooked=scene.hooked) as scene.house, scene.house.client() as sftp:
        await scene.put(sftp, NEW)
        assert scene.landed_files() == [(1, NEW)]
    assert scene.landed_files() == []


async def test_no_bytes_of_a_file_remain_in_the_database(tmp_path: Path) -> None:
    short, long = os.urandom(16), os.urandom(100_000)
    scene = AcceptingHouse("/invoices/*")
    async with sftp_house(tmp_path, hooked=scene.hooked) as scene.house, scene.house.client() as sftp:
        await scene.put(sftp, short)
        await scene.put(sftp, long, OTHER)
        await scene.kept()
    data = scene.house.folder.root.parent.parent
    kept = b"".join(file.read_bytes() for file in data.glob("headcount.db*"))
    assert not any(part in kept for part in (short, long[:16], long[50_000:50_016], long[-16:]))


async def test_an_ended_run_gets_no_copy_again(scene: AcceptingHouse, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object) -> None:
        raise OSError(errno.EIO, "it broke")

    monkeypatch.setattr(AtOnce, "keep", fail)
    async with scene.house.client() as sftp:
        await scene.put(sftp, NEW)
    run = await scene.store.claim("acme", 1, sha256=None)
    assert run is not None
    await scene.store.finish(replace(run, state=ImportState.COMPLETED), published=False)
    scene.house.folder.run_copy(1).unlink()
    os.unlink(scene.house.files / AT)
    assert await scene.after_a_start() == [ImportState.COMPLETED]
    assert (scene.house.at(AT), scene.copy(1), scene.landed_files()) == (NEW, None, [])
