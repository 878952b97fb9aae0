"""An export of another system is imported with settings alone, and custom fields behave like other fields."""

from __future__ import annotations

import json
from typing import Any

import pytest

from importer.model import ImportState
from tests.support.importing import Company, codes, people, sheet
from tests.support.installation import company_in

OWN: dict[str, Any] = {
    "custom_fields": [
        {"key": "employee_id"},
        {"key": "shoe_size", "type": "number"},
        {"key": "on_call", "type": "boolean"},
        {"key": "shift", "type": "choice", "choices": ["Early", "Late"]},
    ]
}
HR_EXPORT = (
    "EmpID;Employee_Name;Vorname;Nachname;Mail;Position;ManagerMail;DateofHire;Termd;Office;PayRate\r\n"
    "10026;Adinolfi, Wilson K;Wilson;Ad\u00ednolfi;Wilson@Example.com;Tech I;;7/5/2011;0;M\u00fcnchen (HQ);28,50\r\n"
    "10084;Ait Sidi, Kart;Karthikeyan;Ait Sidi;karthik@example.com;Sr. DBA;wilson@example.com;3/30/2015;0;;65\r\n"
    "10196;Akinkuolie, Sarah;Sarah;Akinkuolie;sarah@example.com;Tech II;karthik@example.com;7/5/2011;1;;34\r\n"
).encode("cp1252")
HR_SETTINGS: dict[str, Any] = {
    "delimiter": ";",
    "encoding": "cp1252",
    "date_format": "%m/%d/%Y",
    "field_mapping": {
        "EmpID": "employee_id",
        "Vorname": "first_name",
        "Nachname": "last_name",
        "WorkMail": "email",
        "Mail": "email",
        "Position": "job_title",
        "ManagerMail": "manager",
        "DateofHire": "hire_date",
        "Termd": "deactivate",
        "Office": "location",
    },
    "value_mapping": {"location": {"M\u00fcnchen (HQ)": "Munich"}},
    **OWN,
}


@pytest.fixture
def company(tmp_path: Any) -> Company:
    return company_in(tmp_path)


async def test_an_export_from_another_system_is_imported_with_settings_alone(company: Company) -> None:
    outcome = await company.run(HR_EXPORT, **HR_SETTINGS)
    assert outcome.state is ImportState.COMPLETED
    assert (outcome.counts.created, outcome.counts.ignored) == (2, 1)
    assert set(codes(outcome)) == {"deactivate_unknown", "unknown_column"}
    users = await company.users()
    wilson = users["Wilson@example.com"]
    assert (wilson["last_name"], wilson["location"], wilson["hire_date"]) == ("Ad\u00ednolfi", "Munich", "2011-07-05")
    assert wilson["custom"] == {"employee_id": "10026"}
    assert users["karthik@example.com"]["manager"] == "Wilson@example.com"
    again = await company.run(HR_EXPORT, **HR_SETTINGS)
    assert again.state is ImportState.UNCHANGED


BY_NUMBER = (
    "Employee_Name;EmpID;ManagerID;FirstName;LastName;EmailAddress;DateofHire;Termd;Salary\r\n"
    "Adinolfi, Wilson;10026;00022;Wilson;Ad\u00ednolfi;wilson@example.com;7/5/2011;0;62506\r\n"
    "Butler, Michael;00022;;Michael;Butler;michael@example.com;1/9/2006;0;104437\r\n"
    "Ait Sidi, Karthikeyan;10084;10026;Karthikeyan;Ait Sidi;karthik@example.com;3/30/2015;0;64955\r\n"
).encode("cp1252")


async def test_employee_numbers_identify_users_and_their_managers(company: Company) -> None:
    settings: dict[str, Any] = {
        **{name: HR_SETTINGS[name] for name in ("delimiter", "encoding", "date_format")},
        "identifier": "employee_id",
        "custom_fields": [{"key": "employee_id", "label": "EmpID"}],
        "field_mapping": {
            "EmpID": "employee_id",
            "ManagerID": "manager",
            "FirstName": "first_name",
            "LastName": "last_name",
            "EmailAddress": "email",
            "DateofHire": "hire_date",
            "Termd": "deactivate",
        },
    }
    outcome = await company.run(BY_NUMBER, **settings)
    assert (outcome.state, outcome.counts.created) == (ImportState.COMPLETED, 3)
    assert set(codes(outcome)) == {"unknown_column"}
    # Michael's address goes to Wilson, and Karthikeyan leaves.
    second = BY_NUMBER.replace(b"michael@example.com", b"mb@example.com").replace(b"wilson@", b"michael@")
    outcome = await company.run(second.replace(b"3/30/2015;0", b"3/30/2015;1"), **settings)
    assert (outcome.counts.updated, outcome.counts.deactivated, outcome.counts.rejected) == (2, 1, 0)
    rows = await company.sql(
        "SELECT u.external_id, u.email, m.external_id, u.state FROM users AS u LEFT JOIN users AS m"
        " ON m.id = u.manager_id ORDER BY u.external_id"
    )
    assert rows == [
        ("00022", "mb@example.com", None, "active"),
        ("10026", "michael@example.com", "00022", "active"),
        ("10084", "karthik@example.com", "10026", "deactivated"),
    ]


