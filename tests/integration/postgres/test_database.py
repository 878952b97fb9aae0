"""Transactions on PostgreSQL: complete or not at all, also if they are canceled or lose their connection."""

from __future__ import annotations

import asyncio
import time
import traceback
from contextlib import AsyncExitStack
from functools import partial

import psycopg
import pytest

from engine.postgres.connecting import connect
from engine.postgres.database import ON_NO_DISK, Database, Steps, alone, pooled
from engine.postgres.pool import Pool
from importer.errors import DatabaseAway, DatabaseDamaged, DatabaseFault, DatabaseUnusable, TryAgain
from tests.support.clients import POSTGRES, needs
from tests.support.own_postgres import own_postgres
from tests.support.postgres import url as url_of
from tests.support.postgres import waiting
from tests.support.waiting import DEADLINE_S, eventually

pytestmark = needs(POSTGRES)

WRITE = "INSERT INTO notes VALUES (%s, %s)"
HALT = "'BEGIN PERFORM pg_advisory_xact_lock_shared(1); RETURN NEW; END'"
GATE = (
    f"CREATE FUNCTION halt() RETURNS trigger LANGUAGE plpgsql AS {HALT}",
    "CREATE TRIGGER halts BEFORE UPDATE ON notes FOR EACH ROW WHEN (OLD.id = 1) EXECUTE FUNCTION halt()",
)
"""Let a change of row 1 wait with the lock of that row, while another transaction has the advisory lock 1."""


async def written(database: Database) -> list[int]:
    return [row["id"] for row in await database.read("SELECT id FROM notes ORDER BY id")]


async def asleep(database: Database) -> bool:
    """Return whether a statement of this database sleeps."""
    here = "datname = current_database()"
    return bool(await database.read(f"SELECT 1 FROM pg_stat_activity WHERE {here} AND wait_event = 'PgSleep'"))


async def test_values_are_given_by_place_or_by_name(database: Database) -> None:
    assert await database.change(WRITE, 1, "a") == 1
    assert await database.change("UPDATE notes SET text = %(text)s WHERE id = %(id)s", id=2, text="b") == 0
    (row,) = await database.read("SELECT * FROM notes WHERE text LIKE 'a%'")
    assert (row[0], row["text"], [*row], row.keys()) == (1, "a", [1, "a"], ["id", "text"])


async def test_a_transaction_that_raises_changes_nothing(database: Database) -> None:
    async def act() -> None:
        async with database.transaction() as steps:
            assert await steps.change_each(WRITE, [(1, "a"), (2, "b")]) == 2
            raise KeyError

    with pytest.raises(KeyError):
        await act()
    assert await written(database) == []


async def test_a_canceled_transaction_changes_nothing(database: Database) -> None:
    async def act() -> None:
        async with database.transaction() as steps:
            await steps.change(WRITE, 1, "a")
            await steps.rows("SELECT pg_sleep(60)")

    task = asyncio.create_task(act())
    await eventually(lambda: asleep(database))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert not await asleep(database)
    assert await written(database) == []


async def test_a_canceled_change_has_ended_before_its_caller_goes_on(database: Database) -> None:
    async with database.transaction() as steps:
        await steps.rows("SELECT pg_advisory_xact_lock(1)")
        task = asyncio.create_task(database.change("INSERT INTO notes SELECT 1 FROM pg_advisory_xact_lock(1)"))
        await eventually(lambda: waiting(database, 1))
        task.cancel()
        await asyncio.wait([task], timeout=0.1)
        assert not task.done()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert await written(database) == [1]


