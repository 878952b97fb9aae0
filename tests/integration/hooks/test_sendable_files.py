"""The file of a test is kept for a while to be sent, and then deleted."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from engine.store import Store
from importer.model import FileFacts, ImportState
from importer.queue.entry import Entry
from importer.requests import DryRunRequest
from server.hooks.sendable_files import SendableFiles
from tests.support.installation import Installation, installation
from tests.support.waiting import eventually

HOUR = 3600.0


class House:
    """Two tenants with copies of files."""

    def __init__(self, stored: Installation, store: Store) -> None:
        self.stored = stored
        self._archive = stored.archive(store)

    def sendable(self, kept_s: float = HOUR) -> SendableFiles:
        return SendableFiles(self.stored.folder, kept_s, self._archive)

    def ended(self, number: int, tenant: str = "acme", state: ImportState = ImportState.COMPLETED) -> Entry:
        """Return the test of a file that has ended, with its copy."""
        self.stored.keep_copy(tenant, number, b"x")
        facts = FileFacts("march.csv", 1)
        return Entry(
            tenant, number, state, True, number, "/test/march.csv", facts, "2026", trial=DryRunRequest("Ann")
        )

    def copies(self) -> list[str]:
        """Return the copies of both tenants."""
        tenants = ("acme", "globex")
        return sorted(f"{each}/{copy}" for each in tenants for copy in self.stored.kept_names(each, "uploads"))


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    stored = installation(tmp_path)
    async with stored.store("acme", "globex") as store:
        yield House(stored, store)


async def test_the_newest_tested_file_of_each_tenant_is_kept(house: House) -> None:
    kept = house.sendable()
    assert await kept.keep(house.ended(1))
    assert await kept.keep(house.ended(1, "globex"))
    assert await kept.keep(house.ended(2))
    await eventually(lambda: house.copies() == ["acme/2.csv", "globex/1.csv"])
    kept.drop("acme")
    kept.drop("acme")
    await eventually(lambda: house.copies() == ["globex/1.csv"])


async def test_a_tested_file_is_deleted_after_its_time(house: House) -> None:
    kept = house.sendable(0.05)
    assert await kept.keep(house.ended(1))
    await eventually(lambda: house.copies() == [])


async def test_a_file_whose_test_failed_is_kept_too(house: House) -> None:
    kept = house.sendable()
    assert await kept.keep(house.ended(1, state=ImportState.FAILED))


async def test_a_stop_deletes_every_tested_file(house: House) -> None:
    kept = house.sendable()
    assert await kept.keep(house.ended(1))
    assert await kept.keep(house.ended(1, "globex"))
    house.ended(2)
    await kept.close()
    assert house.copies() == ["acme/2.csv"]
    await kept.close()


async def test_no_other_file_is_kept(house: House) -> None:
    kept = house.sendable()
    test = house.ended(1)
    for each in (
        replace(test, state=ImportState.ABORTED),
        replace(test, trial=None),
        replace(test, trial=None, dry_run=False),
        replace(test, trial=DryRunRequest("Ann", {"blank_cells": "keep"}, 7)),
    ):
        assert not await kept.keep(each)
    await asyncio.to_thread(lambda: None)
    assert house.copies() == ["acme/1.csv"]  # its caller deletes it


async def test_a_file_of_a_tenant_that_was_added_again_is_not_deleted(house: House) -> None:
    kept = house.sendable()
    assert await kept.keep(house.ended(1))
    house.stored.remove("acme")
    house.stored.add("acme")
    house.ended(1)
    assert await kept.keep(house.ended(1, "globex"))
    for tenant in ("acme", "globex"):
        kept.drop(tenant)
    await eventually(lambda: house.copies() == ["acme/1.csv"])


async def test_a_copy_that_is_gone_is_not_kept(house: House) -> None:
    kept = house.sendable()
    test = house.ended(1)
    house.stored.drop("acme", "uploads/1.csv")
    assert not await kept.keep(test)
