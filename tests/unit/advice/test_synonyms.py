"""Headers of real exports mean their field; headers that only look similar do not."""

from __future__ import annotations

import pytest

from importer.advice.names import holds_names, not_a_field, whole_names, wrapped_addresses
from importer.advice.proposal import propose
from importer.file.exports import FOUND, MANAGERS_NUMBER, NUMBER
from importer.file.synonyms import MANAGERS_NUMBERS, NUMBERS, SYNONYMS, plain
from importer.rules.settings import ImportSettings

FOUND_HEADERS = [
    (header, field) for fields in FOUND.values() for field, headers in fields.items() for header in headers
]


def meaning(header: str) -> list[str]:
    words = {**SYNONYMS, NUMBER: NUMBERS, MANAGERS_NUMBER: MANAGERS_NUMBERS}
    return [name for name, known in words.items() if plain(header) in known]


@pytest.mark.parametrize(("header", "field"), FOUND_HEADERS)
def test_a_header_found_in_an_export_means_its_field_and_no_other(header: str, field: str) -> None:
    assert meaning(header) == [field]
    assert not not_a_field(header)


def test_no_word_means_two_fields() -> None:
    words = [word for known in (*SYNONYMS.values(), NUMBERS, MANAGERS_NUMBERS) for word in known]
    assert len(words) == len(set(words))
    assert all(word == plain(word) for word in words)


@pytest.mark.parametrize(
    ("header", "field"),
    [
        ("Personalnr.", NUMBER),
        ("Eintritt am", "hire_date"),
        ("Vorgesetzter (E-Mail)", "manager"),
        ("E-Mail (dienstlich)", "email"),
        ("Worker's Manager ID", MANAGERS_NUMBER),
        ("Manager's Employee ID", MANAGERS_NUMBER),
        ("Legal Name - First Name", "first_name"),
        ("Supervisor email", "manager"),
        ("Org Unit", "primary_team"),
        ("Planstelle", "job_title"),
        ("Matricule du responsable", MANAGERS_NUMBER),
        ("Email professionnel", "email"),
        ("Responsable hiérarchique", "manager"),
        ("Correo corporativo", "email"),
        ("Jefe directo", "manager"),
        ("Data di assunzione", "hire_date"),
        ("E-mail aziendale", "email"),
        ("Indiensttreding", "hire_date"),
        ("Data de admissão", "hire_date"),
        ("Bezpośredni przełożony", "manager"),
        ("直属の上司", "manager"),
        ("入职日期", "hire_date"),
        ("工号", NUMBER),
        ("تاريخ التعيين", "hire_date"),
        ("المدير المباشر", "manager"),
    ],
)
def test_a_likely_header_means_its_field(header: str, field: str) -> None:
    assert meaning(header) == [field]


@pytest.mark.parametrize(
    "header",
    [
        *("Location ID", "Primary Team ID", "Department Code", "Job Title Code", "Rehire Date", "Birth Date"),
        *(
            "Manager Name",
            "Manager First Name",
            "Reports To Name",
            "Supervisor Title",
            "Personal Email",
            "Home Email",
        ),
        *("Email - Primary Home", "Email (privat)", "E-mail perso", "Correo personal", "Emergency Contact Email"),
        *("Location Code", "Code site", "Kürzel Abteilung ID", "Email Address 2", "Position Start Date"),
        *("Geburtsdatum", "Date de naissance", "Job Title Effective Date", "Employee Type", "Cost Center"),
        *("Cost Center - Name", "Kostenstelle", "Previous Manager", "Location Country", "Manager Level"),
    ],
)
def test_a_column_that_only_looks_like_a_field_is_not_one(header: str) -> None:
    assert meaning(header) == []
    assert not_a_field(header).endswith(".")


@pytest.mark.parametrize("header", ["First Name", "location", "Nickname", "Skills", "Left"])
def test_other_columns_get_no_sentence(header: str) -> None:
    assert not_a_field(header) == ""


@pytest.mark.parametrize(
    ("header", "cells", "last_first"),
    [
        ("Name", ["Lee, Ann", "Ng, Bo"], True),
        ("Full Name", ["Ann Lee", "Bo van der Ng", ""], False),
        ("Employee Name", ["Lee, Ann", "Adinolfi, Wilson  K"], True),
        ("Payroll Name", ["Lee, Ann"], True),
        ("Mitarbeiter", ["Ann Lee"], False),
        ("Nombre y apellidos", ["Ann Lee Ruiz"], False),
        ("Imię i nazwisko", ["Ann Lee"], False),
        ("氏名", ["山田太郎"], False),
        ("الاسم الكامل", ["محمد علي"], False),
    ],
)
def test_a_column_of_full_names_is_reported(header: str, cells: list[str], last_first: bool) -> None:
    found = whole_names(header, cells)
    assert found is not None
    assert found.last_first is last_first
    assert f"“{header}” holds the first and the last name together (“{cells[0]}”)" in found.sentence


@pytest.mark.parametrize(
    ("header", "cells"),
    [
        ("Name", ["Lee", "Ng", "Olsen"]),
        ("Name", []),
        ("Worker", ["1001", "1002"]),
        ("Employee", ["ann@lee.test"]),
        ("Team Name", ["Sales North"]),
        ("Preferred Name", ["Annie", "Bo"]),
    ],
)
def test_a_column_of_single_names_or_of_other_people_is_not_reported(header: str, cells: list[str]) -> None:
    assert whole_names(header, cells) is None


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (
            ["Ann Lee <ann@lee.test>", "bo@ng.test"],
            "has more than the address in its cells (“Ann Lee <ann@lee.test>”)",
        ),
        (["mailto:ann@lee.test", "MAILTO:bo@ng.test"], "has mailto: before the address in its cells"),
        (["Ann Lee (ann@lee.test)"], "has more than the address in its cells"),
        (["ann@lee.test", "", "nobody"], ""),
    ],
)
def test_an_address_with_text_around_it_is_reported(cells: list[str], said: str) -> None:
    found = wrapped_addresses("Manager", cells)
    assert said in found
    assert bool(found) is bool(said)
    assert not found or found.endswith("Export only the address, as ann@lee.test, or fix the cells.")


def test_names_of_managers_are_told_from_addresses_and_numbers() -> None:
    assert holds_names(["Ann Lee", "Lee, Ann", ""])
    assert not holds_names(["ann@lee.test"])
    assert not holds_names(["B-1001"])
    assert not holds_names(["", ""])
    assert not holds_names(["#REF!", "#N/A", '=HYPERLINK("x")'])


def test_headers_of_other_scripts_are_proposed() -> None:
    found = propose("姓,名,メールアドレス\n山田,太郎,taro@example.test\n".encode(), ImportSettings())
    assert found.changes["field_mapping"] == {"姓": "last_name", "名": "first_name", "メールアドレス": "email"}
