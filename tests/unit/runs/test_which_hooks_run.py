"""Which hooks run when several modules have some: names, paths and modules that did not load."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.runs.registry import RegisteredHook, Registry
from server.runs.sources import Source, equally_exact, recalled, registry


def source(package: str, *hooks: tuple[str, str]) -> Source:
    return Source(package, package, [RegisteredHook(name, path, package) for name, path in hooks])


def errors(found: Registry) -> dict[str, str | None]:
    return {hook.name: hook.error for hook in found.hooks}


def test_hooks_of_different_paths_run_beside_each_other() -> None:
    found = registry([source("one", ("a", "/a/*.csv")), source("two", ("b", "/b/*.csv"), ("c", "/a/x*.csv"))])
    assert errors(found) == {"a": None, "b": None, "c": None}


def test_two_hooks_of_one_name_are_both_refused() -> None:
    found = registry([source("one", ("a", "/a")), source("two", ("a", "/b"), ("c", "/c"))])
    said = "two hooks are called a (in one, two). Rename one"
    assert [(hook.name, hook.path, hook.error) for hook in found.hooks] == [
        ("a", "/a", said),
        ("a", "/b", said),
        ("c", "/c", None),
    ]


def test_two_equally_exact_paths_are_both_refused() -> None:
    found = errors(registry([source("one", ("a", "/in/a*.csv")), source("two", ("b", "/in/*a.csv"), ("c", "/c"))]))
    assert found["a"] == (
        "/in/a*.csv is as exact as /in/*a.csv of the hook b (two), and one file can match both. Change a path"
    )
    assert found["b"] is not None
    assert found["b"].startswith("/in/*a.csv is as exact as /in/a*.csv of the hook a (one)")
    assert found["c"] is None


@pytest.mark.parametrize("path", ["/sync_users.csv", "/test/sync_users.csv", "/sync_users.csv.sha256"])
def test_a_path_of_sync_users_is_refused(path: str) -> None:
    assert errors(registry([source("one", ("a", path))]))["a"] == f"{path} belongs to sync_users. Use another path"


@pytest.mark.parametrize(
    ("path", "own"),
    [
        ("/sync_users.csv/*", "/sync_users.csv"),
        ("/sync_users.csv/a/b.csv", "/sync_users.csv"),
        ("/test/sync_users.csv/*.csv", "/test/sync_users.csv"),
        ("/sync_users.csv.sha256/*", "/sync_users.csv.sha256"),
        ("/test/sync_users.csv.sha256/*/a", "/test/sync_users.csv.sha256"),
    ],
)
def test_a_path_that_makes_a_folder_of_a_path_of_sync_users_is_refused(path: str, own: str) -> None:
    assert errors(registry([source("one", ("a", path))]))["a"] == f"{own} belongs to sync_users. Use another path"


def test_a_path_that_is_a_folder_is_refused() -> None:
    found = errors(registry([source("one", ("a", "/in"), ("b", "/in/*.csv"), ("c", "/test"), ("d", "/*/in"))]))
    assert found == {
        "a": "/in is a folder of the hook b (/in/*.csv). Change a path",
        "b": None,
        "c": "/test is a folder of the server. Use another path",
        "d": None,
    }


def test_a_module_that_does_not_load_keeps_its_paths_and_the_others_run() -> None:
    broken = Source("mine", "mine", error="mine cannot be imported", remembered=[("a", "/a"), ("b", "/b")])
    found = registry([broken, source("one", ("c", "/c"))])
    assert [(hook.name, hook.path, hook.package, hook.error) for hook in found.hooks] == [
        ("c", "/c", "one", None),
        ("a", "/a", "mine", "mine cannot be imported"),
        ("b", "/b", "mine", "mine cannot be imported"),
    ]


def test_of_a_module_that_never_loaded_only_the_name_is_known() -> None:
    found = registry([Source("mine", "mine", error="mine cannot be imported")])
    assert [(hook.name, hook.path) for hook in found.hooks] == [("mine", None)]


def with_wrong_entry(name: str, *hooks: tuple[str, str], had: list[tuple[str, str]]) -> Registry:
    """Return the hooks of a file that has an entry without a path."""
    right = [RegisteredHook(*each, "file") for each in hooks]
    return registry(
        recalled([Source("file", "file", [RegisteredHook(name, None, "file", "wrong"), *right], remembered=had)])
    )


def lines(found: Registry) -> list[tuple[str, str | None, str | None]]:
    return [(hook.name, hook.path, hook.error) for hook in found.hooks]


def test_a_wrong_entry_without_a_path_keeps_the_one_that_it_had() -> None:
    found = with_wrong_entry("a", ("b", "/b"), had=[("a", "/a"), ("b", "/old"), ("c", "/c")])
    assert lines(found) == [("a", "/a", "wrong"), ("b", "/b", None)]


def test_an_entry_without_name_and_path_may_be_any_hook_that_is_gone() -> None:
    found = with_wrong_entry("entry 1", ("b", "/b"), ("d", "/c"), had=[("a", "/a"), ("b", "/old"), ("c", "/c")])
    assert lines(found) == [("entry 1", None, "wrong"), ("a", "/a", "wrong"), ("b", "/b", None), ("d", "/c", None)]


def test_a_hook_that_moved_to_another_module_runs() -> None:
    broken = Source("old", "old", error="old cannot be imported", remembered=[("a", "/a")])
    found = registry([broken, source("new", ("a", "/a"))])
    assert errors(found) == {"a": None, "old": "old cannot be imported"}


def test_a_new_hook_at_a_path_of_a_module_that_did_not_load_is_refused() -> None:
    broken = Source("old", "old", error="old cannot be imported", remembered=[("a", "/a")])
    found = errors(registry([broken, source("new", ("b", "/a"))]))
    assert found["b"] is not None
    assert "as exact as /a of the hook a (old)" in found["b"]


@pytest.mark.parametrize(
    ("one", "other", "expected"),
    [
        ("/a", "/a", True),
        ("/a", "/b", False),
        ("/a/*", "/a", False),
        ("/*", "/*", True),
        ("/*/a", "/*/b", False),
        ("/*.csv", "/*.txt", False),
        ("/a*", "/*b", True),
        ("/a*", "/b*", False),
        ("/*.csv", "/a*.csv", False),
        ("/a/*.csv", "/*/a.csv", False),
        ("/x*/b", "/*x/b", True),
        ("/**", "/*", True),
    ],
)
def test_paths_are_equally_exact_if_a_file_can_match_both(one: str, other: str, expected: bool) -> None:
    assert equally_exact(one, other) is equally_exact(other, one) is expected


PARTS = st.text(alphabet="ab*", min_size=1, max_size=6)


def matches(pattern: str, name: str) -> bool:
    """Compare by brute force: a `*` takes any beginning of the rest."""
    if not pattern:
        return not name
    if pattern[0] == "*":
        return any(matches(pattern[1:], name[taken:]) for taken in range(len(name) + 1))
    return name[:1] == pattern[0] and matches(pattern[1:], name[1:])


@given(PARTS, PARTS, st.text(alphabet="ab", max_size=6))
def test_a_name_that_matches_two_equally_long_patterns_makes_a_conflict(one: str, other: str, name: str) -> None:
    same = ("*" in one) == ("*" in other) and len(one.replace("*", "")) == len(other.replace("*", ""))
    if matches(one, name) and matches(other, name):
        assert equally_exact(f"/{one}", f"/{other}") is same
