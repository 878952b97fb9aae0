"""Client paths: how they are parsed, and where a client may not change anything."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.files.paths import MAX_DEPTH, MAX_PATH_BYTES, check_writable, parse_path


@pytest.mark.parametrize(
    ("raw", "meant"),
    [
        (b"", "/"),
        (b".", "/"),
        (b"/", "/"),
        (b"..", "/"),
        (b"/../../a", "/a"),
        (b"a", "/a"),
        (b"a/", "/a"),
        (b"//a///b//", "/a/b"),
        (b"a/./b/../c", "/a/c"),
        (b"a/b/../../../c", "/c"),
        (b"...", "/..."),
        (b"..\\x", "/..\\x"),
        ("Löhne.csv".encode(), "/Löhne.csv"),
        (b"L\xf6hne.csv", "/L\ufffdhne.csv"),
        (b"a\nb\x1b[2J", "/a\ufffdb\ufffd[2J"),
        ("a\u202eb c".encode(), "/a\ufffdb c"),
    ],
)
def test_a_path_is_parsed_below_the_root(raw: bytes, meant: str) -> None:
    assert str(parse_path(raw)) == meant


@pytest.mark.parametrize("raw", [b"\0", b"a\0b", b"a" * (MAX_PATH_BYTES + 1), b"/".join([b"a"] * (MAX_DEPTH + 1))])
def test_a_path_that_cannot_exist_is_refused(raw: bytes) -> None:
    with pytest.raises(OSError, match=r"path"):
        parse_path(raw)


@given(st.binary(max_size=200))
def test_no_client_path_leads_above_the_root(raw: bytes) -> None:
    try:
        path = parse_path(raw)
    except OSError:
        return
    assert not {b"", b".", b".."} & set(path.parts)
    assert not any(b"/" in part or b"\0" in part for part in path.parts)
    assert parse_path(path.raw) == path


@pytest.mark.parametrize("raw", [b"/", b"", b"/test", b"/test/", b"/results", b"/results/x", b"results/../results/x"])
def test_the_folders_of_the_server_cannot_be_changed_by_a_client(raw: bytes) -> None:
    with pytest.raises(OSError, match=r"cannot be|is read-only"):
        check_writable(parse_path(raw))


@pytest.mark.parametrize("raw", [b"/a", b"/test/a", b"/a/results", b"/Results", b"/results2", b"/sync_users.csv"])
def test_every_other_path_can_be_changed_by_a_client(raw: bytes) -> None:
    check_writable(parse_path(raw))
