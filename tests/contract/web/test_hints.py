"""Changes of imports as followers see them, including those by another process."""

from __future__ import annotations

from engine.hints import Move, RunMove
from engine.store import Store
from importer.model import ImportState
from tests.support.engines import OpenStore
from tests.support.queues import enqueue, run_to
from tests.support.runs import arrive, end_in, put_in_line


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
        assert await watch.running() == {("acme", number): 0.5}
        assert await watch.moves(0) == [Move(await watch.newest(), "acme", number, ImportState.RUNNING, 0.5)]


async def test_a_change_by_another_process_is_seen(engine: OpenStore, store: Store) -> None:
    async with store.hints().watch() as watch, engine() as elsewhere:
        assert await watch.changed()
        await enqueue(elsewhere.imports())
        assert await watch.changed()
        assert [each.import_id for each in await watch.moves(0)] == [1]


async def test_moves_of_runs_are_numbered_with_those_of_imports_and_told_apart(store: Store) -> None:
    async with store.hints().watch() as watch:
        await enqueue(store.imports())
        await end_in(store.runs(), await put_in_line(store.runs()), ImportState.COMPLETED)
        await arrive(store.runs())
        newest = await watch.newest()
        assert await watch.run_moves(0) == [RunMove(newest, "acme", 1, ImportState.COMPLETED)]
        assert [(each.import_id, each.number < newest) for each in await watch.moves(0)] == [(1, True)]
        assert await watch.run_moves(newest) == []
