"""Files that come by the page or the API: who sent them, and which dry run they were tested by."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace

import pytest

from engine.store import Store
from importer.errors import Refused
from importer.model import ImportState
from importer.queue.queue import Queue
from importer.requests import DryRunRequest, Sender
from tests.support.engines import OpenStore
from tests.support.queues import NOON, enqueue, found, promise, run_to


@pytest.fixture
async def store(engine: OpenStore) -> AsyncIterator[Store]:
    async with engine("acme", "globex") as opened:
        yield opened


@pytest.fixture
def queue(store: Store) -> Queue:
    return store.imports()


async def a_test(queue: Queue, state: ImportState = ImportState.COMPLETED) -> int:
    """Add the test of a file, and end it in `state`."""
    number = await queue.arriving(
        "acme",
        "/test/march.csv",
        size=5,
        written=None,
        uploaded_at=NOON,
        dry_run=True,
        trial=DryRunRequest("Ann (owner, token 1)"),
        sender=Sender("Ann"),
    )
    await queue.landed("acme", number)
    await run_to(queue, number, state)
    return number


async def sent(queue: Queue, tested: int | None = None, *, replaces: bool = False) -> int:
    return await queue.arriving(
        "acme",
        "/sync_users.csv",
        size=5,
        written=None,
        uploaded_at=NOON,
        dry_run=False,
        sender=Sender("Ben", tested, replaces=replaces),
    )


async def refusal(queue: Queue, tested: int, *, replaces: bool = False) -> tuple[str | None, str | None]:
    """Return why the tested file cannot be sent, as the list says it and as the change says it."""
    listed = await queue.why_not_sent(await found(queue, tested), replaces=replaces)
    try:
        await sent(queue, tested, replaces=replaces)
    except Refused as refused:
        return listed.code if listed else None, refused.code
    return listed.code if listed else None, None


async def test_an_import_keeps_who_sent_it_and_which_dry_run_tested_it(queue: Queue) -> None:
    number = await sent(queue, await a_test(queue))
    assert (await found(queue, number)).sent_by == "Ben"
    assert (await found(queue, number)).tested == 1
    assert (await found(queue, number)).report().to_json()["sent_by"] == "Ben"
    assert (await found(queue, 1)).sent_by == "Ann"
    over_sftp = await found(queue, await promise(queue))
    assert (over_sftp.sent_by, over_sftp.tested, over_sftp.report().sent_by) == (None, None, None)


async def test_a_dry_run_knows_the_import_that_was_applied_before_it(queue: Queue) -> None:
    first = await a_test(queue)
    applied = await enqueue(queue)
    await run_to(queue, applied, ImportState.COMPLETED)
    failed = await enqueue(queue)
    await run_to(queue, failed, ImportState.FAILED)
    second = await a_test(queue)
    assert (await found(queue, first)).users_as_of is None
    assert (await found(queue, second)).users_as_of == applied
    assert (await found(queue, applied)).users_as_of is None


async def test_a_tested_file_is_sent_once(queue: Queue) -> None:
    number = await a_test(queue)
    assert await refusal(queue, number) == (None, None)
    await queue.landed("acme", number + 1)
    assert await refusal(queue, number) == ("already_sent", "already_sent")
    assert [each.id for each in await queue.page("acme")] == [2, 1]


async def test_a_sent_file_is_found_by_its_test_whatever_came_later(queue: Queue) -> None:
    number, other = await a_test(queue), await a_test(queue)
    assert await queue.sent_as("acme", number) is None
    sent_as = await sent(queue, number)
    assert await queue.sent_as("acme", number) is None  # it arrives, and may still fail
    await queue.landed("acme", sent_as)
    await run_to(queue, sent_as, ImportState.COMPLETED)
    await run_to(queue, await enqueue(queue), ImportState.COMPLETED)
    assert (await queue.sent_as("acme", number) or await found(queue, other)).id == sent_as
    assert (await queue.sent_as("acme", other), await queue.sent_as("globex", number)) == (None, None)
    assert await refusal(queue, number) == ("already_sent", "already_sent")


async def test_a_file_whose_landing_failed_is_sent_again(queue: Queue) -> None:
    number = await a_test(queue)
    aborted = (await found(queue, await sent(queue, number))).never_ran(ImportState.ABORTED, "Why.", NOON)
    assert await queue.end_upload(aborted, published=True)
    assert await refusal(queue, number) == (None, None)


async def test_no_tested_file_is_sent_after_another_import_landed(queue: Queue) -> None:
    number = await a_test(queue)
    await promise(queue, "globex")
    await enqueue(queue, dry_run=True)
    assert await queue.why_not_sent(await found(queue, number), replaces=False) is None
    await enqueue(queue)
    assert await refusal(queue, number) == ("landed_since", "landed_since")


async def test_no_tested_file_is_sent_after_an_older_import_was_approved(queue: Queue) -> None:
    held = await enqueue(queue)
    await run_to(queue, held, ImportState.HELD)
    number = await a_test(queue)
    await queue.approve("acme", held, by="Ann", users=frozenset())
    await run_to(queue, held, ImportState.COMPLETED)
    assert await refusal(queue, number) == ("users_changed", "users_changed")


async def test_no_tested_file_is_sent_while_an_older_import_was_approved(queue: Queue) -> None:
    held = await enqueue(queue)
    await run_to(queue, held, ImportState.HELD)
    number = await a_test(queue)
    await queue.approve("acme", held, by="Ann", users=frozenset())
    for replaces in (False, True):
        assert await refusal(queue, number, replaces=replaces) == ("import_waits", "import_waits")
    assert await queue.claim("acme", held)
    assert await refusal(queue, number, replaces=True) == ("import_waits", "import_waits")


async def test_an_older_list_that_a_sent_list_supersedes_does_not_stop_it(queue: Queue) -> None:
    await enqueue(queue, "globex")
    older = await enqueue(queue)
    number = await a_test(queue)
    assert await refusal(queue, number, replaces=True) == ("import_waits", "import_waits")  # perhaps a correction
    (waiting,) = await queue.queued("acme")
    await queue.set_correction(replace(waiting, correction=False))
    assert await refusal(queue, number) == ("import_waits", "import_waits")
    assert await refusal(queue, number, replaces=True) == (None, None)
    assert older < number


async def test_no_tested_file_is_sent_after_an_undo_was_asked_for(queue: Queue) -> None:
    applied = await enqueue(queue)
    await run_to(queue, applied, ImportState.COMPLETED)
    number = await a_test(queue)
    await queue.undo("acme", None, by="Ann")
    assert await refusal(queue, number) == ("users_changed", "users_changed")


@pytest.mark.parametrize("state", [ImportState.FAILED, ImportState.HELD])
async def test_only_a_failed_test_stops_its_file(queue: Queue, state: ImportState) -> None:
    expected = "not_sendable" if state is ImportState.FAILED else None
    assert await refusal(queue, await a_test(queue, state)) == (expected, expected)


async def test_an_unknown_test_is_refused(queue: Queue) -> None:
    with pytest.raises(Refused) as refused:
        await sent(queue, 77)
    assert refused.value.code == "unknown_import"
    assert await queue.page("acme") == []
