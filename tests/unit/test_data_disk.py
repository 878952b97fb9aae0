"""When a disk counts as full, by its free space."""

from __future__ import annotations

import pytest

from server.data_disk import FREE_BYTES, FULL, READ_ONLY, RESERVE_BYTES, Free, why_disk_unusable

BOTH = FREE_BYTES + RESERVE_BYTES


@pytest.mark.parametrize(
    ("free", "reserved", "why"),
    [
        (Free(FREE_BYTES), True, None),
        (Free(FREE_BYTES - 1), True, FULL),
        (Free(BOTH), False, None),
        (Free(BOTH - 1), False, FULL),
        (Free(BOTH, files=1000), True, None),
        (Free(BOTH, files=0), True, FULL),
        (Free(BOTH, read_only=True), True, READ_ONLY),
    ],
)
def test_a_disk_is_full_without_space_for_the_reserve_or_for_files(
    free: Free, reserved: bool, why: str | None
) -> None:
    assert why_disk_unusable(free, reserved=reserved) == why


def test_a_deleted_reserve_does_not_make_a_full_disk_usable() -> None:
    free = Free(FREE_BYTES - 1)
    assert why_disk_unusable(free, reserved=True) == FULL
    assert why_disk_unusable(Free(free.size + RESERVE_BYTES), reserved=False) == FULL
