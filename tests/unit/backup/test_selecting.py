"""The content of a backup, by names alone."""

from __future__ import annotations

import pytest

from server.backup.manifest import Entry
from server.backup.selecting import belongs, is_database, merged, needed_paths, of_this_moment
from server.tenants.moves import SOURCE, TARGET

T = "tenants/acme"


@pytest.mark.parametrize(
    "path",
    [
        *(
            "headcount.db",
            "host_keys",
            "host_keys/ssh_host_ed25519_key",
            "digests",
            "hooks.toml",
            "tenants",
            "removed",
        ),
        *(f"{T}", f"{T}/users.db", f"{T}/keys.json", f"{T}/keys.lock", f"{T}/webhook.secret", f"{T}/paused"),
        *(f"{T}/uploads/1.csv", f"{T}/messages/1.jsonl", f"{T}/runs/1.file", f"{T}/runs/1.reports/a.txt"),
        *(f"{T}/files/.hidden", f"{T}/files/users.db-wal", f"{T}/files/staging/x.new", f"{T}/files/search.db"),
        "removed/acme-20260331T000000.000000Z/files/a",
    ],
)
def test_all_that_the_server_does_not_make_again_belongs(path: str) -> None:
    assert belongs(path)


@pytest.mark.parametrize(
    "path",
    [
        *("headcount.db-wal", "headcount.db-shm", "headcount.lock", "headcount.reserve", ".headcount.db-litestream"),
        *("headcount.db.schema-7", "tenants/.lock", "tenants/.adding", f"{T}/users.db-wal", f"{T}/users.db-shm"),
        *(f"{T}/users.db.schema-5", f"{T}/search.db", f"{T}/search.db-wal", f"{T}/staging", f"{T}/keys.json.new"),
        *(f"{T}/messages/.1.jsonl.new", f"{T}/uploads/0123.sha256", f"{T}/.users.db-litestream", ".restoring"),
        *(SOURCE, TARGET),
    ],
)
def test_all_that_is_made_again_or_unfinished_is_left_out(path: str) -> None:
    assert not belongs(path)


def test_only_the_databases_of_the_server_are_databases() -> None:
    found = ["headcount.db", f"{T}/users.db", "removed/acme-1/users.db", f"{T}/files/users.db", "x/headcount.db"]
    assert [is_database(path) for path in found] == [True, True, True, False, False]


def kept(*paths: str, last_import: int = 5, last_run: int = 7) -> list[str]:
    entries = [Entry(f"{T}/{path}", 0, 0) for path in paths]
    return [each.path.removeprefix(f"{T}/") for each in of_this_moment(entries, last_import, last_run)]


def test_files_of_later_imports_are_left_out() -> None:
    places = ("uploads/{}.csv", "messages/{}.jsonl", "messages/{}.errors.csv", "files/results/sync_users-{}.json")
    known = [place.format(5) for place in places]
    assert kept(*known, *(place.format(6) for place in places)) == known


def test_files_of_later_runs_are_left_out() -> None:
    known = ["runs/7.file", "runs/7.reports", "runs/7.reports/out.txt", "files/results/invoices-7.json"]
    assert kept(*known, "runs/8.file", "runs/8.reports/out.txt", "files/results/invoices-8.json") == known


def test_files_of_clients_with_numbers_stay() -> None:
    paths = [
        "files/9.csv",
        "files/uploads/9.csv",
        "files/inbox/results/9.json",
        "files/results",
        "keys.json",
        "paused",
    ]
    assert kept(*paths) == paths


def test_an_import_needs_its_copy_and_its_messages() -> None:
    names = ["3.jsonl", "3.touched.jsonl", "4.jsonl", "33.jsonl", "last.advice.json"]
    assert needed_paths("acme", {3}, {8}, names) == [
        f"{T}/messages/3.jsonl",
        f"{T}/messages/3.touched.jsonl",
        f"{T}/runs/8.file",
        f"{T}/uploads/3.csv",
    ]


def test_a_later_part_wins_and_nothing_is_below_a_file() -> None:
    old, new = Entry("a", 0, 1), Entry("a", 0, 2, "ab" * 32)
    below = Entry("a/b", 0, 3)
    assert merged({"a": old, "a/b": below}) == {"a": old, "a/b": below}
    assert merged({"a": old, "a/b": below}, {"a": new}) == {"a": new}
