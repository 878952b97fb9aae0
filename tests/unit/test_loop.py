"""The event loop of the server, in a hurry and not."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from server.loop import ServerLoop, hurry

CONNECTIONS = 5


@contextmanager
def ready(loop: asyncio.AbstractEventLoop) -> Iterator[list[int]]:
    """Connections on which something has come; the number of each is noted when a step takes it in."""
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
    """What one step takes in."""
    before = len(came)
    await asyncio.sleep(0)
    return came[before:]


async def steps() -> tuple[list[int], list[list[int]], list[int]]:
    """What a step takes in, what some take in a hurry, and what one does afterwards."""
    with ready(asyncio.get_running_loop()) as came:
        await asyncio.sleep(0)
        one = await taken_in(came)
        with hurry():
            await asyncio.sleep(0)  # what was ready for it was asked for before
            hurried = [await taken_in(came) for _ in range(CONNECTIONS)]
        await asyncio.sleep(0)
        return one, hurried, await taken_in(came)


def test_a_step_in_a_hurry_takes_in_one_connection_and_all_get_their_turn() -> None:
    with asyncio.Runner(loop_factory=ServerLoop) as runner:
        one, hurried, afterwards = runner.run(steps())
    assert sorted(one) == sorted(afterwards) == list(range(CONNECTIONS))
    assert [len(each) for each in hurried] == [1] * CONNECTIONS
    assert sorted(number for each in hurried for number in each) == list(range(CONNECTIONS))


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