async def test_rejected_rows_are_returned_unchanged_and_applied_once_fixed(company: Company) -> None:
    broken = HR_EXPORT.replace(b"3/30/2015", b"30.3.2015")
    outcome = await company.run(broken, **HR_SETTINGS)
    assert outcome.state is ImportState.COMPLETED_WITH_ERRORS
    errors = company.errors_csv()
    assert errors.decode("utf-8-sig").startswith("_line;_code;_message;EmpID;")
    mended = await company.run(errors.replace(b"30.3.2015", b"3/30/2015"), **HR_SETTINGS)
    assert (mended.state, mended.counts.created) == (ImportState.COMPLETED, 1)
    assert (await company.users())["karthik@example.com"]["hire_date"] == "2015-03-30"


async def test_custom_fields_are_written_kept_cleared_and_recorded_one_by_one(company: Company) -> None:
    await company.run(people("ann", shoe_size="38.5", on_call="yes", shift="EARLY"), **OWN)
    assert (await company.users())["ann@example.com"]["custom"] == {
        "shoe_size": 38.5,
        "on_call": True,
        "shift": "Early",
    }
    await company.run(people("ann", shoe_size="39", on_call="yes", shift=""), **OWN)
    assert (await company.users())["ann@example.com"]["custom"] == {"shoe_size": 39, "on_call": True}
    # A column that is not in the file leaves its field unchanged.
    await company.run(people("ann", on_call="no"), **OWN)
    assert (await company.users())["ann@example.com"]["custom"] == {"shoe_size": 39, "on_call": False}
    history = await company.sql("SELECT import_id, field, old, new FROM changes WHERE field <> 'created' ORDER BY id")
    assert sorted(history) == [
        (2, "custom.shift", '"Early"', None),
        (2, "custom.shoe_size", "38.5", "39"),
        (3, "custom.on_call", "true", "false"),
    ]


async def test_custom_fields_with_the_same_values_change_no_user(company: Company) -> None:
    await company.run(people("ann", "ben", shoe_size="39", on_call="yes", shift="Early"), **OWN)
    again = await company.run(people("ann", "ben", shift="early", on_call="1", shoe_size="39.0"), **OWN)
    assert (again.state, again.counts.unchanged) == (ImportState.UNCHANGED, 2)
    # Neither do the same values written by hand in another order.
    await company.sql("UPDATE users SET custom = ?", ('{"shoe_size": 39, "shift": "Early", "on_call": true}',))
    assert (await company.run(people("ann", "ben", shift="early"), **OWN)).counts.unchanged == 2
    await company.sql("UPDATE users SET custom = '{}'")
    assert (await company.run(people("ann", "ben", shift="early"), **OWN)).counts.updated == 2


async def test_blank_cells_of_custom_fields_change_nothing_with_the_setting_keep(company: Company) -> None:
    await company.run(people("ann", shift="Late"), **OWN)
    await company.run(people("ann", shift=""), **OWN, blank_cells="keep")
    assert (await company.users())["ann@example.com"]["custom"] == {"shift": "Late"}


async def test_a_number_that_a_spreadsheet_shortened_is_reported_every_time(company: Company) -> None:
    for _ in range(2):
        outcome = await company.run(people("ann", employee_id="1E+05"), **OWN)
        assert codes(outcome) == ["mangled_number"]
        assert outcome.counts.warnings == 1
    assert (await company.users())["ann@example.com"]["custom"] == {"employee_id": "1E+05"}


async def test_new_users_are_the_same_row_by_row_and_column_by_column(company: Company) -> None:
    rows = [(f"a{number}", "Smith", f"a{number}@example.com", str(number), "late") for number in range(70)]
    header = ("first_name", "last_name", "email", "shoe_size", "shift")
    await company.run(sheet(*rows, header=header), **OWN)
    together = await company.sql("SELECT email, custom FROM users ORDER BY email")
    # A wrong row makes the rows around it take the other path.
    wrong = [*rows[:10], ("", "", "x@example.com", "x", ""), *rows[10:]]
    other = company.folder / "other"
    other.mkdir()
    one_by_one = company_in(other)
    await one_by_one.run(sheet(*wrong, header=header), **OWN)
    assert await one_by_one.sql("SELECT email, custom FROM users ORDER BY email") == together
    assert json.loads(dict(together)["a3@example.com"]) == {"shift": "Late", "shoe_size": 3}


async def test_only_some_of_very_many_choices_are_named(company: Company) -> None:
    field = {"key": "site", "type": "choice", "choices": [f"Site {number}" for number in range(5000)]}
    outcome = await company.run(people("ann", site="Moon"), custom_fields=[field])
    assert "Site 0, Site 1" in outcome.messages[1].message
    assert "Site 19 (and 4,980 more)." in outcome.messages[1].message


async def test_a_change_of_settings_makes_the_next_import_check_every_row(company: Company) -> None:
    first = people("ann", shift="e")
    await company.run(first, custom_fields=[{"key": "shift"}])
    outcome = await company.run(first, **OWN, value_mapping={"shift": {"e": "Early"}})
    assert outcome.counts.updated == 1
    assert (await company.users())["ann@example.com"]["custom"] == {"shift": "Early"}
