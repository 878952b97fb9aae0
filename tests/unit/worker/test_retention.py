"""The data that retention deletes, and the data it always keeps."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from importer.model import ImportState
from importer.queue.entry import Past
from importer.users.memory import PastEffect
from importer.worker.retention import FailedRun, copies_to_remove, effects_to_prune, imports_to_prune

BEFORE = "2026-03-01"
OLD, YOUNG = "2026-02-01", "2026-04-01"


def effect(
    number: int, at: str = OLD, *, changed: bool = True, undone: bool = False, compared: bool = True
) -> PastEffect:
    return PastEffect(number, number, f"{at}.{number:03}", changed and not undone, undone, compared)


def past(number: int, state: str = "completed", at: str | None = OLD, *, dry: bool = False) -> Past:
    return Past(number, ImportState(state), dry, f"{at}.{number:03}" if at else None, number)


def test_history_is_deleted_by_age() -> None:
    assert effects_to_prune([effect(1), effect(2), effect(3, YOUNG)], BEFORE) == [1, 2]


def test_the_newest_applied_import_keeps_its_history_whatever_its_age() -> None:
    assert effects_to_prune([effect(1), effect(2)], BEFORE) == [1]


def test_the_newest_import_that_changed_a_user_can_still_be_undone() -> None:
    quiet = [effect(number, changed=False) for number in (3, 4, 5)]
    assert effects_to_prune([effect(1), effect(2), *quiet], BEFORE) == [1, 3, 4]


def test_an_import_that_was_undone_is_not_the_newest() -> None:
    assert effects_to_prune([effect(1), effect(2), effect(3, undone=True)], BEFORE) == [1, 3]


def test_the_compared_list_stays_and_so_do_imports_that_undo_passes() -> None:
    corrections = [effect(number, compared=False) for number in (3, 4, 5)]
    assert effects_to_prune([effect(1), effect(2), *corrections], BEFORE) == [1]


def test_an_import_exactly_as_old_as_the_retention_stays() -> None:
    effects = [PastEffect(number, number, BEFORE, changed=True, undone=False, compared=True) for number in (1, 2)]
    assert effects_to_prune(effects, BEFORE) == []
    imports = [past(number) for number in (1, 2)]
    imports = [replace(each, finished_at=BEFORE) for each in imports]
    assert imports_to_prune(imports, (), BEFORE).files == set()


def test_the_newest_import_is_the_one_applied_last_not_the_one_uploaded_last() -> None:
    """The order of application: import 2, import 1, then import 3, when the clock was set back."""
    numbers = {1: 2, 2: 1, 3: 3}
    effects = [replace(effect(4 - each), id=each, number=number) for each, number in numbers.items()]
    assert effects_to_prune(effects, BEFORE) == [2, 1]
    imports = [replace(past(4 - each), id=each, applied_number=number) for each, number in numbers.items()]
    assert imports_to_prune(imports, (), BEFORE).files == {1, 2}


def test_an_old_effect_stays_between_two_that_stay() -> None:
    """The clock was a month behind when import 2 was applied: an undo of import 1 has to pass it."""
    effects = [effect(1, YOUNG), effect(2), effect(3, YOUNG)]
    assert effects_to_prune(effects, BEFORE) == []


EFFECTS = st.lists(st.builds(lambda *args: args, st.booleans(), st.booleans(), st.booleans(), st.booleans()))


@given(EFFECTS)
def test_later_undos_find_every_import_they_pass(kinds: list[tuple[bool, bool, bool, bool]]) -> None:
    effects = [
        effect(number, OLD if old else YOUNG, changed=changed, undone=undone, compared=compared)
        for number, (old, changed, undone, compared) in enumerate(kinds, start=1)
    ]
    gone = set(effects_to_prune(effects, BEFORE))
    kept = [each for each in effects if each.id not in gone]
    assert all(each.applied_at < BEFORE for each in effects if each.id in gone)
    # No import with an effect is missing between two that remain.
    undoable = [each.id in gone for each in effects if each.changed]
    assert undoable == sorted(undoable, reverse=True)
    assert not undoable or not undoable[-1]
    for newest in (
        [each for each in effects if not each.undone][-1:],
        [each for each in effects if each.compared and not each.undone][-1:],
    ):
        assert not newest or newest[0] in kept


def test_files_and_rows_are_deleted_by_age() -> None:
    found = imports_to_prune([past(1), past(2, "failed"), past(3, at=YOUNG)], (), BEFORE)
    assert (found.files, found.rows) == ({1, 2}, {1, 2})


def test_the_newest_applied_import_is_never_pruned() -> None:
    found = imports_to_prune([past(1), past(2, "unchanged"), past(3, "failed"), past(4, dry=True)], (), BEFORE)
    assert (found.files, found.rows) == ({1, 3, 4}, {1, 3, 4})


def test_an_unfinished_or_undecided_import_is_never_pruned() -> None:
    waiting = [past(1, "held"), past(2, "queued", None), past(3, "running", None), past(4, "arriving", None)]
    assert imports_to_prune(waiting, (), BEFORE).files == set()


def test_a_row_stays_while_its_report_is_shown_but_its_files_are_deleted() -> None:
    found = imports_to_prune([past(1), past(2), past(3)], {1}, BEFORE)
    assert (found.files, found.rows) == ({1, 2}, {2})


# Copies


def test_the_oldest_copies_are_deleted_until_the_rest_fits() -> None:
    imports = [past(number) for number in (1, 2, 3, 4)]
    sizes = {1: 10, 2: 1, 3: 10, 4: 10}
    assert copies_to_remove(imports, sizes, 31).imports == []
    assert copies_to_remove(imports, sizes, 30).imports == [1]
    assert copies_to_remove(imports, sizes, 20).imports == [1, 2]


def test_the_copy_of_the_newest_applied_list_stays_whatever_its_size() -> None:
    failed, newest, correction, undone = (
        past(1, "failed"),
        past(2),
        replace(past(3), correction=True),
        past(4, "undone"),
    )
    sizes = dict.fromkeys((1, 2, 3, 4), 10)
    assert copies_to_remove([failed, newest, correction, undone], sizes, 0).imports == [1, 3, 4]
    late = replace(past(5), applied_number=1)
    assert copies_to_remove([newest, late], {2: 10, 5: 10}, 0).imports == [5], "applied before import 2"


def test_a_list_before_the_newest_is_deleted_also_if_the_newest_has_another_name() -> None:
    imports = [past(1), past(2), past(3)]
    assert copies_to_remove(imports, {1: 5, 2: 50}, 40, linked={3}).imports == [1, 2]
    assert (
        copies_to_remove([past(1), past(2), replace(past(3), correction=True)], {2: 50}, 40, linked={3}).imports == []
    )


def test_the_copies_of_dry_runs_stay_and_do_not_count() -> None:
    imports = [past(1), past(2), past(3, dry=True), past(4, "held", dry=True)]
    sizes = dict.fromkeys(range(1, 5), 10)
    assert copies_to_remove(imports, sizes, 20).imports == []
    assert copies_to_remove(imports, sizes, 19).imports == [1]
    assert copies_to_remove(imports, sizes, 0).imports == [1]


def test_copies_of_imports_that_wait_run_or_are_held_stay_and_do_not_count() -> None:
    waiting = [past(1, "queued", None), past(2, "running", None), past(3, "held"), past(4, "arriving", None)]
    sizes = dict.fromkeys(range(1, 7), 10)
    assert copies_to_remove([*waiting, past(5, "queued"), past(6, "failed")], sizes, 10).imports == []
    assert copies_to_remove([*waiting, past(5, "queued"), past(6, "failed")], sizes, 9).imports == [6]


def test_copies_of_failed_runs_count_and_the_oldest_of_both_go_first() -> None:
    imports = [past(1), past(2, at=YOUNG), past(3, at=YOUNG)]
    runs = [FailedRun(7, f"{OLD}.002"), FailedRun(8, YOUNG)]
    sizes, of_runs = {1: 10, 2: 10, 3: 10}, {7: 10, 8: 10}
    found = [copies_to_remove(imports, sizes, most, runs, of_runs) for most in (50, 49, 39, 29, 19, 0)]
    assert [each.imports for each in found] == [[], [1], [1], [1], [1, 2], [1, 2]]
    assert [each.runs for each in found] == [[], [], [7], [7, 8], [7, 8], [7, 8]]


def test_failed_runs_stay_in_their_own_order_whatever_the_clock_said() -> None:
    runs = [FailedRun(7, YOUNG), FailedRun(8, OLD)]
    assert copies_to_remove([], {}, 10, runs, {7: 10, 8: 10}).runs == [7]


def test_a_run_whose_copy_is_deleted_already_does_not_count() -> None:
    runs = [FailedRun(7, OLD), FailedRun(8, OLD)]
    assert copies_to_remove([], {}, 10, runs, {8: 10}).runs == []
