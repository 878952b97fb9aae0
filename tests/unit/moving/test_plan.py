"""A move is begun once, goes on, and never lets two places be used."""

from __future__ import annotations

from dataclasses import replace

import pytest

from server.moving.moving import Plan, plan
from server.tenants.moves import Marks, Move, why_unused
from server.tenants.settings import TenantRefused

HERE, THERE = "the data folder /a", "the database b"
NEW = Move("new", THERE, "2026-01-01T00:00:00Z")
OLD = Move("old", THERE, "2025-01-01T00:00:00Z")
FROM = Move("old", HERE, "2025-01-01T00:00:00Z")


def planned(source: Marks, target: Marks, *, empty: bool = True) -> Plan:
    return plan(source, target, target_is_empty=empty, is_lost=empty, new=NEW, names=(HERE, THERE))


def refused(source: Marks, target: Marks, *, empty: bool = True) -> str:
    return refusal(source, target, empty=empty).code


def refusal(source: Marks, target: Marks, *, empty: bool = True) -> TenantRefused:
    with pytest.raises(TenantRefused) as caught:
        planned(source, target, empty=empty)
    return caught.value


def test_a_move_to_an_empty_place_begins() -> None:
    assert planned(Marks(), Marks()) == Plan(NEW, is_new=True)


def test_a_move_that_was_killed_goes_on() -> None:
    assert planned(Marks(OLD), Marks(target=FROM), empty=False) == Plan(OLD, is_new=False)


def test_a_move_that_was_killed_before_the_second_mark_begins_again() -> None:
    assert planned(Marks(OLD), Marks()) == Plan(NEW, is_new=True, instead=OLD)


def test_a_move_that_was_killed_at_its_end_only_ends() -> None:
    assert planned(Marks(OLD.end()), Marks(target=FROM), empty=False) == Plan(OLD.end(), is_new=False, is_ended=True)


def test_a_cancel_that_was_killed_is_known_by_the_mark_of_the_target() -> None:
    canceled = Marks(target=replace(FROM, canceled=True))
    assert planned(Marks(OLD.end()), canceled, empty=False).is_canceled


def test_a_target_that_has_data_without_the_mark_of_the_move_is_told() -> None:
    """The source may be a copy from before the end of the move: then the target is used already."""
    told = refusal(Marks(OLD), Marks(), empty=False)
    assert "has data and no mark of this move. If all data of the data folder /a are there, use" in told.message


def test_a_place_that_is_not_whole_is_refused_as_a_source() -> None:
    assert refused(Marks(target=FROM), Marks()) == "move_unfinished"
    canceled = refusal(Marks(target=replace(FROM, canceled=True)), Marks())
    assert (canceled.code, "was canceled. Use the data folder /a" in canceled.message) == ("moved", True)


def test_a_target_that_has_another_mark_by_now_is_told() -> None:
    moved = refusal(Marks(OLD.end()), Marks(target=Move("other", HERE, "")), empty=False)
    assert "but that is now the target of another move" in moved.message


def test_a_place_that_was_moved_is_not_moved_again() -> None:
    assert refused(Marks(OLD.end()), Marks(), empty=False) == "moved"
    assert refused(Marks(OLD.end()), Marks(target=Move("other", HERE, ""))) == "moved"


def test_nothing_is_to_do_only_if_the_data_are_in_the_target() -> None:
    """Otherwise the operator may delete the only place that has them."""
    assert "Nothing to do" in refusal(Marks(OLD.end()), Marks(), empty=False).message
    assert "that does not have its data now" in refusal(Marks(OLD.end()), Marks()).message
    unfinished = Marks(target=Move("other", HERE, ""))
    assert "Nothing to do" not in refusal(Marks(OLD.end()), unfinished, empty=False).message
    for empty in (True, False):
        elsewhere = refusal(Marks(Move("old", "the database c", "", ended=True)), Marks(), empty=empty)
        assert "was moved to the database c before, and not to the database b" in elsewhere.message


def test_a_place_that_is_not_used_names_the_machine_of_its_move() -> None:
    """Other machines have a folder of this path, too."""
    ran = replace(OLD, host="db1")
    there = replace(FROM, host="db1")
    for found in (Marks(ran), Marks(ran.end()), Marks(target=there), Marks(target=replace(there, canceled=True))):
        assert (why := why_unused(HERE, found))
        assert "on the machine db1" in f"{why.what}. {why.do}"
    assert "(the move ran on the machine db1)" in refusal(Marks(ran.end()), Marks()).message
    assert (why := why_unused(HERE, Marks(OLD)))
    assert "machine" not in why.do


def test_a_target_has_no_data_and_no_mark_of_another_move() -> None:
    assert refused(Marks(), Marks(), empty=False) == "not_empty"
    assert refused(Marks(), Marks(target=FROM)) == "not_empty"
    assert refused(Marks(), Marks(source=OLD)) == "not_empty"
    assert refused(Marks(OLD), Marks(target=Move("other", HERE, ""))) == "not_empty"


def test_a_move_that_was_begun_has_one_target() -> None:
    for empty in (True, False):
        begun = refusal(Marks(Move("old", "the database c", "")), Marks(), empty=empty)
        assert (begun.code, "is being moved to the database c, not to" in begun.message) == ("move_unfinished", True)


def test_a_mark_that_cannot_be_read_belongs_to_no_move() -> None:
    for text in ("{", "[]", "1", '"x"'):
        unread = Move.from_text(text)
        for target in (Marks(target=unread), Marks(target=FROM), Marks()):
            assert "it cannot be read. Run" in refusal(Marks(unread), target, empty=False).message
        assert refused(Marks(), Marks(target=unread)) == "not_empty"
    assert Move.from_text(OLD.to_text()) == OLD
