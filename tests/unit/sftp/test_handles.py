"""How many files one connection, one tenant and all of them may hold open."""

from __future__ import annotations

import pytest

from server.sftp.handles import ConnectionHandles, Handles, TooManyHandles, read_at_once


def test_a_connection_holds_at_most_its_own_number_over_all_channels() -> None:
    connection = ConnectionHandles(Handles(2, 100, 100), "acme")
    connection.take(1)
    connection.take(2)
    with pytest.raises(TooManyHandles, match="at most 2 at once"):
        connection.take(1)
    connection.give_back(2)
    connection.take(1)


def test_a_tenant_holds_at_most_its_number_over_all_connections() -> None:
    handles = Handles(100, 3, 100)
    first, second, other = (ConnectionHandles(handles, name) for name in ("acme", "acme", "umbrella"))
    first.take(1)
    second.take(1)
    second.take(1)
    with pytest.raises(TooManyHandles, match="in all sessions together"):
        first.take(1)
    other.take(1)
    second.give_back(1)
    first.take(1)


def test_all_tenants_together_hold_no_more_descriptors_than_there_are() -> None:
    handles = Handles(100, 100, 4)
    first, second = ConnectionHandles(handles, "acme"), ConnectionHandles(handles, "umbrella")
    first.take(2)
    second.take(1)
    with pytest.raises(TooManyHandles, match="no room"):
        second.take(2)
    second.take(1)


def test_what_was_refused_is_not_counted_and_what_is_given_back_is_forgotten() -> None:
    handles = Handles(1, 1, 1)
    connection = ConnectionHandles(handles, "acme")
    connection.take(1)
    for _ in range(5):
        with pytest.raises(TooManyHandles):
            connection.take(1)
    connection.give_back(1)
    assert handles.taken_by("acme") == 0
    connection.take(1)


@pytest.mark.parametrize(("handles", "bytes_read"), [(0, 65536), (1, 65536), (8, 65536), (25, 20971), (500, 16384)])
def test_the_more_files_are_open_the_less_of_one_is_read_before_the_next(handles: int, bytes_read: int) -> None:
    assert read_at_once(handles) == bytes_read
