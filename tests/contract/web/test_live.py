"""Followers see all changes of imports, soon; events that are not read take no memory."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from importer.model import ImportState
from importer.queue.queue import Queue
from server.web import listener as listener_module
from server.web import live as live_module
from server.web.listener import WebListener
from server.web.live import Event, Key, Live, as_stream, as_text
from tests.support.engines import OpenStore
from tests.support.queues import House, enqueue, open_house, promise, run_to
from tests.support.runs import end_in, put_in_line
from tests.support.waiting import DEADLINE_S, eventually


class Scene:
    """Imports, how far they are, and their followers."""

    def __init__(self, house: House) -> None:
        self.house = house
        self.queue = house.queue
        self.progress: dict[Key, float] = {}
        self.looks = 0
        self.live = Live(house.store.hints(), self._how_far)
        self._tasks: list[asyncio.Task[None]] = []

    def _how_far(self) -> dict[Key, float]:
        self.looks += 1
        return self.progress

    def follow(self, tenant: str | None = "acme", after: int | None = None) -> list[Event]:
        """Record what a follower that takes every event has seen by now."""
        heard: list[Event] = []

        async def listen() -> None:
            async with aclosing(self.live.follow(tenant, after)) as events:
                async for event in events:
                    heard.append(event)  # noqa: PERF401 - to be seen at once

        self._tasks.append(asyncio.create_task(listen()))
        return heard

    async def joined(self) -> None:
        """Wait until every follower has been served once."""
        await eventually(lambda: self.live._followers and not any(each.fresh for each in self.live._followers))

    async def end(self) -> None:
        await self.live.close()
        await asyncio.wait_for(asyncio.gather(*self._tasks), DEADLINE_S)


@pytest.fixture
async def scene(engine: OpenStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Scene]:
    monkeypatch.setattr(live_module, "LOOK_S", 0.01)
    async with open_house(tmp_path, "acme", "other", engine=engine) as house:
        scene = Scene(house)
        yield scene
        await scene.end()


def states(heard: list[Event], import_id: int | None = None) -> list[str]:
    return [each.state.value for each in heard if import_id in (None, each.import_id)]


async def test_followers_see_an_import_from_the_queue_to_its_end(scene: Scene) -> None:
    heard = scene.follow()
    await scene.joined()
    number = await enqueue(scene.queue)
    await eventually(lambda: states(heard) == ["queued"])
    await run_to(scene.queue, number, ImportState.COMPLETED)
    await eventually(lambda: states(heard)[-1] == "completed")
    assert all((each.kind, each.tenant, each.import_id) == ("state", "acme", number) for each in heard)


async def test_followers_see_decisions_of_another_process(scene: Scene, engine: OpenStore) -> None:
    number = await enqueue(scene.queue)
    await run_to(scene.queue, number, ImportState.HELD)
    heard = scene.follow()
    await scene.joined()
    async with engine() as elsewhere:
        await elsewhere.imports().discard("acme", number, by="olga")
    await eventually(lambda: states(heard) == ["discarded"])


async def test_followers_see_the_end_of_even_a_very_quick_import(scene: Scene) -> None:
    heard = scene.follow()
    await scene.joined()
    ended = [await ended_import(scene.queue) for _ in range(20)]
    await eventually(lambda: all("completed" in states(heard, number) for number in ended))


async def ended_import(queue: Queue) -> int:
    number = await enqueue(queue)
    await run_to(queue, number, ImportState.COMPLETED)
    return number


async def test_followers_see_progress_while_an_import_runs_and_never_after_its_end(scene: Scene) -> None:
    number = await enqueue(scene.queue)
    entry = await scene.queue.claim("acme", number)
    assert entry
    scene.progress["acme", number] = 0.25
    heard = scene.follow()
    await eventually(lambda: [each.progress for each in heard] == [0.25])
    scene.progress["acme", number] = 0.5
    await eventually(lambda: [each.progress for each in heard] == [0.25, 0.5])
    await scene.queue.requeue("acme", number)
    await eventually(lambda: states(heard)[-1] == "queued")
    scene.progress["acme", number] = 1.0  # the worker that ran it has not dropped it yet
    await run_to(scene.queue, number, ImportState.COMPLETED)
    await eventually(lambda: states(heard)[-1] == "completed")
    scene.progress["acme", number] = 0.75
    later = scene.follow()
    await scene.joined()
    assert heard[-1].state is ImportState.COMPLETED
    assert later == []


async def test_a_follower_sees_only_its_tenant_and_the_operator_sees_all(scene: Scene) -> None:
    acme, all_users = scene.follow("acme"), scene.follow(None)
    await scene.joined()
    await enqueue(scene.queue, "other")
    await enqueue(scene.queue, "acme")
    await eventually(lambda: acme and len(all_users) == 2)
    assert {each.tenant for each in acme} == {"acme"}
    assert {each.tenant for each in all_users} == {"acme", "other"}


async def test_followers_see_the_runs_of_hooks_of_their_tenant_among_its_imports(scene: Scene) -> None:
    runs = scene.house.store.runs()
    heard = scene.follow()
    await scene.joined()
    await put_in_line(runs, "other")
    number = await put_in_line(runs)
    await eventually(lambda: states(heard) == ["queued"])
    await end_in(runs, number, ImportState.FAILED)
    await eventually(lambda: states(heard)[-1] == "failed")
    await enqueue(scene.queue)
    await eventually(lambda: heard[-1].kind == "state")
    assert {(each.kind, each.run_id, each.import_id) for each in heard} == {("run", number, 0), ("state", None, 1)}
    again = scene.follow(after=0)
    await eventually(lambda: len(again) == 2)
    assert [(each.kind, each.state.value) for each in again] == [("run", "failed"), ("state", "queued")]
    assert [each.number for each in again] == sorted(each.number for each in again)


async def test_no_change_of_an_import_is_lost_beside_one_of_a_run(scene: Scene) -> None:
    """Imports and runs are read one after the other, while both change."""
    runs = scene.house.store.runs()
    heard = scene.follow()
    await scene.joined()
    for _ in range(20):
        await asyncio.gather(enqueue(scene.queue), put_in_line(runs))
    await eventually(lambda: len({each.subject for each in heard}) == 40)


async def test_a_returning_follower_gets_missed_events_and_none_twice(scene: Scene) -> None:
    heard = scene.follow()
    await scene.joined()
    first = await enqueue(scene.queue)
    await eventually(lambda: heard)
    missed = await ended_import(scene.queue)
    again = scene.follow(after=heard[0].number)
    await eventually(lambda: "completed" in states(again, missed))
    assert states(again, first) == []
    fresh = scene.follow()
    await scene.joined()
    assert fresh == []


async def test_a_follower_that_was_away_for_long_gets_each_import_once(scene: Scene) -> None:
    ended = [await ended_import(scene.queue) for _ in range(3)]
    heard = scene.follow(after=0)
    await eventually(lambda: len(heard) >= 3)
    await scene.joined()
    assert [(each.import_id, each.state.value) for each in heard] == [(number, "completed") for number in ended]


async def test_a_follower_ahead_of_a_restored_backup_gets_new_events(scene: Scene) -> None:
    heard = scene.follow(after=10**6)  # a backup was restored meanwhile
    await scene.joined()
    await enqueue(scene.queue)
    await eventually(lambda: states(heard) == ["queued"])


async def test_an_arriving_upload_is_not_an_event(scene: Scene) -> None:
    heard = scene.follow()
    await scene.joined()
    await promise(scene.queue)
    number = await enqueue(scene.queue)
    await eventually(lambda: heard)
    assert {each.import_id for each in heard} == {number}


async def test_only_the_newest_unread_event_of_each_import_is_kept(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live_module, "PENDING_MOST", 3)
    async with aclosing(scene.live.follow("acme")) as events:
        asleep = asyncio.ensure_future(anext(events))
        await scene.joined()
        await enqueue(scene.queue)
        await asleep  # it has taken one event, and takes no more
        for _ in range(5):
            await ended_import(scene.queue)
        (follower,) = scene.live._followers
        await eventually(lambda: [each.import_id for each in follower.pending.values()] == [4, 5, 6])
        await eventually(lambda: states([*follower.pending.values()]) == ["completed"] * 3)


async def test_the_database_is_not_read_while_there_is_no_follower(scene: Scene) -> None:
    async with aclosing(scene.live.follow("acme")) as events:
        waiting = asyncio.ensure_future(anext(events))
        await eventually(lambda: scene.looks > 2)
        waiting.cancel()
        await asyncio.wait([waiting])
    looks = scene.looks
    ended = [await ended_import(scene.queue) for _ in range(10)]
    assert scene.looks == looks
    heard = scene.follow(after=0)
    await eventually(lambda: [each.import_id for each in heard] == ended)


async def test_closing_ends_all_followers_at_once_and_accepts_no_more(scene: Scene) -> None:
    scene.follow()
    scene.follow(None)
    await scene.joined()
    await scene.end()
    assert [event async for event in scene.live.follow("acme")] == []


def test_an_event_is_text_as_browsers_read_it() -> None:
    text = as_text(Event("progress", "acme", 7, ImportState.RUNNING, 0.5, 42))
    identity, kind, data, *rest = text.split("\n")
    assert (identity, kind, rest) == ("id: 42", "event: progress", ["", ""])
    told = {"tenant": "acme", "import": 7, "state": "running", "progress": 0.5}
    assert json.loads(data.removeprefix("data: ")) == told
    of_run = as_text(Event("run", "acme", 0, ImportState.QUEUED, None, 43, 7))
    assert of_run == 'id: 43\nevent: run\ndata: {"tenant": "acme", "run": 7, "state": "queued"}\n\n'


async def stay() -> bool:
    return True


def served(live: Live) -> WebListener:
    async def events(request: Request) -> Response:
        return StreamingResponse(as_stream(live.follow("acme"), stay), media_type="text/event-stream")

    return WebListener(Starlette(routes=[Route("/", events)]), "127.0.0.1", 0)


async def test_events_are_sent_over_http_at_once_and_a_stop_waits_for_no_follower(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(listener_module, "CLOSE_S", 3600)  # for a follower that the stop would wait for
    listener = served(scene.live)
    host, port = await listener.start()
    async with (
        httpx.AsyncClient(timeout=DEADLINE_S) as client,
        client.stream("GET", f"http://{host}:{port}/") as answer,
    ):
        lines = answer.aiter_lines()
        assert await anext(lines) == "retry: 2000"
        await scene.joined()
        await enqueue(scene.queue)
        data = ""
        while not data.startswith("data: "):
            data = await asyncio.wait_for(anext(lines), DEADLINE_S)
        assert json.loads(data.removeprefix("data: "))["state"] == "queued"
        await scene.live.close()
        await asyncio.wait_for(listener.close(), DEADLINE_S)


async def test_a_browser_that_disconnects_leaves_no_follower(scene: Scene) -> None:
    listener = served(scene.live)
    host, port = await listener.start()
    async with (
        httpx.AsyncClient(timeout=DEADLINE_S) as client,
        client.stream("GET", f"http://{host}:{port}/") as answer,
    ):
        lines = answer.aiter_lines()
        await anext(lines)
        await scene.joined()
    await eventually(lambda: not scene.live._followers)
    await listener.close()


async def test_an_idle_stream_sends_a_heartbeat_and_ends_when_access_ends(scene: Scene) -> None:
    answers = iter([True, False])

    async def may_stay() -> bool:
        return next(answers)

    told = [text async for text in as_stream(scene.live.follow("acme"), may_stay, beat_s=0.01)]
    assert told == ["retry: 2000\n\n", ": still here\n\n"]
    assert not scene.live._followers
