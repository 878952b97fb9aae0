"""The hooks of `sync_users.csv` on each implementation of files: an import is queued with its file, or neither is."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from ground.moments import utc_now
from importer.model import ImportState
from importer.worker.attempt import Starter
from importer.worker.turns import Turns
from server.files.contracts import TenantLimits
from server.files.files import Files
from server.files.hooks import all_on
from server.hooks.admission import Admission
from server.hooks.table import hook_table
from server.tenants.settings import TenantSettings
from tests.support.engines import ENGINES, each_of
from tests.support.file_house import MAKE, done, path
from tests.support.importing import people
from tests.support.queues import House, found, open_house
from tests.support.sftp import Counted

STAFF = people("ann")
AT = "/sync_users.csv"


class Site:
    """The files of `acme` with the real hooks of imports."""

    def __init__(self, house: House, engine: str) -> None:
        self.house = house
        self.settings = TenantSettings(max_waiting_imports=2, deactivate_missing=False)
        starter = Starter(house.folder, house.users, self._settings_of, utc_now, house.queue.checksums)
        admission = Admission(house.queue, Turns(house.queue, house.closing, starter), self._settings_of)
        table = hook_table(house.queue, house.closing, house.folder, admission, (), all_on)
        facts = {"table": table, "metrics": Counted(), "store": house.store, "folder": house.folder()}
        around = SimpleNamespace(**facts, hook=SimpleNamespace(waiting=[]))
        self.files: Files = MAKE[engine](cast(Any, around), "first").open("acme", house.folder().root)
        self.files.enter()

    async def _settings_of(self, tenant: str) -> TenantSettings:
        return self.settings

    async def put(self, name: str, data: bytes = STAFF) -> int | None:
        draft = await self.files.begin(path(name), TenantLimits, truncate=True, create=True, exclusive=False)
        await done(draft.write(0, data))
        return await self.files.finish(draft)

    async def size(self, name: str = AT) -> int:
        return (await self.files.stat(path(name))).st_size


@pytest.fixture(params=each_of(ENGINES))
async def site(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Site]:
    async with open_house(tmp_path, "acme", engine=ENGINES[request.param](tmp_path)) as house:
        yield Site(house, request.param)


@pytest.mark.logs("import_queued")
async def test_an_import_is_queued_and_its_worker_wakes(site: Site) -> None:
    queue = site.house.queue
    assert not queue.changed.is_set()
    assert await site.put(AT) == 1
    entry = await found(queue, 1)
    assert (entry.state, entry.file.size, queue.changed.is_set()) == (ImportState.QUEUED, len(STAFF), True)
    assert await site.put("/test/sync_users.csv") == 2
    assert (await found(queue, 2)).dry_run


async def test_a_file_too_many_is_refused_and_listed(site: Site) -> None:
    for number in (1, 2):
        assert await site.put(AT, STAFF * number) == number
    with pytest.raises(OSError, match="the file was refused: 2 imports wait already"):
        await site.put(AT, STAFF * 3)
    entry = await found(site.house.queue, 3)
    assert (entry.state, await site.size()) == (ImportState.ABORTED, 2 * len(STAFF))
    assert (entry.message or "").startswith("The file was refused: 2 imports wait already")


@pytest.mark.logs("checksum_landed")
async def test_a_checksum_lands_and_makes_no_import(site: Site) -> None:
    line = f"{hashlib.sha256(STAFF).hexdigest()}  sync_users.csv\n".encode()
    assert await site.put("/sync_users.csv.sha256", line) == 0
    assert await site.size("/sync_users.csv.sha256") == len(line)
    assert await site.house.queue.page("acme") == []
    with pytest.raises(OSError, match=r"."):
        await site.put("/sync_users.csv.sha256", b"no checksum")
    (listed,) = await site.house.queue.page("acme")
    assert (listed.state, await site.size("/sync_users.csv.sha256")) == (ImportState.ABORTED, len(line))


async def test_files_that_land_at_once_are_queued_in_order(site: Site) -> None:
    site.settings = TenantSettings(max_waiting_imports=9, deactivate_missing=False)
    ids = await asyncio.gather(*(site.put(AT, STAFF * (1 + at)) for at in range(4)))
    assert sorted(each or 0 for each in ids) == [1, 2, 3, 4]
    queued = await site.house.queue.queued("acme")
    assert [each.id for each in queued] == [1, 2, 3, 4]
    assert await site.size() == (await found(site.house.queue, 4)).file.size
