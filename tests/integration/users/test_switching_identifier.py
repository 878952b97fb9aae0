"""A tenant's users come to be told apart by another field: only if that works for all of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from importer.model import ImportState
from importer.rules.identity import identity_of
from server.tenants.settings import TenantRefused, TenantSettings, change_settings
from tests.integration.reconcile.test_identifier import HEADER, staff
from tests.support.importing import Company, sheet

FIELD: dict[str, Any] = {"custom_fields": ({"key": "employee_id"},)}
BY_NUMBER: dict[str, Any] = {"identifier": "employee_id", **FIELD}


@pytest.fixture
async def company(tmp_path: Path) -> Company:
    company = Company(tmp_path)
    await company.run(staff(e1="ann", e2="ben"), **FIELD)
    await change_settings(company.kept, FIELD, by="operator")
    return company


async def switch(company: Company, identifier: str | None = "employee_id") -> TenantSettings:
    return await change_settings(company.kept, {"identifier": identifier}, by="operator")


async def numbers(company: Company) -> list[Any]:
    return [row[0] for row in await company.sql("SELECT external_id FROM users ORDER BY id")]


async def test_afterwards_people_are_known_by_the_field(company: Company) -> None:
    settings = await switch(company)
    assert await numbers(company) == ["e1", "e2"]
    outcome = await company.run(staff(e1="ben", e2="ann"), **BY_NUMBER)
    assert (outcome.counts.updated, outcome.counts.created) == (2, 0)
    async with company.kept.directory(identity_of(settings)) as directory:
        found = await directory.get("e1")
    assert found is not None
    assert found["email"] == "ben@e.com"


async def test_and_back_by_the_address(company: Company) -> None:
    await switch(company)
    await switch(company, None)
    assert await numbers(company) == [None, None]
    assert (await company.run(staff(e1="ann", e2="ben"), **FIELD)).state is ImportState.UNCHANGED


async def test_it_is_refused_while_two_users_share_a_value_and_says_who(company: Company) -> None:
    await company.run(sheet(("e1", "Ben", "S", "ben@e.com"), header=HEADER), **FIELD)
    with pytest.raises(TenantRefused) as refused:
        await switch(company)
    assert refused.value.code == "identifier_shared"
    assert "E1 S (ann@e.com) and Ben S (ben@e.com) share e1" in refused.value.message
    assert await numbers(company) == [None, None]
    assert (await change_settings(company.kept, {}, by="operator")).identifier == "email"


async def test_it_is_refused_while_somebody_active_has_none_and_says_who(company: Company) -> None:
    await company.run(sheet(("", "Cleo", "S", "cleo@e.com"), ("", "Dora", "S", "d@e.com"), header=HEADER), **FIELD)
    with pytest.raises(TenantRefused) as refused:
        await switch(company)
    assert refused.value.code == "identifier_missing"
    assert "Cleo S (cleo@e.com), Dora S (d@e.com) have none" in refused.value.message
    await company.sql("UPDATE users SET state = 'deactivated' WHERE first_name IN ('Cleo', 'Dora')")
    await switch(company)
    assert await numbers(company) == ["e1", "e2", None, None]


async def test_addresses_come_back_only_when_everybody_active_has_one(company: Company) -> None:
    await switch(company)
    await company.sql("UPDATE users SET email = NULL, email_key = NULL WHERE external_id = 'e2'")
    with pytest.raises(TenantRefused, match=r"E2 S has none"):
        await switch(company, None)
    assert await numbers(company) == ["e1", "e2"]


async def test_whose_creation_was_undone_stands_in_nobody_s_way(company: Company) -> None:
    await company.run(sheet(("e1", "New", "S", "new@e.com"), header=HEADER), **FIELD)
    await company.undo()
    await switch(company)
    assert await numbers(company) == ["e1", "e2", None]


async def test_what_was_done_before_the_switch_can_be_undone_after_it(company: Company) -> None:
    await company.run(staff(e7="ann", e2="ben"), **FIELD)
    await switch(company)
    undone = await company.undo(**BY_NUMBER)
    assert await numbers(company) == ["e7", "e2"]
    assert [(each.code, each.column) for each in undone.messages] == [("changed_since", "employee_id")]
