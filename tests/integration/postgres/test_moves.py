"""Followers miss no change, although numbers of changes are not in the order of the commits."""

from __future__ import annotations

import asyncio
import random

import pytest

from engine.hints import Watch
from engine.postgres.database import Database, pooled
from engine.postgres.server.hints import PostgresHints
from tests.support.clients import POSTGRES, needs
from tests.support.postgres import url as url_of
from tests.support.waiting import DEADLINE_S

pytestmark = needs(POSTGRES)

MOVE = "INSERT INTO moves (tenant_id, import_id) VALUES (1, %s)"


async def newest(database: Database) -> int:
    async with PostgresHints(database).watch() as watch:
        return await watch.newest()


async def test_no_number_is_the_newest_while_a_lower_one_may_still_come(database: Database) -> None:
    assert await newest(database) == 0
    await database.change(MOVE, 1)
    async with database.transaction() as early:
        await early.change(MOVE, 2)
        await database.change(MOVE, 3)
        assert await newest(database) == 1
        async with database.transaction() as late:
            await late.change(MOVE, 4)
            await late.change(MOVE, 5)
            await database.change(MOVE, 6)
            assert await newest(database) == 1
        assert await newest(database) == 1
    assert await newest(database) == 6


async def test_numbers_of_a_change_that_was_rolled_back_are_waited_for_no_longer(database: Database) -> None:
    async def act() -> None:
        async with database.transaction() as steps:
            await steps.change(MOVE, 1)
            await database.change(MOVE, 2)
            raise KeyError

    with pytest.raises(KeyError):
        await act()
    assert await newest(database) == 2


async def test_other_long_transactions_and_databases_delay_no_number(database: Database) -> None:
    async with pooled(url_of("postgres"), most=1) as elsewhere, elsewhere.transaction() as there:
        await there.rows("SELECT pg_advisory_xact_lock_shared(1751346518, 0)")
        async with database.transaction() as here:
            await here.change("INSERT INTO notes VALUES (1, 'an import')")
            await database.change(MOVE, 1)
            assert await newest(database) == 1


@pytest.mark.parametrize("given", [2**31 - 2, 2**31, 2**32 - 1, 2**40])
async def test_numbers_grow_beyond_those_of_a_lock(database: Database, given: int) -> None:
    await database.read("SELECT setval('moves_id_seq', %s)", given)
    async with database.transaction() as early:
        await early.change(MOVE, 1)
        await database.change(MOVE, 2)
        await database.change(MOVE, 3)
        assert await newest(database) == given
    assert await newest(database) == given + 3


async def follow(database: Database, watch: Watch, seen: list[int], until: int) -> None:
    """Record the imports whose moves a follower is shown, which goes on each time from the newest number."""
    after = 0
    while len(seen) < until:
        upto = await watch.newest()
        rows = await database.read("SELECT import_id FROM moves WHERE id > %s AND id <= %s", after, upto)
        seen += [row[0] for row in rows]
        after = upto


async def test_a_follower_sees_each_of_many_simultaneous_changes_once(url: str) -> None:
    writers, each, chance = 6, 25, random.Random(1)

    async def write(database: Database, writer: int) -> None:
        for number in range(each):
            async with database.transaction() as steps:
                await steps.change(MOVE, writer * each + number)
                await asyncio.sleep(chance.random() / 100)

    async with pooled(url, most=writers + 2) as database, PostgresHints(database).watch() as watch:
        seen = list[int]()
        following = asyncio.create_task(follow(database, watch, seen, writers * each))
        await asyncio.gather(*(write(database, writer) for writer in range(writers)))
        await asyncio.wait_for(following, DEADLINE_S)
    assert sorted(seen) == list(range(writers * each))
