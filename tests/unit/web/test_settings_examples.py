"""The form's examples of the newest file: its columns, and what each choice would read. No content can break them."""

from __future__ import annotations

import bz2
import zlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from importer.file.header import OURS, REPORT_COLUMNS, fold
from importer.rules.settings import ImportSettings
from server.tenants.settings import TenantSettings, changed
from server.web.pages.settings.choices import DATES, DELIMITER_OPTIONS, ENCODINGS, OTHER, option_of
from server.web.pages.settings.form import as_table, shown, touched, wanted
from server.web.pages.settings.items import Item, groups_of
from server.web.pages.settings.mapping import COLUMNS_MOST, UNSET, mapping_of, rows_for
from server.web.pages.settings.notation import NotReadable
from server.web.pages.settings.sample import CELL_MOST, Sample, sample_from

GERMAN = (
    "Nr;Vorname;Nachname;E-Mail;Eintritt\n7;Jörg;Müller;j@x.example;03/11/2026\n8;Ann;Groß;a@x.example;28/11/2026\n"
)
HEADER = ("Nr", "Vorname", "Nachname", "E-Mail", "Eintritt")
MAPPING = {"Vorname": "first_name", "nachname": "last_name", "E-Mail": "email", "Old": "job_title", "Nr": ""}


def sample(content: str | bytes, *, whole: bool = True, **settings: Any) -> Sample:
    data = content if isinstance(content, bytes) else content.encode()
    return sample_from(7, data, ImportSettings(**settings), whole=whole, typed={})


def item(setting: str, form: dict[str, str], found: Sample | None = None, now: TenantSettings | None = None) -> Item:
    mapped = (now or TenantSettings()).field_mapping
    groups = groups_of(form, TenantSettings().to_json(), {}, {}, sample=found, mapped=mapped)
    return next(each for items in groups.values() for each in items if each.setting == setting)


def test_every_choice_of_the_lists_is_a_valid_setting() -> None:
    for encoding in ENCODINGS:
        assert changed(TenantSettings(), {"encoding": encoding}).encoding == encoding
    for form in DATES:
        assert changed(TenantSettings(), {"date_format": form}).date_format == form
    for name in DELIMITER_OPTIONS:
        assert changed(TenantSettings(), {"delimiter": name}).delimiter


@pytest.mark.parametrize(
    ("value", "option"),
    [("cp1252", "cp1252"), ("windows-1252", "cp1252"), ("utf8", "utf-8"), ("iso8859-2", OTHER), ("no", OTHER)],
)
def test_an_encoding_is_shown_as_its_choice_under_any_of_its_names(value: str, option: str) -> None:
    assert option_of(value, ENCODINGS) == option


@pytest.mark.parametrize("setting", ["encoding", "date_format"])
def test_a_value_outside_the_list_is_typed_below_other(setting: str) -> None:
    value = {"encoding": "iso8859-2", "date_format": "%d. %B %Y"}[setting]
    now = changed(TenantSettings(), {setting: value}).to_json()
    form = shown(now)
    assert (form[setting], form[f"{setting}.other"]) == (OTHER, value)
    assert touched(form, now) == []
    default = TenantSettings().to_json()
    assert wanted(form, default).changes == {setting: value}
    assert "type a value" in wanted({**form, f"{setting}.other": " "}, default).unreadable[setting]


def test_a_file_is_read_with_the_delimiter_and_encoding_that_fit() -> None:
    found = sample(GERMAN.encode("cp1252"))
    assert found.header == HEADER
    assert found.cells["nachname"] == ("Müller", "Groß")
    assert found.previews["delimiter"]["semicolon"] == "With Semicolon (;), your newest file has 5 columns."
    assert found.previews["delimiter"]["comma"] == "With Comma (,), your newest file has 1 column."
    encodings = found.previews["encoding"]
    assert encodings["cp1252"] == (
        "With Windows-1252 (Excel, Western Europe), your newest file has “Jörg”, “Müller”, “Groß”."
    )
    assert (
        encodings["cp1251"] == "With Windows-1251 (Excel, Cyrillic), your newest file has “Jцrg”, “Mьller”, “GroЯ”."
    )
    assert encodings["utf-8"] == "With UTF-8 (Unicode, most systems), your newest file cannot be read."


@pytest.mark.parametrize(
    ("content", "skip", "widths"),
    [
        (
            '"Name, first";"Name, last";E-Mail\nA;B;a@x.example\n',
            0,
            {"semicolon": 3, "comma": 2, "tab": 1, "pipe": 1},
        ),
        ('first_name,"last;name",email\nA,B,a@x.example\n', 0, {"comma": 3, "semicolon": 2, "tab": 1, "pipe": 1}),
        ('first_name,"last\nname",email\nA,B,a@x.example\n', 0, {"comma": 3, "semicolon": 1, "tab": 1, "pipe": 1}),
        ("\n\nfirst_name;x;email\n", 0, {"semicolon": 3, "comma": 1, "tab": 1, "pipe": 1}),
        ("Users, all\nfirst_name;x;y;z\n", 1, {"semicolon": 4, "comma": 1, "tab": 1, "pipe": 1}),
    ],
    ids=["commas in quotes", "semicolon in quotes", "two lines", "blank lines", "a title"],
)
def test_each_delimiter_shows_the_number_of_cells_of_the_header(
    content: str, skip: int, widths: dict[str, int]
) -> None:
    found = sample(content, skip_first_lines=skip).previews["delimiter"]
    assert found == {
        name: f"With {DELIMITER_OPTIONS[name]}, your newest file has {width} {'column' if width == 1 else 'columns'}."
        for name, width in widths.items()
    }


