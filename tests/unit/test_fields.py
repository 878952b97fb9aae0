"""Promises about the cells of a row: what each column takes, and how everything wrong is told at once."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from importer.csvfile import escape_formula
from importer.emails import email_key
from importer.fields import REMEMBERED, CheckedRow, FieldValue, RowChecker, judge, tidy
from importer.header import COLUMNS, REQUIRED, Header
from importer.model import VALUE_SHOWN, Severity
from importer.rules import LANGUAGES, MAX_TEXT, ROLES, Invalid, join_names, split_names
from importer.settings import ImportSettings

PERSON = {"first_name": "Ann", "last_name": "Lee", "email": "ann@lee.test"}


def checker(*columns: str, **chosen: Any) -> RowChecker:
    return RowChecker(Header(columns, columns, is_correction=False), ImportSettings(**chosen))


def check(chosen: dict[str, Any] | None = None, **cells: str) -> CheckedRow:
    """The row of Ann with `cells` in it."""
    row = PERSON | cells
    return checker(*row, **(chosen or {})).check(2, list(row.values()), ",".join(row.values()))


def value(name: str, cell: str) -> FieldValue:
    row = check(**{name: cell})
    assert row.problems == []
    return row.values[name]


def problems(row: CheckedRow) -> list[tuple[str, str | None]]:
    return [(problem.code, problem.column) for problem in row.problems]


def message(name: str, cell: str, code: str) -> str:
    """What is said about `cell`, which rejects its row with `code`."""
    row = check(**{name: cell})
    assert problems(row) == [(code, name)]
    assert row.problems[0].severity is Severity.ERROR
    assert name not in row.values
    return row.problems[0].message


# The whole row


def test_a_good_row_has_all_its_values_and_no_problem() -> None:
    row = check(job_title="Chief", manager="Bo@lee.test ", deactivate="no")
    assert row == CheckedRow(
        2, "ann@lee.test", "ann@lee.test", False, PERSON | {"job_title": "Chief", "manager": "Bo@lee.test"}, []
    )


def test_every_problem_of_a_row_is_told_at_once() -> None:
    row = check(first_name=" ", role="boss", hire_date="01/02/2024", language="pt")
    assert problems(row) == [
        ("missing_value", "first_name"),
        ("unknown_role", "role"),
        ("bad_date", "hire_date"),
        ("unknown_language", "language"),
    ]
    assert all((problem.severity, problem.line) == (Severity.ERROR, 2) for problem in row.problems)
    assert row.key == "ann@lee.test"


def test_problems_of_one_row_do_not_reach_the_next() -> None:
    rows = checker(*REQUIRED)
    assert rows.check(2, ["", "", ""], ",,").problems
    assert rows.check(3, ["a", "b", "c@d.ef"], "a,b,c@d.ef").problems == []
    assert problems(rows.check(4, ["", "b", "c@d.ef"], ",b,c@d.ef")) == [("missing_value", "first_name")]


def test_a_long_value_is_cut_and_the_message_says_column_and_value() -> None:
    row = check(role="x" * 1000)
    problem = row.problems[0]
    assert problem.value is not None
    assert len(problem.value) == VALUE_SHOWN
    assert problem.message.startswith("role “xxx")
    assert len(problem.message) < 400


@pytest.mark.parametrize(("cells", "came"), [(["a", "b"], 2), (["a", "b", "c@d.ef", "more"], 4)])
def test_a_ragged_row_is_nobodys_and_says_how_many_cells_came(cells: list[str], came: int) -> None:
    rows = checker(*REQUIRED)
    row = rows.check(7, cells, ",".join(cells))
    assert (row.key, row.identifier, row.values, problems(row)) == (None, None, {}, [("ragged_row", None)])
    assert f"The row has {came} cells, but the header has 3" in row.problems[0].message
    assert rows.key(cells) is None


@pytest.mark.parametrize(("email", "code"), [("", "missing_value"), (" ", "missing_value"), ("ann", "invalid_email")])
@pytest.mark.parametrize("deactivate", ["", "1"])
def test_without_an_identifier_the_row_is_rejected_even_for_a_leaver(email: str, code: str, deactivate: str) -> None:
    row = check(email=email, deactivate=deactivate, role="boss")
    assert (row.key, row.identifier) == (None, email.strip() or None)
    assert problems(row) == [(code, "email"), ("unknown_role", "role")]
    assert all(problem.severity is Severity.ERROR for problem in row.problems)


def test_ignored_columns_say_nothing() -> None:
    columns = ("", "first_name", "", "last_name", "email")
    row = checker(*columns).check(2, ["\x07", "Ann", "\u202e", "Lee", "a@b.cd"], "")
    assert (row.values, row.problems) == ({"first_name": "Ann", "last_name": "Lee", "email": "a@b.cd"}, [])


# Leavers


def test_a_leaver_never_stays_for_a_typo() -> None:
    row = check(deactivate="YES", last_name="", role="boss", hire_date="soon", job_title="Chief")
    assert (row.deactivate, row.key) == (True, "ann@lee.test")
    assert row.values == {"first_name": "Ann", "email": "ann@lee.test", "job_title": "Chief"}
    assert [problem.code for problem in row.problems] == ["missing_value", "unknown_role", "bad_date"]
    assert all(problem.severity is Severity.WARNING for problem in row.problems)
    assert all("this field stays as it was" in problem.message for problem in row.problems)


@pytest.mark.parametrize("cell", ["1", "true", "TRUE", " Yes ", "yes"])
def test_deactivate_deactivates(cell: str) -> None:
    row = check(deactivate=cell)
    assert (row.deactivate, row.problems) == (True, [])
    assert "deactivate" not in row.values


@pytest.mark.parametrize("cell", ["0", "false", "No", " ", ""])
@pytest.mark.parametrize("blank_cells", ["clear", "keep"])
def test_deactivate_leaves_active(cell: str, blank_cells: str) -> None:
    row = check({"blank_cells": blank_cells}, deactivate=cell)
    assert (row.deactivate, row.problems) == (False, [])
    assert "deactivate" not in row.values


@pytest.mark.parametrize("cell", ["y", "on", "2", "oui", "x", "-1"])
def test_deactivate_is_never_guessed(cell: str) -> None:
    assert "1, true or yes" in message("deactivate", cell, "bad_deactivate")
    assert not check(deactivate=cell).deactivate


# Blank cells


def test_a_blank_cell_clears_its_field() -> None:
    blank = dict.fromkeys([name for name in COLUMNS if name not in REQUIRED], " ")
    row = check(**blank)
    assert row.problems == []
    assert row.values == PERSON | {
        "job_title": None,
        "manager": None,
        "coach": None,
        "primary_team": None,
        "secondary_team": (),
        "role": "learner",
        "language": "en",
        "location": None,
        "time_zone": None,
        "hire_date": None,
    }


def test_a_blank_cell_can_leave_its_field_as_it_is() -> None:
    blank = dict.fromkeys([name for name in COLUMNS if name not in REQUIRED], "")
    row = check({"blank_cells": "keep"}, **blank)
    assert (row.values, row.problems) == (PERSON, [])


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("blank", ["", "  ", "\u00a0", "\u200b", "\ufeff \t"])
@pytest.mark.parametrize("blank_cells", ["clear", "keep"])
def test_what_everybody_needs_must_not_be_blank(name: str, blank: str, blank_cells: str) -> None:
    assert problems(check({"blank_cells": blank_cells}, **{name: blank})) == [("missing_value", name)]


# Text


@pytest.mark.parametrize("cell", [" Ann ", "\tAnn\n", "\u00a0Ann\u3000", "\ufeffAnn\u200b", "\u2003Ann\r\n"])
def test_cells_are_trimmed(cell: str) -> None:
    assert value("first_name", cell) == "Ann"


@pytest.mark.parametrize(
    "name",
    [
        "O'Brien",
        "Robert'); DROP TABLE",
        "<script>",
        "👩‍👩‍👧",
        "אבג",
        "a\tb",
        "two\nlines",
        "Ng",
        "007",
        "42.0",
        "\u200fעברית",
    ],
)
def test_names_are_kept_as_they_are(name: str) -> None:
    assert value("last_name", name) == name


def test_text_is_kept_in_nfc() -> None:
    assert value("last_name", unicodedata.normalize("NFD", "Zoë")) == "Zoë"


@pytest.mark.parametrize("cell", ["'=HYPERLINK(1)", " '=HYPERLINK(1)", "=HYPERLINK(1)"])
def test_a_formula_cell_is_text_and_loses_its_quote_once(cell: str) -> None:
    assert value("job_title", cell) == "=HYPERLINK(1)"
    assert value("job_title", "'" + cell.strip()) in {"=HYPERLINK(1)", "'=HYPERLINK(1)"}


@given(st.text(st.sampled_from("'=+-@a "), min_size=1, max_size=5))
def test_an_escaped_value_means_itself(text: str) -> None:
    assert tidy(escape_formula(text)) == text.strip()


@pytest.mark.parametrize("name", ["first_name", "last_name", "job_title", "primary_team", "location"])
def test_text_has_a_longest_length(name: str) -> None:
    assert value(name, "é" * MAX_TEXT) == "é" * MAX_TEXT
    assert "256 characters" in message(name, "é" * (MAX_TEXT + 1), "too_long")


def test_length_is_that_of_the_trimmed_text_in_nfc() -> None:
    assert value("first_name", "e\u0301" * MAX_TEXT + " " * 99) == "é" * MAX_TEXT


@pytest.mark.parametrize("letter", ["\x01", "\x0b", "\x1b", "\x7f", "\x85", "\u202e", "\u202a", "\u2066"])
@pytest.mark.parametrize("cell", ["{}Ann", "A{}nn", "Ann{}", " {}", "é{}"])
def test_control_characters_and_bidi_overrides_reject_the_row(letter: str, cell: str) -> None:
    for name in ("first_name", "job_title", "manager", "role", "deactivate", "secondary_team", "email"):
        said = message(name, cell.format(letter), "control_character")
        assert f"<U+{ord(letter):04X}>" in said
        assert letter not in said


# Closed lists


@pytest.mark.parametrize("role", ROLES)
def test_roles_are_found_without_case(role: str) -> None:
    assert value("role", f" {role.upper()} ") == role


def test_an_unknown_role_names_all_that_there_are() -> None:
    assert ", ".join(ROLES) in message("role", "boss", "unknown_role")


@pytest.mark.parametrize("language", LANGUAGES)
def test_languages_are_found_without_case(language: str) -> None:
    assert value("language", language.swapcase()) == language


@pytest.mark.parametrize(
    ("cell", "hint"),
    [
        ("en_GB", "en or en-US"),
        ("en_US", "en or en-US"),
        ("pt", "Did you mean pt-BR?"),
        ("zh", "zh-CN or zh-TW"),
        ("es", "es-CO"),
        ("tlh", "Write one of: en, en-US, de"),
    ],
)
def test_an_unknown_language_names_those_it_may_be(cell: str, hint: str) -> None:
    assert hint in message("language", cell, "unknown_language")


def test_time_zones_are_kept_by_their_iana_name() -> None:
    assert value("time_zone", " new york ") == "America/New_York"
    assert "Europe/Madrid" in message("time_zone", "Cordoba", "ambiguous_time_zone")
    assert "London" in message("time_zone", "Lundon", "unknown_time_zone")


# Dates


@pytest.mark.parametrize("cell", ["2024-02-29", "0001-01-01", "9999-12-31"])
def test_a_real_date_is_kept(cell: str) -> None:
    assert value("hire_date", f" {cell} ") == cell


@pytest.mark.parametrize(
    "cell",
    [
        *("2023-02-29", "20240101", "2024-W01-1", "01/02/2024", "2024-1-5", "0000-01-01", "2024-13-01"),
        *("2024-01-01T00:00", "２０２４-01-01", "٢٠٢٤-01-01", "24-01-01", "-024-01-01", "today"),
    ],
)
def test_anything_else_is_no_date(cell: str) -> None:
    assert "such as 2024-03-09" in message("hire_date", cell, "bad_date")


# Teams


@pytest.mark.parametrize(
    ("cell", "names"),
    [
        (r"Tech\, London, Tech\, San Francisco", ("Tech, London", "Tech, San Francisco")),
        ("a,,b", ("a", "b")),
        (" a , A ", ("a",)),
        ("Straße,STRASSE", ("Straße",)),
        ("a\\", ("a\\",)),
        (r"a\\,b", ("a\\", "b")),
        (r"a\\\,b", (r"a\,b",)),
        (r"a\b", (r"a\b",)),
        (" , ,", ()),
        ("b,a,b", ("b", "a")),
        ("a\u00a0,\u200bb", ("a", "b")),
    ],
)
def test_teams_are_separated_by_commas(cell: str, names: tuple[str, ...]) -> None:
    assert value("secondary_team", cell) == names


def test_a_team_name_has_a_longest_length() -> None:
    name = "x" * MAX_TEXT
    assert value("secondary_team", f"{name},y{name[1:]}") == (name, f"y{name[1:]}")
    message("secondary_team", f"a,{name}x", "too_long")


NAMES = st.text(st.sampled_from("ab,\\ "), min_size=1, max_size=6).map(str.strip).filter(bool)


@given(st.lists(NAMES, min_size=1, max_size=5))
def test_joined_names_are_taken_apart_again(names: list[str]) -> None:
    assert split_names(join_names(names)) == names


# Fast and slow


CELLS = st.sampled_from(
    [
        *("", " ", "Ann", " Ann", "é", "e\u0301", "'=1", "''=1", "'a", "\x07", "x" * 300, "a,b", "a\\,b", "a\u00a0"),
        *(
            "ann@lee.test",
            " Ann@Lee.TEST ",
            "'+ann@lee.test",
            "'-a@b.cd",
            "ann@lee",
            "zoë@lee.test",
            "zoe\u0308@lee.test",
        ),
        *("learner", "HR ", "boss", "de", "en_GB", "London", "2024-02-29", "1", "no", "maybe", "\u202e", "a\nb"),
    ]
)


@settings(deadline=None)
@given(st.lists(st.tuples(*[CELLS] * len(COLUMNS)), min_size=1, max_size=3), st.booleans())
@example([("",) * len(COLUMNS)], True)
def test_what_is_remembered_is_what_the_rules_say(table: list[tuple[str, ...]], keep: bool) -> None:
    rows = checker(*COLUMNS, blank_cells="keep" if keep else "clear")
    for cells in [*table, *table]:
        row = rows.check(2, cells, ",".join(cells))
        found = {name: judge(name, tidy(cell), blank_leaves=keep) for name, cell in zip(COLUMNS, cells, strict=True)}
        wrong = {name for name, meaning in found.items() if isinstance(meaning, Invalid)}
        assert {problem.column for problem in row.problems} == wrong
        for name, meaning in found.items():
            blank = keep and not tidy(cells[COLUMNS.index(name)])
            if name == "deactivate" or name in wrong or blank:
                assert name not in row.values
            else:
                assert row.values[name] == meaning
        assert rows.key(cells) == row.key
        assert row.key == (email_key(str(row.values["email"])) if "email" in row.values else None)


@settings(deadline=None)
@given(st.lists(st.tuples(*[CELLS] * 5), min_size=1, max_size=4), st.booleans())
@example([("Ann", "Lee", "ann@lee.test", "1", "HR"), ("Bo", "Ng", "bo@lee.test", "", "de")], False)
@example([("Ann", "Lee", "ann@lee.test", "", "")], True)
def test_rows_checked_together_say_what_each_says_alone(table: list[tuple[str, ...]], keep: bool) -> None:
    columns = (*REQUIRED, "deactivate", "job_title")
    rows = checker(*columns, blank_cells="keep" if keep else "clear")
    together = rows.check_columns(table)
    alone = [rows.check(2, cells, "") for cells in table]
    if any(row.problems or len(row.values) < len(columns) - 1 for row in alone):
        assert together is None
        return
    assert together is not None
    assert together.pop("deactivate") == [row.deactivate for row in alone]
    assert [dict(zip(together, values, strict=True)) for values in zip(*together.values(), strict=True)] == [
        row.values for row in alone
    ]


def test_ragged_rows_are_not_checked_together() -> None:
    assert checker(*REQUIRED).check_columns([["a", "b", "c@d.ef"], ["a", "b"]]) is None


def test_memory_does_not_grow_with_the_number_of_different_cells() -> None:
    rows = checker(*REQUIRED)
    for number in range(REMEMBERED + 500):
        assert rows.check(2, [f"a{number}", "b", "c@d.ef"], "").values["first_name"] == f"a{number}"
    assert max(map(len, rows._meanings)) <= REMEMBERED
