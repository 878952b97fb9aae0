"""Changes of imports as followers see them, including those by another process."""

from __future__ import annotations

from engine.hints import Move
from engine.store import Store
from importer.model import ImportState
from tests.support.engines import OpenStore
from tests.support.queues import enqueue, run_to


async def test_each_import_has_one_move_the_newest(store: Store) -> None:
    async with store.hints().watch() as watch:
        assert await watch.newest() == 0
        first, second = await enqueue(store.imports()), await enqueue(store.imports())
        await run_to(store.imports(), first, ImportState.COMPLETED)
        moves = await watch.moves(0)
        assert [(each.import_id, each.state) for each in moves] == [
            (2, ImportState.QUEUED),
            (1, ImportState.COMPLETED),
        ]
        assert second == 2
        assert moves[-1].number == await watch.newest() == await store.imports().newest_move()
        assert await watch.moves(moves[0].number) == [moves[1]]


async def test_running_imports_and_their_progress_are_visible(store: Store) -> None:
    number = await enqueue(store.imports())
    await store.imports().claim("acme", number)
    await store.imports().progress("acme", number, 0.5)
    async with store.hints().watch() as watch:
        assert await watch.running() == {("acme", number)}
        assert await watch.moves(0) == [Move(await watch.newest(), "acme", number, ImportState.RUNNING, 0.5)]


async def test_a_change_by_another_process_is_seen(engine: OpenStore, store: Store) -> None:
    async with store.hints().watch() as watch, engine() as elsewhere:
        assert await watch.changed()
        await enqueue(elsewhere.imports())
        assert await watch.changed()
        assert [each.import_id for each in await watch.moves(0)] == [1]