@pytest.mark.parametrize(
    "typed", ["bz2", "zip", "zlib", "hex", "base64", "uu", "quopri", "rot13", "utf-7", "no", "\0"]
)
def test_a_typed_encoding_that_the_setting_refuses_decodes_nothing(typed: str) -> None:
    """Python also knows codecs that unpack: an archive of a few kilobytes can hold gigabytes."""
    for packed in (bz2.compress(GERMAN.encode()), zlib.compress(GERMAN.encode()), b"6e6f", b"bm8=", b"no"):
        found = sample_from(7, packed, ImportSettings(), whole=True, typed={"encoding": typed})
        assert typed not in found.previews["encoding"]


def test_a_typed_encoding_that_the_setting_accepts_is_shown() -> None:
    typed = {"encoding": " ISO8859-2 "}
    found = sample_from(7, GERMAN.encode("iso8859-2"), ImportSettings(), whole=True, typed=typed)
    assert (
        found.previews["encoding"][typed["encoding"]]
        == "With “ISO8859-2”, your newest file has “Jörg”, “Müller”, “Groß”."
    )


def test_a_typed_date_format_that_the_setting_refuses_has_no_example() -> None:
    for typed in ("%d%m", "%d" * 500, "%Q", "(", "%Y-%m-%d\ud800"):
        found = sample_from(7, GERMAN.encode(), ImportSettings(), whole=True, typed={"date_format": typed})
        assert typed not in found.previews["date_format"]
        assert found.previews["date_format"]["%d/%m/%Y"]


def test_a_date_format_is_shown_with_a_date_of_the_file() -> None:
    dates = sample(GERMAN, field_mapping={"Eintritt": "hire_date"}).previews["date_format"]
    assert dates["%d/%m/%Y"] == (
        "With 31/12/2026 (day/month/year), “03/11/2026” in your newest file is 3 November 2026."
    )
    assert dates["%m/%d/%Y"] == (
        "With 12/31/2026 (month/day/year), “03/11/2026” in your newest file is 11 March 2026. "
        "“28/11/2026” cannot be read."
    )
    assert dates["%Y-%m-%d"] == ("With 2026-12-31 (year-month-day), “03/11/2026” in your newest file cannot be read.")


def test_a_byte_order_mark_counts_more_than_the_choice() -> None:
    for encoding, name in (("utf-8-sig", "UTF-8"), ("utf-16", "UTF-16")):
        preview = sample(GERMAN.encode(encoding)).previews["encoding"]["cp1252"]
        assert preview == f"Your newest file itself says that it is {name}. That counts more than this setting."


def test_long_and_invisible_cells_are_cut_and_shown_as_text() -> None:
    found = sample(f"first_name,last_name,email\n{'a' * 900},b\x07c,\n\n,d,\nx,e,\ny,f,\n")
    assert found.cells["first_name"] == ("a" * (CELL_MOST - 1) + "…", "x", "y")
    assert found.cells["last_name"] == ("b\ufffdc", "d", "e")
    assert found.cells["email"] == ()


def test_a_row_that_was_cut_is_left_out() -> None:
    assert sample("first_name,last_name,email\na,b,c\nx,y", whole=False).cells["first_name"] == ("a",)


@given(
    st.binary(max_size=300),
    st.booleans(),
    st.sampled_from([",", "\t"]),
    st.sampled_from(["utf-8", "cp1252", "utf-16"]),
)
def test_no_content_breaks_the_examples(content: bytes, whole: bool, delimiter: str, encoding: str) -> None:
    found = sample(content, whole=whole, delimiter=delimiter, encoding=encoding)
    as_table(shown(TenantSettings().to_json()), "field_mapping", found.header, OURS)


@pytest.mark.parametrize("content", [b"", b"a" * 65536, b'"' * 65536, b"\0" * 999, b"\xff" * 65536, b"," * 65536])
def test_a_file_without_columns_has_no_table(content: bytes) -> None:
    found = sample(content, whole=False)
    assert found.header == ()
    form = shown(TenantSettings().to_json())
    assert as_table(form, "field_mapping", found.header, OURS) == form


names = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0\r"), max_size=12).filter(
    lambda name: fold(name) and fold(name) not in REPORT_COLUMNS
)


@given(
    st.dictionaries(names, st.sampled_from(["first_name", "email", "role", "", "own"]), max_size=6),
    st.lists(names | st.sampled_from(["first_name", "EMAIL ", "", "_line"]), max_size=8),
)
def test_a_table_sent_as_shown_is_the_same_setting(mapping: dict[str, str], header: list[str]) -> None:
    if len({fold(name) for name in mapping}) == len(mapping):
        rows = rows_for(mapping, header, OURS)
        assert [*mapping_of(rows, mapping).items()] == [*mapping.items()]


