"""The cells of a row: the values of each column, and all problems reported at once."""

from __future__ import annotations

import unicodedata
from datetime import date
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from importer.file.formulas import escape_formula
from importer.file.header import COLUMNS, REQUIRED, Header
from importer.model import VALUE_SHOWN, Severity
from importer.rules.cells import LANGUAGES, MAX_TEXT, ROLES, Doubtful, FieldValue, Invalid, join_names, split_names
from importer.rules.doubts import Counted, doubt
from importer.rules.emails import email_key
from importer.rules.meanings import REMEMBERED, columns_under, tidy
from importer.rules.rows import CheckedRow, RowChecker
from importer.rules.settings import ImportSettings

PERSON = {"first_name": "Ann", "last_name": "Lee", "email": "ann@lee.test"}


def checker(*columns: str, **chosen: Any) -> RowChecker:
    return RowChecker(Header(columns, columns, is_correction=False), ImportSettings(**chosen))


def check(chosen: dict[str, Any] | None = None, **cells: str) -> CheckedRow:
    """Check the row of Ann with `cells` in it."""
    row = PERSON | cells
    return checker(*row, **(chosen or {})).check(2, list(row.values()), ",".join(row.values()))


def value(name: str, cell: str) -> FieldValue:
    row = check(**{name: cell})
    assert row.problems == []
    return row.values[name]


def problems(row: CheckedRow) -> list[tuple[str, str | None]]:
    return [(problem.code, problem.column) for problem in row.problems]


def message(name: str, cell: str, code: str) -> str:
    """Return the message about `cell`, which rejects its row with `code`."""
    row = check(**{name: cell})
    assert problems(row) == [(code, name)]
    assert row.problems[0].severity is Severity.ERROR
    assert name not in row.values
    return row.problems[0].message


# The whole row


def test_a_good_row_has_all_its_values_and_no_problem() -> None:
    row = check(job_title="Chief", manager="Bo@lee.test ", deactivate="no")
    assert row == CheckedRow(
        2,
        "ann@lee.test",
        "ann@lee.test",
        False,
        PERSON | {"job_title": "Chief", "manager": "Bo@lee.test"},
        [],
        stays_by=("deactivate",),
    )


def test_all_problems_of_a_row_are_reported_at_once() -> None:
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
def test_a_ragged_row_identifies_no_user_and_its_message_counts_the_cells(cells: list[str], came: int) -> None:
    rows = checker(*REQUIRED)
    row = rows.check(7, cells, ",".join(cells))
    assert (row.key, row.identifier, row.values, problems(row)) == (None, None, {}, [("ragged_row", None)])
    assert f"The row has {came} cells, the header 3" in row.problems[0].message
    assert rows.key(cells) is None


@pytest.mark.parametrize(("email", "code"), [("", "missing_value"), (" ", "missing_value"), ("ann", "invalid_email")])
@pytest.mark.parametrize("deactivate", ["", "1"])
def test_without_an_identifier_the_row_is_rejected_even_for_a_leaver(email: str, code: str, deactivate: str) -> None:
    row = check(email=email, deactivate=deactivate, role="boss")
    assert (row.key, row.identifier) == (None, email.strip() or None)
    assert problems(row) == [(code, "email"), ("unknown_role", "role")]
    assert all(problem.severity is Severity.ERROR for problem in row.problems)


def test_ignored_columns_get_no_message() -> None:
    columns = ("", "first_name", "", "last_name", "email")
    row = checker(*columns).check(2, ["\x07", "Ann", "\u202e", "Lee", "a@b.cd"], "")
    assert (row.values, row.problems) == ({"first_name": "Ann", "last_name": "Lee", "email": "a@b.cd"}, [])


# Leavers


