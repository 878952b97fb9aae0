"""Cells without a value: spreadsheet errors, formulas, words for “no value”, and HTML."""

from __future__ import annotations

from typing import Any

import pytest

from importer.file.header import COLUMNS, REQUIRED, Header
from importer.model import Problem, Severity
from importer.rules.cells import Doubtful
from importer.rules.doubts import LINES_NAMED, Doubts, doubt
from importer.rules.rows import CheckedRow, RowChecker
from importer.rules.settings import ImportSettings

PERSON = {"first_name": "Ann", "last_name": "Lee", "email": "ann@lee.test"}
TEXTS = ("job_title", "primary_team", "secondary_team", "location", "badge")
BADGE = {"custom_fields": [{"key": "badge"}]}


def check(chosen: dict[str, Any] | None = None, **cells: str) -> CheckedRow:
    """Check the row of Ann with `cells` in it, for a tenant with a custom field badge."""
    row = PERSON | cells
    checker = RowChecker(Header(tuple(row), tuple(row), False), ImportSettings(**BADGE | (chosen or {})))
    return checker.check(2, list(row.values()), ",".join(row.values()))


def told(row: CheckedRow) -> list[tuple[str, str | None, Severity]]:
    return [(problem.code, problem.column, problem.severity) for problem in row.problems]


ERRORS = ("#N/A", "#REF!", "#VALUE!", "#NAME?", "#DIV/0!", "#NULL!", "#NUM!", "#SPILL!", "#n/a", " #N/A ")
ERRORS_ELSEWHERE = ("#NV", "#BEZUG!", "#WERT!", "#ÜBERLAUF!", "#VALEUR!", "#¡REF!", "#¿NOMBRE?", "Err:502", "###")
FORMULAS = (
    *(
        '="00412"',
        '=HYPERLINK("mailto:a@b.cd","Ann")',
        "=1+1",
        "=-A1",
        "=+A1",
        "=VLOOKUP(A1;B:C;2;0)",
        "='Sheet 1'!A1",
    ),
    *("=T.TEST(A1)", "=ZÄHLENWENN(A:A;1)", " =SUM(A1)"),
)
OPTIONAL = [*sorted(set(COLUMNS) - set(REQUIRED) - {"deactivate"}), "badge"]


@pytest.mark.parametrize(
    ("cell", "code"),
    [*((cell, "spreadsheet_error") for cell in ERRORS + ERRORS_ELSEWHERE), *((cell, "formula") for cell in FORMULAS)],
)
def test_an_error_or_formula_of_a_spreadsheet_is_never_a_value(cell: str, code: str) -> None:
    for name in ("job_title", "hire_date", "badge"):
        row = check(**{name: cell})
        assert told(row) == [(code, name, Severity.WARNING)]
        assert row.values == PERSON
    assert told(check(first_name=cell)) == [(code, "first_name", Severity.ERROR)]


@pytest.mark.parametrize("name", OPTIONAL)
@pytest.mark.parametrize("blank_cells", ["clear", "keep"])
def test_an_error_leaves_a_field_that_is_not_required_unchanged(name: str, blank_cells: str) -> None:
    row = check({"blank_cells": blank_cells}, **{name: "#N/A"})
    assert (row.values, told(row)) == (PERSON, [("spreadsheet_error", name, Severity.WARNING)])


@pytest.mark.parametrize("name", [*REQUIRED, "deactivate"])
@pytest.mark.parametrize(("cell", "code"), [("#N/A", "spreadsheet_error"), ('="x"', "formula")])
def test_an_error_or_formula_in_a_required_cell_rejects_the_row(name: str, cell: str, code: str) -> None:
    row = check(**{name: cell})
    assert told(row) == [(code, name, Severity.ERROR)]
    assert not row.deactivate


def test_an_error_or_formula_is_not_an_identifier() -> None:
    for cell, code in (("#N/A", "spreadsheet_error"), ('="00412"', "formula")):
        row = check({"identifier": "badge"}, badge=cell)
        assert (row.key, told(row)) == (None, [(code, "badge", Severity.ERROR)])
    assert check({"identifier": "badge"}, badge='\'="00412"').key == '="00412"'


def test_an_error_in_a_leavers_row_leaves_the_field_and_deactivates_the_user() -> None:
    row = check(deactivate="1", first_name="#N/A", job_title="#N/A")
    assert row.deactivate
    assert [severity for _, _, severity in told(row)] == [Severity.WARNING] * 2
    assert row.values == {"last_name": "Lee", "email": "ann@lee.test"}


@pytest.mark.parametrize(
    "cell", ["'=SUM(A1)", "'=1", "= Boss", "=Boss", "=A1", "#winning", "#1", "##", "Error", "Err: 502", "#TEAM!", "E"]
)
def test_text_that_is_neither_an_error_nor_a_formula_is_a_value(cell: str) -> None:
    row = check(job_title=cell)
    assert (row.problems, row.values["job_title"]) == ([], cell.removeprefix("'"))


def test_a_formula_in_a_rejected_row_is_another_error_of_it() -> None:
    row = check(job_title="=HYPERLINK(1)", role="boss")
    assert told(row) == [("formula", "job_title", Severity.ERROR), ("unknown_role", "role", Severity.ERROR)]


