"""An import and its files: what was applied has them, whenever the process ended and whichever shows them."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from ground.moments import utc_now
from importer.archive import Archive
from importer.errors import TryAgain
from importer.messages.spool import messages_in
from importer.model import ImportState, Outcome
from importer.queue.entry import Entry
from importer.queue.queue import Queue
from importer.rules.settings import ImportSettings
from importer.worker import advising, decisions
from importer.worker.advising import Advising
from importer.worker.attempt import Later, Starter, known_end
from importer.worker.closing import Closing
from importer.worker.pruning import prune, trim_copies
from importer.worker.recovery import recover, remove_leftovers
from tests.support.archives import House, OpenHouse
from tests.support.importing import people, sheet
from tests.support.queues import Watching, enqueue, found, promise

SETTINGS = ImportSettings(deactivate_missing=True)
SAID = ["absent_not_deactivated", "invalid_email"]
"""The messages about ONE_BAD."""
ONE_BAD = sheet(("Ann", "Lee", "ann@example.com"), ("Ben", "Lee", "no address"))


class Process:
    """One process: it runs imports of `acme`, and ends them."""

    def __init__(self, house: House, archive: Archive | None = None) -> None:
        self.house = house
        self.queue: Queue = house.store.imports()
        self.archive = archive or house.archive
        self.starter = Starter(
            lambda _: house.folder,
            lambda _: house.users,
            self._settings,
            utc_now,
            self.queue.checksums,
            advising=Advising(lambda _: house.folder, lambda _: house.users, archive=self.archive),
            archive=self.archive,
        )
        self.closing = Closing(
            self.queue, lambda _: house.folder, Watching(), archive=house.archive, results=house.results
        )

    async def _settings(self, tenant: str) -> ImportSettings:
        return SETTINGS

    async def upload(self, content: bytes, *, dry_run: bool = False) -> int:
        """Queue a file whose copy is kept."""
        number, folder = await promise(self.queue, dry_run=dry_run, size=len(content)), self.house.folder
        await self.keep(folder.copy(number), content)
        await self.queue.landed("acme", number)
        return number

    async def keep(self, file: Path, content: bytes) -> None:
        folder, archive = self.house.folder, self.house.archive
        async with archive.making(folder) as made:
            path = made.root / file.relative_to(folder.root)
            path.parent.mkdir(exist_ok=True)
            path.write_bytes(content)
            await archive.keep(made, path)

    async def attempt(self, number: int) -> tuple[Entry, Outcome | Later]:
        """Claim an import and run it."""
        entry = await self.queue.claim("acme", number)
        assert entry
        return entry, await self.starter.attempt(entry, progress=lambda _: None, stopping=lambda: False)

    async def run(self, content: bytes, *, dry_run: bool = False) -> Entry:
        """Import a file from its upload to its end."""
        return await self.ended(await self.upload(content, dry_run=dry_run))

    async def ended(self, number: int) -> Entry:
        entry, end = await self.attempt(number)
        assert isinstance(end, Outcome)
        await self.closing.finish(entry, end)
        return await found(self.queue, number)

    async def start(self) -> None:
        """Recover what the process before left."""
        house = self.house
        await recover(
            self.queue, self.closing, lambda _: house.folder, lambda _: house.users, known_end, archive=house.archive
        )
        await remove_leftovers(self.queue, "acme", house.folder, house.archive)

    async def kept(self) -> dict[str, list[str]]:
        """Return the names of all files that are kept."""
        folder, archive = self.house.folder, self.house.archive
        places = folder.uploads, folder.messages
        return {place.name: sorted(await archive.names(folder, place)) for place in places}

    async def messages(self, number: int) -> list[str]:
        path = self.house.folder.said(number)
        await self.house.archive.fetch(self.house.folder, path)
        return [str(each["code"]) for each in messages_in(path)[0]]


@pytest.fixture(autouse=True)
def _advice_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let each import wait for the advice on its file, however slow the machine is."""
    for limit in ("QUICK_S", "AT_ONCE_S"):
        monkeypatch.setattr(advising, limit, 60.0)


@pytest.fixture
def process(house: House) -> Process:
    return Process(house)


def report(shown: dict[str, bytes], number: int) -> Any:
    return json.loads(shown[f"sync_users-{number}.json"])


async def test_the_files_of_an_import_are_there_for_the_next_process(open_house: OpenHouse) -> None:
    async with open_house() as house:
        assert (await Process(house).run(ONE_BAD)).state is ImportState.COMPLETED_WITH_ERRORS
    async with open_house() as house:
        process, shown = Process(house), await house.in_results()
        assert await process.messages(1) == SAID
        assert report(shown, 1)["state"] == "completed_with_errors"
        assert b"no address" in shown["sync_users-1.errors.csv"]
        assert await process.kept() == {
            "uploads": ["1.csv"],
            "messages": ["1.advice.json", "1.errors.csv", "1.jsonl", "last.advice.json"],
        }