def test_a_leaver_is_deactivated_even_if_other_cells_are_wrong() -> None:
    row = check(deactivate="YES", last_name="", role="boss", hire_date="soon", job_title="Chief")
    assert (row.deactivate, row.key) == (True, "ann@lee.test")
    assert row.values == {"first_name": "Ann", "email": "ann@lee.test", "job_title": "Chief"}
    assert [problem.code for problem in row.problems] == ["missing_value", "unknown_role", "bad_date"]
    assert all(problem.severity is Severity.WARNING for problem in row.problems)
    assert all("The user was deactivated; this field was not changed." in problem.message for problem in row.problems)


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
        "leave_date": None,
    }


def test_a_blank_cell_can_leave_every_field_unchanged_but_the_last_day() -> None:
    blank = dict.fromkeys([name for name in COLUMNS if name not in REQUIRED], "")
    row = check({"blank_cells": "keep"}, **blank)
    assert (row.values, row.problems) == (PERSON | {"leave_date": None}, [])


@pytest.mark.parametrize("name", REQUIRED)
@pytest.mark.parametrize("blank", ["", "  ", "\u00a0", "\u200b", "\ufeff \t"])
@pytest.mark.parametrize("blank_cells", ["clear", "keep"])
def test_a_required_cell_must_not_be_blank(name: str, blank: str, blank_cells: str) -> None:
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


@pytest.mark.parametrize("cell", ["'=HYPERLINK(1)", " '=HYPERLINK(1)", "\u00a0'=HYPERLINK(1)"])
def test_an_escaped_formula_cell_is_text_and_loses_its_quote_once(cell: str) -> None:
    assert value("job_title", cell) == "=HYPERLINK(1)"
    assert value("job_title", "'" + cell.strip()) == "'=HYPERLINK(1)"


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


def test_the_message_about_an_unknown_role_lists_all_roles() -> None:
    assert ", ".join(ROLES) in message("role", "boss", "unknown_role")


@pytest.mark.parametrize("language", LANGUAGES)
def test_languages_are_found_without_case(language: str) -> None:
    assert value("language", language.swapcase()) == language


@pytest.mark.parametrize(
    ("cell", "hint"),
    [
        ("pt", "Did you mean pt-BR?"),
        ("zh", "zh-CN or zh-TW"),
        ("zh-Hans", "Did you mean zh-CN?"),
        ("es", "es-CO"),
        ("es-MX", "Did you mean es-CO?"),
        ("de-DE", "Did you mean de?"),
        ("fr_CA", "Did you mean fr?"),
        ("English", "Did you mean en?"),
        ("English (UK)", "Did you mean en?"),
        ("English (US)", "Did you mean en-US?"),
        ("eng", "Did you mean en?"),
        ("German", "Did you mean de?"),
        ("DEUTSCH", "Did you mean de?"),
        ("français", "Did you mean fr?"),
        ("Español", "Did you mean es-CO?"),
        ("Portuguese (Brazil)", "Did you mean pt-BR?"),
        ("Chinese (Traditional)", "Did you mean zh-TW?"),
        ("sv", "Write one of: en, en-US, de"),
        ("tlh", "Write one of: en, en-US, de"),
        ("French or German", "Write one of: en, en-US, de"),
    ],
)
def test_the_message_about_an_unknown_language_proposes_codes(cell: str, hint: str) -> None:
    assert hint in message("language", cell, "unknown_language")


@pytest.mark.parametrize(
    ("cell", "language"),
    [("pt_BR", "pt-BR"), ("zh_cn", "zh-CN"), ("en_US", "en-US"), ("en-GB", "en"), ("EN_gb", "en")],
)
def test_a_language_may_have_an_underscore_and_british_english_is_english(cell: str, language: str) -> None:
    assert value("language", cell) == language


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
def test_any_other_text_is_not_a_date(cell: str) -> None:
    assert "such as 2024-03-09" in message("hire_date", cell, "bad_date")


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("45231", "Excel's number for the day 2023-11-01"),
        ("45231.5", "Excel's number for the day 2023-11-01"),
        ("44927", "2023-01-01"),
        ("01/02/2024", "This may be day/month/year or month/day/year"),
        (
            "13/02/2024",
            "This seems to be day/month/year. If all your dates look like this, set date_format to %d/%m/%Y.",
        ),
        ("02/13/2024", "%m/%d/%Y"),
        ("13.02.24", "%d.%m.%y"),
        ("2024/01/05", "year/month/day"),
        ("20240105", "%Y%m%d"),
        ("2024-01-05T00:00:00Z", "%Y-%m-%dT%H:%M:%SZ"),
        ("2024-01-05 00:00:00.000", "year-month-day with a time."),
        ("1/13/2024 12:00:00 AM", "%m/%d/%Y %I:%M:%S %p"),
        ("5 janv. 2024", "the name of the month."),
        ("05-Jan-2024", "%d-%b-%Y"),
        ("Jan 5, 2024", "%b %d, %Y"),
    ],
)
def test_the_message_about_a_date_in_another_form_names_the_form(cell: str, said: str) -> None:
    assert said in message("hire_date", cell, "bad_date")


