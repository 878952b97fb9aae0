"""Proposals for a file that does not fit; nothing is proposed for one that does."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from importer.advice.guessing import guess_encoding
from importer.advice.proposal import propose
from importer.file.legacy import LEGACY
from importer.rules.settings import ImportSettings

FIT = "first_name,last_name,email,hire_date\nAnn,Lee,ann@lee.test,2024-03-09\n"


HEADER = "first_name,last_name,email\n"


def changes(text: str, encoding: str = "utf-8", **settings: Any) -> dict[str, Any]:
    return propose(text.encode(encoding), ImportSettings(**settings)).changes


@pytest.mark.parametrize("text", [FIT, FIT.replace("Ann", "Zoë"), FIT.replace("2024-03-09", "")])
def test_nothing_is_proposed_for_a_file_that_fits(text: str) -> None:
    found = propose(text.encode(), ImportSettings())
    assert (found.changes, found.reasons, found.gaps) == ({}, [], [])


@pytest.mark.parametrize(
    ("encoding", "names"),
    [
        ("cp1252", "Zoë Müller, José Núñez, François, Søren, Jörg, Léa, “Bob” O’Brien – €"),
        ("cp1252", "O’Brien, Jürgen"),
        ("cp1250", "Łukasz Wąs, Zażółć, Jiří Dvořák, Grażyna"),
        ("mac_roman", "Zoë Müller, José Núñez, François, Jörg Görtner"),
        ("cp437", "Zoë Müller, José Núñez, François, Jörg"),
        ("cp1251", "Анна Петрова, Иван Сидоров"),
        ("utf-16-le", "Zoë Müller"),
        ("utf-16-be", "Zoë Müller"),
    ],
)
def test_the_encoding_is_proposed(encoding: str, names: str) -> None:
    text = "".join(f'"{name.strip()}",Lee,a{number}@lee.test\n' for number, name in enumerate(names.split(",")))
    assert changes(f"first_name,last_name,email\n{text}", encoding) == {"encoding": encoding}


def test_utf_8_is_known_where_the_setting_would_read_it_as_something_else() -> None:
    assert propose(FIT.replace("Ann", "Zoë").encode(), ImportSettings(encoding="cp1252")).changes == {
        "encoding": "utf-8"
    }


def test_a_byte_order_mark_needs_no_setting() -> None:
    assert changes(FIT, "utf-16") == {}
    assert changes(FIT.replace("Ann", "Zoë"), "utf-8-sig") == {}


def test_an_unknown_encoding_is_a_gap() -> None:
    found = propose(b"PK\x03\x04\x00\x00\x8f\x81", ImportSettings())
    assert found.changes == {}
    assert found.gaps == ["The encoding of the file is unknown. Save the file as “CSV UTF-8”."]


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_the_delimiter_is_proposed(delimiter: str) -> None:
    assert changes(FIT.replace(",", delimiter)) == {"delimiter": delimiter}
    assert changes(FIT, delimiter=delimiter) == {"delimiter": ","}
    # Cells may contain commas.
    assert changes(FIT.replace(",", delimiter).replace("Lee", "Lee, jr, BA")) == {"delimiter": delimiter}


@pytest.mark.parametrize(
    ("header", "mapping"),
    [
        ("First Name,Last Name,E-Mail", {"First Name": "first_name", "Last Name": "last_name", "E-Mail": "email"}),
        ("Vorname,Nachname,Dienstliche E-Mail", {"Dienstliche E-Mail": "email"}),
        ("Prénom,Nom,Adresse e-mail", {"Prénom": "first_name", "Nom": "last_name", "Adresse e-mail": "email"}),
        ("GivenName,Surname,UserPrincipalName", {"UserPrincipalName": "email"}),
        ("firstname,lastname,mail,WorkEmail", {"WorkEmail": "email"}),
        ("fist_name,last_nam,emial", {"fist_name": "first_name", "last_nam": "last_name"}),
        ("first_name,last_name,email,Reports To,Termd", {"Reports To": "manager", "Termd": "deactivate"}),
    ],
)
def test_headers_that_look_like_fields_are_proposed(header: str, mapping: dict[str, str]) -> None:
    cells = ["no" if name == "Termd" else "x@y.test" for name in header.split(",")]
    found = changes(f"{header}\n{','.join(cells)}\n")
    assert found["field_mapping"].items() >= mapping.items()
    assert len(set(found["field_mapping"].values())) == len(found["field_mapping"])


def test_a_column_of_addresses_is_found_by_its_cells() -> None:
    found = changes("first_name,last_name,Kontakt\nAnn,Lee,ann@lee.test\nBo,Ng,bo@ng.test\n")
    assert found == {"field_mapping": {"Kontakt": "email"}}


def test_existing_mappings_stay_and_new_ones_are_added() -> None:
    found = changes(
        "Rufname,Surname,email\nAnn,Lee,a@b.test\n", field_mapping={"Rufname": "first_name", "X": "email"}
    )
    assert found == {"field_mapping": {"Rufname": "first_name", "X": "email", "Surname": "last_name"}}


def test_a_required_column_without_a_similar_header_is_a_gap() -> None:
    found = propose(b'Employee_Name,email\n"Lee, Ann",ann@lee.test\n', ImportSettings())
    assert found.gaps == [
        (
            "“Employee_Name” holds the first and the last name together (“Lee, Ann”). "
            "Export two columns, first_name and last_name, or split it in a spreadsheet."
        ),
        "No column looks like first_name, which is required.",
        "No column looks like last_name, which is required.",
    ]


LINKED = "first_name,last_name,email,manager,coach"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (["Ann,Lee,Ann Lee <ann@a.test>,,", "Bo,Ng,bo@a.test,ann@a.test,"], ["“email” has more than the address"]),
        (["Ann,Lee,ann@a.test,,", "Bo,Ng,bo@a.test,mailto:ann@a.test,"], ["“manager” has mailto: before the"]),
        (["Ann,Lee,ann@a.test,,", "Bo,Ng,bo@a.test,,Ann Lee (ann@a.test)"], ["“coach” has more than the address"]),
        (
            ["Ann,Lee,ann@a.test,,", "Bo,Ng,bo@a.test,Ann Lee,"],
            ["“manager” holds names (“Ann Lee”), but a manager is"],
        ),
        (["Ann,Lee,ann@a.test,N/A,", "Bo,Ng,bo@a.test,keine,"], []),
        (["Ann,Lee,ann@a.test,,", "Bo,Ng,bo@a.test,ann@a.test,"], []),
    ],
)
def test_a_column_whose_cells_do_not_identify_users_is_a_gap(rows: list[str], said: list[str]) -> None:
    found = propose("\n".join([LINKED, *rows, ""]).encode(), ImportSettings())
    assert len(found.gaps) == len(said)
    assert all(gap.startswith(start) for gap, start in zip(found.gaps, said, strict=True))


def test_words_in_value_mapping_are_not_a_gap() -> None:
    meant = {"manager": {"Ann Lee <ann@a.test>": "ann@a.test"}}
    content = f"{LINKED}\nBo,Ng,bo@a.test,ANN LEE <ann@a.test>,\n".encode()
    assert propose(content, ImportSettings(value_mapping=meant)).gaps == []
    assert len(propose(content, ImportSettings()).gaps) == 1


def test_the_managers_addresses_are_read_instead_of_names_under_a_known_header() -> None:
    text = "first_name,last_name,email,manager,Manager Email\nAnn,Lee,a@a.test,,\nBo,Ng,b@a.test,Ann Lee,a@a.test\n"
    found = propose(text.encode(), ImportSettings())
    assert (found.changes, found.gaps) == ({"field_mapping": {"Manager Email": "manager"}}, [])
    chosen = {"manager": "manager"}
    assert changes(text, field_mapping=chosen) == {}


@pytest.mark.parametrize(("first", "delimiter"), [("sep=;", ";"), ('"sep=;"', ";"), ("SEP=,", ",")])
def test_a_sep_line_is_not_a_header(first: str, delimiter: str) -> None:
    text = f"{first}\n{HEADER}Ann,Lee,ann@lee.test\n\x1a".replace(",", delimiter)
    found = propose(text.encode(), ImportSettings())
    assert found.changes == ({} if delimiter == "," else {"delimiter": delimiter})
    assert not found.gaps


def test_nothing_is_proposed_if_whole_lines_are_in_quotes() -> None:
    found = propose(b'"first_name,last_name,email"\n"Ann,Lee,ann@lee.test"\n', ImportSettings())
    assert not found.changes
    assert [gap for gap in found.gaps if "quotes" in gap] == found.gaps != []


def test_labels_and_totals_are_not_dates() -> None:
    rows = "First Name,Last Name,Email,Hire Date\nAnn,Lee,a@lee.test,01/17/2020\nTotal,1,,\n"
    text = f"{HEADER.strip()},hire_date\n{rows}"
    assert changes(text) == {"date_format": "%m/%d/%Y", "skip_last_lines": 1}


@pytest.mark.parametrize("name", ["deactivte", "Activate", "Deactivation"])
def test_a_header_similar_to_deactivate_is_not_proposed_for_its_name(name: str) -> None:
    found = changes(f"{HEADER.strip()},{name}\nAnn,Lee,ann@lee.test,maybe\n")
    assert found == {}


def test_a_custom_identifier_and_managers_by_number_are_found() -> None:
    found = changes(
        "EmpID,first_name,last_name,email,ManagerID,ManagerName\n1,Ann,Lee,a@b.test,2,Bo\n",
        custom_fields=[{"key": "employee_id"}],
        identifier="employee_id",
    )
    assert found == {"field_mapping": {"EmpID": "employee_id", "ManagerID": "manager"}}


@pytest.mark.parametrize(
    ("days", "form"),
    [
        (["7/5/2011", "3/30/2015"], "%m/%d/%Y"),
        (["5/7/2011", "30/3/2015"], "%d/%m/%Y"),
        (["07.05.2011", "30.03.2015"], "%d.%m.%Y"),
        (["20110507"], "%Y%m%d"),
        (["7/5/11", "3/30/15"], "%m/%d/%y"),
        (["07-May-2011"], "%d-%b-%Y"),
        (["2011-05-07 00:00:00", "2011-05-08 00:00:00"], "%Y-%m-%d %H:%M:%S"),
        (["7/5/2011 0:00", "3/30/2015 0:00"], "%m/%d/%Y %H:%M"),
    ],
)
def test_the_form_of_dates_is_proposed(days: list[str], form: str) -> None:
    rows = "".join(f"Ann,Lee,ann@lee.test,{day}\n" for day in days)
    assert changes(f"first_name,last_name,email,Hire Date\n{rows}")["date_format"] == form


def test_dates_with_two_readings_are_reported() -> None:
    found = propose(FIT.replace("2024-03-09", "3/9/2024").encode(), ImportSettings())
    assert found.changes == {"date_format": "%m/%d/%Y"}
    assert "%d/%m/%Y" in found.reasons[0]


def test_a_form_that_leaves_a_date_unread_is_a_guess() -> None:
    rows = "".join(f"Ann,Lee,ann@lee.test,{day:02}/01/2024\n" for day in range(1, 32))
    header = "first_name,last_name,email,hire_date"
    for last, certain in (("", True), ("Ann,Lee,ann@lee.test,01/13/2024\n", False)):
        found = propose(f"{header}\n{rows}{last}".encode(), ImportSettings())
        assert found.changes == {"date_format": "%d/%m/%Y"}
        assert found.parts[0].certain is certain


@given(st.text(max_size=200), st.sampled_from([*LEGACY, "utf-8", "utf-16"]))
@example('first_name,"last', "utf-8")
@example("a\rb,c\n", "utf-8")
@example("", "utf-8")
def test_any_text_can_be_proposed_for(text: str, encoding: str) -> None:
    content = text.encode(encoding, "ignore")
    found = propose(content, ImportSettings())
    assert len(found.reasons) >= len(found.changes)
    ImportSettings.model_validate(found.changes)


@given(st.binary(max_size=200))
def test_any_bytes_can_be_proposed_for(content: bytes) -> None:
    ImportSettings.model_validate(propose(content, ImportSettings()).changes)
    encoding = guess_encoding(content, "cp1252")
    assert encoding is None or content.decode(encoding) is not None