async def test_an_import_that_was_applied_has_its_files_after_a_kill(open_house: OpenHouse) -> None:
    async with open_house() as house:
        process = Process(house)
        await process.attempt(await process.upload(ONE_BAD))  # killed before its end is written
    async with open_house() as house:
        process = Process(house)
        await process.start()
        assert (await found(process.queue, 1)).state is ImportState.COMPLETED_WITH_ERRORS
        assert await process.messages(1) == SAID
        assert b"no address" in (await house.in_results())["sync_users-1.errors.csv"]


async def test_an_import_whose_files_cannot_be_kept_changes_no_user(process: Process) -> None:
    class Away:
        def __init__(self, archive: Archive) -> None:
            self._archive = archive

        def __getattr__(self, name: str) -> Any:
            return self._refuse if name == "keep" else getattr(self._archive, name)

        async def _refuse(self, *arguments: object) -> None:
            raise TryAgain("database_busy", "the archive is away")

    away: Callable[[Archive], Any] = Away
    number = await process.upload(ONE_BAD)
    entry, end = await Process(process.house, away(process.house.archive)).attempt(number)
    assert end == Later("Not yet: the archive is away. The server tries again.")
    assert await process.house.users.outcome_of(number) is None
    await process.queue.requeue(*entry.key)
    assert (await process.ended(number)).state is ImportState.COMPLETED_WITH_ERRORS


async def test_a_held_import_is_approved_by_another_process(open_house: OpenHouse) -> None:
    many = people(*(f"p{number}" for number in range(20)))
    async with open_house() as house:
        process = Process(house)
        await process.run(many)
        assert (await process.run(people("p1"))).state is ImportState.HELD
    async with open_house() as house:
        process = Process(house)
        held = await found(process.queue, 2)
        await decisions.approve(process.queue, house.folder, held, by="Ann", archive=house.archive)
        assert (await process.ended(2)).state is ImportState.COMPLETED
        assert "2.touched.jsonl" not in (await process.kept())["messages"]


async def test_a_dry_run_leaves_no_copy_and_keeps_its_list(process: Process) -> None:
    await process.run(people("ann"), dry_run=True)
    assert await process.kept() == {"uploads": [], "messages": ["1.touched.jsonl"]}


async def test_the_next_file_is_compared_with_the_one_before(open_house: OpenHouse) -> None:
    async with open_house() as house:
        await Process(house).run(people("ann", "ben"))
    async with open_house() as house:
        process = Process(house)
        fetched: list[str] = []
        fetch = house.archive.fetch

        class Watched:
            def __getattr__(self, name: str) -> Any:
                return self.fetch if name == "fetch" else getattr(house.archive, name)

            async def fetch(self, folder: Any, *files: Path) -> None:
                fetched.extend(file.name for file in files)
                await fetch(folder, *files)

        watched: Any = Watched()
        number = await process.upload(people("ann", "ben", "cy"))
        _, end = await Process(house, watched).attempt(number)
        assert isinstance(end, Outcome)
        assert (end.counts.created, end.counts.unchanged) == (1, 2)
        assert "1.csv" in fetched


async def test_an_undo_keeps_what_it_did_not_restore(process: Process) -> None:
    await process.run(people("ann", job_title="Cook"))
    await process.run(people("ann", job_title="Chef"))
    await process.queue.undo("acme", 2, by="Ann")
    undone = await process.ended(2)
    assert undone.state is ImportState.UNDONE
    assert "2.undo.jsonl" in (await process.kept())["messages"]


async def test_a_start_drops_the_copies_that_no_import_needs(process: Process) -> None:
    folder = process.house.folder
    for name in ("77.csv", "abandoned.sha256"):
        await process.keep(folder.uploads / name, b"left")
    number = await process.upload(people("ann"))
    await process.start()
    assert await process.kept() == {"uploads": [f"{number}.csv"], "messages": []}


async def test_an_upload_that_was_promised_and_not_kept_is_aborted(process: Process) -> None:
    await promise(process.queue)
    await process.start()
    assert (await found(process.queue, 1)).state is ImportState.ABORTED
    assert report(await process.house.in_results(), 1)["state"] == "aborted"


async def test_expired_imports_lose_their_files(process: Process) -> None:
    house = process.house
    for content in (ONE_BAD, people("ann", "cy"), people("ann", "cy", "di")):
        await process.run(content)
    await process.keep(house.folder.said(9), b"of no import")
    late = utc_now() + timedelta(days=365)
    await prune(process.queue, "acme", house.folder, house.users, retention_days=1, now=late, archive=house.archive)
    assert await process.kept() == {"uploads": ["3.csv"], "messages": ["9.jsonl", "last.advice.json"]}


async def test_the_oldest_copies_go_when_all_take_too_much(process: Process) -> None:
    house = process.house
    for names in (("ann",), ("ann", "ben"), ("ann", "ben", "cy")):
        await process.run(people(*names))
    await enqueue(process.queue)
    sizes = await house.archive.stored(house.folder, house.folder.uploads)
    most = sizes["2.csv"].size + sizes["3.csv"].size
    assert await trim_copies(process.queue, "acme", house.folder, kept_bytes=most, archive=house.archive)
    assert (await process.kept())["uploads"] == ["2.csv", "3.csv"]
    assert not await trim_copies(process.queue, "acme", house.folder, kept_bytes=most, archive=house.archive)