@pytest.mark.parametrize("setting", ["%m/%d/%Y", "%d/%m/%Y", "%Y%m%d", "%Y-%m-%dT%H:%M:%SZ", "%d-%b-%Y"])
def test_the_proposed_form_reads_the_date(setting: str) -> None:
    cell = date(2024, 12, 31).strftime(setting)
    assert setting in message("hire_date", cell, "bad_date")
    assert check({"date_format": setting}, hire_date=cell).values["hire_date"] == "2024-12-31"


@pytest.mark.parametrize("cell", ["Ulm", "12 Ulm 2024", "2024", "99999", "31/02/2024", "2024-1-5", "2023-02-29"])
def test_a_cell_that_is_not_a_date_in_any_form_gets_no_proposal(cell: str) -> None:
    said = message("hire_date", cell, "bad_date")
    assert "This" not in said
    assert "date_format" not in said


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
def test_joined_names_are_split_again(names: list[str]) -> None:
    assert split_names(join_names(names)) == names


def split_plainly(text: str) -> list[str]:
    names, name, at = [], "", 0
    while at < len(text):
        if text[at] == ",":
            names.append(name)
            name = ""
        elif text[at : at + 2] in ("\\,", "\\\\"):
            at += 1
            name += text[at]
        else:
            name += text[at]
        at += 1
    return [*names, name]


@settings(max_examples=400)
@given(st.text(st.sampled_from("ab,\\\n"), max_size=12))
@example("\\\\,a")
@example("\\")
@example("a\\b,\\\\\\,c")
def test_names_are_split_as_a_simple_parser_does(text: str) -> None:
    # The letters keep line ends inside of names: blanks around a name are trimmed before escapes are read.
    assert split_names(f"a{text}b".replace(",", "b,a")) == split_plainly(f"a{text}b".replace(",", "b,a"))


# Custom fields and mapped values


def own(cell: str, **field: Any) -> CheckedRow:
    """Check the row of Ann with `cell` in the custom field `mine`."""
    return check({"custom_fields": [{"key": "mine", **field}]}, mine=cell)


@pytest.mark.parametrize(
    ("kind", "cell", "expected"),
    [
        ("text", " Blue ", "Blue"),
        ("text", "00042", "00042"),
        ("number", "42", 42),
        ("number", "42.0", 42),
        ("number", "'-1.5", -1.5),
        ("number", ".5", 0.5),
        ("number", "123456789012345", 123456789012345),
        ("date", "2024-02-29", "2024-02-29"),
        ("boolean", "YES", True),
        ("boolean", "0", False),
        ("text", "", None),
        ("number", " ", None),
        ("boolean", "", None),
    ],
)
def test_a_custom_field_has_a_value_of_its_type(kind: str, cell: str, expected: FieldValue) -> None:
    row = own(cell, type=kind)
    assert row.problems == []
    assert (row.values["mine"], type(row.values["mine"])) == (expected, type(expected))


