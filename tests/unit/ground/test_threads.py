"""How a coroutine waits for a thread."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

import pytest

from ground.threads import Coming

T = TypeVar("T")


async def in_thread(work: Callable[[], T]) -> T:
    coming = Coming(work)
    with ThreadPoolExecutor(1) as threads:
        threads.submit(coming.do)
    return await coming


def begun(work: Callable[[], T]) -> Coming[T]:
    """Return `work`, running in a thread of its own."""
    coming = Coming(work)
    threading.Thread(target=coming.do).start()
    return coming


async def test_a_waiting_coroutine_gets_the_result_of_the_thread() -> None:
    go_on = threading.Event()
    coming = begun(lambda: go_on.wait() and threading.get_ident())
    asyncio.get_running_loop().call_soon(go_on.set)
    assert await coming not in (None, threading.get_ident())


async def test_a_result_from_before_the_await_is_returned_too() -> None:
    assert await in_thread(lambda: 7) == 7


async def test_an_error_of_the_thread_is_raised_where_it_is_awaited() -> None:
    with pytest.raises(LookupError, match="gone"):
        await in_thread(lambda: {}["gone"])


async def test_a_cancellation_waits_for_the_end_of_the_thread() -> None:
    go_on, ended = threading.Event(), []
    at_work = asyncio.Event()

    async def waits() -> None:
        coming = begun(lambda: go_on.wait() and ended.append("thread"))
        at_work.set()
        await coming

    waiting = asyncio.create_task(waits())
    await at_work.wait()
    waiting.cancel()
    await asyncio.sleep(0)
    assert not waiting.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    assert ended == ["thread"]


async def test_a_coroutine_continues_in_the_step_in_which_the_thread_reports() -> None:
    steps: list[str] = []
    go_on, told = threading.Event(), threading.Event()

    async def waits() -> None:
        coming = Coming(lambda: go_on.wait())
        threading.Thread(target=lambda: (coming.do(), told.set())).start()
        await coming
        steps.append("goes on")

    waiting = asyncio.create_task(waits())
    await asyncio.sleep(0)
    go_on.set()
    told.wait()  # holds the loop: the word is there before its next step begins
    asyncio.get_running_loop().call_soon(steps.append, "asked after it")
    await waiting
    assert steps == ["goes on", "asked after it"]


async def test_a_task_can_wait_for_a_thread_with_a_timeout() -> None:
    go_on = threading.Event()

    async def waits() -> None:
        async with asyncio.timeout(0):
            coming = begun(go_on.wait)
            asyncio.get_running_loop().call_later(0.01, go_on.set)
            await coming

    with pytest.raises(TimeoutError):
        await waits()
