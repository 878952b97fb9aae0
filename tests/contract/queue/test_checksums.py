"""Stored checksums: which of them judge an upload, and what a matching one changes."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from engine.store import Store
from importer.model import Guard, GuardReason, ImportState
from importer.queue.checksum import Verdict
from importer.queue.checksums import KEPT, Compared
from importer.queue.queue import Queue
from tests.support.queues import NOON, enqueue, found, outcome, promise, run_to


@pytest.fixture
def queue(store: Store) -> Queue:
    return store.imports()


def hash_of(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


async def uploaded(queue: Queue, folder: Path, text: str, *, dry_run: bool = False) -> int:
    """Create an upload that has landed and was hashed."""
    number = await enqueue(queue, dry_run=dry_run)
    copy = folder / f"{number}.csv"
    copy.write_text(text)
    waiting = next(each for each in await queue.queued("acme") if each.id == number)
    assert not waiting.hashed
    assert (await queue.checksums.hashed(waiting, copy)).hashed
    return number


async def compared(queue: Queue, number: int) -> Compared:
    return await queue.checksums.compare(await found(queue, number), required=False, now=NOON)


async def test_checksums_are_stored_by_folder(queue: Queue) -> None:
    assert await queue.checksums.folders("acme") == frozenset()
    await queue.checksum_landed("acme", hash_of("a"), dry_run=True)
    assert await queue.checksums.folders("acme") == {True}
    await queue.checksum_landed("acme", hash_of("a"), dry_run=False)
    assert await queue.checksums.folders("acme") == {True, False}


async def test_an_upload_is_judged_by_the_checksums_of_its_folder(queue: Queue, tmp_path: Path) -> None:
    real, dry = await uploaded(queue, tmp_path, "a"), await uploaded(queue, tmp_path, "a", dry_run=True)
    assert (await compared(queue, real)).verdict is Verdict.SILENT
    await queue.checksum_landed("acme", hash_of("a"), dry_run=False)
    await queue.checksum_landed("acme", hash_of("b"), dry_run=True)
    assert [(await compared(queue, each)).verdict for each in (real, dry)] == [Verdict.FITS, Verdict.DIFFERS]


async def test_a_checksum_that_lands_with_a_file_judges_that_file_only(queue: Queue, tmp_path: Path) -> None:
    before, number = await enqueue(queue), await promise(queue)
    await queue.landed("acme", number, checksum=hash_of("a"))
    assert await queue.checksums.folders("acme") == {False}
    after = await uploaded(queue, tmp_path, "b")
    for each, text in ((before, "c"), (number, "a")):
        copy = tmp_path / f"{each}.csv"
        copy.write_text(text)
        (waiting,) = [one for one in await queue.queued("acme") if one.id == each]
        await queue.checksums.hashed(waiting, copy)
    verdicts = [(await compared(queue, each)).verdict for each in (before, number, after)]
    assert verdicts == [Verdict.SILENT, Verdict.FITS, Verdict.SILENT]


async def test_a_checksum_makes_one_import_fail_and_no_other(queue: Queue, tmp_path: Path) -> None:
    first = await uploaded(queue, tmp_path, "a")
    await queue.checksum_landed("acme", hash_of("b"), dry_run=False)
    for _ in range(2):
        failed = await compared(queue, first)
        assert failed.end
        assert failed.end.state is ImportState.FAILED
    second = await uploaded(queue, tmp_path, "c")
    assert (await compared(queue, second)).verdict is Verdict.SILENT


async def test_a_checksum_that_matches_another_upload_counts_against_none(queue: Queue, tmp_path: Path) -> None:
    await uploaded(queue, tmp_path, "a")
    second = await uploaded(queue, tmp_path, "b")
    await queue.checksum_landed("acme", hash_of("a"), dry_run=False)
    assert (await compared(queue, second)).verdict is Verdict.SILENT


async def test_the_newest_checksums_of_a_folder_are_kept(queue: Queue, tmp_path: Path) -> None:
    number = await uploaded(queue, tmp_path, "a")
    await queue.checksum_landed("acme", hash_of("a"), dry_run=False)
    await queue.checksum_landed("acme", hash_of("of the other folder"), dry_run=True)
    for other in range(KEPT - 1):
        await queue.checksum_landed("acme", hash_of(f"other {other}"), dry_run=False)
    assert (await compared(queue, number)).verdict is Verdict.FITS
    await queue.checksum_landed("acme", hash_of("one more"), dry_run=False)
    assert (await compared(queue, number)).verdict is Verdict.DIFFERS


async def test_the_checksums_of_all_imports_that_wait_are_kept(queue: Queue, tmp_path: Path) -> None:
    """A pause of days lets more files wait than KEPT."""
    await queue.checksum_landed("acme", hash_of("a file before"), dry_run=False)
    waiting = []
    for name in range(KEPT + 5):
        waiting.append(await uploaded(queue, tmp_path, str(name)))
        await queue.checksum_landed("acme", hash_of(str(name) if name else "another file"), dry_run=False)
    verdicts = [(await compared(queue, number)).verdict for number in waiting]
    assert verdicts == [Verdict.DIFFERS, *[Verdict.FITS] * (KEPT + 4)]


async def test_the_checksum_of_a_held_import_is_kept_while_others_end(queue: Queue, tmp_path: Path) -> None:
    held = await uploaded(queue, tmp_path, "held")
    await queue.checksum_landed("acme", hash_of("held"), dry_run=False)
    entry = await queue.claim("acme", held)
    assert entry
    await queue.finish(entry.ended(replace(outcome(ImportState.HELD), file=entry.file), NOON), published=True)
    for name in range(KEPT):
        number = await uploaded(queue, tmp_path, str(name))
        await queue.checksum_landed("acme", hash_of(str(name)), dry_run=False)
        await run_to(queue, number, ImportState.COMPLETED)
    assert (await compared(queue, held)).verdict is Verdict.FITS
    await queue.discard("acme", held, by="a test")
    await queue.checksum_landed("acme", hash_of("one more"), dry_run=False)
    assert (await compared(queue, held)).verdict is Verdict.SILENT


@pytest.mark.parametrize(
    ("reason", "state"),
    [
        (GuardReason.POSSIBLY_TRUNCATED, ImportState.QUEUED),
        (GuardReason.TOO_MANY_DEACTIVATIONS, ImportState.HELD),
    ],
)
async def test_a_held_import_that_a_checksum_proves_complete_is_queued_again(
    queue: Queue, reason: GuardReason, state: ImportState
) -> None:
    entry = await queue.claim("acme", await enqueue(queue))
    assert entry
    held = replace(outcome(ImportState.HELD), guard=Guard((reason,), 10, 20, 15))
    assert await queue.finish(entry.ended(held, NOON), published=True)
    await queue.checksum_landed("acme", held.file.sha256 or "", dry_run=True)
    assert (await found(queue, entry.id)).state is ImportState.HELD
    await queue.checksum_landed("acme", held.file.sha256 or "", dry_run=False)
    assert (await found(queue, entry.id)).state is state
