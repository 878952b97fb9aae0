"""A canceled move lets the source be used again, and never two places."""

from __future__ import annotations

from typing import Any, cast

import pytest

from importer.errors import TryAgain
from server.moving.moving import cancel
from server.moving.side import Side
from server.tenants.moves import SOURCE, TARGET, Move
from server.tenants.settings import TenantRefused
from tests.support.moving_marks import Place

HERE, THERE = "the data folder /a", "the database b"
BEGUN = Move("one", THERE, "2026-01-01T00:00:00Z")
FROM = Move("one", HERE, BEGUN.at)


async def canceled(source: Place, target: Place) -> bool:
    return await cancel(cast(Side, source), cast(Side, target))


async def refused(source: Place, target: Place) -> str:
    """Return the code of the refusal, which leaves all marks as they were."""
    before: Any = [dict(each.marks) for each in (source, target)]
    with pytest.raises(TenantRefused) as caught:
        await canceled(source, target)
    assert [dict(each.marks) for each in (source, target)] == before
    return caught.value.code


async def test_a_canceled_move_marks_its_target_and_not_its_source() -> None:
    source, target = Place(HERE).marked(source=BEGUN.end()), Place(THERE, empty=False)
    assert await canceled(source, target)
    assert (list(source.marks), list(target.marks)) == ([], [TARGET])


async def test_a_move_canceled_after_its_end_ends_the_sign_ins_of_its_source_and_no_others() -> None:
    """Otherwise a browser that signed out in the target since would be signed in again."""
    for begun, signed_in in ((BEGUN, True), (BEGUN.end(), False)):
        source, target = Place(HERE).marked(source=begun), Place(THERE, empty=False).marked(target=FROM)
        assert await canceled(source, target)
        assert (source.tables.signed_in, target.tables.signed_in) == (signed_in, True)


async def test_a_source_is_not_used_again_before_its_sign_ins_have_ended() -> None:
    """At a kill after that, the next cancel would find no move, and would end none."""
    source, target = Place(HERE).marked(source=BEGUN.end()), Place(THERE, empty=False)
    source.tables.full = True
    with pytest.raises(TryAgain, match="disk"):
        await canceled(source, target)
    assert (Move.from_text(source.marks[SOURCE]), list(target.marks)) == (BEGUN.end(), [TARGET])
    source.tables.full = False
    assert await canceled(source, target)
    assert (list(source.marks), source.tables.signed_in) == ([], False)


async def test_a_move_whose_target_has_lost_its_data_is_not_canceled() -> None:
    """The data may be in a folder of this name on another machine, or on a disk that is not mounted."""
    assert await refused(Place(HERE).marked(source=BEGUN.end()), Place(THERE)) == "moved"
    other = Place(THERE, empty=False).marked(target=Move("two", "the data folder /c", BEGUN.at))
    assert await refused(Place(HERE).marked(source=BEGUN.end()), other) == "moved"


async def test_a_source_is_not_used_again_if_its_target_has_data_without_a_mark() -> None:
    """The source may be a copy from before the end of the move: then the target is used already."""
    assert await refused(Place(HERE).marked(source=BEGUN), Place(THERE, empty=False)) == "move_unfinished"


async def test_a_move_that_ends_on_another_machine_meanwhile_is_not_canceled() -> None:
    source, target = Place(HERE).marked(source=BEGUN), Place(THERE)
    target.looked = lambda: source.marks.update({SOURCE: BEGUN.end().to_text()})
    with pytest.raises(TenantRefused, match="another command has just changed the mark"):
        await canceled(source, target)
    assert Move.from_text(source.marks[SOURCE]) == BEGUN.end()


async def test_a_move_without_a_second_mark_is_canceled() -> None:
    source, target = Place(HERE).marked(source=BEGUN), Place(THERE)
    assert await canceled(source, target)
    assert (list(source.marks), list(target.marks)) == ([], [])


async def test_a_move_is_not_canceled_with_another_place_than_its_target() -> None:
    """Otherwise the right target would still be used, and the source, too."""
    for move in (BEGUN, BEGUN.end()):
        assert await refused(Place(HERE).marked(source=move), Place("the database typo")) == "moved"


async def test_a_target_with_the_mark_of_the_move_may_have_another_name() -> None:
    source, target = Place(HERE).marked(source=BEGUN.end()), Place("the database b on host").marked(target=FROM)
    assert await canceled(source, target)
    assert list(source.marks) == []


async def test_a_move_with_marks_that_cannot_be_read_is_not_canceled() -> None:
    unread = Move.from_text(None)
    assert await refused(Place(HERE).marked(source=unread), Place(THERE).marked(target=unread)) == "mark_unread"


async def test_a_move_is_not_canceled_whose_target_was_moved_on() -> None:
    """Otherwise the place where the data are now would be used, and the source, too."""
    on = Move("two", "the data folder /c", "2026-02-01T00:00:00Z")
    for move in (on, on.end()):
        assert await refused(Place(HERE).marked(source=BEGUN.end()), Place(THERE).marked(source=move)) == "moved"


async def test_a_move_is_not_canceled_while_a_server_runs() -> None:
    source = Place(HERE).marked(source=BEGUN.end())
    assert await refused(source, Place(THERE, empty=False, runs=[True])) == "server_runs"
    started = Place(THERE, empty=False, runs=[False, True])  # just now
    assert await refused(source, started) == "server_runs"
