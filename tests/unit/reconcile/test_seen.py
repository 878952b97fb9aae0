"""The identifiers that may have come earlier in the file."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from importer.reconcile.seen import SLOTS, Seen, slots_for

KEYS = st.lists(st.text(max_size=3), max_size=20)


@given(KEYS, KEYS, st.sampled_from([1, 7, 1024]))
def test_every_earlier_identifier_is_found(before: list[str], now: list[str], slots: int) -> None:
    seen = Seen(slots)
    seen.meet(before)
    assert [key for key in now if key in before] == [key for key in seen.among(now) if key in before]


def test_few_new_identifiers_are_looked_up() -> None:
    seen = Seen(slots_for(10_000 * 200))
    assert seen.among([f"{number}@example.com" for number in range(1000)]) == []
    seen.meet([f"{number}@example.com" for number in range(10_000)])
    assert len(seen.among([f"{number}@elsewhere.com" for number in range(10_000)])) < 100


def test_a_file_gets_slots_by_its_size_and_never_more_than_a_large_one() -> None:
    assert [slots_for(size) for size in (0, 100, 1 << 40)] == [1, 101, SLOTS]
