"""The notices of an end are written with it: both or neither, and once."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.outbox import Message
from importer.model import ImportState
from importer.queue.entry import Entry
from importer.queue.notices import Channel, Notice
from importer.worker.closing import Closing
from tests.support.engines import OpenStore
from tests.support.queues import NOON, House, enqueue, found, open_house, outcome, promise, run_to


@pytest.fixture
async def house(engine: OpenStore, tmp_path: Path) -> AsyncIterator[House]:
    async with open_house(tmp_path, "acme", engine=engine) as built:
        yield built


async def outbox(house: House) -> list[Message]:
    """Return all messages, oldest first."""
    return list(reversed(await house.store.outbox().newest("acme", 100)))


async def told(house: House) -> list[str]:
    """Return the messages without the numbers that make each topic unique."""
    return [each.topic.rpartition(" #")[0] for each in await outbox(house)]


class Crier:
    """A herald that writes a mail for every end."""

    async def notices_of(self, entry: Entry) -> list[Notice]:
        return [Notice(entry.tenant, Channel.MAIL, f"import {entry.id} {entry.state}", "{}")]


async def test_an_end_and_its_notices_are_written_together(house: House) -> None:
    closing = Closing(house.queue, house.folder, house.watching, herald=Crier())
    first = await enqueue(house.queue)
    entry = await house.queue.claim("acme", first)
    assert entry
    await closing.finish(entry, outcome(ImportState.COMPLETED))
    aborted = await found(house.queue, await promise(house.queue))
    await closing.end_upload(aborted, ImportState.ABORTED, "Interrupted.")
    assert await told(house) == ["import 1 completed", "import 2 aborted"]
    found_in = {(each.channel, json.dumps(each.content), each.state, each.attempts) for each in await outbox(house)}
    assert found_in == {("mail", "{}", "waiting", 0)}


async def test_two_holds_at_one_moment_both_get_a_notice(house: House) -> None:
    closing = Closing(house.queue, house.folder, house.watching, clock=lambda: NOON, herald=Crier())
    await enqueue(house.queue)
    for _ in range(2):
        entry = await house.queue.claim("acme", 1)
        assert entry
        await closing.finish(entry, outcome(ImportState.HELD))
        await closing.finish(entry, outcome(ImportState.HELD))  # as a start finds it after its end was written
        await house.queue.approve("acme", 1, by="operator", users=frozenset())
    assert await told(house) == ["import 1 held", "import 1 held"]


async def test_an_end_that_is_written_twice_gets_one_notice(house: House) -> None:
    entry = await run_to(house.queue, await enqueue(house.queue), ImportState.COMPLETED)
    closing = Closing(house.queue, house.folder, house.watching, herald=Crier())
    await closing.finish(entry, outcome(ImportState.FAILED))
    assert await outbox(house) == []


async def test_no_second_notice_is_written_for_one_event(house: House) -> None:
    mail, hook = (Notice("acme", channel, "stale since 2026-03-01", "{}") for channel in Channel)
    for notices in ([mail], [mail, hook]):
        await house.store.outbox().put(notices, now=str(NOON))
    assert [each.channel for each in await outbox(house)] == ["mail", "webhook"]
