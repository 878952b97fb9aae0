"""No statement of an import reads more than its share of the tables, whatever PostgreSQL believes to be in them.

The rows read are counted, not the time: a plan that looks at all users for each row reads thousands of times as many.
A few batches are enough to see it.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, cast

import pytest

from benchmarks.people import write_people
from engine.postgres.database import Database, alone
from engine.postgres.importing.importing import PostgresImporting
from engine.postgres.importing.work import SETTINGS, Work
from engine.postgres.tenant.holding import try_to_hold
from engine.postgres.tenant.undoing import PostgresUndoing
from engine.postgres.tenant.writing import writing
from importer.model import ImportState, Outcome
from importer.reconcile.job import Job
from importer.reconcile.run import run_import
from importer.rules.identity import Identity
from importer.rules.settings import ImportSettings
from importer.undo.undo import UndoJob, undo_import
from importer.users.users import Users
from tests.support.clients import POSTGRES, needs
from tests.support.importing import sheet

pytestmark = needs(POSTGRES)

USERS, NEW = 3000, 300
MOST_READ = 40
"""The most rows that an import reads for each row of the file: of users, changes, names and its own tables."""
HEADER = ("first_name", "last_name", "email", "staff", "job_title", "manager", "coach", "primary_team")
NOW = datetime(2026, 2, 1, tzinfo=UTC)

ADD_TENANT = "INSERT INTO tenants (name, created_at) VALUES ('acme', 'now')"
ADD_OTHERS = "INSERT INTO tenants (name, created_at) SELECT 't' || n, 'now' FROM generate_series(1, 200) AS n"
BY_STAFF = "INSERT INTO settings SELECT id, 'identifier', '\"staff\"' FROM tenants WHERE name = 'acme'"
BEGIN = "INSERT INTO meta SELECT id, 1, 5, 5, 5 FROM tenants ON CONFLICT DO NOTHING"
ADD_USERS = """INSERT INTO users (tenant_id, id, email, email_key, external_id, first_name, last_name)
    SELECT id, 1, 'a@b.c', 'a@b.c', '1', 'A', 'B' FROM tenants WHERE name <> 'acme'"""
ADD_CHANGES = """INSERT INTO changes (tenant_id, id, import_id, user_id, field)
    SELECT id, 6, 1, 1, 'created' FROM tenants WHERE name <> 'acme'"""
ADD_TEAMS = "INSERT INTO teams (tenant_id, key, name) SELECT id, 'a', 'A' FROM tenants WHERE name <> 'acme'"
ROWS_READ = """SELECT sum(coalesce(seq_tup_read, 0) + coalesce(idx_tup_fetch, 0))::bigint
    FROM pg_stat_xact_user_tables WHERE relname <> 'meta'"""
AS_IF_EMPTY = """UPDATE pg_class SET reltuples = 0, relpages = 1
    WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'i')"""


async def never_analysed(database: Database) -> None:
    """Leave the tables as they were created."""


async def one_user_each(database: Database) -> None:
    """Let PostgreSQL know that each tenant has one user."""
    for statement in (ADD_OTHERS, BEGIN, ADD_USERS, ADD_CHANGES, ADD_TEAMS, "ANALYZE"):
        await database.change(statement)


async def seen_empty(database: Database) -> None:
    """Let PostgreSQL believe that the tables are empty, as after an ANALYZE during the import: it sees no new row."""
    await one_user_each(database)
    await database.change(AS_IF_EMPTY)


class Watched:
    """The users of the tenant `acme` for imports, and how many rows the last one read."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.read = 0

    async def identify_by_number(self) -> None:
        async with alone(self._url) as database:
            await database.change(BY_STAFF)

    @asynccontextmanager
    async def importing(self, import_id: int, identity: Identity, _: object) -> AsyncIterator[PostgresImporting]:
        async with alone(self._url) as database, database.transaction(SETTINGS) as steps:
            work = Work(steps, await try_to_hold(steps, "acme") or 0, import_id)
            keeps = PostgresImporting.over(work, identity)
            yield keeps
            await keeps.applied.invite()
            await work.numbers.keep()
            ((self.read,),) = await steps.rows(ROWS_READ)

    @asynccontextmanager
    async def undoing(self, import_id: int, identity: Identity) -> AsyncIterator[PostgresUndoing]:
        async with alone(self._url) as database, writing(database, "acme", settings=SETTINGS) as (steps, tenant):
            work = Work(steps, tenant, import_id)
            yield PostgresUndoing(work, identity)
            await work.numbers.keep()
            ((self.read,),) = await steps.rows(ROWS_READ)


