"""The limits of open files and folders: of one connection, of one tenant, and of all."""

from __future__ import annotations

import pytest

from server.sftp.handles import ConnectionHandles, Handles, TooManyHandles, read_at_once


def test_the_open_handles_of_a_connection_are_limited_over_all_channels() -> None:
    connection = ConnectionHandles(Handles(2, 100, 100), "acme")
    connection.take(1)
    connection.take(2)
    with pytest.raises(TooManyHandles, match="at most 2 in one connection"):
        connection.take(1)
    connection.release(2)
    connection.take(1)


def test_the_open_handles_of_a_tenant_are_limited_over_all_connections() -> None:
    handles = Handles(100, 3, 100)
    first, second, other = (ConnectionHandles(handles, name) for name in ("acme", "acme", "umbrella"))
    first.take(1)
    second.take(1)
    second.take(1)
    with pytest.raises(TooManyHandles, match="in all connections together"):
        first.take(1)
    other.take(1)
    second.release(1)
    first.take(1)


def test_the_descriptors_of_all_tenants_together_are_limited() -> None:
    handles = Handles(100, 100, 4)
    first, second = ConnectionHandles(handles, "acme"), ConnectionHandles(handles, "umbrella")
    first.take(2)
    second.take(1)
    with pytest.raises(TooManyHandles, match="on the server"):
        second.take(2)
    second.take(1)


def test_a_refused_handle_is_not_counted_and_a_released_one_no_longer() -> None:
    handles = Handles(1, 1, 1)
    connection = ConnectionHandles(handles, "acme")
    connection.take(1)
    for _ in range(5):
        with pytest.raises(TooManyHandles):
            connection.take(1)
    connection.release(1)
    assert handles.taken_by("acme") == 0
    connection.take(1)


@pytest.mark.parametrize(("handles", "bytes_read"), [(0, 65536), (1, 65536), (8, 65536), (25, 20971), (500, 16384)])
def test_the_more_files_are_open_the_less_is_read_of_a_connection_at_once(handles: int, bytes_read: int) -> None:
    assert read_at_once(handles) == bytes_read
