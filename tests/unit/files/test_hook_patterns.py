"""Paths of hooks with `*`: which files they match, and which of two is more exact."""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from server.files.hooks import Hook, Hooked, HookTable
from server.files.paths import parse_path
from server.files.patterns import Pattern, overlap


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/invoices/*.csv", "/invoices/march.csv"),
        ("/invoices/*.csv", "/invoices/Löhne (2).csv"),
        ("/invoices/*", "/invoices/march"),
        ("/invoices/a*", "/invoices/a"),
        ("/*/report.csv", "/berlin/report.csv"),
        ("/*/*/x*y*.pdf", "/a/b/x-1-y-2.pdf"),
        ("/[a]?.csv", "/[a]?.csv"),
        ("/in/*.tmp", "/in/x.tmp"),
        ("/in/.*", "/in/.hidden"),
    ],
)
def test_a_star_stands_for_any_letters_of_one_name(pattern: str, path: str) -> None:
    assert Pattern(pattern).matches(path)


@pytest.mark.parametrize(
    ("pattern", "path"),
    [
        ("/invoices/*.csv", "/invoices/2026/march.csv"),
        ("/invoices/*.csv", "/invoices/march.CSV"),
        ("/invoices/*.csv", "/invoices.csv"),
        ("/invoices/*.csv", "/more/invoices/march.csv"),
        ("/invoices/*.csv", "/invoices/march.csv.filepart"),
        ("/*/report.csv", "/report.csv"),
        ("/*/report.csv", "/a/b/report.csv"),
        ("/[a]?.csv", "/ab.csv"),
    ],
)
def test_a_pattern_does_not_match_in_other_folders_or_with_other_letters(pattern: str, path: str) -> None:
    assert not Pattern(pattern).matches(path)


@pytest.mark.parametrize(
    "name",
    [".march.csv", ".march.csv.a1b2c3", "~march.csv", "~$march.xlsx", "march.csv.filepart", "march.csv.part",
     "march.csv.partial", "march.csv.tmp", "march.csv.TMP", "march.csv~"],
)  # fmt: skip
def test_a_star_does_not_stand_for_the_name_of_an_unfinished_upload(name: str) -> None:
    assert not Pattern("/in/*").matches(f"/in/{name}")


@pytest.mark.parametrize(
    ("more", "less"),
    [
        ("/in/march.csv", "/in/*.csv"),
        ("/in/*.csv", "/in/*"),
        ("/in/*.csv", "/*/march.csv"),
        ("/in/march*.csv", "/in/*h.csv"),
        ("/ab*/c*", "/a*/cd*"),
        ("/ab*/*", "/a*/x"),
    ],
)
def test_literal_parts_from_the_left_and_then_more_letters_are_more_exact(more: str, less: str) -> None:
    assert Pattern(more).exactness > Pattern(less).exactness
    assert not overlap(Pattern(more), Pattern(less))


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("/in/*.csv", "/in/*.csv", True),
        ("/in/a*", "/in/*a", True),
        ("/in/a*b", "/in/*ab", True),
        ("/in/*.csv", "/in/*.txt", False),
        ("/in/a*", "/in/b*", False),
        ("/a/*.csv", "/b/*.csv", False),
        ("/*/x.csv", "/*/x.csv", True),
        ("/*/x.csv", "/*/y.csv", False),
        ("/in/*", "/in/a/*", False),
    ],
)
def test_two_patterns_overlap_if_some_path_matches_both_equally_exactly(one: str, other: str, same: bool) -> None:
    assert overlap(Pattern(one), Pattern(other)) is same
    assert overlap(Pattern(other), Pattern(one)) is same


@given(st.text("ab*", min_size=1, max_size=6), st.text("ab*", min_size=1, max_size=6), st.text("ab", max_size=6))
def test_patterns_that_match_one_path_overlap_unless_one_is_more_exact(one: str, other: str, name: str) -> None:
    first, second = Pattern(f"/{one}"), Pattern(f"/{other}")
    if first.matches(f"/{name}") and second.matches(f"/{name}"):
        assert overlap(first, second) is (first.exactness == second.exactness)


ANY, MARCH, REPORT, IMPORT = (cast(Hook, object()) for _ in range(4))
TABLE = HookTable(
    {"/sync_users.csv": IMPORT},
    wide={"/sync_users.csv"},
    others=[
        Hooked("any", Pattern("/invoices/*.csv"), ANY),
        Hooked("march", Pattern("/invoices/march.csv"), MARCH),
        Hooked("report", Pattern("/stores/*/report.pdf"), REPORT),
        Hooked("everything", Pattern("/*.csv"), ANY),
    ],
    on=lambda tenant: {"any", "gone"} if tenant == "half" else None,
)
VIEW = TABLE.of("acme")


def test_the_most_exact_path_wins_and_imports_come_before_all_others() -> None:
    assert VIEW.find("/invoices/march.csv") is MARCH
    assert VIEW.find("/invoices/april.csv") is ANY
    assert VIEW.find("/stores/berlin/report.pdf") is REPORT
    assert VIEW.find("/sync_users.csv") is IMPORT
    assert VIEW.find("/users.csv") is ANY
    assert VIEW.find("/stores/report.pdf") is None


