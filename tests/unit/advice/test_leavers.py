"""A column that tells who has left is found by its name and its cells, never by a similar name."""

from __future__ import annotations

from typing import Any

import pytest

from importer.advice.proposal import Proposal, propose
from importer.rules.settings import ImportSettings


def proposal(column: str, *cells: str, **settings: Any) -> Proposal:
    rows = "".join(f"F{n},L{n},u{n}@a.test,{cell}\n" for n, cell in enumerate(cells))
    return propose(f"First Name,Last Name,Email,{column}\n{rows}".encode(), ImportSettings(**settings))


def meant(found: Proposal, column: str) -> Any:
    mapping = found.changes["field_mapping"]
    assert isinstance(mapping, dict)
    return mapping.get(column)


@pytest.mark.parametrize(
    "column", ["Active", "Activated", "Is Active", "isActive", "active", "Activate", "Enabled", "Active Status"]
)
def test_a_reversed_flag_is_proposed_as_active(column: str) -> None:
    assert meant(proposal(column, "TRUE", "FALSE"), column) == "active"


@pytest.mark.parametrize("column", ["Account Disabled", "Inactive", "Terminated", "Leaver", "Termd"])
def test_a_flag_of_leavers_is_proposed_as_deactivate(column: str) -> None:
    assert meant(proposal(column, "TRUE", "FALSE", ""), column) == "deactivate"


@pytest.mark.parametrize(
    "column", ["Termination Date", "Inactive Date", "Deactivation Date", "Deactivated On", "status"]
)
@pytest.mark.parametrize("cells", [("TRUE", "FALSE"), ("", "")])
def test_a_column_that_does_not_hold_what_its_name_says_is_not_proposed(column: str, cells: tuple[str, ...]) -> None:
    assert meant(proposal(column, *cells), column) is None


@pytest.mark.parametrize("column", ["Terminated", "Leaver", "Inactive"])
def test_days_in_a_column_of_flags_are_proposed_as_last_days_and_as_a_guess(column: str) -> None:
    found = proposal(column, "2026-01-01", "", "2026-01-05")
    assert meant(found, column) == "leave_date"
    assert f"“{column}” tells who has left: it is read as leave_date (a guess: check it)." in found.reasons


@pytest.mark.parametrize("column", ["Terminated", "Leaver", "End Date"])
def test_days_and_words_in_one_column_are_not_proposed_but_reported(column: str) -> None:
    found = proposal(column, "2026-01-01", "", "soon")
    assert meant(found, column) is None
    assert any(f"“{column}” may tell who has left (2026-01-01" in reason for reason in found.reasons)


def test_last_days_are_not_proposed_if_another_reading_ends_on_another_day() -> None:
    text = "first_name,last_name,email,End Date\nA,B,a@b.test,03.04.2026\nC,D,c@d.test,05.06.2020\n"
    safe = text.replace("2026", "2021")
    for given, is_read in ((text, False), (safe, True)):
        found = propose(given.replace(".20", "-20").replace(".0", "-0").encode(), ImportSettings(), past="2026-03-20")
        assert ("leave_date" in found.changes.get("field_mapping", {}).values()) is is_read


def test_a_second_column_that_shows_no_other_leavers_is_reported() -> None:
    text = "first_name,last_name,email,End Date,Termination Date\nA,B,a@b.test,2022-12-31,2022-12-31\n"
    found = propose(text.encode(), ImportSettings())
    assert found.changes == {"field_mapping": {"End Date": "leave_date"}}
    assert "“Termination Date” is not read: it shows no other leavers." in found.reasons


@pytest.mark.parametrize("column", ["End Date", "Austritt", "Deactivation Date", "Fecha de baja"])
def test_last_days_are_proposed_as_leave_date_with_their_form(column: str) -> None:
    assert meant(proposal(column, "2022-12-31", ""), column) == "leave_date"
    found = proposal(column, "31.12.2022", "")
    assert (meant(found, column), found.changes["date_format"]) == ("leave_date", "%d.%m.%Y")


def test_last_days_in_another_form_than_hire_dates_are_not_proposed() -> None:
    text = "first_name,last_name,email,hire_date,End Date\nA,B,a@b.test,2020-01-01,31.12.2022\n"
    assert propose(text.encode(), ImportSettings()).changes == {}


def test_status_words_are_proposed_with_their_meanings_where_all_are_known() -> None:
    found = proposal("Employment Status", "Active", "Terminated", "On Leave")
    assert meant(found, "Employment Status") == "deactivate"
    words = {"Active": "no", "Terminated": "yes", "On Leave": "no"}
    assert found.changes["value_mapping"] == {"deactivate": words}