async def test_a_change_waits_for_a_lock_only_so_long(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.postgres.database.LOCK_S", 0.1)
    await database.change(WRITE, 1, "a")
    with psycopg.connect(database.url) as other:
        other.execute("UPDATE notes SET text = 'b'")
        async with asyncio.timeout(DEADLINE_S):
            with pytest.raises(TryAgain, match="cannot do it now"):
                await database.change("UPDATE notes SET text = 'c'")
        other.rollback()
    assert await database.change("UPDATE notes SET text = 'c'") == 1


async def test_a_transaction_with_a_failed_statement_raises_at_its_end(database: Database) -> None:
    async def act() -> None:
        async with database.transaction() as steps:
            await steps.change(WRITE, 1, "a")
            with pytest.raises(psycopg.errors.UniqueViolation):
                await steps.change(WRITE, 1, "b")

    with pytest.raises(DatabaseFault, match="rolled back"):
        await act()
    assert await written(database) == []


async def test_settings_of_a_transaction_end_with_it(url: str) -> None:
    async def setting(steps: Steps | Database, name: str) -> str:
        rows = await (steps.rows if isinstance(steps, Steps) else steps.read)(f"SHOW {name}")
        return str(rows[0][0])

    async with alone(url) as database:
        names = (*ON_NO_DISK, "lock_timeout", "idle_in_transaction_session_timeout")
        before = [await setting(database, name) for name in names]
        async with database.transaction(ON_NO_DISK) as steps:
            assert [await setting(steps, name) for name in names] == ["off", "10s", "8s"]
        assert [await setting(database, name) for name in names] == before == ["on", "0", "0"]


async def test_a_transaction_that_does_not_begin_leaves_the_connection_usable(url: str) -> None:
    async with alone(url) as database:
        with pytest.raises(DatabaseFault):
            async with database.transaction({"no_such_setting": "1"}):
                pass
        assert (await database.read("SELECT 1"))[0][0] == 1


async def test_the_isolation_of_a_transaction_is_the_same_in_every_database(url: str) -> None:
    async with alone(url) as database:
        name = (await database.read("SELECT current_database()"))[0][0]
        await database.change(f"ALTER DATABASE {name} SET default_transaction_isolation = 'serializable'")
    async with alone(url) as database, database.transaction() as steps:
        assert (await steps.rows("SHOW transaction_isolation"))[0][0] == "read committed"


async def end_others(url: str) -> None:
    """End all other connections to the database, as a stop of PostgreSQL does."""
    async with alone(url) as admin:
        await admin.read(
            "SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )


async def test_a_lost_idle_connection_is_replaced_unnoticed(database: Database, url: str) -> None:
    async with database.transaction(), database.transaction():
        pass  # two connections are in the pool
    await end_others(url)
    assert await database.change(WRITE, 1, "a") == 1
    await end_others(url)
    assert await written(database) == [1]


async def test_all_idle_connections_that_ended_are_replaced_unnoticed(database: Database, url: str) -> None:
    async with AsyncExitStack() as stack:
        for _ in range(4):
            await stack.enter_async_context(database.transaction())
    await end_others(url)
    begun = time.monotonic()
    for number in range(8):
        async with database.transaction() as steps:
            await steps.change(WRITE, number, "a")
    assert time.monotonic() - begun < 10
    assert len(await written(database)) == 8


async def test_what_has_not_begun_is_done_on_another_connection(
    database: Database, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.postgres.pool._is_quiet", lambda _: True)  # it is lost a moment later

    async def transaction() -> None:
        async with database.transaction() as steps:
            await steps.change(WRITE, 1, "a")

    async def together() -> None:
        async with database.together():
            await database.change(WRITE, 2, "a")

    change, reads = partial(database.change, WRITE, 3, "a"), (database.read, database.blobs)
    for act in (transaction, together, change, *(partial(read, "SELECT 1") for read in reads)):
        await database.read("SELECT 1")
        await end_others(url)
        await act()
    assert await written(database) == [1, 2, 3]


async def test_a_change_whose_connection_is_lost_is_not_done_again(database: Database, url: str) -> None:
    slow = "INSERT INTO notes SELECT 1 FROM pg_sleep(60)"
    task = asyncio.create_task(database.change(slow))
    await eventually(lambda: asleep(database))
    await end_others(url)
    with pytest.raises(DatabaseAway):
        await task
    assert await written(database) == []


async def test_work_waits_for_a_database_that_restarts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.postgres.database.AWAY_S", 2 * DEADLINE_S)  # a start may take long
    with own_postgres() as postgres:
        async with pooled(postgres.url, most=2) as database:
            await database.change("CREATE TABLE notes (id integer PRIMARY KEY, text text)")
            postgres.stop()
            waiting = [asyncio.create_task(database.change(WRITE, number, "a")) for number in range(6)]
            done, _ = await asyncio.wait(waiting, timeout=1)
            assert not done
            await asyncio.to_thread(postgres.start)
            await asyncio.gather(*waiting)
            assert len(await written(database)) == 6
            postgres.stop()
            monkeypatch.setattr("engine.postgres.database.AWAY_S", 2.0)
        async with pooled(postgres.url, most=2) as database:
            with pytest.raises(DatabaseAway, match=r"^the database cannot be reached$") as error:
                await database.change(WRITE, 9, "a")
            assert "socket" in error.value.why


async def test_a_wait_for_a_connection_in_use_ends_with_a_reason(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    pool = Pool(lambda: connect(url), 1, DEADLINE_S)
    database = Database(url, pool.lend)
    async with database.transaction():
        monkeypatch.setattr(pool, "_wait_s", 0.5)
        with pytest.raises(TryAgain, match="all 1 connections to the database are in use"):
            await database.read("SELECT 1")
    await pool.close()


async def test_a_connection_that_nothing_uses_is_closed(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.postgres.pool.IDLE_S", 0.2)
    async with pooled(url, most=2) as database, alone(url) as other:
        await database.read("SELECT 1")

        async def is_closed() -> bool:
            (row,) = await other.read(
                "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()"
                " AND backend_type = 'client backend'"
            )
            return bool(row[0] == 1)

        await eventually(is_closed)
        assert await database.read("SELECT 1")


async def test_a_database_that_cannot_be_written_is_away(url: str) -> None:
    async with alone(url) as database:
        name = (await database.read("SELECT current_database()"))[0][0]
        with pytest.raises(DatabaseAway, match="cannot be written now"):
            async with database.transaction({"transaction_read_only": "on"}) as steps:
                await steps.change("CREATE TABLE notes (id integer)")
        await database.change(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
    with pytest.raises(DatabaseAway) as error:
        async with alone(url):
            pass
    assert "read-only" in error.value.why


async def test_connections_to_a_host_that_became_read_only_are_not_lent_again(database: Database) -> None:
    """A new connection is made only to a host that can be written: so the next try waits for one."""
    async with database.transaction() as one, database.transaction() as other:
        for steps in (one, other):
            await steps.change("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
    with pytest.raises(DatabaseAway, match="cannot be written now"):
        await database.change(WRITE, 1, "a")
    assert await database.change(WRITE, 1, "a") == 1
    assert await written(database) == [1]


async def test_reads_go_on_while_writers_wait_for_a_database_that_can_be_written(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More writers and readers than the pool has connections."""
    name = database.url.partition("?")[0].rpartition("/")[2]
    monkeypatch.setattr("engine.postgres.database.AWAY_S", 4 * DEADLINE_S)  # all writers wait until the end
    async with pooled(database.url, most=4) as crowded:
        async with crowded.transaction() as steps:
            await steps.change(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
            await steps.change("SET SESSION CHARACTERISTICS AS TRANSACTION READ ONLY")
        with pytest.raises(DatabaseAway, match="cannot be written now"):
            await crowded.change(WRITE, 0, "a")
        writing = [asyncio.create_task(crowded.change(WRITE, number, "a")) for number in range(10)]
        async with asyncio.timeout(DEADLINE_S):
            for _ in range(5):
                assert await asyncio.gather(*(written(crowded) for _ in range(10))) == [[]] * 10
                await asyncio.sleep(0.1)
        assert not any(task.done() for task in writing)
        async with crowded.transaction({"transaction_read_only": "on"}) as steps:
            assert await steps.rows("SELECT id FROM notes") == []
        with psycopg.connect(f"{database.url}&options=-cdefault_transaction_read_only%3Doff") as admin:
            admin.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        await asyncio.gather(*writing)
        assert await written(crowded) == [*range(10)]


async def test_an_old_connection_is_used_until_a_new_one_can_be_made(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A database may be read-only for hours: reads go on."""
    name = url.partition("?")[0].rpartition("/")[2]
    process = "SELECT pg_backend_pid()"
    async with pooled(url, most=2) as database:
        monkeypatch.setattr("engine.postgres.pool.OLD_S", 0.0)
        monkeypatch.setattr("engine.postgres.pool.IDLE_S", 0.0)
        async with database.transaction() as steps:
            await steps.change(f"ALTER DATABASE {name} SET default_transaction_read_only = on")
            ((old,),) = await steps.rows(process)
        async with asyncio.timeout(10):
            assert [(await database.read(process))[0][0] for _ in range(3)] == [old] * 3
        with psycopg.connect(f"{url}&options=-cdefault_transaction_read_only%3Doff", autocommit=True) as admin:
            admin.execute(f"ALTER DATABASE {name} RESET default_transaction_read_only")
        assert (await database.read(process))[0][0] != old


async def test_a_connection_lost_in_a_transaction_is_to_be_tried_again(database: Database, url: str) -> None:
    async def act() -> None:
        async with database.transaction() as steps:
            await steps.change(WRITE, 1, "a")
            await end_others(url)
            await steps.change(WRITE, 2, "b")

    with pytest.raises(TryAgain):
        await act()
    assert await written(database) == []
    async with alone(url) as single:
        with pytest.raises(TryAgain):
            async with single.transaction():
                await end_others(url)
        with pytest.raises(TryAgain):
            await single.read("SELECT 1")


async def test_a_connection_that_is_lost_in_many_changes_is_logged_by_no_library(
    database: Database, url: str, caplog: pytest.LogCaptureFixture
) -> None:
    async def act() -> None:
        async with database.transaction() as steps:
            await end_others(url)
            await steps.change_each(WRITE, [(number, "a") for number in range(100)])

    with caplog.at_level("DEBUG"), pytest.raises(DatabaseAway):
        await act()
    assert [each for each in caplog.records if each.name.startswith("psycopg")] == []


async def test_a_statement_that_a_deadlock_ended_is_run_again(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.postgres.database.LOCK_S", 4 * DEADLINE_S)
    await database.change("INSERT INTO notes SELECT generate_series(1, 2)")
    for statement in GATE:
        await database.change(statement)
    async with database.transaction() as steps:
        await steps.change("SET LOCAL deadlock_timeout = '120s'")
        await steps.change("UPDATE notes SET text = 'first' WHERE id = 2")
        async with database.transaction() as gate:
            await gate.rows("SELECT pg_advisory_xact_lock(1)")
            both = "UPDATE notes SET text = 'other' WHERE id IN (SELECT id FROM notes ORDER BY id)"
            other = asyncio.create_task(database.change(both))
            await eventually(lambda: waiting(database, 1))  # it has the first row
            first = asyncio.create_task(steps.change("UPDATE notes SET text = 'first' WHERE id = 1"))
            await eventually(lambda: waiting(database, 2))
        # It closes the circle, and looks for one a second later. The first one has looked for none.
        assert await first == 1
    assert await other == 2
    assert {row[0] for row in await database.read("SELECT text FROM notes")} == {"other"}


async def test_each_kind_of_fault_has_its_exception(database: Database) -> None:
    for statement, kind in (
        ("INSERT INTO notes VALUES (NULL)", DatabaseFault),
        ("nonsense", DatabaseFault),
        ("SELECT * FROM unknown", DatabaseUnusable),
        ("DO $$ BEGIN RAISE 'no room' USING ERRCODE = '53100'; END $$", TryAgain),
        ("DO $$ BEGIN RAISE 'in recovery' USING ERRCODE = '57P03'; END $$", TryAgain),
        ("DO $$ BEGIN RAISE 'damaged' USING ERRCODE = 'XX001'; END $$", DatabaseDamaged),
        ("DO $$ BEGIN RAISE 'invalid size' USING ERRCODE = 'XX000'; END $$", DatabaseDamaged),
        ("DO $$ BEGIN RAISE 'no such file' USING ERRCODE = '58P01'; END $$", DatabaseDamaged),
    ):
        with pytest.raises(kind):
            await database.change(statement)


async def test_an_unreachable_database_is_to_be_tried_again() -> None:
    with pytest.raises(TryAgain, match="cannot be reached"):
        async with alone("postgresql://127.0.0.1:1/none"):
            pass


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://localhost/x?color=secret",
        "postgres:/ann:secret@localhost/x",
        "'postgresql://ann:secret@localhost/x'",
        "postgresql://ann:%secret@localhost/x",
    ],
)
async def test_a_url_that_is_none_makes_the_database_unusable_and_is_not_told(url: str) -> None:
    with pytest.raises(DatabaseUnusable, match="URL") as error:
        async with alone(url):
            pass
    assert "secret" not in "".join(traceback.format_exception(error.value))


async def test_a_closed_database_is_unusable() -> None:
    async with pooled(url_of("postgres"), most=1) as database:
        assert await database.read("SELECT 1")
    with pytest.raises(DatabaseUnusable, match="closed"):
        await database.read("SELECT 1")
