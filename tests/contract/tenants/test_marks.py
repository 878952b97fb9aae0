"""The marks of an installation: short texts, and whether it sends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from engine.marks import MarkStore
from ground.moments import from_rfc3339
from server.tenants.sending import Sending
from tests.support.engines import ENGINES, MARKS, each_of

SINCE, LATER = "2026-03-31T02:10:00.000Z", "2026-04-01T02:10:00.000Z"


@pytest.fixture(params=each_of(MARKS))
async def marks(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[MarkStore]:
    async with ENGINES[request.param](tmp_path)() as store:
        yield MARKS[request.param](tmp_path, store)


async def test_a_mark_is_stored_replaced_and_removed(marks: MarkStore) -> None:
    assert (await marks.has("digests"), await marks.find("digests")) == (False, None)
    for text in ("2026-03-30", "2026-04-06"):
        await marks.put("digests", text)
        assert (await marks.has("digests"), await marks.find("digests")) == (True, text)
    assert not await marks.has("another")
    for _ in range(2):
        await marks.drop("digests")
        assert not await marks.has("digests")


async def test_a_mark_is_added_only_if_there_is_none_of_its_name(marks: MarkStore) -> None:
    assert [await marks.add("digests", text) for text in ("2026-03-30", "2026-04-06")] == [True, False]
    assert await marks.find("digests") == "2026-03-30"


async def test_a_mark_is_replaced_or_removed_only_if_it_has_the_known_text(marks: MarkStore) -> None:
    assert not await marks.swap("digests", "2026-03-30", "2026-04-06")
    await marks.put("digests", "2026-03-30")
    for new in ("2026-04-13", None):
        assert not await marks.swap("digests", "2026-04-06", new)
        assert await marks.find("digests") == "2026-03-30"
    assert await marks.swap("digests", "2026-03-30", "2026-04-06")
    assert await marks.find("digests") == "2026-04-06"
    assert await marks.swap("digests", "2026-04-06", None)
    assert not await marks.has("digests")


async def test_sending_that_is_turned_off_keeps_its_time_until_it_is_turned_on(marks: MarkStore) -> None:
    sending = Sending(marks)
    assert (await sending.is_off(), await sending.off_since(), await sending.why_off()) == (False, None, None)
    for time in (SINCE, LATER):
        await sending.turn_off(from_rfc3339(time))
        assert (await sending.is_off(), await sending.off_since()) == (True, SINCE)
    assert f"sending is off since {SINCE}" in str(await Sending(marks).why_off())
    await sending.turn_on()
    assert (await sending.is_off(), await sending.off_since()) == (False, None)


@pytest.mark.parametrize("text", ["", "yesterday"])
async def test_a_mark_with_another_text_keeps_sending_off(marks: MarkStore, text: str) -> None:
    await marks.put("sending-off", text)
    sending = Sending(marks)
    assert (await sending.is_off(), await sending.off_since()) == (True, None)
