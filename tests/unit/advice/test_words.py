"""Words of a column are mapped if their meaning is known; a person must complete the others."""

from __future__ import annotations

from typing import Any

import pytest

from importer.advice.words import proposed_words, sentences_of
from importer.rules.custom import CustomField
from importer.rules.meanings import columns_under
from importer.rules.settings import ImportSettings

OWN = (
    CustomField(key="on_call", type="boolean"),
    CustomField(key="shift", type="choice", choices=("Early shift", "Late")),
    CustomField(key="employee_id"),
)


def words(name: str, *cells: str, **settings: Any) -> dict[str, str | None]:
    found = proposed_words(name, cells, ImportSettings(custom_fields=OWN, **settings))
    return {word.text: word.ours for word in found.words}


def certain(name: str, *cells: str) -> dict[str, bool]:
    return {word.text: word.certain for word in proposed_words(name, cells, ImportSettings(custom_fields=OWN)).words}


@pytest.mark.parametrize(
    ("yes", "no"),
    [
        *(
            ("Y", "N"),
            ("ja", "nein"),
            ("J", "N"),
            ("oui", "non"),
            ("O", "N"),
            ("sí", "no"),
            ("S", "N"),
            ("wahr", "falsch"),
        ),
        *(
            ("tak", "nie"),
            ("sim", "não"),
            ("vero", "falso"),
            ("waar", "onwaar"),
            ("T", "F"),
            ("是", "否"),
            ("はい", "いいえ"),
        ),
        *(("نعم", "لا"), ("on", "off"), ("Verdadero", "Falso"), ("WAHR", "FALSCH"), ("VRAI", "FAUX")),
    ],
)
@pytest.mark.parametrize("name", ["deactivate", "active", "on_call"])
def test_yes_and_no_of_other_languages_are_certain(name: str, yes: str, no: str) -> None:
    found = words(name, yes, no)
    assert found.pop(yes) == "yes"
    assert found.pop(no, "no") == "no"
    assert not found
    assert all(certain(name, yes, no).values())


def test_a_tick_is_a_yes_only_beside_blank_cells() -> None:
    assert words("deactivate", "x", "", "X") == {"x": "yes"}
    assert words("deactivate", "x", "o") == {"x": None, "o": None}
    assert words("on_call", "✓", "") == {"✓": "yes"}


@pytest.mark.parametrize(
    ("cells", "deactivate"),
    [
        (("Active", "Terminated"), {"Active": "no", "Terminated": "yes"}),
        (("Active", "Inactive"), {"Active": "no", "Inactive": "yes"}),
        (("Active", "Terminated", "Inactive"), {"Active": "no", "Terminated": "yes", "Inactive": None}),
        (("Leave of absence", "On Leave", "LOA"), dict.fromkeys(("Leave of absence", "On Leave", "LOA"), "no")),
        (("Leave",), {"Leave": None}),
        (("Active", "Terminated", "Leave"), {"Active": "no", "Terminated": "yes", "Leave": "no"}),
        (("Retired", "Deceased"), {"Retired": "yes", "Deceased": "yes"}),
        (("Pending", "Suspended", "Resigned"), {"Pending": None, "Suspended": None, "Resigned": None}),
        (("Terminated - Voluntary", "Active (LOA)"), {"Terminated - Voluntary": "yes", "Active (LOA)": "no"}),
        (
            ("Terminated pending", "Active until 2024-05-01"),
            {"Terminated pending": None, "Active until 2024-05-01": None},
        ),
        (("Aktiv", "Ausgetreten", "Elternzeit"), {"Aktiv": "no", "Ausgetreten": "yes", "Elternzeit": "no"}),
        (("Actif", "Sorti", "En congé"), {"Actif": "no", "Sorti": "yes", "En congé": "no"}),
        (("Alta", "Baja"), {"Alta": "no", "Baja": "yes"}),
        (("Activo", "Baja", "Baja médica"), {"Activo": "no", "Baja": None, "Baja médica": "no"}),
        (("Attivo", "Cessato"), {"Attivo": "no", "Cessato": "yes"}),
        (("Actief", "Uit dienst"), {"Actief": "no", "Uit dienst": "yes"}),
        (("Ativo", "Desligado", "Férias"), {"Ativo": "no", "Desligado": "yes", "Férias": "no"}),
        (("Aktywny", "Zwolniony"), {"Aktywny": "no", "Zwolniony": "yes"}),
        (("在籍中", "退職", "休職中"), {"在籍中": "no", "退職": "yes", "休職中": "no"}),
        (("在职", "离职"), {"在职": "no", "离职": "yes"}),
        (("نشط", "منتهي الخدمة"), {"نشط": "no", "منتهي الخدمة": "yes"}),
        (("A", "T", "L"), {"A": "no", "T": "yes", "L": None}),
        (("A", "I"), {"A": "no", "I": "yes"}),
        (("A", "D"), {"A": None, "D": None}),
        (("T",), {"T": None}),
        (("NULL", "yes"), {"NULL": ""}),
        (("N/A", "-", "?"), {"N/A": None, "-": None, "?": None}),
    ],
)
def test_words_that_tell_who_has_left_are_mapped_only_if_certain(
    cells: tuple[str, ...], deactivate: dict[str, str | None]
) -> None:
    assert words("deactivate", *cells) == deactivate
    turned = {"yes": "no", "no": "yes", "": None, None: None}
    assert words("active", *cells) == {word: turned[ours] for word, ours in deactivate.items()}
    found = proposed_words("deactivate", cells, ImportSettings())
    assert all(word.certain for word in found.words if word.ours is not None)


