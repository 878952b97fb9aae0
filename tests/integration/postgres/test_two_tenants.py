"""Whatever is done with the users of one tenant, the rows of another stay as they are, and are in no answer."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
import pytest

from engine.postgres.tenant.stock import TABLES
from engine.postgres.tenant.users import PostgresUsers
from importer.model import ImportState
from importer.rules.identity import BY_ADDRESS, Identity
from importer.users.directory import Sort, Wanted
from importer.users.invitations import Asked
from importer.users.settled import SettingChange, Settled
from tests.support.clients import POSTGRES, needs
from tests.support.importing import people, sheet
from tests.support.postgres import rows_of
from tests.support.postgres_company import ADD, PostgresCompany

pytestmark = needs(POSTGRES)

USERS = (*TABLES, "meta")
"""The tables of tenants' users."""

OTHER = "globex"
COLUMNS = ("first_name", "last_name", "email", "manager", "primary_team", "secondary_team", "location", "staff")
SETTINGS: dict[str, Any] = {"custom_fields": ({"key": "staff"},), "invitations": "immediately"}
STAFF = Identity("staff")
OF_ACME = "tenant_id = (SELECT id FROM tenants WHERE name = 'acme')"
SECRET = "secret"
"""In all texts of the other tenant."""


def staff(*names: str, last: str, team: str, domain: str) -> bytes:
    """Return a file in which the first is the manager of all."""
    rows = [
        (name, last, f"{name}@{domain}", f"{names[0]}@{domain}" * (at > 0), team, f"{team} 2", f"{team} 3", f"{at}")
        for at, name in enumerate(names)
    ]
    return sheet(*rows, header=COLUMNS)


class OtherCompany(PostgresCompany):
    """The same, of the other tenant."""

    def _users(self) -> PostgresUsers:
        super()._users()
        with psycopg.connect(self.url) as db:
            db.execute(ADD, (OTHER,))
        return PostgresUsers(self.url, OTHER)


@pytest.fixture
async def company(tmp_path: Path) -> PostgresCompany:
    """Return a company beside another one whose users, imports and changes have the same numbers."""
    other = OtherCompany(tmp_path)
    await other.kept.prepare(make=True)
    with psycopg.connect(other.url) as db:
        db.execute("UPDATE meta SET began = 5, last_change = 5, gone = 5")
    for names in (("ann", "ben", "cy", "dan"), ("ann", "ben", "cy", "eve")):
        await other.run(staff(*names, last=SECRET, team=SECRET, domain=f"{SECRET}.com"), **SETTINGS)
    await change_a_setting(other)
    assert await other.kept.set_protected(f"ben@{SECRET}.com", True, BY_ADDRESS)
    return PostgresCompany(tmp_path)


async def change_a_setting(company: PostgresCompany) -> None:
    change = SettingChange("2026-01-01T00:00:00.000Z", company.kept._tenant, "retention_days", "365", "90")
    settled = Settled({"retention_days": "90"}, (change,), None, means_otherwise=True)
    await company.kept.change_settings(lambda texts: settled)


async def read(company: PostgresCompany) -> list[object]:
    """Return what every method that reads returns, on one tenant."""
    kept, found = company.kept, list[object]()
    for identity in (BY_ADDRESS, STAFF):
        async with kept.directory(identity) as directory, kept.snapshot(identity) as snapshot:
            for wanted in (Wanted(), Wanted(SECRET), Wanted(team=SECRET), Wanted(location=f"{SECRET} 3")):
                found += [await directory.page(wanted), await snapshot.page(wanted, known=True)]
                found += [await directory.sorted_page(wanted, sort, skip=0, limit=99, most=99) for sort in Sort]
            found += [await directory.names(99), await directory.count_by_state()]
            for name in ("ann@example.com", f"ann@{SECRET}.com", "0"):
                found += [await directory.get(name), await directory.reports(name)]
        async with kept.history(identity) as history:
            for name in ("ann@example.com", f"ann@{SECRET}.com", "0"):
                found += [await history.newest_of_user(name), [each async for each in history.of_user(name)]]
            found += [[each async for each in history.of_import(number)] for number in (1, 2)]
    async with kept.invitations(0.1) as invitations, kept.memory() as memory:
        now = datetime(2026, 3, 1, tzinfo=UTC)
        asked = Asked(now, (now.timestamp(), now.timestamp()), on_hire_date=False)
        found += [await invitations.waiting(), await invitations.due(asked, 99), await memory.imports_with_history()]
    found += [await kept.prepare(), await kept.settings_changes(99), await kept.highest_import()]
    found += [kept.look(["staff"]), kept.read_settings(1), kept.take_stock(1), kept.copy_bytes()]
    found += [await kept.outcome_of(2), await kept.outcome_of_undo(2), kept.why_shut(), kept.read_all()]
    return found


