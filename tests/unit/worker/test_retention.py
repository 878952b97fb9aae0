"""What is not kept any longer, and what always is."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from importer.model import ImportState
from importer.worker.retention import Past, PastEffect, effects_to_prune, imports_to_prune

BEFORE = "2026-03-01"
OLD, YOUNG = "2026-02-01", "2026-04-01"


def effect(
    number: int, at: str = OLD, *, changed: bool = True, undone: bool = False, compared: bool = True
) -> PastEffect:
    return PastEffect(number, f"{at}.{number:03}", changed and not undone, undone, compared)


def past(number: int, state: str = "completed", at: str | None = OLD, *, dry: bool = False) -> Past:
    return Past(number, ImportState(state), dry, f"{at}.{number:03}" if at else None)


def test_history_goes_by_age() -> None:
    assert effects_to_prune([effect(1), effect(2), effect(3, YOUNG)], BEFORE) == [1, 2]


def test_the_newest_applied_import_keeps_its_history_whatever_its_age() -> None:
    assert effects_to_prune([effect(1), effect(2)], BEFORE) == [1]


def test_the_newest_that_changed_anybody_can_still_be_undone() -> None:
    quiet = [effect(number, changed=False) for number in (3, 4, 5)]
    assert effects_to_prune([effect(1), effect(2), *quiet], BEFORE) == [1, 3, 4]


def test_an_import_that_was_undone_is_not_the_newest() -> None:
    assert effects_to_prune([effect(1), effect(2), effect(3, undone=True)], BEFORE) == [1, 3]


def test_the_list_that_the_next_file_is_compared_with_stays_and_all_that_undo_has_to_pass() -> None:
    corrections = [effect(number, compared=False) for number in (3, 4, 5)]
    assert effects_to_prune([effect(1), effect(2), *corrections], BEFORE) == [1]


def test_what_is_exactly_as_old_as_the_retention_stays() -> None:
    effects = [PastEffect(number, BEFORE, changed=True, undone=False, compared=True) for number in (1, 2)]
    assert effects_to_prune(effects, BEFORE) == []
    imports = [Past(number, ImportState.COMPLETED, dry_run=False, finished_at=BEFORE) for number in (1, 2)]
    assert imports_to_prune(imports, (), BEFORE).files == set()


def test_of_imports_at_one_moment_the_highest_number_is_the_newest() -> None:
    effects = [PastEffect(number, OLD, changed=True, undone=False, compared=True) for number in (3, 1, 2)]
    assert effects_to_prune(effects, BEFORE) == [1, 2]
    imports = [Past(number, ImportState.COMPLETED, dry_run=False, finished_at=OLD) for number in (3, 1, 2)]
    assert imports_to_prune(imports, (), BEFORE).files == {1, 2}


EFFECTS = st.lists(st.builds(lambda *args: args, st.booleans(), st.booleans(), st.booleans(), st.booleans()))


@given(EFFECTS)
def test_undo_of_what_remains_misses_nothing(kinds: list[tuple[bool, bool, bool, bool]]) -> None:
    ages = sorted((old for old, *_ in kinds), reverse=True)
    effects = [
        effect(number, OLD if old else YOUNG, changed=changed, undone=undone, compared=compared)
        for number, (old, (_, changed, undone, compared)) in enumerate(zip(ages, kinds, strict=True), start=1)
    ]
    gone = set(effects_to_prune(effects, BEFORE))
    kept = [each for each in effects if each.id not in gone]
    assert all(each.applied_at < BEFORE for each in effects if each.id in gone)
    # Among those that can be undone, none is missing between two that remain.
    undoable = [each.id in gone for each in effects if each.changed]
    assert undoable == sorted(undoable, reverse=True)
    assert not undoable or not undoable[-1]
    for newest in (
        [each for each in effects if not each.undone][-1:],
        [each for each in effects if each.compared and not each.undone][-1:],
    ):
        assert not newest or newest[0] in kept


def test_files_and_rows_go_by_age() -> None:
    found = imports_to_prune([past(1), past(2, "failed"), past(3, at=YOUNG)], (), BEFORE)
    assert (found.files, found.rows) == ({1, 2}, {1, 2})


def test_the_newest_applied_import_is_never_pruned() -> None:
    found = imports_to_prune([past(1), past(2, "unchanged"), past(3, "failed"), past(4, dry=True)], (), BEFORE)
    assert (found.files, found.rows) == ({1, 3, 4}, {1, 3, 4})


def test_what_somebody_or_something_waits_for_is_never_pruned() -> None:
    waiting = [past(1, "held"), past(2, "queued", None), past(3, "running", None), past(4, "arriving", None)]
    assert imports_to_prune(waiting, (), BEFORE).files == set()


def test_a_row_stays_while_its_report_is_shown_but_its_files_go() -> None:
    found = imports_to_prune([past(1), past(2), past(3)], {1}, BEFORE)
    assert (found.files, found.rows) == ({1, 2}, {2})
