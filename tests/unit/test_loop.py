"""The event loop of the server, in a hurry and otherwise."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial

import pytest

from server.loop import Pause, ServerLoop, hurry
from tests.support.waiting import DEADLINE_S

CONNECTIONS = 5
LONG_S = 600.0
"""Longer than any test."""


@contextmanager
def ready(loop: asyncio.AbstractEventLoop) -> Iterator[list[int]]:
    """Connections with data; each step notes the number of every connection that it reads."""
    came: list[int] = []
    pairs = [socket.socketpair() for _ in range(CONNECTIONS)]
    for number, (ours, theirs) in enumerate(pairs):
        theirs.send(b"x")
        loop.add_reader(ours, came.append, number)
    try:
        yield came
    finally:
        for ours, theirs in pairs:
            loop.remove_reader(ours)
            ours.close()
            theirs.close()


async def taken_in(came: list[int]) -> list[int]:
    """Return the connections that one step reads."""
    before = len(came)
    await asyncio.sleep(0)
    return came[before:]


async def steps() -> tuple[list[int], list[list[int]], list[int]]:
    """Return the connections read by a step before, by some in a hurry, and by one after it."""
    with ready(asyncio.get_running_loop()) as came:
        await asyncio.sleep(0)
        one = await taken_in(came)
        with hurry():
            await asyncio.sleep(0)  # this step began before the hurry
            hurried = [await taken_in(came) for _ in range(CONNECTIONS)]
        await asyncio.sleep(0)
        return one, hurried, await taken_in(came)


def in_loop(pause_s: float) -> asyncio.Runner:
    return asyncio.Runner(loop_factory=partial(ServerLoop, pause_s))


def test_a_step_in_a_hurry_reads_one_connection_and_all_get_their_turn() -> None:
    with in_loop(0.0) as runner:
        one, hurried, afterwards = runner.run(steps())
    assert sorted(one) == sorted(afterwards) == list(range(CONNECTIONS))
    assert [len(each) for each in hurried] == [1] * CONNECTIONS
    assert sorted(number for each in hurried for number in each) == list(range(CONNECTIONS))


def test_a_hurry_begins_with_a_pause_in_which_no_connection_is_read() -> None:
    with in_loop(LONG_S) as runner:
        one, hurried, afterwards = runner.run(steps())
    assert sorted(one) == sorted(afterwards) == list(range(CONNECTIONS))
    assert hurried == [[]] * CONNECTIONS


def test_threads_and_timers_run_during_a_pause() -> None:
    async def heard() -> list[int]:
        with ready(asyncio.get_running_loop()) as came, hurry():
            await asyncio.sleep(0)
            before = len(came)
            await asyncio.to_thread(int)
            await asyncio.sleep(0.001)
            return came[before:]

    with in_loop(LONG_S) as runner:
        assert runner.run(heard()) == []


def test_a_signal_is_handled_during_a_pause() -> None:
    async def heard() -> bool:
        loop, told = asyncio.get_running_loop(), asyncio.Event()
        loop.add_signal_handler(signal.SIGUSR1, told.set)
        with ready(loop), hurry():
            await asyncio.sleep(0)
            os.kill(os.getpid(), signal.SIGUSR1)
            return await asyncio.wait_for(told.wait(), DEADLINE_S)

    with in_loop(LONG_S) as runner:
        assert runner.run(heard())


def test_a_pause_ends_though_the_hurry_goes_on() -> None:
    async def until_all_came() -> set[int]:
        with ready(asyncio.get_running_loop()) as came, hurry():
            await asyncio.sleep(0)
            came.clear()
            while len(set(came)) < CONNECTIONS:
                await asyncio.sleep(0)
            return set(came)

    with in_loop(0.001) as runner:
        assert runner.run(until_all_came()) == set(range(CONNECTIONS))


@pytest.mark.parametrize(
    ("ended", "next_"),
    [(100.004, 100.008), (100.02, 100.04), (103.0, 100.04)],
    ids=["early", "at its end", "long after it"],
)
def test_pauses_take_at_most_half_of_the_time(ended: float, next_: float) -> None:
    pause = Pause(0.02)
    pause.begin(100.0)
    assert pause.left_s(100.0) == pytest.approx(0.02)
    pause.end(ended)
    assert pause.left_s(ended) == 0
    pause.begin(next_ - 0.001)
    assert pause.left_s(next_ - 0.001) == 0
    pause.end(next_ - 0.0005)
    pause.begin(next_ + 0.0001)
    assert pause.left_s(next_ + 0.0001) == pytest.approx(0.02)


async def test_another_loop_is_never_in_a_hurry() -> None:
    one, hurried, _ = await steps()
    assert [len(each) for each in (one, *hurried)] == [CONNECTIONS] * (1 + CONNECTIONS)


def test_a_hurry_within_a_hurry_ends_with_the_last() -> None:
    async def nested() -> list[bool]:
        loop = asyncio.get_running_loop()
        assert isinstance(loop, ServerLoop)
        with hurry():
            with hurry():
                pass
            within = loop.hurried
        return [within, loop.hurried]

    with asyncio.Runner(loop_factory=ServerLoop) as runner:
        assert runner.run(nested()) == [True, False]