@pytest.mark.parametrize(
    ("kind", "cell", "code"),
    [
        ("text", "x" * 256, "too_long"),
        ("number", "1,5", "bad_number"),
        ("number", "12a", "bad_number"),
        ("number", "1_000", "bad_number"),
        ("number", "٤", "bad_number"),
        ("number", "1234567890123456", "bad_number"),
        ("number", "1e99", "bad_number"),
        ("number", "nan", "bad_number"),
        ("date", "29.02.2024", "bad_date"),
        ("boolean", "maybe", "bad_boolean"),
    ],
)
def test_a_value_not_of_its_type_rejects_the_row(kind: str, cell: str, code: str) -> None:
    assert problems(own(cell, type=kind)) == [(code, "mine")]


@pytest.mark.parametrize(("cell", "expected"), [("early", "Early"), ("LATE", "Late")])
def test_a_choice_is_matched_without_case(cell: str, expected: str) -> None:
    assert own(cell, type="choice", choices=["Early", "Late"]).values["mine"] == expected
    assert problems(own("noon", type="choice", choices=["Early", "Late"])) == [("unknown_choice", "mine")]


@pytest.mark.parametrize(("kind", "cell", "kept"), [("text", "1.2E+05", "1.2E+05"), ("number", "1E+05", 100_000)])
def test_a_number_mangled_by_a_spreadsheet_is_kept_with_a_warning(kind: str, cell: str, kept: FieldValue) -> None:
    row = own(cell, type=kind)
    assert row.values["mine"] == kept
    assert [(problem.code, problem.severity) for problem in row.problems] == [("mangled_number", Severity.WARNING)]


def test_a_doubtful_value_of_a_leaver_is_kept_too() -> None:
    row = check({"custom_fields": [{"key": "mine"}]}, mine="1E+05", deactivate="1")
    assert (row.deactivate, row.values["mine"]) == (True, "1E+05")
    assert "not changed" not in row.problems[0].message


@pytest.mark.parametrize(
    ("form", "cell", "day"),
    [
        ("%m/%d/%Y", "3/9/2024", "2024-03-09"),
        ("%m/%d/%Y", "03/09/2024", "2024-03-09"),
        ("%d.%m.%Y", "09.03.2024", "2024-03-09"),
        ("%d-%b-%y", "09-Mar-24", "2024-03-09"),
        ("%m/%d/%Y %H:%M", "3/9/2024 0:00", "2024-03-09"),
        ("%Y%m%d", "20240309", "2024-03-09"),
    ],
)
def test_dates_are_read_in_the_form_the_tenant_names(form: str, cell: str, day: str) -> None:
    assert check({"date_format": form}, hire_date=cell).values["hire_date"] == day


@pytest.mark.parametrize("cell", ["2024-03-09", "13/01/2024", "2/30/2024", "3/9/24", "٣/9/2024"])
def test_a_date_in_another_form_is_not_guessed(cell: str) -> None:
    row = check({"date_format": "%m/%d/%Y"}, hire_date=cell)
    assert problems(row) == [("bad_date", "hire_date")]
    assert "month/day/year, such as 03/09/2024" in row.problems[0].message


@pytest.mark.parametrize(
    ("name", "cell", "expected"),
    [
        ("role", "CHEF ", "admin"),
        ("role", "hr", "hr"),
        ("role", "none", "learner"),
        ("language", "Deutsch", "de"),
        ("location", "HQ", "Berlin"),
        ("job_title", "N/A", None),
    ],
)
def test_a_mapped_value_becomes_the_value_of_the_mapping(name: str, cell: str, expected: str | None) -> None:
    mapping = {
        "role": {"Chef": "admin", "None": ""},
        "language": {"deutsch": "de"},
        "location": {"hq": "Berlin"},
        "job_title": {"n/a": ""},
    }
    assert check({"value_mapping": mapping}, **{name: cell}).values[name] == expected


def test_a_value_that_is_not_mapped_is_not_guessed() -> None:
    assert problems(check({"value_mapping": {"role": {"Chef": "admin"}}}, role="Chefin")) == [
        ("unknown_role", "role")
    ]