@pytest.mark.parametrize(
    ("word", "role", "sure"),
    [
        *(("Employee", "learner", False), ("Mitarbeiter", "learner", False), ("Learners", "learner", True)),
        *(("Learning Designer", "learning_designer", True), ("Manager", None, False), ("Administrator", None, False)),
        *(("HR Manager", None, False), ("N/A", "", False)),
    ],
)
def test_a_role_that_gives_rights_is_left_to_a_person(word: str, role: str | None, sure: bool) -> None:
    assert words("role", word, "admin") == {word: role}
    assert certain("role", word) == {word: sure}


@pytest.mark.parametrize(
    ("word", "language", "sure"),
    [
        *(("German", "de", True), ("Deutsch", "de", True), ("de_AT", "de", True), ("English (UK)", "en", True)),
        *(
            ("English (US)", "en-US", True),
            ("en_AU", "en", True),
            ("Spanish", "es-CO", False),
            ("pt", "pt-BR", False),
        ),
        *(
            ("Portuguese (Brazil)", "pt-BR", True),
            ("Chinese", None, False),
            ("中文", None, False),
            ("Klingon", None, False),
        ),
        *(("zh-Hant", "zh-TW", True), ("NULL", "", True)),
    ],
)
def test_a_language_is_mapped_where_one_can_be_meant(word: str, language: str | None, sure: bool) -> None:
    assert words("language", word, "en-GB") == {word: language}
    assert certain("language", word) == {word: sure}


@pytest.mark.parametrize(
    ("word", "zone"),
    [
        ("(UTC+01:00) Amsterdam, Berlin, Bern, Rome, Stockholm, Vienna", "Europe/Amsterdam"),
        ("(GMT-05:00) Eastern Time (US & Canada)", "America/New_York"),
        ("PST", None),
        ("GMT+1", None),
        ("N/A", ""),
    ],
)
def test_a_time_zone_is_mapped_where_it_names_a_city(word: str, zone: str | None) -> None:
    assert words("time_zone", word, "London", "W. Europe Standard Time") == {word: zone}


def test_a_choice_is_mapped_where_only_its_spelling_differs() -> None:
    assert words("shift", "early-shift", "LATE", "Lat", "Night") == {
        "early-shift": "Early shift",
        "Lat": "Late",
        "Night": None,
    }


def test_words_for_nothing_are_blank_cells_where_any_text_is_taken() -> None:
    assert words("job_title", "NULL", "N/A", "-", "Clerk") == {"NULL": "", "N/A": "", "-": ""}
    assert certain("job_title", "NULL", "None") == {"NULL": True, "None": False}
    assert certain("employee_id", "N/A", "None") == {"N/A": True, "None": False}
    assert words("manager", "NO_MANAGER", "ann@lee.test", "N/A") == {"NO_MANAGER": "", "N/A": ""}
    assert words("hire_date", "N/A", "soon") == {"N/A": ""}
    assert words("leave_date", "NULL", "9999-12-31") == {"NULL": ""}
    assert words("location", "#N/A", "n/a") == {"n/a": ""}


@pytest.mark.parametrize("name", ["first_name", "email", "employee_id", "skills"])
def test_words_of_required_fields_and_identifiers_are_not_mapped(name: str) -> None:
    assert words(name, "NULL", "-", identifier="employee_id") == {}


def test_words_that_the_settings_know_stay_and_are_added_to() -> None:
    settings = ImportSettings(value_mapping={"deactivate": {"Gone": "yes", "active": "no"}})
    found = proposed_words("deactivate", ["gone", "Active", "Terminated", "Odd"], settings)
    assert found.mapping == {"Gone": "yes", "active": "no", "Terminated": "yes"}
    assert found.open == ("Odd",)


def test_the_mapping_makes_the_column_take_every_word_that_is_not_open() -> None:
    cells = ["Active", "ja", "Terminated", "NULL", "Odd", "在职"]
    found = proposed_words("deactivate", cells, ImportSettings())
    column = columns_under(ImportSettings(value_mapping={"deactivate": found.mapping}))["deactivate"]
    assert [column.judge(cell) for cell in cells if cell not in found.open] == [False, True, True, None, False]


def test_guesses_and_open_words_are_reported() -> None:
    found = proposed_words("role", ["Employee", "Employee", "Manager", "learner"], ImportSettings())
    guess, left = sentences_of(found)
    assert guess == "“Employee” is read as learner for role. This is a guess: check it."
    assert left.startswith("“Manager” (1 cell) has no meaning for role yet. Add it to value_mapping. This word may")


def test_a_column_of_many_words_lists_the_most_frequent() -> None:
    found = proposed_words("role", [f"role {number}" for number in range(300)], ImportSettings())
    assert (len(found.words), found.more) == (100, 200)
