"""Live events of imports and of runs of hooks for open pages: read from the store, sent over HTTP.

The store is read only while there are followers, so decisions of other processes are seen, too. For a slow follower,
only the newest event of each import or run is kept.
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

from engine.hints import Hints, Move, RunMove, Watch
from importer.model import ImportState
from server.rounds import set_within
from server.trouble import Trouble

log = logging.getLogger(__name__)

MEDIA_TYPE = "text/event-stream"
HEADERS = {"x-accel-buffering": "no"}
"""Tells a proxy before the server to send each event at once."""

LOOK_S = 0.3
BEAT_S = 15.0
"""The interval of comments in a stream: without them, a dead connection would go unnoticed."""

AGAIN_MS = 2000
"""The wait of a browser before it reconnects."""

PENDING_MOST = 1000
"""The most imports with pending events for one follower; above it, the oldest events are dropped."""

Key = tuple[str, int]
Subject = tuple[str, int, int | None]
"""A tenant with the id of an import, or with 0 and the id of a run."""
Progress = Callable[[], Mapping[Key, float]]
"""Returns the progress of the running imports, 0 to 1, by tenant and id."""


@dataclass(frozen=True, slots=True)
class Event:
    """One event of an import, or of the run `run_id` of a hook. `progress` is 0 to 1 while an import runs, else None.

    A follower that has received it continues with `follow(..., after=number)`.
    """

    kind: Literal["progress", "state", "run"]
    tenant: str
    import_id: int
    state: ImportState
    progress: float | None
    number: int
    run_id: int | None = None

    @property
    def subject(self) -> Subject:
        return self.tenant, self.import_id, self.run_id


@dataclass(eq=False, slots=True)
class _Follower:
    """A follower of `tenant` (None: all) and its pending events. `seen` is None until the store is first read."""

    tenant: str | None
    seen: int | None
    fresh: bool = True
    ended: bool = False
    pending: dict[Subject, Event] = field(default_factory=dict)
    news: asyncio.Event = field(default_factory=asyncio.Event)

    def offer(self, event: Event) -> None:
        if self.tenant not in (None, event.tenant):
            return
        self.pending.pop(event.subject, None)  # keep the newest event at the end
        self.pending[event.subject] = event
        if len(self.pending) > PENDING_MOST:
            del self.pending[next(iter(self.pending))]
        self.news.set()

    def end(self) -> None:
        self.ended = True
        self.news.set()

    async def take(self) -> list[Event]:
        """Wait for events or the end, and return the pending events."""
        await self.news.wait()
        self.news.clear()
        taken, self.pending = list(self.pending.values()), {}
        return taken


class Live:
    """Sends events to followers until `close()`."""

    def __init__(self, hints: Hints, progress: Progress, *, shares: bool = False) -> None:
        """`progress` is that of the imports of this server. `shares`: other servers run imports, too."""
        self._shares = shares
        self._hints = hints
        self._progress = progress
        self._followers: set[_Follower] = set()
        self._joined = asyncio.Event()
        self._sent: dict[Key, float] = {}
        self._task: asyncio.Task[None] | None = None
        self._closed = False
        self._trouble = Trouble(log, "Following imports fails", {"event": "live_fault"})

    async def follow(self, tenant: str | None, after: int | None = None) -> AsyncGenerator[Event, None]:
        """Yield the events of `tenant` (None: all tenants) from now on, or those with a number above `after`.

        Ends when the server stops, or when the store cannot be read.
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
        """End all followers at once."""
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
                await self._look_until_closed(watch)
        except Exception as error:
            self._trouble.met(error)
            self._end_all()

    async def _look_until_closed(self, watch: Watch) -> None:
        while not self._closed:
            if not self._followers:
                self._joined.clear()
                await self._joined.wait()
                continue
            self._joined.clear()
            await self._look(watch, changed=await watch.changed())
            await set_within(self._joined, LOOK_S)

    async def _look(self, watch: Watch, *, changed: bool) -> None:
        """Offer each follower its new events: progress first, then states, because a state may be newer."""
        followers = list(self._followers)
        if not followers:
            return
        progress = dict(self._progress())
        if self._shares:
            progress = {**await watch.running(), **progress}
        fresh = any(follower.fresh for follower in followers)
        if fresh:
            newest = await watch.newest()
            for follower in followers:  # `seen` may be above `newest` after a backup was restored
                follower.seen = newest if follower.seen is None else min(follower.seen, newest)
        if fresh or progress != self._sent:
            # The progress of an import that has just ended may still be in memory.
            running = await watch.running()
            self._offer_progress(followers, {key: progress[key] for key in progress.keys() & running.keys()})
        if fresh or changed:
            await self._offer_states(followers, watch)
        for follower in followers:
            follower.fresh = False

    def _offer_progress(self, followers: Sequence[_Follower], progress: Mapping[Key, float]) -> None:
        for key, fraction in progress.items():
            for follower in followers:
                if follower.fresh or self._sent.get(key) != fraction:
                    follower.offer(Event("progress", *key, ImportState.RUNNING, fraction, follower.seen or 0))
        self._sent = dict(progress)

    async def _offer_states(self, followers: Sequence[_Follower], watch: Watch) -> None:
        lowest = min(follower.seen or 0 for follower in followers)
        newest = await watch.newest()
        found = [*map(_of_import, await watch.moves(lowest)), *map(_of_run, await watch.run_moves(lowest))]
        # Two reads: a later change of an import may be missing beside one of a run, and is offered at the next look.
        events = sorted((each for each in found if each.number <= newest), key=lambda event: event.number)
        for follower in followers:
            news = events[bisect_right(events, follower.seen or 0, key=lambda event: event.number) :]
            for event in news:
                follower.offer(event)
                follower.seen = event.number
            if news:
                await asyncio.sleep(0)  # many followers must not block the event loop


def _of_import(move: Move) -> Event:
    return Event("state", move.tenant, move.import_id, move.state, move.progress, move.number)


def _of_run(move: RunMove) -> Event:
    return Event("run", move.tenant, 0, move.state, None, move.number, move.run_id)


def as_text(event: Event) -> str:
    """Return `event` in the format of server-sent events."""
    facts: dict[str, object] = {"tenant": event.tenant, "import": event.import_id, "state": event.state.value}
    if event.run_id is None:
        facts["progress"] = event.progress
    else:
        facts = {"tenant": event.tenant, "run": event.run_id, "state": event.state.value}
    return f"id: {event.number}\nevent: {event.kind}\ndata: {json.dumps(facts)}\n\n"


async def as_stream(
    events: AsyncGenerator[Event, None], may_stay: Callable[[], Awaitable[bool]], beat_s: float = BEAT_S
) -> AsyncGenerator[str, None]:
    """Yield `events` as text/event-stream, with a comment every `beat_s`; close them at the end.

    Every `beat_s` it also ends unless `may_stay()`: the session may have ended, or the token may be revoked.
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