def test_a_mapped_error_or_placeholder_is_the_value_of_the_mapping() -> None:
    mapping = {"job_title": {"#N/A": "", "NULL": "", "=1+1": "Two", "None": "None"}, "role": {"#N/A": "hr"}}
    row = check({"value_mapping": mapping}, job_title="#n/a", role="#N/A")
    assert (row.problems, row.values["job_title"], row.values["role"]) == ([], None, "hr")
    for cell, meant in (("null", None), ("=1+1", "Two"), ("none", "None")):
        row = check({"value_mapping": mapping}, job_title=cell)
        assert (row.problems, row.values["job_title"]) == ([], meant)


@pytest.mark.parametrize("cell", ["NULL", "null", "\\N", "N/A", "n/a", "nan", "NaN", "None", "-", "--", "–"])
@pytest.mark.parametrize("name", TEXTS)
def test_a_word_for_no_value_is_kept_with_a_warning_that_names_value_mapping(name: str, cell: str) -> None:
    row = check(**{name: cell})
    assert told(row) == [("placeholder", name, Severity.WARNING)]
    assert row.values[name] == ((cell,) if name == "secondary_team" else cell)
    assert f'map it to "" for {name} in value_mapping' in row.problems[0].message


@pytest.mark.parametrize("cell", ["R&amp;D", "Z&#233;", "&eacute;", "&#xE9;", "&nbsp;"])
@pytest.mark.parametrize("name", [*TEXTS, "first_name", "last_name"])
def test_html_entities_are_kept_with_a_warning(name: str, cell: str) -> None:
    row = check(**{name: cell})
    assert told(row) == [("html_entities", name, Severity.WARNING)]
    assert row.values[name] == ((cell,) if name == "secondary_team" else cell)


@pytest.mark.parametrize("cell", ["R&D", "A & B;", "Nullmeier", "Nantes", "N/A team", "AT&T; Inc", "TBD", "Na", "&;"])
def test_other_text_is_a_value_without_a_warning(cell: str) -> None:
    assert check(job_title=cell, last_name=cell).problems == []


@pytest.mark.parametrize("name", ["role", "language", "time_zone", "hire_date"])
def test_a_word_for_no_value_in_a_closed_column_is_rejected_with_the_fix(name: str) -> None:
    row = check(**{name: "N/A"})
    assert [severity for _, _, severity in told(row)] == [Severity.ERROR]
    assert 'map it to "" in value_mapping' in row.problems[0].message


@pytest.mark.parametrize("name", ["first_name", "last_name"])
def test_the_message_about_a_blank_name_says_how_to_write_one_name(name: str) -> None:
    row = check(**{name: ""})
    assert "For a person with one name, write it in first_name and - in last_name." in row.problems[0].message
    assert check(last_name="-").problems == []
    assert check(last_name=".").problems == []


def test_the_message_about_a_wrong_deactivate_lists_the_accepted_words() -> None:
    mapping = {"deactivate": {"Terminated": "yes", "Aktiv": "no", "Leave": ""}}
    said = check({"value_mapping": mapping}, deactivate="Pending").problems[0].message
    assert all(word in said for word in ("1, true or yes", "“Terminated” (yes)", "“Aktiv” (no)", "“Leave” (a blank"))
    assert "value_mapping" in check(deactivate="Pending").problems[0].message


def test_the_message_about_an_unknown_choice_lists_the_choices_and_the_setting() -> None:
    shift = {"custom_fields": [{"key": "badge", "type": "choice", "choices": ["Early", "Late"]}]}
    said = check(shift, badge="Noon").problems[0].message
    assert "Early, Late" in said
    assert "If a choice is missing, add it in custom_fields." in said


# Counting


def counted(*cells: tuple[int, str], name: str = "job_title", least: int = 1) -> list[Problem]:
    doubts = Doubts()
    why = Doubtful(None, "placeholder", "Do something.", least=least)
    for line, cell in cells:
        assert doubts.sift([doubt(line, name, cell, why)], line) == []
    return doubts.problems()


def test_one_warning_a_column_counts_its_cells_and_names_the_first_lines() -> None:
    (said,) = counted(*[(line, "NULL") for line in range(2, 1500)])
    assert said.message == "job_title: 1,498 cells hold “NULL” (lines 2, 3, 4, 5, 6, …). Do something."
    assert (said.line, said.column, said.value, said.severity) == (2, "job_title", "NULL", Severity.WARNING)
    (one,) = counted((7, "-"))
    assert one.message == "job_title: 1 cell holds “-” (line 7). Do something."


def test_the_first_lines_and_values_are_named_whatever_order_they_are_counted_in() -> None:
    cells = [(line, f"v{line % 7}") for line in range(2, 40)]
    assert counted(*cells) == counted(*reversed(cells)) == counted(*cells[20:], *cells[:20])
    (said,) = counted(*cells)
    assert "“v2”, “v3”, “v4” or the like" in said.message
    assert said.message.count(", ") >= LINES_NAMED


def test_a_column_gets_a_warning_only_if_enough_of_its_cells_need_it() -> None:
    assert counted((2, "NULL"), least=2, name="last_name") == []
    assert len(counted((2, "NULL"), (3, "null"), least=2, name="last_name")) == 1


def test_equal_cells_share_one_message() -> None:
    why = Doubtful(None, "placeholder", "Do something.", least=1)
    assert doubt(2, "job_title", "NULL", why) is doubt(3, "job_title", "NULL", why)


def test_messages_that_are_not_counted_are_returned() -> None:
    problem = Problem(Severity.WARNING, "mangled_number", "x", 2, "badge")
    doubts = Doubts()
    assert doubts.sift([problem], 2) == [problem]
    assert doubts.problems() == []
