"""Pages and API read by index, not by full scans: SQLite's plan of every statement shows it."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from pathlib import Path
from typing import Any

import aiosqlite
import pytest

from engine.runs import RunStore
from engine.sqlite.database import open_database
from engine.sqlite.importing.applied import SqliteApplied
from engine.sqlite.server.ledger import Ledger
from engine.sqlite.server.listing import SqliteListing
from engine.sqlite.server.runs import SqliteRunStore
from engine.sqlite.tenant.directory import SqliteDirectory
from engine.sqlite.tenant.history import SqliteHistory
from engine.sqlite.tenant.search import attach_index
from engine.sqlite.tenant.search_index import catch_up
from importer.folder import TenantFolder
from importer.model import ImportState
from importer.queue.listing import Listing
from importer.queue.pause import Pause
from importer.rules.identity import BY_ADDRESS, Identity
from importer.users.directory import Sort, Wanted
from tests.support.importing import Company, people
from tests.support.queues import NOON, open_house, open_queue
from tests.support.runs import put_in_line

pytestmark = [
    pytest.mark.only_on("sqlite", "it is about the engine itself"),
    pytest.mark.usefixtures("indexed_however_few"),
]

BY_INDEX = re.compile(
    r"SEARCH |COMPOUND QUERY$|LEFT-MOST SUBQUERY$|UNION ALL$|"
    r"SCAN \w+ VIRTUAL TABLE INDEX |(LIST|(CORRELATED )?SCALAR) SUBQUERY "
    "|SCAN imports USING INDEX imports_waiting$"  # which has only those
)


class Inside:
    """The same for the thread's own connection."""

    def __init__(self, db: sqlite3.Connection, plan: list[str]) -> None:
        self._db = db
        self._plan = plan

    def execute(self, sql: str, values: Any = ()) -> sqlite3.Cursor:
        self._plan += [row["detail"] for row in self._db.execute(f"EXPLAIN QUERY PLAN {sql}", values)]
        return self._db.execute(sql, values)

    @property
    def in_transaction(self) -> bool:
        return self._db.in_transaction


class Explained:
    """A connection that records the plan of every statement it gets, one line for each table."""

    def __init__(self, db: aiosqlite.Connection) -> None:
        self._db = db
        self.plan: list[str] = []

    async def execute_fetchall(self, sql: str, values: Any = ()) -> Iterable[sqlite3.Row]:
        self.plan += [row["detail"] for row in await self._db.execute_fetchall(f"EXPLAIN QUERY PLAN {sql}", values)]
        return await self._db.execute_fetchall(sql, values)

    @property
    def _conn(self) -> Inside:
        """The connection that its thread works with."""
        return Inside(self._db._conn, self.plan)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._db, name)

    @property
    def slow(self) -> list[str]:
        """The steps that scan a whole table or index, or that sort the rows found."""
        assert self.plan
        return [line for line in self.plan if not BY_INDEX.match(line)]


@pytest.fixture
async def users(tmp_path: Path) -> AsyncIterator[Any]:
    """Yield a users.db with its index attached, with recorded plans."""
    company = Company(tmp_path)
    await company.run(people("ann", "ben", manager="ann@example.com"))
    await company.run(people("ann", job_title="Boss"))
    catch_up(TenantFolder(tmp_path))
    db = await open_database(company.database, "tenant", readonly=True)
    try:
        explained: Any = Explained(db)
        explained.index = await attach_index(explained, TenantFolder(tmp_path).search_db)
        yield explained
    finally:
        await db.close()


