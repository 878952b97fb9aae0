"""A last day in the file makes a leaver once it is past; a column mapped to active makes one at once."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from importer.model import ImportState, Outcome
from importer.rules.settings import ImportSettings
from tests.support.importing import HEADER, Company, codes, people, sheet
from tests.support.installation import company_in

ANN = ("Ann", "Lee", "ann@example.com")
BO = ("Bo", "Ng", "bo@example.com")
CY = ("Cy", "Oh", "cy@example.com")
WITH_LAST_DAY = (*HEADER, "leave_date")
ACTIVE: dict[str, Any] = {"field_mapping": {"Active": "active"}}
TRUSTING: dict[str, Any] = {"max_deactivations_percent": 100}


def day(text: str, hour: int = 12) -> datetime:
    return datetime.fromisoformat(text).replace(hour=hour, tzinfo=UTC)


@pytest.fixture(params=[1, 2, 2000])
def company(tmp_path: Path, request: pytest.FixtureRequest) -> Company:
    return company_in(tmp_path, request.param)


async def states(company: Company) -> dict[str, str]:
    return {address.split("@")[0]: user["state"] for address, user in (await company.users()).items()}


def counted(outcome: Outcome, *names: str) -> tuple[int, ...]:
    return tuple(getattr(outcome.counts, name) for name in names)


# The last day.


async def test_a_last_day_deactivates_when_it_is_over_everywhere_on_earth(company: Company) -> None:
    file = sheet((*ANN, ""), (*BO, "2026-03-31"), header=WITH_LAST_DAY)
    for now in (day("2026-03-01"), day("2026-03-31", 23), day("2026-04-01", 11)):
        await company.run(file, now=now, **TRUSTING)
        assert await states(company) == {"ann": "active", "bo": "active"}
    outcome = await company.run(file, now=day("2026-04-01", 12), **TRUSTING)
    assert counted(outcome, "deactivated", "unchanged") == (1, 1)
    assert await states(company) == {"ann": "active", "bo": "deactivated"}
    again = await company.run(file, now=day("2026-04-02"), **TRUSTING)
    assert again.state is ImportState.UNCHANGED
    assert (await company.users())["bo@example.com"]["leave_date"] == "2026-03-31"


async def test_a_user_whose_last_day_is_past_is_not_created(company: Company) -> None:
    outcome = await company.run(sheet((*ANN, ""), (*BO, "2020-01-31"), header=WITH_LAST_DAY))
    assert counted(outcome, "created", "ignored") == (1, 1)
    (said,) = outcome.messages
    assert (said.code, said.column, said.line) == ("deactivate_unknown", "leave_date", 3)


async def test_a_stored_last_day_counts_where_the_file_has_no_such_column(company: Company) -> None:
    await company.run(sheet((*ANN, ""), (*BO, "2026-03-31"), header=WITH_LAST_DAY), now=day("2026-03-01"))
    without = people("ann", "bo")
    for now in (day("2026-03-02"), day("2026-03-03")):
        await company.run(without, now=now, **TRUSTING)
        assert (await states(company))["bo"] == "active"
    outcome = await company.run(without, now=day("2026-04-02"), **TRUSTING)
    assert counted(outcome, "deactivated") == (1,)
    for now in (day("2026-04-03"), day("2026-04-04")):
        assert (await company.run(without, now=now)).state is ImportState.UNCHANGED
    assert (await states(company))["bo"] == "deactivated"


@pytest.mark.parametrize("cell", ["#N/A", "=VLOOKUP(A2,Leavers,2)"])
async def test_a_spreadsheet_error_as_last_day_reactivates_no_leaver(company: Company, cell: str) -> None:
    file = sheet((*ANN, ""), (*BO, "2026-03-31"), header=WITH_LAST_DAY)
    await company.run(file, now=day("2026-03-01"))
    broken = sheet((*ANN, cell), (*BO, cell), header=WITH_LAST_DAY)
    await company.run(broken, now=day("2026-03-02"), **TRUSTING)
    assert await states(company) == {"ann": "active", "bo": "active"}
    for now in (day("2026-05-01"), day("2026-05-02")):
        await company.run(broken, now=now, **TRUSTING)
        assert await states(company) == {"ann": "active", "bo": "deactivated"}
    assert (await company.users())["bo@example.com"]["leave_date"] == "2026-03-31"


@pytest.mark.parametrize("kept", [False, True])
async def test_a_second_row_is_judged_by_what_it_says_wherever_a_batch_ends(company: Company, kept: bool) -> None:
    header = (*HEADER, "hire_date", "leave_date")
    if kept:
        await company.run(sheet((*BO, "2019-01-01", ""), header=header))
    rows = [(*BO, "2021-01-01", ""), (*ANN, "", ""), (*BO, "", "2020-01-31"), (*BO, "2022-01-01", "#N/A")]
    outcome = await company.run(sheet(*rows, header=header), blank_cells="keep")
    assert counted(outcome, "ignored", "rejected") == (1, 1)
    assert [(said.code, said.line) for said in outcome.messages] == [
        ("leaver_row_ignored", 4),
        ("duplicate_identifier", 5),
    ]


WITH_BOTH_DAYS = (*HEADER, "hire_date", "leave_date")


@pytest.mark.parametrize("hired", ["", "#REF!"])
async def test_an_old_row_without_a_hire_date_never_displaces_the_new_one(company: Company, hired: str) -> None:
    rows = [(*BO, hired, "2020-01-31"), (*ANN, "", ""), (*BO, "2021-01-01", "")]
    file = sheet(*rows, header=WITH_BOTH_DAYS)
    for created in (2, 0, 0):
        outcome = await company.run(file, blank_cells="keep")
        assert counted(outcome, "created", "updated", "ignored", "rejected") == (created, 0, 1, 0)
        bo = (await company.users())["bo@example.com"]
        assert (bo["state"], bo["hire_date"], bo["leave_date"]) == ("active", "2021-01-01", None)


@pytest.mark.parametrize("hired", ["", "#REF!"])
async def test_a_leaver_with_a_second_row_stays_deactivated_however_often_the_file_is_sent(
    company: Company, hired: str
) -> None:
    await company.run(people("ann", "bo"))
    rows = [(*BO, "2021-01-01", "2022-05-31"), (*ANN, "", ""), (*BO, hired, "2020-01-31")]
    file = sheet(*rows, header=WITH_BOTH_DAYS)
    for deactivated in (1, 0, 0):
        outcome = await company.run(file, blank_cells="keep", **TRUSTING)
        assert counted(outcome, "deactivated", "reactivated", "rejected") == (deactivated, 0, 1)
        assert (await states(company)) == {"ann": "active", "bo": "deactivated"}


async def test_an_only_row_is_judged_by_the_stored_hire_date(company: Company) -> None:
    await company.run(sheet((*BO, "2021-01-01", ""), header=WITH_BOTH_DAYS))
    file = sheet((*BO, "", "2020-01-31"), header=WITH_BOTH_DAYS)
    for updated in (1, 0):
        outcome = await company.run(file, blank_cells="keep", **TRUSTING)
        assert (counted(outcome, "updated", "rejected"), codes(outcome)) == ((updated, 0), ["earlier_leave_date"])
        assert (await states(company)) == {"bo": "active"}


async def test_a_row_whose_user_stays_by_a_stored_hire_date_is_not_known_by_its_text(company: Company) -> None:
    others = [(f"P{number}", "Smith", f"p{number}@example.com", "") for number in range(80)]
    await company.run(sheet((*BO, "2021-01-01", ""), header=WITH_BOTH_DAYS))
    await company.run(sheet((*BO, "2020-01-31"), header=WITH_LAST_DAY))
    alone = sheet(*others[:70], (*BO, ""), *others[70:], header=(*HEADER, "hire_date"))
    for _ in range(2):
        await company.run(alone, blank_cells="keep")
    outcome = await company.run(alone + b"Bo,Ng,bo@example.com,2019-01-01\n", blank_cells="keep")
    assert counted(outcome, "unchanged", "rejected", "ignored") == (81, 1, 0), "both rows say that Bo has left"
    assert (await states(company))["bo"] == "active"


async def test_a_blank_last_day_clears_it_and_reactivates_the_user(company: Company) -> None:
    await company.run(sheet((*BO, "2026-03-31"), header=WITH_LAST_DAY), now=day("2026-03-01"))
    await company.run(people("bo"), now=day("2026-05-01"), **TRUSTING)
    outcome = await company.run(sheet((*BO, ""), header=WITH_LAST_DAY), now=day("2026-05-02"), blank_cells="keep")
    assert counted(outcome, "reactivated") == (1,)
    bo = (await company.users())["bo@example.com"]
    assert (bo["state"], bo["leave_date"]) == ("active", None)


async def test_a_last_day_before_the_hire_date_is_kept_and_not_acted_on(company: Company) -> None:
    file = sheet((*BO, "2024-05-01", "2020-01-31"), header=(*HEADER, "hire_date", "leave_date"))
    for _ in range(2):
        outcome = await company.run(file)
        assert codes(outcome) == ["earlier_leave_date"]
        bo = (await company.users())["bo@example.com"]
        assert (bo["state"], bo["leave_date"]) == ("active", "2020-01-31")
    without = await company.run(people("bo"))
    assert (without.messages, (await states(company))["bo"]) == ((), "active")


async def test_a_last_day_on_the_hire_date_is_acted_on(company: Company) -> None:
    file = sheet((*BO, "2024-05-01", "2024-05-01"), header=(*HEADER, "hire_date", "leave_date"))
    assert counted(await company.run(file), "ignored") == (1,)


async def test_a_leaver_by_date_is_deactivated_even_if_other_cells_are_wrong(company: Company) -> None:
    await company.run(people("ann", "bo"))
    header = (*HEADER, "role", "hire_date", "leave_date")
    file = sheet((*ANN, "", "", ""), (*BO, "king", "2024-13-01", "2020-01-31"), header=header)
    outcome = await company.run(file, **TRUSTING)
    assert counted(outcome, "deactivated", "rejected") == (1, 0)
    assert sorted(codes(outcome)) == ["bad_date", "unknown_role"]
    assert all("The user was deactivated; this field was not changed" in said.message for said in outcome.messages)


async def test_a_stored_last_day_does_not_count_beside_an_invalid_one(company: Company) -> None:
    await company.run(sheet((*ANN, ""), (*BO, "2026-03-31"), header=WITH_LAST_DAY), now=day("2026-03-01"))
    file = sheet((*ANN, ""), (*BO, "31.12.2026"), header=WITH_LAST_DAY)
    outcome = await company.run(file, now=day("2026-05-01"))
    assert (counted(outcome, "rejected"), (await states(company))["bo"]) == ((1,), "active")


async def test_a_protected_user_stays_after_the_last_day(company: Company) -> None:
    await company.run(people("ann", "bo"))
    await company.sql("UPDATE users SET protected = true WHERE email_key = 'bo@example.com'")
    outcome = await company.run(sheet((*ANN, ""), (*BO, "2020-01-31"), header=WITH_LAST_DAY))
    assert (codes(outcome), (await states(company))["bo"]) == (["protected_user"], "active")


async def test_an_undo_sets_the_last_day_back(company: Company) -> None:
    await company.run(people("ann", "bo"))
    await company.run(sheet((*BO, "2020-01-31"), header=WITH_LAST_DAY), **TRUSTING)
    await company.undo()
    bo = (await company.users())["bo@example.com"]
    assert (bo["state"], bo["leave_date"]) == ("active", None)


async def test_many_new_users_with_and_without_last_days_are_created_alike(company: Company) -> None:
    rows = [(f"P{n}", "Q", f"p{n}@example.com", ("", "2020-01-31", "2030-01-31")[n % 3]) for n in range(300)]
    file = sheet(*rows, header=WITH_LAST_DAY)
    outcome = await company.run(file)
    assert counted(outcome, "created", "ignored") == (200, 100)
    users = await company.users()
    assert [users[row[2]]["leave_date"] or "" for row in rows if row[2] in users] == [
        row[3] for row in rows if row[3] != "2020-01-31"
    ]
    later = await company.run(file, now=day("2030-03-01"), **TRUSTING)
    assert counted(later, "deactivated", "unchanged", "ignored") == (100, 100, 100)


# Flags.


async def test_a_flag_mapped_to_active_deactivates_users_with_no(company: Company) -> None:
    header = (*HEADER, "Active")
    await company.run(sheet((*ANN, "TRUE"), (*BO, "1"), header=header), **ACTIVE)
    file = sheet((*ANN, "yes"), (*BO, "FALSE"), header=header)
    outcome = await company.run(file, **ACTIVE, **TRUSTING)
    assert counted(outcome, "unchanged", "deactivated") == (1, 1)
    assert (await company.run(file, **ACTIVE)).state is ImportState.UNCHANGED


async def test_a_column_named_active_is_not_read_unless_it_is_mapped(company: Company) -> None:
    outcome = await company.run(sheet((*ANN, "yes"), (*BO, "no"), header=(*HEADER, "active")))
    assert counted(outcome, "created") == (2,)
    mapped = {"field_mapping": {"active": "active"}}
    outcome = await company.run(sheet((*ANN, "yes"), (*BO, "no"), header=(*HEADER, "active")), **mapped, **TRUSTING)
    assert counted(outcome, "deactivated") == (1,)


async def test_a_blank_active_cell_rejects_the_row_unless_its_meaning_is_set(company: Company) -> None:
    file = sheet((*ANN, "yes"), (*BO, ""), header=(*HEADER, "Active"))
    for keep in ("clear", "keep"):
        outcome = await company.run(file, blank_cells=keep, **ACTIVE)
        assert [(said.code, said.column, said.line) for said in outcome.messages] == [("missing_value", "active", 3)]
    outcome = await company.run(file, value_mapping={"active": {"": "yes"}}, **ACTIVE)
    assert counted(outcome, "created", "rejected") == (1, 0)
    outcome = await company.run(file, value_mapping={"active": {"": "no", "NULL": ""}}, **ACTIVE, **TRUSTING)
    assert counted(outcome, "deactivated") == (1,)


async def test_a_word_that_active_does_not_know_rejects_the_row(company: Company) -> None:
    outcome = await company.run(sheet((*ANN, "yes"), (*BO, "maybe"), header=(*HEADER, "Active")), **ACTIVE)
    assert codes(outcome) == ["bad_active"]


@pytest.mark.parametrize(
    ("cells", "says"),
    [
        (("yes", "", "2020-01-31"), ["leaver_cells_differ"]),
        (("no", "", "2030-01-31"), ["leaver_cells_differ"]),
        (("yes", "yes", ""), ["leaver_cells_differ"]),
        (("no", "no", ""), ["leaver_cells_differ"]),
        (("no", "", ""), []),
        (("no", "yes", "2020-01-31"), []),
    ],
)
async def test_either_of_two_cells_makes_a_leaver_with_a_warning_if_they_differ(
    company: Company, cells: tuple[str, ...], says: list[str]
) -> None:
    await company.run(people("ann", "bo"))
    header = (*HEADER, "Active", "deactivate", "leave_date")
    outcome = await company.run(sheet((*ANN, "yes", "", ""), (*BO, *cells), header=header), **ACTIVE, **TRUSTING)
    assert (counted(outcome, "deactivated"), codes(outcome)) == ((1,), says)


def test_active_and_deactivate_are_not_mapped_together() -> None:
    with pytest.raises(ValidationError, match="map only one of them"):
        ImportSettings(field_mapping={"Active": "active", "Left": "deactivate"})


@pytest.mark.parametrize("values", [{"deactivate": {"": "yes"}}, {"active": {"": ""}}, {"role": {"": "hr"}}])
def test_a_blank_cell_is_mapped_only_for_active(values: dict[str, dict[str, str]]) -> None:
    with pytest.raises(ValidationError, match="blank"):
        ImportSettings(value_mapping=values)


# Custom fields with these names.


async def test_a_custom_field_named_leave_date_stays_a_custom_field(company: Company) -> None:
    own: dict[str, Any] = {"custom_fields": [{"key": "leave_date", "type": "date"}, {"key": "active"}]}
    file = sheet((*ANN, "2020-01-31", "no"), header=(*HEADER, "leave_date", "active"))
    for _ in range(2):
        outcome = await company.run(file, **own)
        assert outcome.messages == ()
    ann = (await company.users())["ann@example.com"]
    assert ann["custom"] == {"leave_date": "2020-01-31", "active": "no"}
    assert (ann["state"], ann["leave_date"]) == ("active", None)


# Rows that name no user.

BLANK = "first_name,last_name,email,deactivate,leave_date\nAnn,Lee,ann@example.com,,\n{row}\nDi,Po,di@example.com,,\n"


@pytest.mark.parametrize("row", ["Bo,Ng,,yes,", "Bo,Ng,,,2020-01-31", "Bo,Ng,bo@,yes,", "Bo,Ng,,TRUE,2020-01-31"])
async def test_a_leavers_row_without_identifier_lets_absent_users_be_deactivated(company: Company, row: str) -> None:
    await company.run(people("ann", "bo", "cy", "di"))
    outcome = await company.run(BLANK.format(row=row).encode(), deactivate_missing=True, **TRUSTING)
    assert counted(outcome, "rejected", "deactivated_absent") == (1, 2)
    assert "absent_not_deactivated" not in codes(outcome)


@pytest.mark.parametrize("row", ["Bo,Ng,,,", "Bo,Ng,,no,", "Bo,Ng,,,2030-01-31", "Bo,Ng,"])
async def test_another_row_without_identifier_keeps_absent_users(company: Company, row: str) -> None:
    await company.run(people("ann", "bo", "cy", "di"))
    outcome = await company.run(BLANK.format(row=row).encode(), deactivate_missing=True, **TRUSTING)
    assert counted(outcome, "rejected", "deactivated") == (1, 0)


@pytest.mark.parametrize(("missing", "says"), [(True, "Remove the row."), (False, "deactivates no user")])
async def test_a_leavers_row_without_identifier_says_that_it_is_not_needed(
    company: Company, missing: bool, says: str
) -> None:
    await company.run(people("ann", "di"))
    outcome = await company.run(BLANK.format(row="Bo,Ng,,yes,").encode(), deactivate_missing=missing)
    (said,) = [said for said in outcome.messages if said.code == "missing_value"]
    assert "not needed" in said.message
    assert says in said.message