def test_unknown_status_words_are_left_to_be_completed() -> None:
    found = proposal("Employment Status", "Active", "Terminated", "Leave", "Pending")
    assert meant(found, "Employment Status") == "deactivate"
    words = {"Active": "no", "Terminated": "yes", "Leave": "no"}
    assert found.changes["value_mapping"] == {"deactivate": words}
    assert [part.open for part in found.parts if part.open] == [{"value_mapping.deactivate": {"Pending": "?"}}]
    assert any("The meaning of “Pending” is not known: such rows" in each for each in found.reasons)


@pytest.mark.parametrize("word", ["Archived", "Released", "Ended", "Term"])
@pytest.mark.parametrize("column", ["Status", "Active", "Leaver"])
def test_a_word_that_may_not_mean_left_is_left_to_be_completed(column: str, word: str) -> None:
    found = proposal(column, "Active", word)
    target = meant(found, column)
    assert target == ("active" if column == "Active" else "deactivate")
    assert word not in found.changes["value_mapping"][target]
    assert [part.open for part in found.parts if part.open] == [{f"value_mapping.{target}": {word: "?"}}]


def test_a_word_that_usually_means_not_left_makes_a_guess() -> None:
    for words, is_certain in ((("Active", "Terminated"), True), (("Full-Time", "Terminated"), False)):
        found = proposal("Employment Status", *words)
        assert meant(found, "Employment Status") == "deactivate"
        (part,) = [part for part in found.parts if part.leavers]
        assert part.certain is is_certain


def test_users_on_garden_leave_or_in_their_notice_period_have_not_left() -> None:
    found = proposal("Lifecycle status", "Employed", "Garden Leave", "Notice Period", "Terminated")
    words = {"Employed": "no", "Garden Leave": "no", "Notice Period": "no", "Terminated": "yes"}
    assert found.changes["value_mapping"] == {"deactivate": words}


def test_an_unknown_status_letter_is_left_to_be_completed() -> None:
    found = proposal("Employment Status Code", "A", "L", "T")
    assert found.changes["value_mapping"] == {"deactivate": {"A": "no", "T": "yes"}}
    assert [part.open for part in found.parts if part.open] == [{"value_mapping.deactivate": {"L": "?"}}]


def test_a_status_that_says_all_users_have_left_is_left_to_a_person() -> None:
    assert meant(proposal("Status", "Terminated", "Terminated"), "Status") is None


def test_a_blank_cell_of_an_active_flag_is_left_to_be_completed() -> None:
    found = proposal("Active", "TRUE", "FALSE", "")
    assert meant(found, "Active") == "active"
    assert [part.open for part in found.parts if part.open] == [{"value_mapping.active": {"": "?"}}]


def test_words_of_other_languages_are_proposed_with_their_meanings() -> None:
    found = proposal("Aktiv", "ja", "nein")
    assert (meant(found, "Aktiv"), found.changes["value_mapping"]) == (
        "active",
        {"active": {"ja": "yes", "nein": "no"}},
    )


def test_of_two_flags_one_is_proposed() -> None:
    text = "first_name,last_name,email,Active,Leaver\nA,B,a@b.test,TRUE,no\nC,D,c@d.test,FALSE,yes\n"
    assert propose(text.encode(), ImportSettings()).changes == {"field_mapping": {"Active": "active"}}


def test_a_custom_field_named_like_a_leaver_field_is_not_proposed_for_leavers() -> None:
    own = ImportSettings(
        custom_fields=[{"key": key, "label": "X", "type": "text"} for key in ("leave_date", "active")]
    )
    text = "first_name,last_name,email,End Date,Is active\nA,B,a@b.test,2022-12-31,no\nC,D,c@d.test,,yes\n"
    assert "field_mapping" not in propose(text.encode(), own).changes


def test_users_who_are_inactive_on_leave_are_not_proposed_as_leavers() -> None:
    found = proposal("Status", "Active", "Inactive - Leave of Absence", "Terminated")
    words = {"Active": "no", "Inactive - Leave of Absence": "no", "Terminated": "yes"}
    assert found.changes["value_mapping"] == {"deactivate": words}


def test_days_that_mean_no_day_are_proposed_as_blank() -> None:
    found = proposal("Termination Date", "1900-01-01", "1970-01-01", "2024-01-31", "9999-12-31")
    assert meant(found, "Termination Date") == "leave_date"
    assert found.changes["value_mapping"] == {"leave_date": {"1900-01-01": "", "1970-01-01": ""}}
    ImportSettings(**found.changes)


def test_a_custom_field_is_not_mistaken_for_the_field_of_the_same_name() -> None:
    # Settings from before Headcount had this field.
    settings = ImportSettings.model_construct(
        **{**dict(ImportSettings()), "custom_fields": ImportSettings(custom_fields=[{"key": "active"}]).custom_fields}
    )
    text = "first_name,last_name,email,Is Active\nA,B,a@b.test,TRUE\nC,D,c@d.test,FALSE\n"
    assert "Is Active" not in propose(text.encode(), settings).changes.get("field_mapping", {})
