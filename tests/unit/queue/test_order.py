"""Which import runs next, and which imports it supersedes."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from importer.model import ImportState
from importer.queue.entry import Waiting
from importer.queue.order import Turn, next_turn, superseded, waits_with


def entry(
    number: int,
    state: str = "queued",
    *,
    dry: bool = False,
    fix: bool = False,
    undo: bool = False,
    trial: bool = False,
    due: float = 0.0,
    completed: int | None = None,
) -> Waiting:
    return Waiting(
        tenant="acme",
        id=number,
        state=ImportState(state),
        dry_run=dry,
        sequence=(completed or number) * 10,
        correction=fix,
        undo=undo,
        trial=trial,
        not_before=due,
    )


def turn(*entries: Waiting, whole: bool, now: float = 100.0) -> tuple[int | None, list[tuple[int, int]]]:
    decided: Turn = next_turn(entries, complete_lists=whole, now=now)
    superseded = sorted((old.id, new.id) for old, new in decided.superseded)
    return decided.run.id if decided.run else None, superseded


def test_lists_of_changes_all_run_in_the_order_they_were_completed() -> None:
    assert turn(entry(3), entry(1), entry(2), whole=False) == (1, [])


def test_the_order_is_that_of_completion_though_another_upload_began_first() -> None:
    began_first, ended_first = entry(1, completed=9), entry(2, completed=8)
    assert turn(began_first, ended_first, whole=False) == (2, [])
    assert turn(began_first, ended_first, whole=True) == (1, [(2, 1)])
    assert turn(entry(3, "held", completed=7), began_first, whole=False) == (1, [(3, 1)])
    assert turn(entry(1, "held", completed=9), ended_first, whole=False) == (2, [])


def test_only_the_newest_of_several_complete_lists_runs() -> None:
    assert turn(entry(1), entry(3), entry(2), whole=True) == (3, [(1, 3), (2, 3)])


def test_only_the_newest_dry_run_of_complete_lists_runs_after_earlier_real_imports() -> None:
    waiting = (entry(1, dry=True), entry(2), entry(3, dry=True), entry(4, dry=True))
    assert turn(*waiting, whole=True) == (2, [(1, 4), (3, 4)])
    assert turn(*waiting, whole=False) == (1, [])


def test_a_real_import_supersedes_no_dry_run() -> None:
    assert turn(entry(1, dry=True), entry(2), whole=True) == (1, [])


def test_a_correction_file_supersedes_no_import_and_is_not_superseded() -> None:
    assert turn(entry(1), entry(2, fix=True), whole=True) == (1, [])
    assert turn(entry(2, fix=True), entry(3), whole=True) == (2, [])
    assert turn(entry(1), entry(2, fix=True), entry(3), whole=True) == (2, [(1, 3)])


def test_an_approved_import_keeps_its_place_among_lists_of_changes() -> None:
    assert turn(entry(5), entry(2), whole=False) == (2, [])


def test_a_held_import_is_superseded_when_a_newer_real_one_starts() -> None:
    assert turn(entry(1, "held"), entry(2), whole=False) == (2, [(1, 2)])
    assert turn(entry(1, "held"), entry(2), whole=True) == (2, [(1, 2)])


def test_a_held_import_stays_when_something_else_starts() -> None:
    assert turn(entry(1, "held"), entry(2, dry=True), whole=True) == (2, [])
    assert turn(entry(1, "held"), entry(2, fix=True), whole=True) == (2, [])
    assert turn(entry(3, "held"), entry(2), whole=False) == (2, [])
    assert turn(entry(1, "held"), entry(2, due=101), whole=True) == (None, [])
    assert turn(entry(1, "held", dry=True), entry(2), whole=True) == (2, [])


def test_an_import_that_has_to_wait_keeps_its_place() -> None:
    assert turn(entry(1, due=101), entry(2), whole=False) == (None, [])
    assert turn(entry(1, due=101), entry(2), whole=False, now=101) == (1, [])


def test_a_waiting_import_runs_when_the_clock_is_set_back_by_days() -> None:
    assert turn(entry(1, due=101 + 7 * 86400), entry(2), whole=False) == (1, [])


def replaced(*waiting: Waiting, whole: bool = True) -> list[tuple[int, int]]:
    return [(old.id, new.id) for old, new in superseded(waiting, complete_lists=whole)]


def test_a_newer_complete_list_supersedes_only_queued_complete_lists() -> None:
    others = (entry(2, "held"), entry(3, fix=True), entry(4, undo=True), entry(5, dry=True, trial=True))
    assert replaced(entry(1), *others, entry(6), entry(7, dry=True)) == [(1, 6)]
    assert replaced(entry(1), entry(6), whole=False) == []


def test_imports_that_a_new_list_replaces_do_not_count_as_waiting() -> None:
    waiting = (entry(1), entry(2, fix=True), entry(3, dry=True), entry(4, "held"), entry(5, undo=True))
    assert waits_with(waiting, entry(9), complete_lists=False) == 4
    assert waits_with(waiting, entry(9), complete_lists=True) == 3
    assert waits_with(waiting, entry(9, dry=True, trial=True), complete_lists=True) == 4
    assert waits_with((), entry(9), complete_lists=True) == 1


def test_an_empty_queue_runs_nothing() -> None:
    assert turn(whole=True) == (None, [])
    assert turn(entry(1, "held"), whole=False) == (None, [])


KINDS = st.tuples(st.sampled_from(["queued", "held"]), st.booleans(), st.booleans(), st.sampled_from([0.0, 101.0]))


@given(st.lists(KINDS, max_size=8), st.booleans())
def test_each_import_is_superseded_only_by_a_newer_list_of_its_kind(
    kinds: list[tuple[str, bool, bool, float]], whole: bool
) -> None:
    entries = [
        entry(number, state, dry=dry, fix=fix, due=due) for number, (state, dry, fix, due) in enumerate(kinds, 1)
    ]
    decided = next_turn(entries, complete_lists=whole, now=100.0)
    for old, newer in decided.superseded:
        assert newer.id > old.id
        assert newer.state is ImportState.QUEUED
        assert newer.dry_run is old.dry_run
        assert not newer.correction
        assert old.state is ImportState.HELD or not old.correction
    gone = {old.id for old, _ in decided.superseded}
    left = [each for each in entries if each.state is ImportState.QUEUED and each.id not in gone]
    if decided.run:
        assert decided.run == left[0]
        assert decided.run.not_before <= 100.0
    else:
        assert not left or left[0].not_before > 100.0
    if whole:
        for dry in (False, True):
            assert sum(each.dry_run is dry and not each.correction for each in left) <= 1
