"""The file of a test is kept for a while to be sent, and then deleted."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path

import pytest

from importer.folder import TenantFolder
from importer.model import FileFacts, ImportState
from importer.queue.entry import Entry
from importer.requests import DryRunRequest
from server.hooks.sendable_files import SendableFiles
from tests.support.waiting import eventually

HOUR = 3600.0


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for tenant in ("acme", "globex"):
        TenantFolder(tmp_path / tenant).uploads.mkdir(parents=True)
    return tmp_path


def ended(root: Path, number: int, tenant: str = "acme", state: ImportState = ImportState.COMPLETED) -> Entry:
    """Return the test of a file that has ended, with its copy on disk."""
    TenantFolder(root / tenant).copy(number).write_text("x")
    facts = FileFacts("march.csv", 1)
    return Entry(tenant, number, state, True, number, "/test/march.csv", facts, "2026", trial=DryRunRequest("Ann"))


def copies(root: Path) -> list[str]:
    return sorted(str(file.relative_to(root)) for file in root.rglob("*.csv"))


async def test_the_newest_tested_file_of_each_tenant_is_kept(root: Path) -> None:
    kept = SendableFiles(lambda name: TenantFolder(root / name), HOUR)
    assert await kept.keep(ended(root, 1))
    assert await kept.keep(ended(root, 1, "globex"))
    assert await kept.keep(ended(root, 2))
    await eventually(lambda: copies(root) == ["acme/uploads/2.csv", "globex/uploads/1.csv"])
    kept.drop("acme")
    kept.drop("acme")
    await eventually(lambda: copies(root) == ["globex/uploads/1.csv"])


async def test_a_tested_file_is_deleted_after_its_time(root: Path) -> None:
    kept = SendableFiles(lambda name: TenantFolder(root / name), 0.05)
    assert await kept.keep(ended(root, 1))
    await eventually(lambda: copies(root) == [])


async def test_a_file_whose_test_failed_is_kept_too(root: Path) -> None:
    kept = SendableFiles(lambda name: TenantFolder(root / name), HOUR)
    assert await kept.keep(ended(root, 1, state=ImportState.FAILED))


async def test_a_stop_deletes_every_tested_file(root: Path) -> None:
    kept = SendableFiles(lambda name: TenantFolder(root / name), HOUR)
    assert await kept.keep(ended(root, 1))
    assert await kept.keep(ended(root, 1, "globex"))
    ended(root, 2)
    await kept.close()
    assert copies(root) == ["acme/uploads/2.csv"]
    await kept.close()


async def test_no_other_file_is_kept(root: Path) -> None:
    kept = SendableFiles(lambda name: TenantFolder(root / name), HOUR)
    test = ended(root, 1)
    for each in (
        replace(test, state=ImportState.ABORTED),
        replace(test, trial=None),
        replace(test, trial=None, dry_run=False),
        replace(test, trial=DryRunRequest("Ann", {"blank_cells": "keep"}, 7)),
    ):
        assert not await kept.keep(each)
    await asyncio.to_thread(lambda: None)
    assert copies(root) == ["acme/uploads/1.csv"]  # its caller deletes it


async def test_a_file_of_a_tenant_that_was_added_again_is_not_deleted(root: Path) -> None:
    kept = SendableFiles(lambda name: TenantFolder(root / name), HOUR)
    assert await kept.keep(ended(root, 1))
    (root / "acme").rename(root / "removed")
    TenantFolder(root / "acme").uploads.mkdir(parents=True)
    ended(root, 1)
    assert await kept.keep(ended(root, 1, "globex"))
    for tenant in ("acme", "globex"):
        kept.drop(tenant)
    await eventually(lambda: copies(root) == ["acme/uploads/1.csv", "removed/uploads/1.csv"])


async def test_a_copy_that_is_gone_is_not_kept(root: Path) -> None:
    kept = SendableFiles(lambda name: TenantFolder(root / name), HOUR)
    test = ended(root, 1)
    TenantFolder(root / "acme").copy(1).unlink()
    assert not await kept.keep(test)
