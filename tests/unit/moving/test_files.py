"""The files of a tenant as values: names of one file, and what has to be equal at both places."""

from __future__ import annotations

from server.moving.files import Fact, files_of, folders_of, unlike

ROOT = Fact(True, b"", modified=5)
LIST = Fact(True, b"sync_users.csv", 7, 10, 1, 2)
COPY = Fact(False, b"uploads/1.csv", 7, 10)


def test_names_of_one_file_are_one_file_named_as_clients_see_it() -> None:
    (file,) = files_of([COPY, ROOT, LIST])
    assert (file.first, file.others) == (LIST, (COPY,))


def test_names_with_other_times_are_files_of_their_own() -> None:
    other = Fact(True, b"z.csv", 7, 10, 1, 3)
    first, second = files_of([other, COPY, LIST])
    assert (first.names, second.names) == ((LIST, COPY), (other,))


def test_a_folder_comes_before_those_in_it() -> None:
    found = folders_of([Fact(True, b"a/b"), LIST, Fact(True, b"a"), ROOT])
    assert [each.path for each in found] == [b"", b"a", b"a/b"]


def test_equal_files_with_other_numbers_are_alike() -> None:
    assert (
        unlike(
            [ROOT, LIST, COPY],
            [Fact(False, b"uploads/1.csv", 9, 10), Fact(True, b"sync_users.csv", 9, 10, 8, 2), ROOT],
        )
        == []
    )


def test_a_copy_that_has_lost_its_other_name_differs() -> None:
    assert unlike([LIST, COPY], [LIST, Fact(False, b"uploads/1.csv", 8, 10)]) == ["uploads/1.csv"]


def test_other_times_sizes_and_missing_names_differ() -> None:
    here = [ROOT, LIST, Fact(True, b"a"), Fact(True, b"a/b", 1, 2)]
    there = [ROOT, Fact(True, b"sync_users.csv", 7, 10, 1, 3), Fact(True, b"a/b", 1, 3)]
    assert unlike(here, there) == ["a", "a/b", "sync_users.csv"]


def test_the_folders_of_the_server_may_have_other_times() -> None:
    assert unlike([Fact(True, b"results", modified=1)], [Fact(True, b"test", modified=2)]) == []


def test_what_the_server_makes_does_not_count() -> None:
    paths = (b"results", b"results/a.json", b"test", b"test/a.csv", b"resultsx")
    assert [Fact(True, path, 1).counts for path in paths] == [False, False, False, True, True]
