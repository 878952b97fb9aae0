"""Gauges of the parts of the server: a scrape waits for no part, and a silent part does not work."""

from __future__ import annotations

import asyncio

import pytest

from server.upkeep import gauges
from server.upkeep.gauges import SILENT_S, Counts, Parts
from tests.support.waiting import DEADLINE_S


async def works() -> bool:
    return True


async def fails() -> bool:
    raise OSError


async def test_a_part_that_fails_does_not_work() -> None:
    assert await Parts({"sftp": works, "database": fails}).look() == {"sftp": True, "database": False}


async def test_a_silent_part_shows_its_former_answer_for_some_seconds_and_then_fails(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(gauges, "WAIT_S", 0.01)
    now, answers, asked = [0.0], asyncio.Event(), list[float]()

    async def slow() -> bool:
        asked.append(now[0])
        return await answers.wait()

    parts = Parts({"database": slow}, clock=lambda: now[0])
    answers.set()
    assert await parts.look() == {"database": True}
    answers.clear()
    seen = []
    for now[0] in (10, 10 + SILENT_S, 11 + SILENT_S):
        seen.append((await parts.look())["database"])
    assert seen == [True, True, False]
    assert asked == [0, 10], "it is not asked again before it answers"
    answers.set()
    assert await parts.look() == {"database": True}


async def test_a_scrape_waits_for_counts_only_a_while_and_the_next_one_for_the_same() -> None:
    answers, begun = asyncio.Event(), 0

    async def count() -> None:
        nonlocal begun
        begun += 1
        await answers.wait()

    counts = Counts(count, late_s=0.01)
    await counts.renew()
    await counts.renew()
    assert begun == 1
    answers.set()
    await counts.renew()
    await counts.renew()
    assert begun == 2


async def test_a_scrape_waits_for_no_counts_while_the_database_is_away() -> None:
    away, begun = True, 0

    async def count() -> None:
        nonlocal begun
        begun += 1
        await asyncio.Event().wait()

    counts = Counts(count, is_away=lambda: away, late_s=0.01)
    await counts.renew()
    assert begun == 0
    away = False
    await counts.renew()
    assert begun == 1


async def test_a_scrape_does_not_wait_for_counts_that_began_before_the_database_was_away() -> None:
    away, begun = False, asyncio.Event()

    async def count() -> None:
        begun.set()
        await asyncio.Event().wait()

    counts = Counts(count, is_away=lambda: away, late_s=10 * DEADLINE_S)
    waiting = asyncio.create_task(counts.renew())
    await begun.wait()
    away = True
    async with asyncio.timeout(DEADLINE_S):
        await counts.renew()
    waiting.cancel()
