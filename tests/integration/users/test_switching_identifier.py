"""A change of a tenant's identifier: allowed only if it identifies all users."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from importer.model import ImportState
from importer.rules.identity import identity_of
from server.tenants.settings import TenantRefused, TenantSettings, change_settings
from tests.integration.reconcile.test_identifier import HEADER, staff
from tests.support.importing import Company, sheet
from tests.support.installation import company_in

FIELD: dict[str, Any] = {"custom_fields": ({"key": "employee_id"},)}
BY_NUMBER: dict[str, Any] = {"identifier": "employee_id", **FIELD}


@pytest.fixture
async def company(tmp_path: Path) -> Company:
    company = company_in(tmp_path)
    await company.run(staff(e1="ann", e2="ben"), **FIELD)
    await change_settings(company.kept, FIELD, by="operator")
    return company


async def switch(company: Company, identifier: str | None = "employee_id") -> TenantSettings:
    return await change_settings(company.kept, {"identifier": identifier}, by="operator")


async def numbers(company: Company) -> list[Any]:
    return [row[0] for row in await company.sql("SELECT external_id FROM users ORDER BY id")]


async def test_after_a_switch_users_are_identified_by_the_field(company: Company) -> None:
    settings = await switch(company)
    assert await numbers(company) == ["e1", "e2"]
    outcome = await company.run(staff(e1="ben", e2="ann"), **BY_NUMBER)
    assert (outcome.counts.updated, outcome.counts.created) == (2, 0)
    async with company.kept.directory(identity_of(settings)) as directory:
        found = await directory.get("e1")
    assert found is not None
    assert found["email"] == "ben@e.com"


async def test_after_switching_back_users_are_identified_by_address(company: Company) -> None:
    await switch(company)
    await switch(company, None)
    assert await numbers(company) == [None, None]
    assert (await company.run(staff(e1="ann", e2="ben"), **FIELD)).state is ImportState.UNCHANGED


async def test_the_identifier_cannot_change_while_two_users_share_a_value(company: Company) -> None:
    await company.run(sheet(("e1", "Ben", "S", "ben@e.com"), header=HEADER), **FIELD)
    with pytest.raises(TenantRefused) as refused:
        await switch(company)
    assert refused.value.code == "identifier_shared"
    assert "E1 S (ann@e.com) and Ben S (ben@e.com) share e1" in refused.value.message
    assert await numbers(company) == [None, None]
    assert (await change_settings(company.kept, {}, by="operator")).identifier == "email"


async def test_the_identifier_cannot_change_while_an_active_user_has_no_value(company: Company) -> None:
    await company.run(sheet(("", "Cleo", "S", "cleo@e.com"), ("", "Dora", "S", "d@e.com"), header=HEADER), **FIELD)
    with pytest.raises(TenantRefused) as refused:
        await switch(company)
    assert refused.value.code == "identifier_missing"
    assert "Cleo S (cleo@e.com), Dora S (d@e.com) have no value" in refused.value.message
    await company.sql("UPDATE users SET state = 'deactivated' WHERE first_name IN ('Cleo', 'Dora')")
    await switch(company)
    assert await numbers(company) == ["e1", "e2", None, None]


async def test_the_address_identifies_again_only_if_every_active_user_has_one(company: Company) -> None:
    await switch(company)
    await company.sql("UPDATE users SET email = NULL, email_key = NULL WHERE external_id = 'e2'")
    with pytest.raises(TenantRefused, match=r"E2 S has no value"):
        await switch(company, None)
    assert await numbers(company) == ["e1", "e2"]


async def test_a_user_whose_creation_was_undone_does_not_block_a_switch(company: Company) -> None:
    await company.run(sheet(("e1", "New", "S", "new@e.com"), header=HEADER), **FIELD)
    await company.undo()
    await switch(company)
    assert await numbers(company) == ["e1", "e2", None]


async def test_an_import_from_before_a_switch_can_be_undone_after_it(company: Company) -> None:
    await company.run(staff(e7="ann", e2="ben"), **FIELD)
    await switch(company)
    undone = await company.undo(**BY_NUMBER)
    assert await numbers(company) == ["e7", "e2"]
    assert [(each.code, each.column) for each in undone.messages] == [("changed_since", "employee_id")]
    assert undone.message == "Undone by operator: 1 user set back; 1 message says what was not restored."