async def run(
    users: Watched, folder: Path, number: int, file: Path, *, batch_rows: int = 500, **settings: Any
) -> Outcome:
    job = Job("acme", number, file, "sync_users.csv", False, None, None, NOW.replace(microsecond=number))
    wanted = ImportSettings(
        custom_fields=({"key": "staff"},),
        deactivate_missing=True,
        max_deactivations_percent=100,
        detect_truncation=False,
        **settings,
    )
    return await run_import(job, cast(Users, users), wanted, folder / "messages", batch_rows=batch_rows)


def staff(file: Path, numbers: range, title: str, address: Callable[[int], str], name: Callable[[int], str]) -> Path:
    """Write users: with a manager further down and a coach further up, named by `name`, and a team for each ten."""
    rows = []
    for at in numbers:
        manager = name(at + 7) if at + 7 in numbers else ""
        coach = name(at // 2) if at // 2 in numbers and at else ""
        person = (f"First{at % USERS}", f"Last{at % USERS}", address(at), str(at), title)
        rows.append((*person, manager, coach, f"T{at // 10}"))
    file.write_bytes(sheet(*rows, header=HEADER))
    return file


def address_of(number: int) -> str:
    return f"p{number}@e.com"


def address_of_next(number: int) -> str:
    return address_of((number + 1) % USERS)


@pytest.fixture(params=[never_analysed, one_user_each, seen_empty])
async def users(request: pytest.FixtureRequest, url: str, tmp_path: Path) -> Watched:
    (tmp_path / "messages").mkdir()
    async with alone(url) as database:
        await database.change(ADD_TENANT)
        await database.change(BEGIN)
        await request.param(database)
    return Watched(url)


async def test_an_import_reads_a_few_rows_for_each_of_its_rows(users: Watched, tmp_path: Path) -> None:
    """Some users leave, and new ones with the same names come."""
    for number, first, title in ((1, 0, "Cook"), (2, NEW, "Chef")):
        file = staff(tmp_path / f"{number}.csv", range(first, first + USERS), title, address_of, address_of)
        done = await run(users, tmp_path, number, file)
        assert users.read < MOST_READ * USERS
    assert (done.counts.created, done.counts.updated, done.counts.deactivated) == (NEW, USERS - NEW, NEW), done


async def test_changes_of_all_addresses_read_a_few_rows_each(users: Watched, tmp_path: Path) -> None:
    """Each user gets the address of the next; new ones get those of the users who leave."""
    await users.identify_by_number()
    for number, first, title, address in ((1, 0, "Cook", address_of), (2, NEW, "Chef", address_of_next)):
        file = staff(tmp_path / f"{number}.csv", range(first, first + USERS), title, address, str)
        done = await run(users, tmp_path, number, file, identifier="staff")
        assert users.read < MOST_READ * USERS
    assert (done.counts.created, done.counts.updated, done.counts.deactivated) == (NEW, USERS - NEW, NEW), done


async def test_an_undo_reads_a_few_rows_for_each_user_it_sets_back(users: Watched, tmp_path: Path) -> None:
    """All addresses move back to the users who had them before, and the created users are deactivated."""
    await users.identify_by_number()
    for number, first, title, address in ((1, 0, "Cook", address_of), (2, NEW, "Chef", address_of_next)):
        file = staff(tmp_path / f"{number}.csv", range(first, first + USERS), title, address, str)
        await run(users, tmp_path, number, file, identifier="staff")
    for number in (2, 1):
        job = UndoJob("acme", number, "operator", Identity("staff"), NOW)
        undone = await undo_import(job, cast(Users, users), tmp_path / "messages")
        assert undone.state is ImportState.UNDONE
        assert users.read < MOST_READ * USERS
    assert undone.active == 0


@pytest.mark.parametrize("users", [never_analysed], indirect=True)
async def test_a_list_of_200_000_users_is_imported_in_one_transaction(users: Watched, tmp_path: Path) -> None:
    file = write_people(tmp_path / "people.csv", 200_000)
    done = await run(users, tmp_path, 1, file, batch_rows=5000)
    assert done.counts.created == 200_000, done
    assert users.read < MOST_READ * 200_000
