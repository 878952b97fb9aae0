"""Rounds continue until the end even if one fails; `insist` repeats a write until it succeeds or raises."""

from __future__ import annotations

import asyncio

import pytest

from importer.errors import TryAgain
from server import rounds
from server.rounds import LEAD_S, LONGEST_REST_S, again, insist, led, rest_s, set_within
from tests.support.waiting import DEADLINE_S

BUSY = TryAgain("database_busy", "the database is busy")


def to_failed(error: Exception) -> float:
    raise AssertionError("no round failed") from error


async def test_rounds_follow_each_other_until_the_end() -> None:
    ending, done = asyncio.Event(), 0

    async def work() -> float:
        nonlocal done
        done += 1
        if done == 3:
            ending.set()
        return 0

    await again(work, to_failed, ending)
    assert done == 3


async def test_a_round_does_nothing_while_another_server_leads() -> None:
    leads, done = False, 0

    async def work() -> float:
        nonlocal done
        done += 1
        return 7

    once = led(work, lambda: leads)
    assert (await once(), done) == (LEAD_S, 0)
    leads = True
    assert (await once(), done) == (7, 1)


async def test_a_round_that_raises_is_reported_and_the_rounds_go_on() -> None:
    ending, told = asyncio.Event(), []

    async def work() -> float:
        if len(told) == 2:
            ending.set()
            return 0
        raise BUSY if told else ZeroDivisionError

    def failed(error: Exception) -> float:
        told.append(type(error))
        return 0

    await again(work, failed, ending)
    assert told == [ZeroDivisionError, TryAgain]


async def test_the_end_does_not_wait_for_the_next_round() -> None:
    ending = asyncio.Event()

    async def work() -> float:
        return 3600

    rounds_ = asyncio.create_task(again(work, to_failed, ending))
    await asyncio.sleep(0)
    ending.set()
    await asyncio.wait_for(rounds_, DEADLINE_S)


async def test_a_round_begins_early_when_it_is_woken() -> None:
    ending, wake, second = asyncio.Event(), asyncio.Event(), asyncio.Event()
    done = 0

    async def work() -> float:
        nonlocal done
        wake.clear()
        done += 1
        if done == 2:
            second.set()
        return 3600

    rounds_ = asyncio.create_task(again(work, to_failed, ending, wake=wake))
    await asyncio.sleep(0)
    wake.set()
    assert await set_within(second, DEADLINE_S)
    ending.set()
    wake.set()
    await asyncio.wait_for(rounds_, DEADLINE_S)


async def test_a_write_is_repeated_until_it_succeeds(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds, "INSIST_S", 0)
    tries = 0

    async def write() -> None:
        nonlocal tries
        tries += 1
        if tries < 4:
            raise BUSY

    await insist(write, asyncio.Event())
    assert tries == 4


async def test_a_write_that_fails_at_the_end_raises() -> None:
    ending = asyncio.Event()
    ending.set()

    async def write() -> None:
        raise BUSY

    with pytest.raises(TryAgain):
        await insist(write, ending)


async def test_an_event_is_waited_for_at_most_the_given_time() -> None:
    event = asyncio.Event()
    assert not await set_within(event, 0.01)
    event.set()
    assert await set_within(event, 0)


def test_a_pause_is_as_many_times_as_long_as_its_step_and_never_days() -> None:
    assert rest_s(0.5, 9) == 4.5
    assert rest_s(24 * 3600, 9) == LONGEST_REST_S
