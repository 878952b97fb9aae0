"""The changes by imports as people read them."""

from __future__ import annotations

from typing import Any

from importer.rules.identity import Identity
from importer.users.history import Changes
from tests.support.importing import Company, people

SHORT = ("import_id", "undo", "field", "old", "new")
OWN: dict[str, Any] = {"custom_fields": ({"key": "floor", "type": "number"}, {"key": "desk"})}


async def of_import(company: Company, import_id: int) -> Changes:
    async with company.kept.history(Identity()) as history:
        return [change async for page in history.of_import(import_id) for change in page]


async def of_user(company: Company, identifier: str) -> list[tuple[Any, ...]]:
    async with company.kept.history(Identity()) as history:
        changes: list[Any] = [each async for page in history.of_user(identifier) for each in page]
    return [tuple(each[name] for name in SHORT) for each in changes]


async def test_a_change_has_user_and_time_with_names_instead_of_ids(company: Company) -> None:
    await company.run(people("ann", "ben", primary_team="Ops"))
    await company.run(people("ann", primary_team="Sales", secondary_team="Ops,Care", manager="ben@example.com"))
    created = await of_import(company, 1)
    assert [(each["identifier"], each["field"]) for each in created] == [
        ("ann@example.com", "created"),
        ("ben@example.com", "created"),
    ]
    changes = await of_import(company, 2)
    assert {each["field"]: (each["old"], each["new"]) for each in changes} == {
        "primary_team": ("Ops", "Sales"),
        "secondary_team": ([], ["Ops", "Care"]),
        "manager": (None, "ben@example.com"),
    }
    assert {(each["name"], each["at"]) for each in changes} == {("Ann Smith", "2026-01-01T00:00:00.002Z")}


async def test_each_custom_field_has_its_own_changes(company: Company) -> None:
    await company.run(people("ann", floor="1", desk="a"), **OWN)
    await company.run(people("ann", floor="2", desk=""), **OWN)
    changes = await of_import(company, 2)
    assert {each["field"]: (each["old"], each["new"]) for each in changes} == {"floor": (1, 2), "desk": ("a", None)}


async def test_a_user_s_history_includes_undos(company: Company) -> None:
    await company.run(people("ann", "ben", job_title="Baker"))
    await company.run(people("ann", job_title="Boss"))
    await company.undo()
    assert await of_user(company, "Ann@example.com") == [
        (1, False, "created", None, None),
        (2, False, "job_title", "Baker", "Boss"),
        (2, True, "job_title", "Boss", "Baker"),
    ]
    assert await of_user(company, "nobody@example.com") == []


async def test_history_comes_in_pages_each_with_the_start_of_the_next(company: Company) -> None:
    for title in ("", "Baker", "Boss", "Chief"):
        await company.run(people("ann", "ben", job_title=title))
    async with company.kept.history(Identity()) as history:
        first, after = await history.page_of_user("ann@example.com", limit=3)
        assert after
        rest, end = await history.page_of_user("ann@example.com", after, limit=3)
        assert [change["new"] for change in (*first, *rest)] == [None, "Baker", "Boss", "Chief"]
        newest, before = await history.newest_of_user("ann@example.com", limit=3)
        oldest, start = await history.newest_of_user("ann@example.com", limit=3, before=before)
        assert [change["new"] for change in (*newest, *oldest)] == ["Chief", "Boss", "Baker", None]
        assert (end, start) == (None, None)
        one, after = await history.page_of_import(4, limit=1)
        other, end = await history.page_of_import(4, after or 0, limit=1)
        assert [change["identifier"] for change in (*one, *other)] == ["ann@example.com", "ben@example.com"]
        assert end is None
        assert await history.page_of_import(5) == ([], None)
        assert await history.newest_of_user("nobody@example.com") == ([], None)