def test_the_table_has_the_columns_of_the_file_then_the_other_names_then_a_blank_row() -> None:
    rows = rows_for(MAPPING, ("first_name", *HEADER, "vorname", "", "_code"), OURS)
    assert [(row["header"], row["field"]) for row in rows] == [
        ("first_name", "first_name"),
        ("Nr", ""),
        ("Vorname", "first_name"),
        ("nachname", "last_name"),
        ("E-Mail", "email"),
        ("Eintritt", UNSET),
        ("Old", "job_title"),
        ("", UNSET),
    ]


@pytest.mark.parametrize(
    ("choice", "after"),
    [
        ({"Nr": UNSET}, {name: field for name, field in MAPPING.items() if name != "Nr"}),
        ({"Old": UNSET}, {name: field for name, field in MAPPING.items() if name != "Old"}),
        ({"Eintritt": "hire_date"}, {**MAPPING, "Eintritt": "hire_date"}),
        ({"Eintritt": ""}, {**MAPPING, "Eintritt": ""}),
        ({"Vorname": "last_name"}, {**MAPPING, "Vorname": "last_name"}),
        ({"first_name": ""}, {**MAPPING, "first_name": ""}),
    ],
)
def test_a_choice_in_the_table_changes_one_entry(choice: dict[str, str], after: dict[str, str]) -> None:
    rows = [
        {**row, "field": choice.get(row["header"], row["field"])}
        for row in rows_for(MAPPING, ("first_name", *HEADER), OURS)
    ]
    assert [*mapping_of(rows, MAPPING).items()] == [*after.items()]


def test_a_column_with_the_name_of_its_field_needs_no_entry() -> None:
    rows = [{"header": "first_name", "field": "first_name"}]
    assert mapping_of(rows, {"First_Name": ""}) == {}
    assert mapping_of(rows, {"First_Name": "first_name"}) == {"First_Name": "first_name"}


@pytest.mark.parametrize(
    ("rows", "sentence"),
    [
        ([{"header": " ", "field": "email"}], "row 1: type the name of the column"),
        ([{"header": "A", "field": ""}, {"header": "a ", "field": "email"}], "row 2: “a” has two rows; remove one"),
    ],
)
def test_a_table_that_cannot_be_read_says_which_row(rows: list[dict[str, str]], sentence: str) -> None:
    with pytest.raises(NotReadable, match=sentence):
        mapping_of(rows, {})


def test_columns_beyond_the_table_keep_their_entries() -> None:
    header = [f"c{number}" for number in range(COLUMNS_MOST + 50)]
    mapping = {f"c{COLUMNS_MOST + 20}": "role"}
    rows = rows_for(mapping, header, OURS)
    assert len(rows) == COLUMNS_MOST + 2
    assert mapping_of(rows, mapping) == mapping


def test_a_column_can_be_each_field_the_custom_fields_included() -> None:
    now = changed(TenantSettings(), {"custom_fields": [{"key": "shoe_size"}], "field_mapping": {"Old": "role"}})
    found = sample(GERMAN)
    form = as_table(shown(now.to_json()), "field_mapping", found.header, now.names)
    rows = {row.header: row for row in item("field_mapping", form, found, now).columns}
    assert {"first_name", "leave_date", "deactivate", "active", "shoe_size", ""} <= rows["Nr"].options.keys()
    assert rows["Nr"].options[UNSET] == "No field yet"
    assert (rows["Old"].options[UNSET], rows["Old"].note) == ("Remove this name", "Not in your newest file")
    assert (rows[""].options[UNSET], rows[""].fixed) == ("Choose a field", False)
    assert rows["Vorname"].cells == ("Jörg", "Ann")


def test_two_columns_of_one_field_are_noted() -> None:
    now = changed(
        TenantSettings(), {"field_mapping": {"Nr": "role", "Eintritt": "role", "Old": "role", "E-Mail": ""}}
    )
    found = sample(GERMAN)
    form = as_table(shown(now.to_json()), "field_mapping", found.header, now.names)
    notes = {row.header: row.note for row in item("field_mapping", form, found, now).columns}
    twice = "2 columns have this field. Only one of them is read."
    assert notes == {
        "Nr": twice,
        "Eintritt": twice,
        "Old": "Not in your newest file",
        "Vorname": "",
        "Nachname": "",
        "E-Mail": "",
        "": "",
    }


@pytest.mark.parametrize(
    ("setting", "calm", "alarming"),
    [
        ("detect_truncation", "on", "off"),
        ("require_final_newline", "on", "off"),
        ("max_deactivations_percent", "10", " 100 %"),
        ("max_row_drop_percent", "20", "100"),
    ],
)
def test_a_dangerous_value_is_stressed(setting: str, calm: str, alarming: str) -> None:
    form = shown(TenantSettings().to_json())
    for text, is_alarming in ((calm, False), (alarming, True)):
        found = item(setting, {**form, setting: text})
        assert found.control.careful
        assert found.alarming is is_alarming
