"""The changes by imports as people read them, of users that were changed by hand since then."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from importer.rules.identity import Identity
from tests.support.importing import people
from tests.support.installation import company_in

OWN: dict[str, Any] = {"custom_fields": ({"key": "floor", "type": "number"}, {"key": "desk"})}


async def test_a_record_removed_since_is_shown_by_its_number(tmp_path: Path) -> None:
    company = company_in(tmp_path)
    await company.run(people("ann", location="Rome"))
    await company.run(people("ann", location="Oslo"))
    await company.sql("DELETE FROM locations WHERE name = 'Rome'")
    async with company.kept.history(Identity()) as history:
        changes, _ = await history.page_of_import(2)
    assert [(each["old"], each["new"]) for each in changes] == [("#1", "Oslo")]


async def test_a_custom_field_is_set_back_unless_it_changed_since_the_import(tmp_path: Path) -> None:
    company = company_in(tmp_path)
    await company.run(people("ann", floor="1", desk="a"), **OWN)
    await company.run(people("ann", floor="2", desk="b"), **OWN)
    await company.sql('UPDATE users SET custom = \'{"floor": 2, "desk": "by hand"}\'')
    undone = await company.undo()
    assert (await company.users())["ann@example.com"]["custom"] == {"floor": 1, "desk": "by hand"}
    assert [(each.code, each.column) for each in undone.messages] == [("changed_since", "desk")]