def test_a_hook_that_is_off_for_a_tenant_leaves_its_path_plain() -> None:
    half = TABLE.of("half")
    assert half.find("/invoices/march.csv") is ANY
    assert half.find("/stores/berlin/report.pdf") is half.near("/stores/berlin/Report.pdf") is None
    assert half.begins("/stores/berlin/report.pdf.part") is None
    assert half.find("/sync_users.csv") is IMPORT
    assert half.fixed == {(b"invoices",)}
    assert TABLE.of("half") is half is not VIEW


def test_an_unfinished_name_begins_with_the_name_of_the_most_exact_hook() -> None:
    assert VIEW.begins("/invoices/march.csv.filepart") is MARCH
    assert VIEW.begins("/invoices/april.csv.filepart") is ANY
    assert VIEW.begins("/invoices/april.csv") is ANY
    assert VIEW.begins("/sync_users.csv.part") is IMPORT
    assert VIEW.begins("/invoices/april.csv/x") is VIEW.begins("/invoices/april.pdf") is None


def test_a_hook_makes_no_folder_of_a_path_of_imports() -> None:
    imports = dict.fromkeys(("/sync_users.csv", "/test/sync_users.csv"), ANY)
    others = [
        Hooked(path, Pattern(path), MARCH) for path in ("/sync_users.csv/*", "/test/sync_users.csv/a/*", "/test/*")
    ]
    view = HookTable(imports, others=others).of("acme")
    assert view.fixed == {(b"test",)}
    assert view.find("/sync_users.csv") is ANY
    assert view.find("/sync_users.csv/a") is None


def test_the_folders_before_the_first_star_are_fixed() -> None:
    assert VIEW.fixed == {(b"invoices",), (b"stores",)}
    assert VIEW.is_fixed(parse_path(b"/invoices/"))
    assert not VIEW.is_fixed(parse_path(b"/stores/berlin"))
    assert Pattern("/a/b/*/c/x.csv").fixed == (("a",), ("a", "b"))


def test_a_folder_that_can_hold_files_of_hooks_is_known() -> None:
    assert VIEW.anything_below(parse_path(b"/stores/berlin"))
    assert VIEW.anything_below(parse_path(b"/invoices"))
    assert not VIEW.anything_below(parse_path(b"/stores/berlin/x"))
    assert not VIEW.anything_below(parse_path(b"/other"))


@pytest.mark.parametrize(
    ("path", "advice"),
    [
        (
            "/Invoices/april.csv",
            "(uppercase and lowercase letters differ). Send it again as /invoices/april.csv.",
        ),
        (
            "/invoices/April.CSV",
            "(uppercase and lowercase letters differ). Send it again as /invoices/April.csv.",
        ),
        (
            "/invoices/april.csv.gz.pgp",
            "(it is packed or encrypted). Unpack it and send the CSV file as /invoices/april.csv.",
        ),
        (
            "/invoices/april.zip",
            "(it is packed or encrypted). Unpack it and send the CSV file as /invoices/april.csv.",
        ),
        (
            "/invoices/april.xlsx",
            "(it is a workbook, not a CSV file). Save it as “CSV UTF-8” and send that file as /invoices/april.csv.",
        ),
        (
            "/invoices/april.txt",
            "(the name differs). If it is meant for /invoices/april.csv, send it again under that name.",
        ),
        (
            "/invoices/april.csv ",
            "(the name differs). If it is meant for /invoices/april.csv, send it again under that name.",
        ),
        (
            "/stores/berlin/report.pdf.gz",
            "(it is packed or encrypted). Unpack it and send the file as /stores/berlin/report.pdf.",
        ),
        (
            "/Stores/Berlin/REPORT.pdf",
            "(uppercase and lowercase letters differ). Send it again as /stores/Berlin/report.pdf.",
        ),
    ],
)
def test_a_name_similar_to_a_pattern_is_told_with_the_right_path(path: str, advice: str) -> None:
    near = VIEW.near(path)
    assert near is not None
    assert near.reason == f"{path} was not processed {advice}"


@pytest.mark.parametrize(
    "path",
    [
        "/invoices/april.pdf",
        "/invoices/april.csv.filepart",
        "/invoices/april.csv.ok",
        "/invoices/.april.csv",
        "/invoices/2026/april.csv",
        "/other/april.csv",
        "/stores/berlin/report.xlsx",
        "/stores/berlin/other.pdf",
        "/stores/report.pdf",
    ],
)
def test_other_names_and_folders_are_not_similar_to_a_pattern(path: str) -> None:
    assert VIEW.near(path) is None


@pytest.mark.parametrize(
    ("hooked", "path", "reason"),
    [
        ("/backup.zip", "/Backup.zip", "(uppercase and lowercase letters differ). Send it again as /backup.zip."),
        ("/in/book.xlsx", "/book.xlsx", "(it is in another folder). Send it again as /in/book.xlsx."),
        (
            "/in/book.xlsx",
            "/in/book.xlsx.gz",
            "(it is packed or encrypted). Unpack it and send the file as /in/book.xlsx.",
        ),
    ],
)
def test_the_fault_of_a_name_is_not_the_kind_of_file_that_its_hook_wants(hooked: str, path: str, reason: str) -> None:
    view = HookTable({}, others=[Hooked("one", Pattern(hooked), ANY)]).of("acme")
    near = view.near(path)
    assert near is not None
    assert near.reason == f"{path} was not processed {reason}"
