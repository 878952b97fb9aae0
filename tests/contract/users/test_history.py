"""The changes by imports as people read them."""

from __future__ import annotations

from typing import Any

import pytest

from importer.rules.identity import Identity
from importer.users.history import Changes, ChangesGone
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


async def everything_after(company: Company, after: int, limit: int = 100) -> tuple[list[tuple[Any, ...]], int]:
    """Return all pages of the changes after a number, and the number to continue with."""
    found: list[Any] = []
    async with company.kept.history(Identity()) as history:
        while True:
            page, following = await history.following(after, limit)
            assert len(page) <= limit
            if following == after:
                assert not page
                return [
                    tuple(each[name] for name in ("import_id", "undo", "identifier", "field")) for each in found
                ], after
            found, after = [*found, *page], following


async def prune(company: Company, import_id: int, most: int = 100) -> None:
    async with company.kept.memory() as memory:
        await memory.prune_effects(lambda _: [import_id])
        assert await memory.prune_changes(import_id, most)


@pytest.mark.parametrize("limit", [1, 2, 100])
async def test_the_changes_of_all_imports_and_undos_are_followed_in_order(company: Company, limit: int) -> None:
    await company.run(people("ann", "ben", "cy"))
    await company.run(people("ann", job_title="Boss"))
    seen, after = await everything_after(company, 0, limit)
    assert seen == [
        *((1, False, f"{name}@example.com", None) for name in ("ann", "ben", "cy")),
        (2, False, "ann@example.com", "job_title"),
    ]
    await company.undo(2)
    await company.undo(1)
    assert (await everything_after(company, after, limit))[0] == [
        (2, True, "ann@example.com", "job_title"),
        *((1, True, f"{name}@example.com", None) for name in ("ann", "ben", "cy")),
    ]


async def test_an_import_of_no_changes_is_followed_by_the_same_number(company: Company) -> None:
    await company.run(people("ann"))
    _, after = await everything_after(company, 0)
    await company.run(people("ann"))
    assert await everything_after(company, after) == ([], after)


async def test_following_from_deleted_changes_is_refused_with_the_newest_number(company: Company) -> None:
    await company.run(people("ann", "ben"))
    _, first = await everything_after(company, 0)
    await company.run(people("ann", job_title="Boss"))
    _, newest = await everything_after(company, first)
    await prune(company, 1)
    with pytest.raises(ChangesGone) as gone:
        await everything_after(company, first - 1)
    assert gone.value.newest == newest
    assert (await everything_after(company, first))[0] == [(2, False, "ann@example.com", "job_title")]


async def test_following_from_a_number_of_the_future_is_refused(company: Company) -> None:
    """The server was restored from a backup that has fewer changes."""
    await company.run(people("ann"))
    _, newest = await everything_after(company, 0)
    with pytest.raises(ChangesGone) as gone:
        await everything_after(company, newest + 1)
    assert gone.value.newest == newest


async def test_numbers_go_on_after_all_changes_were_deleted(company: Company) -> None:
    await company.run(people("ann", "ben", "cy"))
    _, after = await everything_after(company, 0)
    await prune(company, 1)
    assert await everything_after(company, after) == ([], after)
    await company.run(people("ann", job_title="Boss"))
    changes, following = await everything_after(company, after)
    assert (changes, following) == ([(2, False, "ann@example.com", "job_title")], after + 1)
    with pytest.raises(ChangesGone):
        await everything_after(company, after - 1)


async def test_numbers_go_on_after_the_newest_changes_alone_were_deleted(company: Company) -> None:
    await company.run(people("ann", "ben", "cy"))
    await company.run(people("ann", "ben", "cy", job_title="Boss"))
    await company.undo(2)
    _, after = await everything_after(company, 0)
    await prune(company, 2, most=2)
    with pytest.raises(ChangesGone):
        await everything_after(company, 0)
    await prune(company, 2)
    with pytest.raises(ChangesGone):
        await everything_after(company, after - 1)
    await company.run(people("ann", location="Rome"))
    assert (await everything_after(company, after))[0] == [(3, False, "ann@example.com", "location")]
