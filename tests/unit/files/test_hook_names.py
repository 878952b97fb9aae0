"""Which names start something, which were probably meant to, and which are of an upload still under way."""

from __future__ import annotations

from typing import cast

import pytest

from server.files.hooks import Hook, HookTable

REAL, DRY = cast(Hook, object()), cast(Hook, object())
TABLE = HookTable({"/sync_users.csv": REAL, "/test/sync_users.csv": DRY})


def test_only_the_exact_path_has_the_hook() -> None:
    assert TABLE.find("/sync_users.csv") is REAL
    assert TABLE.find("/test/sync_users.csv") is DRY
    assert TABLE.find("/Sync_users.csv") is None
    assert TABLE.find("sync_users.csv") is None


@pytest.mark.parametrize(
    "path",
    [
        "/Sync_Users.csv",
        "/sync_users.CSV",
        "/sync_users (1).csv",
        "/sync_users(12).csv",
        "/sync users.csv",
        "/sync-users.csv",
        "/SyncUsers.csv",
        "/ sync_users.csv ",
        "/sync_users.csv.txt",
        "/sync_users.csv.csv",
        "/sync_users.txt",
        "/sync_users.xlsx",
        "/sync_users",
        "/Copy of sync_users.csv",
        "/sync_users - Copy.csv",
        "/sync_users - Copy (2).csv",
        "/in/sync_users.csv",
        "/in/2024/Sync_Users.csv",
        "/sync_users.csv/sync_users.csv",
        "/ｓync_users.csv",
    ],
)
def test_a_near_name_is_reported_to_the_real_hook_with_the_name_that_was_meant(path: str) -> None:
    near = TABLE.near(path)
    assert near is not None
    assert near.hook is REAL
    assert near.path == "/sync_users.csv"
    assert "/sync_users.csv" in near.reason


@pytest.mark.parametrize("path", ["/test/Sync_Users.csv", "/test/sync_users (1).csv", "/Test/sync_users.csv"])
def test_a_near_name_in_the_folder_of_a_hook_is_that_hooks(path: str) -> None:
    near = TABLE.near(path)
    assert near is not None
    assert near.hook is DRY


@pytest.mark.parametrize(
    "path",
    [
        "/sync_users.csv",
        "/test/sync_users.csv",
        "/sync_users.csv.filepart",
        "/sync_users.csv.part",
        "/sync_users.csv.tmp",
        "/sync_users.csv.sha256",
        "/sync_users.csv.gz",
        "/sync_users.csv~",
        "/test/sync_users.csv.filepart",
        "/users.csv",
        "/sync_users_2024.csv",
        "/report.csv",
        "/.csv",
        "/",
        "",
    ],
)
def test_right_names_unfinished_names_and_others_are_not_near(path: str) -> None:
    assert TABLE.near(path) is None


def test_a_name_that_begins_with_a_hooks_name_is_its_unfinished_upload() -> None:
    assert TABLE.begins("/sync_users.csv") is REAL
    assert TABLE.begins("/sync_users.csv.filepart") is REAL
    assert TABLE.begins("/test/sync_users.csv.part") is DRY
    assert TABLE.begins("/in/sync_users.csv.part") is None
    assert TABLE.begins("/sync_users.csv.d/file") is None
    assert TABLE.begins("/other") is None


def test_a_table_without_hooks_finds_nothing() -> None:
    empty = HookTable({})
    assert empty.find("/a") is empty.near("/a") is empty.begins("/a") is None
