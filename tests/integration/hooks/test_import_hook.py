"""An upload becomes an import in the queue, or a record of why it did not."""

from __future__ import annotations

import os
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from importer.model import ImportState, Written
from server.files.hooks import HookRefused, Upload
from server.hooks.import_hook import ImportHook
from tests.support.queues import NOON, House, found, open_house

UPLOAD = Upload("acme", "/sync_users.csv", 8, Written(1, 8, 8, foreign=False), NOON, "close")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, "acme") as built:
        yield built


def hook(house: House, *, dry_run: bool = False) -> ImportHook:
    return ImportHook(house.queue, house.closing, house.folder, dry_run=dry_run)


async def test_an_upload_is_queued_with_all_that_is_known_of_it(house: House) -> None:
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


async def test_the_copy_can_be_linked_in_a_folder_that_is_new(house: House) -> None:
    house.folder().uploads.rmdir()
    arrival = await hook(house).arriving(UPLOAD)
    visible = house.folder().visible(UPLOAD.path)
    visible.touch()
    os.link(visible, arrival.copy)


@pytest.mark.logs("upload_unrecorded")
async def test_a_client_is_told_when_its_import_cannot_be_queued(house: House) -> None:
    await house.queue._db.execute("PRAGMA busy_timeout=1")
    blocker = sqlite3.connect(house.data / "headcount.db", isolation_level=None)
    blocker.execute("BEGIN IMMEDIATE")
    with pytest.raises(HookRefused, match="another process holds the database"):
        await hook(house).arriving(UPLOAD)
    await hook(house).aborted(UPLOAD, "the connection was lost")
    blocker.close()
    with pytest.raises(HookRefused, match="no tenant initech"):
        await hook(house).arriving(Upload("initech", "/sync_users.csv", 1, None, NOON, "close"))


async def test_an_upload_that_broke_off_is_listed_with_what_came(house: House) -> None:
    await hook(house).aborted(UPLOAD, "the connection was lost")
    shown = house.shown(1)
    assert shown["state"] == "aborted"
    assert shown["file"]["size"] == 8
    assert "8 bytes" in shown["message"]
    assert "the connection was lost" in shown["message"]


async def test_an_upload_that_could_not_be_published_is_listed_under_its_number(house: House) -> None:
    arrival = await hook(house).arriving(UPLOAD)
    await hook(house).failed(UPLOAD, arrival, "the disk is full")
    assert (await found(house.queue, arrival.id)).state is ImportState.ABORTED
    assert "the disk is full" in house.shown(arrival.id)["message"]


@pytest.mark.logs("import_ended")
async def test_a_near_name_is_listed_with_the_reason(house: House) -> None:
    near = Upload("acme", "/Sync_Users.csv", 8, None, NOON, "close")
    await hook(house).ignored(near, "/Sync_Users.csv starts no import")
    assert house.shown(1)["state"] == "ignored"
    assert house.shown(1)["file"]["name"] == "Sync_Users.csv"
    assert house.shown(1)["message"] == "/Sync_Users.csv starts no import"
