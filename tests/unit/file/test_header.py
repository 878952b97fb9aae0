"""Promises about the header: what is understood, what is forgiven, what fails."""

from __future__ import annotations

from typing import Any

import pytest

from importer.errors import FileError
from importer.file.columns import read_header
from importer.file.header import COLUMNS, REQUIRED, Header, Names, nearest_column
from importer.model import Problem, Severity
from importer.rules.settings import ImportSettings


def header(*names: str) -> tuple[Header, list[Problem]]:
    return read_header(names, 1)


def only(problems: list[Problem]) -> Problem:
    assert len(problems) == 1, problems
    return problems[0]


def test_every_column_may_come_in_any_order_without_a_word() -> None:
    names = tuple(reversed(COLUMNS))
    assert header(*names) == (Header(names, names, is_correction=False), [])


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("EMAIL", "EMAIL"),
        (" email ", " email "),
        ("E\u200bmail", "E<U+200B>mail"),
        ("\ufeffemail", "<U+FEFF>email"),
        ("email\u00a0", "email<U+00A0>"),
    ],
)
def test_spelling_is_forgiven_with_a_warning_that_shows_what_was_read(written: str, shown: str) -> None:
    found, problems = header("first_name", "last_name", written)
    assert found.columns == REQUIRED
    assert found.raw[2] == written
    warning = only(problems)
    assert (warning.severity, warning.code, warning.column) == (Severity.WARNING, "header_spelling", "email")
    assert f"“{shown}”" in warning.message


@pytest.mark.parametrize("name", REQUIRED)
def test_a_required_column_that_is_missing_fails(name: str) -> None:
    with pytest.raises(FileError) as caught:
        header(*(set(COLUMNS) - {name}))
    assert (caught.value.code, caught.value.column, caught.value.line) == ("missing_column", name, 1)


def test_a_missing_column_is_told_together_with_the_one_that_may_be_it() -> None:
    with pytest.raises(
        FileError, match="“First Name” should perhaps be first_name; “E-Mail” should perhaps be email"
    ):
        header("First Name", "last_name", "E-Mail")


@pytest.mark.parametrize("twice", ["email", "Email ", "E\u200dMAIL", "job_title"])
def test_a_column_twice_after_folding_fails(twice: str) -> None:
    with pytest.raises(FileError) as caught:
        header(*REQUIRED, "job_title", "shoe size", twice)
    assert caught.value.code == "duplicate_column"


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("job titel", "job_title"),
        ("Department", "primary_team"),
        ("time zone", "time_zone"),
        ("HireDate", "hire_date"),
    ],
)
def test_an_unknown_column_is_ignored_with_the_nearest_name(name: str, meant: str) -> None:
    found, problems = header(*REQUIRED, name)
    assert found.columns == (*REQUIRED, "")
    warning = only(problems)
    assert (warning.severity, warning.code) == (Severity.WARNING, "unknown_column")
    assert f"Did you mean {meant}?" in warning.message


def test_a_name_near_to_nothing_gets_no_suggestion() -> None:
    assert nearest_column("shoe size") is None
    assert "Did you mean" not in only(header(*REQUIRED, "Shoe size")[1]).message


def test_skills_are_told_that_they_cannot_be_set_this_way() -> None:
    assert only(header(*REQUIRED, "Skills")[1]).code == "skills_column"


def test_columns_beginning_with_an_underscore_are_ignored_without_a_word() -> None:
    found, problems = header(*REQUIRED, "_line", "_note", "_note")
    assert (found.columns, problems, found.is_correction) == ((*REQUIRED, "", "", ""), [], False)


def test_a_code_column_makes_it_a_correction() -> None:
    assert header(*REQUIRED, "_line", "_code", "_message")[0].is_correction


def test_columns_without_a_name_get_one_warning_for_all() -> None:
    found, problems = header(*REQUIRED, "", " ")
    assert found.columns == (*REQUIRED, "", "")
    assert (only(problems).code, "4, 5" in only(problems).message) == ("unnamed_column", True)


# Their names for our fields


def mapped(mapping: dict[str, str], *names: str, **more: Any) -> tuple[Header, list[Problem]]:
    return read_header(names, 1, ",", ImportSettings(field_mapping=mapping, **more).names)


def test_their_header_means_our_field_without_a_word() -> None:
    found, problems = mapped({"Mail": "email", "Vorname": "first_name"}, " VORNAME", "last_name", "mail")
    assert (found.columns, problems) == (REQUIRED, [])
    assert found.raw == (" VORNAME", "last_name", "mail")


@pytest.mark.parametrize(
    ("names", "taken"),
    [
        (("first_name", "last_name", "Work", "Home", "email"), 2),
        (("first_name", "last_name", "email", "Home", "Work"), 4),
        (("first_name", "last_name", "email", "Home"), 3),
        (("first_name", "last_name", "email"), 2),
    ],
)
def test_of_several_headers_for_one_field_the_first_of_the_mapping_counts(names: tuple[str, ...], taken: int) -> None:
    found, problems = mapped({"Work": "email", "Home": "email"}, *names)
    assert found.columns.index("email") == taken
    assert found.columns.count("email") == 1
    assert {problem.code for problem in problems} == ({"column_not_used"} if len(names) > 3 else set())
    assert all(f"“{names[taken]}”" in problem.message for problem in problems)


def test_a_header_may_be_mapped_away_from_the_field_of_its_name() -> None:
    found, problems = mapped({"manager": "coach", "Title": ""}, *REQUIRED, "manager", "Title", "Title")
    assert (found.columns, problems) == ((*REQUIRED, "coach", "", ""), [])


def test_a_field_of_ones_own_is_a_column_by_its_key_or_a_mapped_header() -> None:
    own = [{"key": "badge"}, {"key": "shift"}]
    found, problems = mapped({"Badge No.": "badge"}, *REQUIRED, "badge no.", "shift", custom_fields=own)
    assert (found.columns, problems) == ((*REQUIRED, "badge", "shift"), [])
    assert "Did you mean shift?" in only(mapped({}, *REQUIRED, "shfit", custom_fields=own)[1]).message


@pytest.mark.parametrize("written", ["Gr\u00f6\u00dfe (cm)", "Gro\u0308\u00dfe (cm)", "Gr\u00f6\u00dfe\u00a0(cm)"])
def test_their_header_is_known_however_its_letters_and_spaces_are_encoded(written: str) -> None:
    found, problems = mapped({"Gr\u00f6\u00dfe (cm)": "job_title"}, *REQUIRED, written)
    assert (found.columns[-1], problems) == ("job_title", [])


def test_a_missing_column_is_named_as_the_tenant_s_files_name_it_too() -> None:
    with pytest.raises(FileError, match=r"The column email \(or “work mail” or “mail”\) is missing"):
        mapped({"Work Mail": "email", "Mail": "email"}, "first_name", "last_name")


def test_the_identifier_is_a_column_that_must_be_there() -> None:
    with pytest.raises(FileError) as caught:
        mapped({}, *REQUIRED, custom_fields=[{"key": "badge"}], identifier="badge")
    assert (caught.value.code, caught.value.column) == ("missing_column", "badge")


def test_a_header_that_was_made_safe_for_a_spreadsheet_names_the_same_column() -> None:
    known = Names(mapping={"=mail": "email", "+name": "first_name"})
    for cells in (["=Mail", "+Name", "last_name"], ["'=Mail", "'+Name", "last_name"]):
        found, problems = read_header(cells, 1, ",", known)
        assert found.columns == ("email", "first_name", "last_name")
        assert problems == []