LOOKS_AT_USERS: dict[str, Callable[[SqliteDirectory], Awaitable[Any]]] = {
    "all": lambda directory: directory.page(limit=1),
    "the next page": lambda directory: directory.page(limit=1, after=1),
    "who is known": lambda directory: directory.page(known=True),
    "who is active": lambda directory: directory.page(Wanted(state="active")),
    "who is deactivated": lambda directory: directory.page(Wanted(state="deactivated"), after=1),
    "a search": lambda directory: directory.page(Wanted("ann exa"), after=1),
    "a search among the active": lambda directory: directory.page(Wanted("ann", "active")),
    "a team": lambda directory: directory.page(Wanted(team="Sales"), after=1),
    "a search in a location": lambda directory: directory.page(Wanted("ann", location="Oslo"), after=1),
    "who is protected": lambda directory: directory.page(Wanted(protected=True)),
    "the newest of few": lambda directory: directory.sorted_page(Wanted(), Sort.NEWEST, skip=0, limit=1, most=9),
    "too many to sort": lambda directory: directory.sorted_page(Wanted(), Sort.EMAIL, skip=0, limit=1, most=1),
    "one": lambda directory: directory.get("ann@example.com"),
    "reports": lambda directory: directory.reports("ann@example.com"),
    "how many": lambda directory: directory.count_by_state(),
}


@pytest.mark.parametrize("what", LOOKS_AT_USERS)
async def test_users_are_found_by_index(users: Any, what: str) -> None:
    await LOOKS_AT_USERS[what](SqliteDirectory(users, BY_ADDRESS, users.index))
    assert users.slow == []


@pytest.mark.parametrize("sort", [sort for sort in Sort if sort not in {Sort.CREATED, Sort.NEWEST}])
async def test_only_users_that_were_found_are_sorted(users: Any, sort: Sort) -> None:
    """Their number is limited: `sorted_page` gives no answer above `most`."""
    directory = SqliteDirectory(users, BY_ADDRESS, users.index)
    assert await directory.sorted_page(Wanted("ann"), sort, skip=0, limit=1, most=9)
    assert users.slow == ["USE TEMP B-TREE FOR ORDER BY"]


async def test_a_search_uses_the_index_while_some_users_have_changed(users: Any, tmp_path: Path) -> None:
    await Company(tmp_path).sql("UPDATE users SET last_name = 'Late'")
    found, _ = await SqliteDirectory(users, BY_ADDRESS, users.index).page(Wanted("late"))
    assert len(found) == 2
    assert users.slow == []


@pytest.mark.parametrize("state", ["active", "deactivated"])
async def test_users_of_a_state_are_not_sorted_without_a_search_index(users: Any, state: str) -> None:
    await SqliteDirectory(users).page(Wanted(state=state))
    assert users.slow == []


async def test_one_user_is_found_by_index_with_every_identifier(users: Any) -> None:
    await SqliteDirectory(users, Identity("staff")).get("e1")
    await SqliteDirectory(users, Identity("staff")).reports("e1")
    await SqliteHistory(users, Identity("staff")).page_of_user("e1")
    assert users.slow == []


async def test_an_import_that_changes_no_role_does_not_read_all_users_for_admins(users: Any) -> None:
    """A small file changes few users, however many there are."""
    assert await SqliteApplied(users, 2, BY_ADDRESS).former_admins() == []
    assert users.plan
    assert not [line for line in users.plan if re.match("SCAN (u|users)$", line)]


LOOKS_AT_HISTORY: dict[str, Callable[[SqliteHistory], Awaitable[Any]]] = {
    "an import": lambda history: history.page_of_import(1, 1),
    "a user": lambda history: history.page_of_user("ann@example.com", 1),
    "a user, newest first": lambda history: history.newest_of_user("ann@example.com", before=3),
    "all imports": lambda history: history.following(0),
}


@pytest.mark.parametrize("what", LOOKS_AT_HISTORY)
async def test_history_is_found_by_index(users: Any, what: str) -> None:
    await LOOKS_AT_HISTORY[what](SqliteHistory(users, BY_ADDRESS))
    assert users.slow == []


LOOKS_AT_IMPORTS: dict[str, Callable[[Listing], Awaitable[Any]]] = {
    "all": lambda imports: imports.page("acme"),
    "the next page": lambda imports: imports.page("acme", before=7, messages=False),
    "those held": lambda imports: imports.page("acme", state=ImportState.HELD),
    "the next page of those held": lambda imports: imports.page("acme", state=ImportState.HELD, before=7),
    "one": lambda imports: imports.get("acme", 1),
    "the newest": lambda imports: imports.newest("acme"),
    "the last applied": lambda imports: imports.applied("acme", 30),
    "those under way": lambda imports: imports.under_way("acme"),
    "whether one is": lambda imports: imports.is_busy("acme"),
    "whether one is, during a pause": lambda imports: imports.is_busy("acme", Pause(NOON)),
    "those that wait": lambda imports: imports.queued_or_held("acme"),
    "the copies that are needed": lambda imports: imports.copies_needed("acme"),
    "how many wait": lambda imports: imports.queue_length(),
    "those of all tenants under way": lambda imports: imports.all_under_way(50),
    "those cut off": lambda imports: imports.cut_off(),
}