async def test_no_answer_has_anything_of_another_tenant(company: PostgresCompany) -> None:
    for names in (("ann", "ben", "cy", "dan"), ("ann", "ben", "cy", "eve")):
        await company.run(staff(*names, last="Smith", team="Sales", domain="example.com"), **SETTINGS)
    assert len(await company.users()) == 5
    before = rows_of(company.url, OTHER, USERS)
    found = await read(company)
    assert "ann@example.com" in repr(found)
    assert SECRET not in repr(found)
    assert rows_of(company.url, OTHER, USERS) == before


async def write(company: PostgresCompany) -> None:
    """Run every method that writes, on one tenant."""
    kept, secret = company.kept, {"last": SECRET, "team": SECRET, "domain": f"{SECRET}.com"}
    await company.run(staff("ann", "ben", "cy", "dan", **secret), **SETTINGS)
    await company.run(staff("ann", "cy", "fred", last="Smith", team="Ops", domain=f"{SECRET}.com"), **SETTINGS)
    company.kept = kept.copy(company.folder)
    await company.run(people("gil", "ann", manager=f"cy@{SECRET}.com"), dry_run=True, **SETTINGS)
    company.kept = kept
    await kept.set_protected(f"ann@{SECRET}.com", True, BY_ADDRESS)
    await change_a_setting(company)
    now = datetime(2026, 3, 1, tzinfo=UTC)
    asked = Asked(now, (now.timestamp(), now.timestamp()), on_hire_date=False)
    async with kept.invitations(1) as invitations:
        for number, user in enumerate(await invitations.due(asked, 99)):
            if (invitation := await invitations.begin(user, asked, float)) and number:
                await invitations.failed(invitation, "no", ends=number == 1)
            elif invitation:
                await invitations.sent(invitation, "2026-03-01T00:00:00.000Z")
        await invitations.withdraw()
    assert (await company.undo(2)).state is ImportState.UNDONE
    file = staff("ann", "ben", "cy", **{**secret, "domain": "example.com"})
    await company.run(file, **SETTINGS, identifier="staff")
    assert (await company.undo(identifier="staff", **SETTINGS)).state is ImportState.UNDONE
    async with kept.memory() as memory:
        await memory.prune_effects(lambda effects: [each.id for each in effects])
        while any([await memory.prune_changes(number, 2) for number in await memory.imports_with_history()]):
            pass
    with psycopg.connect(company.url) as db:
        for statement in (
            f"DELETE FROM users WHERE {OF_ACME} AND id < 3",
            f"UPDATE users SET email = 'x', email_key = 'x' WHERE {OF_ACME} AND id = 3",
            f"DELETE FROM teams WHERE {OF_ACME}",
            f"DELETE FROM locations WHERE {OF_ACME}",
            "DELETE FROM tenants WHERE name = 'acme'",
        ):
            assert db.execute(statement).rowcount


async def test_no_write_changes_anything_of_another_tenant(company: PostgresCompany) -> None:
    before = rows_of(company.url, OTHER, USERS)
    assert all(before.values())
    await write(company)
    assert rows_of(company.url, OTHER, USERS) == before
