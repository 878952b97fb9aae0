"""The header: which names are read, with a warning or without, and which fail."""

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


def test_every_column_may_be_in_any_order_without_a_message() -> None:
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
def test_a_variant_spelling_is_read_with_a_warning_that_shows_it(written: str, shown: str) -> None:
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


def test_a_missing_column_is_reported_with_the_header_that_may_mean_it() -> None:
    with pytest.raises(FileError, match="Is “First Name” meant as first_name\\? Is “E-Mail” meant as email\\?"):
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


def test_a_name_similar_to_no_column_gets_no_suggestion() -> None:
    assert nearest_column("shoe size") is None
    assert "Did you mean" not in only(header(*REQUIRED, "Shoe size")[1]).message


def test_a_skills_column_gets_its_own_message() -> None:
    assert only(header(*REQUIRED, "Skills")[1]).code == "skills_column"


def test_columns_beginning_with_an_underscore_are_ignored_without_a_message() -> None:
    found, problems = header(*REQUIRED, "_line", "_note", "_note")
    assert (found.columns, problems, found.is_correction) == ((*REQUIRED, "", "", ""), [], False)


def test_a_column_code_makes_a_correction_file() -> None:
    assert header(*REQUIRED, "_line", "_code", "_message")[0].is_correction


def test_columns_without_a_name_get_one_warning_for_all() -> None:
    found, problems = header(*REQUIRED, "", " ")
    assert found.columns == (*REQUIRED, "", "")
    assert (only(problems).code, "Columns 4 and 5 have no name" in only(problems).message) == ("unnamed_column", True)


# Mapped headers


def mapped(mapping: dict[str, str], *names: str, **more: Any) -> tuple[Header, list[Problem]]:
    return read_header(names, 1, ",", ImportSettings(field_mapping=mapping, **more).names)


def test_a_mapped_header_means_its_field_without_a_message() -> None:
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
def test_the_first_header_of_the_mapping_counts_for_its_field(names: tuple[str, ...], taken: int) -> None:
    found, problems = mapped({"Work": "email", "Home": "email"}, *names)
    assert found.columns.index("email") == taken
    assert found.columns.count("email") == 1
    assert {problem.code for problem in problems} == ({"column_not_used"} if len(names) > 3 else set())
    assert all(f"“{names[taken]}”" in problem.message for problem in problems)


def test_a_header_may_be_mapped_away_from_the_field_of_its_name() -> None:
    found, problems = mapped({"manager": "coach", "Title": ""}, *REQUIRED, "manager", "Title", "Title")
    assert (found.columns, problems) == ((*REQUIRED, "coach", "", ""), [])


def test_a_custom_field_is_a_column_by_its_key_or_a_mapped_header() -> None:
    own = [{"key": "badge"}, {"key": "shift"}]
    found, problems = mapped({"Badge No.": "badge"}, *REQUIRED, "badge no.", "shift", custom_fields=own)
    assert (found.columns, problems) == ((*REQUIRED, "badge", "shift"), [])
    assert "Did you mean shift?" in only(mapped({}, *REQUIRED, "shfit", custom_fields=own)[1]).message


@pytest.mark.parametrize("written", ["Gr\u00f6\u00dfe (cm)", "Gro\u0308\u00dfe (cm)", "Gr\u00f6\u00dfe\u00a0(cm)"])
def test_a_mapped_header_is_known_in_every_encoding_of_its_letters_and_spaces(written: str) -> None:
    found, problems = mapped({"Gr\u00f6\u00dfe (cm)": "job_title"}, *REQUIRED, written)
    assert (found.columns[-1], problems) == ("job_title", [])


def test_a_missing_column_is_named_with_its_mapped_headers() -> None:
    with pytest.raises(FileError, match=r"Column email \(or “work mail” or “mail”\) is missing"):
        mapped({"Work Mail": "email", "Mail": "email"}, "first_name", "last_name")


def test_the_column_of_the_identifier_is_required() -> None:
    with pytest.raises(FileError) as caught:
        mapped({}, *REQUIRED, custom_fields=[{"key": "badge"}], identifier="badge")
    assert (caught.value.code, caught.value.column) == ("missing_column", "badge")


def test_an_escaped_header_names_the_same_column() -> None:
    known = Names(mapping={"=mail": "email", "+name": "first_name"})
    for cells in (["=Mail", "+Name", "last_name"], ["'=Mail", "'+Name", "last_name"]):
        found, problems = read_header(cells, 1, ",", known)
        assert found.columns == ("email", "first_name", "last_name")
        assert problems == []