def test_a_mapped_word_may_mean_that_a_user_left() -> None:
    mapping = {"deactivate": {"Voluntarily Terminated": "yes", "Active": "no"}}
    assert check({"value_mapping": mapping}, deactivate="voluntarily terminated").deactivate
    assert not check({"value_mapping": mapping}, deactivate="Active").deactivate


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
        *("NULL", " n/a", "-", "#N/A", "Err:502", '="007"', "\u00a0=1+1", "'=1+1", "R&amp;D", "Error"),
        *("43", "43.5", "'-1", "1E+05", "1.23E+12", "early", "LATE", "0000123", "1e400"),
    ]
)


OWN: dict[str, Any] = {
    "custom_fields": [
        {"key": "badge"},
        {"key": "shoe_size", "type": "number"},
        {"key": "born", "type": "date"},
        {"key": "on_call", "type": "boolean"},
        {"key": "shift", "type": "choice", "choices": ["Early", "Late"]},
    ],
    "value_mapping": {
        "role": {"Boss": "hr", "e\u0301": "", "Learner": "admin"},
        "on_call": {"maybe": "no", "Ann": "yes"},
        "shift": {"a,b": "late", "1E+05": "Early"},
        "deactivate": {"london": "yes"},
    },
}
OWN_KEYS = tuple(field["key"] for field in OWN["custom_fields"])
LEAVE = "\0"


@settings(deadline=None)
@given(st.lists(st.tuples(*[CELLS] * len((*COLUMNS, *OWN_KEYS))), min_size=1, max_size=3), st.booleans())
@example([("",) * len((*COLUMNS, *OWN_KEYS))], True)
@example([("1E+05",) * len((*COLUMNS, *OWN_KEYS))], False)
@example([("",) * len((*COLUMNS, *OWN_KEYS[1:])) + ("-",)], False)
def test_a_cached_meaning_is_that_of_the_rules(table: list[tuple[str, ...]], keep: bool) -> None:
    columns = (*COLUMNS, *OWN_KEYS)
    options = {**OWN, "blank_cells": "keep" if keep else "clear"}
    rows = checker(*columns, **options)
    chosen = columns_under(ImportSettings(**options))
    for cells in [*table, *table]:
        row = rows.check(2, cells, ",".join(cells))
        if row.not_a_user:
            assert {tidy(cell) for cell in cells} - {""} == {"-"}  # a line that separates
            continue
        found = {name: chosen[name].read(cell)[1] for name, cell in zip(columns, cells, strict=True)}
        wrong = {name for name, meaning in found.items() if isinstance(meaning, Invalid)}
        doubtful = {name for name, meaning in found.items() if isinstance(meaning, Doubtful)}
        said = {problem.column for problem in row.problems}
        filled = {name for name, cell in zip(columns, cells, strict=True) if tidy(cell)}
        if len(filled) == 1 and not filled & {"email", "deactivate", *wrong, *doubtful}:
            assert said == {"email"}  # a note, or a user without an address: one message for all blank cells
        else:
            assert said == wrong | doubtful
        for name, meaning in found.items():
            kept = meaning.value if isinstance(meaning, Doubtful) else meaning
            if name == "deactivate" or name in wrong or kept == LEAVE:
                assert name not in row.values
            else:
                assert row.values[name] == kept
        assert rows.key(cells) == row.key
        assert row.key == (email_key(str(row.values["email"])) if "email" in row.values else None)


TOGETHER = (*REQUIRED, "deactivate", "job_title", *OWN_KEYS)


