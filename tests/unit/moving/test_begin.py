"""A move begins with its marks: of two moves that begin at once, one goes on."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import cast

import pytest

from server.moving.moving import move
from server.moving.side import Side
from server.tenants.moves import SOURCE, TARGET, Move
from server.tenants.settings import TenantRefused
from tests.support.moving_marks import Marks, Place

HERE, THERE = "the database a", "the data folder /b"
OTHER = Move("other", "the data folder /c", "2026-01-01T00:00:00Z")


async def refused(source: Place, target: Place) -> str:
    with pytest.raises(TenantRefused) as caught:
        await move(cast(Side, source), cast(Side, target), datetime(2026, 1, 1, tzinfo=UTC), lambda *_: None)
    return caught.value.code


def mark(place: Place, name: str) -> None:
    place.marks[name] = OTHER.to_text()


async def test_a_source_that_another_move_has_just_marked_stays_with_that() -> None:
    source, target = Place(HERE), Place(THERE)
    target.looked = lambda: mark(source, SOURCE)
    assert await refused(source, target) == "move_unfinished"
    assert (source.marks, target.marks) == ({SOURCE: OTHER.to_text()}, {})


async def test_a_target_that_another_move_has_just_marked_stays_with_that() -> None:
    source, target = Place(HERE), Place(THERE)
    target.looked = lambda: mark(target, TARGET)
    assert await refused(source, target) == "not_empty"
    assert (source.marks, target.marks) == ({}, {TARGET: OTHER.to_text()})


async def test_a_target_that_has_just_got_data_is_refused() -> None:
    source, target = Place(HERE), Place(THERE)
    target.looked = lambda: setattr(target, "empty", False)
    assert await refused(source, target) == "not_empty"
    assert (source.marks, target.marks) == ({}, {})


async def test_a_target_whose_data_another_move_just_takes_away_is_refused() -> None:
    source, target = Place(HERE), Place(THERE)
    target.looked = lambda: mark(target, SOURCE)
    assert await refused(source, target) == "not_empty"
    assert (source.marks, target.marks) == ({}, {SOURCE: OTHER.to_text()})


async def test_a_move_that_begins_anew_has_another_mark_than_the_former_one() -> None:
    """On another machine, the former one may still go on: of two with one mark, both would end."""
    begun = Move("one", THERE, "2026-01-01T00:00:00Z")
    source, target = Place(HERE, runs=[True]).marked(source=begun), Place(THERE)
    seen: list[Move] = []
    target.looked = lambda: seen.append(Move.from_text(source.marks[SOURCE]))
    assert await refused(source, target) == "server_runs"
    assert [each.id == "one" for each in seen] == [True, False]
    target.looked = lambda: mark(source, SOURCE)
    assert await refused(source.marked(source=begun), target) == "move_unfinished"
    assert (source.marks, target.marks) == ({SOURCE: OTHER.to_text()}, {})


async def test_a_move_that_goes_on_and_is_refused_keeps_its_marks() -> None:
    """Without them, a source could be used of which a part is at the target."""
    begun = Move("one", THERE, "2026-01-01T00:00:00Z")
    source, target = Place(HERE, runs=[True]).marked(source=begun), Place(THERE).marked(target=begun)
    assert await refused(source, target) == "server_runs"
    assert (list(source.marks), list(target.marks)) == ([SOURCE], [TARGET])


async def test_a_refused_move_can_begin_again_if_its_target_is_lost_meanwhile() -> None:
    """The mark of the source must be the last one to go: alone, that of the target says that it has data."""

    class Lost(Marks):
        async def drop(self, name: str) -> None:
            raise OSError("the database is lost")

    source, target = Place(HERE, runs=[True]), Place(THERE, marks=Lost())
    with pytest.raises(OSError, match="is lost"):
        await refused(source, target)
    assert (list(source.marks), list(target.marks)) == ([SOURCE], [TARGET])
