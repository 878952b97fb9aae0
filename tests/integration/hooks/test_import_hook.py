"""An upload becomes an import in the queue, or a record with the reason why not."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ground.afterwards import Act, do_all, putting_off
from ground.moments import rfc3339, utc_now
from importer.errors import TryAgain
from importer.model import ImportState, Written
from importer.worker.attempt import Starter
from importer.worker.turns import Turns
from server.files.hooks import HookRefused, Upload
from server.hooks.admission import Admission
from server.hooks.import_hook import ImportHook
from server.tenants.settings import TenantSettings
from tests.support.importing import people
from tests.support.installation import installation
from tests.support.queues import NOON, House, found, open_house, promise

STAFF = people("ann")
UPLOAD = Upload("acme", "/sync_users.csv", 8, Written(1, 8, 8, foreign=False), NOON, "close")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, "acme") as built:
        yield built


class Chosen:
    """The settings of a tenant, or the error of reading them."""

    def __init__(self, **chosen: Any) -> None:
        self.settings = TenantSettings(**chosen)
        self.error: Exception | None = None

    async def of(self, tenant: str) -> TenantSettings:
        if self.error:
            raise self.error
        return self.settings


def hook(house: House, chosen: Chosen | None = None, *, dry_run: bool = False) -> ImportHook:
    settings_of = (chosen or Chosen()).of
    starter = Starter(house.folder, house.users, settings_of, utc_now, house.queue.checksums, archive=house.archive)
    admission = Admission(house.queue, Turns(house.queue, house.closing, starter), settings_of)
    return ImportHook(house.queue, house.closing, house.folder, admission, dry_run=dry_run)


async def land(house: House, chosen: Chosen, content: bytes = STAFF, *, dry_run: bool = False) -> int:
    """Land a file as an upload does; return the id of its import."""
    hooked = hook(house, chosen, dry_run=dry_run)
    upload = replace(UPLOAD, path="/test/sync_users.csv") if dry_run else UPLOAD
    arrival = await hooked.arriving(upload)
    house.put(arrival.id, content.decode(), dry_run=dry_run)
    await hooked.landed(upload, arrival)
    return arrival.id


async def states(house: House) -> str:
    """Return the states of all imports, oldest first."""
    return " ".join(entry.state for entry in reversed(await house.queue.page("acme")))


async def test_an_upload_is_queued_with_all_its_facts(house: House) -> None:
    arrival = await hook(house).arriving(UPLOAD)
    assert arrival.copy == house.folder().copy(1)
    assert (await found(house.queue, 1)).state is ImportState.ARRIVING
    await hook(house).landed(UPLOAD, arrival)
    entry = await found(house.queue, 1)
    assert entry.state is ImportState.QUEUED
    assert (entry.path, entry.written, entry.dry_run, entry.file.size) == (
        "/sync_users.csv",
        UPLOAD.written,
        False,
        8,
    )
    assert house.queue.changed.is_set()


async def test_the_hook_in_test_queues_dry_runs(house: House) -> None:
    arrival = await hook(house, dry_run=True).arriving(UPLOAD)
    assert (await found(house.queue, arrival.id)).dry_run


@pytest.mark.only_on("sqlite", "no other engine has links")
async def test_the_copy_can_be_linked_in_a_folder_that_is_new(house: House) -> None:
    house.folder().uploads.rmdir()
    arrival = await hook(house).arriving(UPLOAD)
    visible = house.folder().visible(UPLOAD.path)
    visible.touch()
    os.link(visible, arrival.copy)


@pytest.mark.logs("upload_unrecorded")
async def test_a_client_gets_an_error_when_its_import_cannot_be_queued(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    installation(tmp_path).impatient(monkeypatch, 0.1)
    async with open_house(tmp_path, "acme") as house:
        with house.stored.holding_writes():
            with pytest.raises(HookRefused, match=r"cannot be queued now: .*\. Send the file again later"):
                await hook(house).arriving(UPLOAD)
            await hook(house).aborted(UPLOAD, "the connection was lost")
    async with open_house(tmp_path) as house:
        assert await house.queue.page("acme") == []


async def test_an_upload_of_a_tenant_that_no_longer_exists_gets_an_error(house: House) -> None:
    with pytest.raises(HookRefused, match="the tenant initech no longer exists"):
        await hook(house).arriving(Upload("initech", "/sync_users.csv", 1, None, NOON, "close"))


async def test_an_interrupted_upload_is_listed_with_the_number_of_bytes(house: House) -> None:
    await hook(house).aborted(UPLOAD, "the connection was lost")
    shown = house.shown(1)
    assert shown["state"] == "aborted"
    assert shown["file"]["size"] == 8
    assert shown["message"] == (
        "The upload was interrupted after 8 bytes (the connection was lost); nothing was imported. Send it again."
    )


async def test_an_upload_that_cannot_be_published_is_listed_under_its_id(house: House) -> None:
    arrival = await hook(house).arriving(UPLOAD)
    await hook(house).failed(UPLOAD, arrival, "the disk is full")
    assert (await found(house.queue, arrival.id)).state is ImportState.ABORTED
    assert "the disk is full" in house.shown(arrival.id)["message"]


async def test_an_upload_that_fails_in_a_transaction_ends_only_after_it(house: House) -> None:
    """The end of another import may wait for the transaction, and this end for that one."""
    after: list[Act] = []
    with putting_off(after):
        arrival = await hook(house).arriving(UPLOAD)
        await hook(house).failed(UPLOAD, arrival, "the disk is full")
        assert (await found(house.queue, arrival.id)).state is ImportState.ARRIVING
    await do_all(after)
    assert (await found(house.queue, arrival.id)).state is ImportState.ABORTED


@pytest.mark.logs("import_ended")
async def test_the_hook_lists_an_upload_under_a_similar_name(house: House) -> None:
    near = Upload("acme", "/Sync_Users.csv", 8, None, NOON, "close")
    await hook(house).ignored(near, "/Sync_Users.csv starts no import")
    assert house.shown(1)["state"] == "ignored"
    assert house.shown(1)["file"]["name"] == "Sync_Users.csv"
    assert house.shown(1)["message"] == "/Sync_Users.csv starts no import"


async def test_a_file_is_refused_and_listed_while_too_many_imports_wait(house: House) -> None:
    chosen = Chosen(max_waiting_imports=2)
    await land(house, chosen)
    await land(house, chosen, dry_run=True)
    for dry_run in (False, True):
        with pytest.raises(HookRefused, match=r"2 imports wait already, and the limit is 2 .*\. Send the file again"):
            await land(house, chosen, dry_run=dry_run)
    assert await states(house) == "queued queued aborted aborted"
    assert house.shown(3)["message"].startswith("The file was refused: 2 imports wait already")
    assert house.copy(3) is None
    await house.queue.claim("acme", 1)  # a running import does not wait
    await land(house, chosen)
    assert await states(house) == "running queued aborted aborted queued"


async def test_an_upload_refused_in_a_transaction_ends_only_after_it(house: House) -> None:
    after: list[Act] = []
    chosen = Chosen(max_waiting_imports=1)
    await land(house, chosen)
    with putting_off(after):
        with pytest.raises(HookRefused):
            await hook(house, chosen).arriving(UPLOAD)
        assert await states(house) == "queued"  # no list shows one that arrives
    await do_all(after)
    assert await states(house) == "queued aborted"


async def test_a_dry_run_is_accepted_while_too_many_imports_wait_for_the_end_of_a_pause(house: House) -> None:
    chosen = Chosen(max_waiting_imports=1, paused_until=rfc3339(utc_now() + timedelta(days=1)))
    await land(house, chosen)
    with pytest.raises(HookRefused):
        await land(house, chosen)
    await land(house, chosen, dry_run=True)
    assert await states(house) == "queued aborted queued"


async def test_records_that_a_failure_left_do_not_count_as_waiting(house: House) -> None:
    for _ in range(3):
        await promise(house.queue)  # only the next start ends these
    await land(house, Chosen(max_waiting_imports=1))


async def test_a_newer_list_supersedes_waiting_lists_while_an_import_runs(house: House) -> None:
    chosen = Chosen(deactivate_missing=True, max_waiting_imports=1)
    running = await land(house, chosen)
    await house.queue.claim("acme", running)
    old = await land(house, chosen)
    new = await land(house, chosen)
    assert await states(house) == "running superseded queued"
    assert f"import {new}" in house.shown(old)["message"]
    assert [house.copy(number) is not None for number in (running, old, new)] == [True, False, True]


async def test_a_correction_file_and_a_dry_run_supersede_no_waiting_list(house: House) -> None:
    chosen = Chosen(deactivate_missing=True)
    await land(house, chosen)
    await land(house, chosen, people("ann", _code="x"))
    await land(house, chosen, dry_run=True)
    assert await states(house) == "queued queued queued"
    await land(house, chosen, dry_run=True)
    await land(house, chosen)
    assert await states(house) == "superseded queued superseded queued queued"


async def test_corrections_are_refused_too_while_too_many_imports_wait(house: House) -> None:
    chosen = Chosen(deactivate_missing=True, max_waiting_imports=2)
    await land(house, chosen)
    for _ in range(2):
        await land(house, chosen, people("ann", _code="x"))
    with pytest.raises(HookRefused):
        await land(house, chosen, people("ann", _code="x"))
    assert await states(house) == "queued queued queued aborted"


async def test_lists_of_changes_all_wait(house: House) -> None:
    for _ in range(3):
        await land(house, Chosen())
    assert await states(house) == "queued queued queued"


@pytest.mark.parametrize("error", [TryAgain("disk_full", "the disk is full"), OSError("gone"), TypeError("ours")])
async def test_unreadable_settings_refuse_no_file(house: House, error: Exception) -> None:
    chosen = Chosen(deactivate_missing=True, max_waiting_imports=1)
    await land(house, chosen)
    hooked = hook(house, chosen)
    arrival = await hooked.arriving(UPLOAD)
    chosen.error = error
    await hooked.landed(UPLOAD, arrival)
    if not isinstance(error, TypeError):
        await land(house, chosen)
    assert set((await states(house)).split()) == {"queued"}
