"""Stored data of imports is deleted as chosen, and in small steps."""

from __future__ import annotations

from importer.rules.identity import Identity
from importer.users.memory import PastEffect
from tests.support.importing import Company, people, sheet


async def test_the_choice_is_made_among_all_applied_imports(company: Company) -> None:
    await company.run(people("ann"))
    await company.run(people("ann"))
    await company.run(people("ben"))
    await company.undo()
    await company.run(sheet(("Ann", "Smith", "ann@example.com"), ("Bo", "Ng", "bo")))
    shown: list[PastEffect] = []
    async with company.kept.memory() as memory:
        kept = await memory.prune_effects(lambda effects: [*map(shown.append, effects)][:0])
    assert kept == {1, 2, 3, 4}
    assert [(each.id, each.number, each.changed, each.undone, each.compared) for each in shown] == [
        (1, 1, True, False, True),
        (2, 2, False, False, True),
        (3, 3, False, True, True),
        (4, 4, False, False, True),  # with a rejected row, and without a change
    ]


async def test_history_is_deleted_in_steps_and_only_without_an_outcome(company: Company) -> None:
    await company.run(people("ann", "ben"))
    for title in ("Cook", "Boss"):
        await company.run(people("ann", "ben", job_title=title))
    async with company.kept.memory() as memory:
        assert await memory.prune_effects(lambda _: [2]) == {1, 3}
        assert await memory.imports_with_history() == [1, 2, 3]
        assert not await memory.prune_changes(3, 10), "it can still be undone"
        assert [await memory.prune_changes(2, 1) for _ in range(3)] == [True, True, False]
        assert await memory.imports_with_history() == [1, 3]
    async with company.kept.history(Identity()) as history:
        assert await history.page_of_import(2) == ([], None)
        assert len((await history.page_of_import(3))[0]) == 2