@pytest.mark.parametrize("what", LOOKS_AT_IMPORTS)
async def test_imports_are_found_by_index(tmp_path: Path, what: str) -> None:
    async with open_queue(tmp_path, "acme") as queue:
        explained: Any = Explained(queue._ledger.db)
        await LOOKS_AT_IMPORTS[what](SqliteListing(Ledger(explained, tmp_path)))
    assert explained.slow == []


LOOKS_AT_RUNS: dict[str, Callable[[RunStore], Awaitable[Any]]] = {
    "all": lambda runs: runs.page("acme"),
    "the next page of a hook": lambda runs: runs.page("acme", hook="invoices", before=7),
    "those that failed": lambda runs: runs.page("acme", state=ImportState.FAILED),
    "one": lambda runs: runs.get("acme", 1),
    "those that are next": lambda runs: runs.heads(),
    "those cut off": lambda runs: runs.cut_off(),
    "how many wait": lambda runs: runs.counts(),
    "the tenants whose files landed just now": lambda runs: runs.with_landed_files(),
    "the files that landed just now": lambda runs: runs.landed_files("acme"),
    "the copies that are needed": lambda runs: runs.copies_needed("acme"),
    "the copies that are kept": lambda runs: runs.failed("acme"),
    "the bytes of these": lambda runs: runs.failed_bytes("acme"),
    "the newest reports": lambda runs: runs.newest_published("acme", "invoices", 50),
    "the reports that are owed": lambda runs: runs.unpublished(without=["globex"]),
    "those that ended long ago": lambda runs: runs.ended_before("acme", "2026"),
    "when the first ended": lambda runs: runs.first_end("acme", "2026"),
    "the reports that a tenant is owed": lambda runs: runs.unpublished("acme"),
    "the newest failures": lambda runs: runs.newest_failures(50),
    "the paths of a module": lambda runs: runs.remembered("bills"),
    "a start": lambda runs: runs.claim("acme", 1, sha256=""),
    "the reason of a wait": lambda runs: runs.explain("acme", "invoices", "No hook."),
    "a landing": lambda runs: put_in_line(runs),
}
OF_FEW_RUNS = re.compile(
    "SCAN (runs USING INDEX runs_(unpublished|failed|waiting|one_running)|head|CONSTANT ROW)$"
    "|SCAN runs USING (COVERING )?INDEX runs_in_line$|(SETUP|RECURSIVE STEP|CO-ROUTINE head|MATERIALIZE head)"
    "|SCAN landed_files$"
)
"""Steps through the index of these runs alone, the heads that were found, and at most one file a tenant."""


@pytest.mark.parametrize("what", LOOKS_AT_RUNS)
async def test_runs_are_found_by_index(tmp_path: Path, what: str) -> None:
    async with open_house(tmp_path, "acme") as house:
        explained: Any = Explained(house.queue._ledger.db)  # type: ignore[attr-defined]
        for _ in range(3):
            await put_in_line(house.store.runs())
        await LOOKS_AT_RUNS[what](SqliteRunStore(Ledger(explained, tmp_path)))
    assert [line for line in explained.slow if not OF_FEW_RUNS.match(line)] == []


async def test_the_next_import_takes_one_index_lookup_a_tenant_however_many_wait(tmp_path: Path) -> None:
    async with open_queue(tmp_path, "acme") as queue:
        explained: Any = Explained(queue._ledger.db)
        await SqliteListing(Ledger(explained, tmp_path)).heads()
    once = re.compile("SCAN tenants |SCALAR |SCAN imports USING COVERING INDEX imports_waiting$")
    assert [line for line in explained.slow if not once.match(line)] == []