@settings(deadline=None, max_examples=200)
@given(
    st.lists(
        st.tuples(
            *[CELLS] * 5,
            st.sampled_from(["", "B1", "1E+05"]),
            st.sampled_from(["", "43", "43.0", "x"]),
            st.sampled_from(["", "2024-02-29", "2023-02-29"]),
            st.sampled_from(["", "yes", "maybe", "x"]),
            st.sampled_from(["", "late", "a,b", "x"]),
        ),
        min_size=1,
        max_size=4,
    ),
    st.booleans(),
)
@example(
    [("Ann", "Lee", "ann@lee.test", "1", "HR", *[""] * 5), ("Bo", "Ng", "bo@lee.test", "", "de", *[""] * 5)], False
)
@example([("Ann", "Lee", "ann@lee.test", "", "", "", "", "", "", "")], True)
@example([("Ann", "Lee", "ann@lee.test", "", "HR", "B1", "43", "2024-02-29", "maybe", "a,b")], False)
@example([("Ann", "Lee", "ann@lee.test", "", "HR", "1E+05", "43", "2024-02-29", "maybe", "a,b")], False)
@example([("Ann", "Lee", "ann@lee.test", "", "HR", "#N/A", "43", "2024-02-29", "maybe", "a,b")], False)
def test_rows_checked_together_give_the_result_of_each_alone(table: list[tuple[str, ...]], keep: bool) -> None:
    rows = checker(*TOGETHER, **{**OWN, "blank_cells": "keep" if keep else "clear"})
    assert_together_as_alone(rows, table, TOGETHER)


def assert_together_as_alone(rows: RowChecker, table: list[tuple[str, ...]], columns: tuple[str, ...]) -> None:
    blank = {name: column.blank for name, column in columns_under(ImportSettings(**OWN)).items() if name in columns}
    for _ in range(2):
        together = rows.check_columns(table)
        alone = [rows.check(2, cells, "") for cells in table]
        assert together.keys == [rows.key(cells) for cells in table]
        counted = {at: sum(isinstance(said, Counted) for said in row.problems) for at, row in enumerate(alone)}
        assert together.odd == {at for at, row in enumerate(alone) if len(row.problems) > counted[at]}
        usual = [at for at in range(len(table)) if at not in together.odd]
        told = [(at, doubt(2, *note)) for at, note in together.doubts if at in usual]
        assert sorted(told, key=repr) == sorted(((at, said) for at in usual for said in alone[at].problems), key=repr)
        for at in usual:
            values = {name: column[at] for name, column in together.values.items()}
            assert (values.pop("deactivate", None) is True) is alone[at].deactivate
            expected = {name: alone[at].values.get(name, blank[name]) for name in columns if name != "deactivate"}
            assert values == expected


@settings(deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from(["Ann", "NULL", "&eacute;"]),
            st.just("Lee"),
            st.just("ann@lee.test"),
            st.sampled_from(["HR", "NULL", "#N/A", "R&amp;D", "=1+1", "x" * 99 + "&amp;", ""]),
            st.sampled_from(["hr", "#REF!", ""]),
            st.sampled_from(["a, b", "-", "#WERT!", ""]),
            st.sampled_from(["B1", "None", '="B1"', ""]),
        ),
        min_size=1,
        max_size=4,
    ),
    st.booleans(),
)
def test_doubts_of_rows_checked_together_are_those_of_each_alone(table: list[tuple[str, ...]], keep: bool) -> None:
    columns = (*REQUIRED, "job_title", "role", "secondary_team", "badge")
    rows = checker(*columns, custom_fields=OWN["custom_fields"], blank_cells="keep" if keep else "clear")
    assert_together_as_alone(rows, table, columns)


def test_ragged_rows_checked_together_are_odd_and_have_no_identifier() -> None:
    rows = [["a", "b", "c@d.ef"], ["a", "b"], ["g", "h", "I@J.KL"], ["a", "b", "m@n.op", ""]]
    found = checker(*REQUIRED).check_columns(rows)
    assert (found.odd, found.keys) == ({1, 3}, ["c@d.ef", None, "i@j.kl", None])
    assert [found.values["email"][at] for at in (0, 2)] == ["c@d.ef", "I@j.kl"]


def test_no_rows_checked_together_have_no_values() -> None:
    assert checker(*REQUIRED).check_columns([]).values == {"first_name": [], "last_name": [], "email": []}


def test_memory_does_not_grow_with_the_number_of_different_cells() -> None:
    rows = checker(*REQUIRED)
    for number in range(REMEMBERED + 500):
        assert rows.check(2, [f"a{number}", "b", "c@d.ef"], "").values["first_name"] == f"a{number}"
    assert max(map(len, rows._meanings)) <= REMEMBERED
