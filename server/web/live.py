"""What happens to imports, as it happens, for whoever looks at a page: seen in the store, told over HTTP.

It is looked at only while somebody follows, and what other processes decide is seen too. Of each import only the
newest event is kept for a follower who does not take them.
"""

from __future__ import annotations

import asyncio
import json
import logging
from bisect import bisect_right
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Literal

from engine.hints import Hints, Watch
from importer.model import ImportState
from server.rounds import set_within
from server.trouble import Trouble

log = logging.getLogger(__name__)

LOOK_S = 0.3
BEAT_S = 15.0
"""After so long without an event a comment is sent: nobody notices otherwise that a connection is dead."""

AGAIN_MS = 2000
"""A browser that has lost the connection asks again after so long."""

PENDING_MOST = 1000
"""So many imports may have news that a follower has not taken; of more, the oldest are dropped."""

Key = tuple[str, int]
Progress = Callable[[], Mapping[Key, float]]
"""How far the imports that run now are, 0 to 1, by tenant and id."""


@dataclass(frozen=True, slots=True)
class Event:
    """News of one import. `progress` is 0 to 1 while it runs, else None.

    Whoever has seen it goes on with `follow(..., after=number)`.
    """

    kind: Literal["progress", "state"]
    tenant: str
    import_id: int
    state: ImportState
    progress: float | None
    number: int


@dataclass(eq=False, slots=True)
class _Follower:
    """Who follows `tenant` (None: all), and what they have not taken yet. `seen` is None until the first look."""

    tenant: str | None
    seen: int | None
    fresh: bool = True
    ended: bool = False
    pending: dict[Key, Event] = field(default_factory=dict)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def offer(self, event: Event) -> None:
        if self.tenant not in (None, event.tenant):
            return
        key = (event.tenant, event.import_id)
        self.pending.pop(key, None)  # the newest comes last
        self.pending[key] = event
        if len(self.pending) > PENDING_MOST:
            del self.pending[next(iter(self.pending))]
        self.news.set()

    def end(self) -> None:
        self.ended = True
        self.news.set()

    async def take(self) -> list[Event]:
        """What there is, once there is something or it is over."""
        await self.news.wait()
        self.news.clear()
        taken, self.pending = list(self.pending.values()), {}
        return taken


class Live:
    """Tells followers what happens, until `close()`."""

    def __init__(self, hints: Hints, progress: Progress) -> None:
        self._hints = hints
        self._progress = progress
        self._followers: set[_Follower] = set()
        self._joined = asyncio.Event()
        self._told: dict[Key, float] = {}
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._trouble = Trouble(log, "Following imports fails", {"event": "live_fault"})

    async def follow(self, tenant: str | None, after: int | None = None) -> AsyncGenerator[Event, None]:
        """The events of `tenant` (None: of all) from now on, or from those with a number above `after`.

        It ends when the server stops, or can't see any more what happens.
        """
        if self._closed:
            return
        follower = _Follower(tenant, after)
        self._followers.add(follower)
        self._joined.set()
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._watch(), name="live events")
        try:
            while not follower.ended:
                for event in await follower.take():
                    yield event
        finally:
            self._followers.discard(follower)

    async def close(self) -> None:
        """End all who follow, at once."""
        self._closed = True
        self._end_all()
        self._joined.set()
        if self._task:
            await self._task

    def _end_all(self) -> None:
        for follower in self._followers:
            follower.end()

    async def _watch(self) -> None:
        try:
            async with self._hints.watch() as watch:
                await self._look_again_and_again(watch)
        except Exception as error:
            self._trouble.met(error)
            self._end_all()

    async def _look_again_and_again(self, watch: Watch) -> None:
        while not self._closed:
            if not self._followers:
                self._joined.clear()
                await self._joined.wait()
                continue
            self._joined.clear()
            await self._look(watch, changed=await watch.changed())
            await set_within(self._joined, LOOK_S)

    async def _look(self, watch: Watch, *, changed: bool) -> None:
        """Tell everybody what is new to them: how far what runs is, then states, which may be later than that."""
        followers = list(self._followers)
        if not followers:
            return
        progress = dict(self._progress())
        fresh = any(follower.fresh for follower in followers)
        if fresh:
            newest = await watch.newest()
            for follower in followers:  # one may have seen more, before a backup was restored
                follower.seen = newest if follower.seen is None else min(follower.seen, newest)
        if fresh or progress != self._told:
            # One that has just ended may be in memory still.
            running = await watch.running()
            self._tell_progress(followers, {key: progress[key] for key in progress.keys() & running})
        if fresh or changed:
            await self._tell_states(followers, watch)
        for follower in followers:
            follower.fresh = False

    def _tell_progress(self, followers: Sequence[_Follower], progress: Mapping[Key, float]) -> None:
        for key, fraction in progress.items():
            for follower in followers:
                if follower.fresh or self._told.get(key) != fraction:
                    follower.offer(Event("progress", *key, ImportState.RUNNING, fraction, follower.seen or 0))
        self._told = dict(progress)

    async def _tell_states(self, followers: Sequence[_Follower], watch: Watch) -> None:
        lowest = min(follower.seen or 0 for follower in followers)
        moves = await watch.moves(lowest)
        events = [
            Event("state", each.tenant, each.import_id, each.state, each.progress, each.number) for each in moves
        ]
        for follower in followers:
            news = events[bisect_right(events, follower.seen or 0, key=lambda event: event.number) :]
            for event in news:
                follower.offer(event)
                follower.seen = event.number
            if news:
                await asyncio.sleep(0)  # however many follow, they hold up nobody


def as_text(event: Event) -> str:
    """`event` as one of a stream of server-sent events."""
    facts = {
        "tenant": event.tenant,
        "import": event.import_id,
        "state": event.state.value,
        "progress": event.progress,
    }
    return f"id: {event.number}\nevent: {event.kind}\ndata: {json.dumps(facts)}\n\n"


async def as_stream(
    events: AsyncGenerator[Event, None], may_stay: Callable[[], Awaitable[bool]], beat_s: float = BEAT_S
) -> AsyncGenerator[str, None]:
    """`events` as text/event-stream, with a comment every `beat_s`, and closed with it.

    As often it asks whether whoever follows `may_stay`: their session may have ended, their token been revoked.
    """
    loop = asyncio.get_running_loop()
    yield f"retry: {AGAIN_MS}\n\n"
    coming, beat_at = asyncio.ensure_future(anext(events)), loop.time() + beat_s
    try:
        while True:
            await asyncio.wait([coming], timeout=max(0.0, beat_at - loop.time()))
            if coming.done():
                yield as_text(coming.result())
                coming = asyncio.ensure_future(anext(events))
            if loop.time() >= beat_at:
                if not await may_stay():
                    return
                yield ": still here\n\n"
                beat_at = loop.time() + beat_s
    except StopAsyncIteration:
        return
    finally:
        coming.cancel()
        with suppress(asyncio.CancelledError, StopAsyncIteration):
            await coming
        await events.aclose()
