"""Names that have a hook, names that are similar to one, and names of unfinished uploads."""

from __future__ import annotations

from typing import cast

import pytest

from server.files.hooks import Hook, HookTable

REAL, DRY, OTHERS = (cast(Hook, object()) for _ in range(3))
PACKED = (".gz", ".bz2", ".xz", ".zst", ".zip", ".7z", ".rar", ".tar", ".tgz", ".pgp", ".gpg", ".asc", ".aes")
TABLE = HookTable(
    {"/sync_users.csv": REAL, "/test/sync_users.csv": DRY, "/invoices.csv": OTHERS},
    wide={"/sync_users.csv", "/test/sync_users.csv"},
).of("acme")


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
        *(f"/sync_users{ending}" for ending in PACKED),
        *(f"/sync_users.csv{ending}" for ending in PACKED),
        *(f"/sync_users{ending}" for ending in (".xls", ".xlsm", ".ods", ".tsv", ".csv.xlsx", ".csv.ods", ".tar.gz")),
        "/sync_users.csv.gz.pgp",
        "/sync_users.csv ",
        "/sync_users .csv",
        "/sync_users_20260101.csv",
        "/sync_users-2026-01-01.csv",
        "/sync_users_2026-01-01_0300.csv",
        "/sync_users 2026-01-01T0300Z.csv",
        "/sync_users.20260101.csv",
        "/20260101_sync_users.csv",
        "/20260101-sync_users.csv.gz",
        "/acme_sync_users.csv",
        "/sync_users_DE.csv",
        "/sync_users_final_v2.csv",
        "/in/sync_users_20260101.csv",
        "/sync_user.csv",
        "/synch_users.csv",
        "/sync_usera.csv",
        "/ync_users.csv",
        "/users.csv",
        "/sync.csv",
        "/Users_20260101.csv",
    ],
)
def test_a_similar_name_is_reported_to_the_hook_with_the_right_name(path: str) -> None:
    near = TABLE.near(path)
    assert near is not None
    assert near.hook is REAL
    assert near.path == "/sync_users.csv"
    assert "/sync_users.csv" in near.reason


@pytest.mark.parametrize("path", ["/test/Sync_Users.csv", "/test/sync_users (1).csv", "/Test/sync_users.csv"])
def test_a_similar_name_in_the_folder_of_a_hook_is_reported_to_that_hook(path: str) -> None:
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
        *(f"/sync_users{use}" for use in (".ok", ".done", ".ctl", ".log", ".bak", ".old", ".md5", ".sig")),
        *(f"/sync_users.csv{use}" for use in (".ok", ".done", ".ctl", ".log", ".bak", ".old", ".md5", ".sig")),
        "/sync_users_20260101.csv.filepart",
        "/sync_users.csv.a1b2c3",
        "/.sync_users.csv.a1b2c3",
        "/sync_users.csv~",
        "/~sync_users.csv",
        "/test/sync_users.csv.filepart",
        "/in/users.csv",
        "/users_DE.csv",
        "/employees.csv",
        "/sync_usser_x.csv",
        "/report.csv",
        "/invoices_20260101.csv",
        "/invoice.csv",
        "/.csv",
        "/",
        "",
    ],
)
def test_right_unfinished_and_unrelated_names_are_not_similar(path: str) -> None:
    assert TABLE.near(path) is None


def test_a_name_that_begins_with_a_hooks_name_is_its_unfinished_upload() -> None:
    assert TABLE.begins("/sync_users.csv") is REAL
    assert TABLE.begins("/sync_users.csv.filepart") is REAL
    assert TABLE.begins("/test/sync_users.csv.part") is DRY
    assert TABLE.begins("/in/sync_users.csv.part") is None
    assert TABLE.begins("/sync_users.csv.d/file") is None
    assert TABLE.begins("/other") is None


def test_a_table_without_hooks_finds_nothing() -> None:
    empty = HookTable({}).of("acme")
    assert empty.find("/a") is empty.near("/a") is empty.begins("/a") is None


@pytest.mark.parametrize(
    "path",
    ["/Invoices.csv", "/invoices.CSV", "/in/invoices.csv", "/invoices.csv.gz", "/invoices.xlsx", "/invoices.csv "],
)
def test_every_hook_gets_a_name_with_another_case_extension_packing_or_blank(path: str) -> None:
    near = TABLE.near(path)
    assert near is not None
    assert near.hook is OTHERS


@pytest.mark.parametrize(
    ("path", "advice"),
    [
        (
            "/Sync_Users.csv",
            "(uppercase and lowercase letters differ). Send it again as /sync_users.csv.",
        ),
        ("/in/sync_users.csv", "(it is in another folder). Send it again as /sync_users.csv."),
        (
            "/sync_users_DE.csv",
            "(the name differs). If it is meant for /sync_users.csv, send it again under that name.",
        ),
        (
            "/sync_users.csv.pgp",
            "(it is packed or encrypted). Unpack it and send the CSV file as /sync_users.csv.",
        ),
        (
            "/20260101_sync_users.zip",
            "(it is packed or encrypted). Unpack it and send the CSV file as /sync_users.csv.",
        ),
        (
            "/sync_users.xlsx",
            "(it is a workbook, not a CSV file). Save it as “CSV UTF-8” and send that file as /sync_users.csv.",
        ),
    ],
)
def test_the_message_about_a_similar_name_says_what_is_wrong_and_what_to_do(path: str, advice: str) -> None:
    near = TABLE.near(path)
    assert near is not None
    assert near.reason == f"{path} was not imported {advice}"
