"""A number in every row is suggested as identifier or field where that is safe; then the advice is followed."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.advice.test_followed import API, HEADER, advised, follow, sheet, states
from tests.support.site import Site, open_site

NUMBERED = sheet(
    f"Employee ID,{HEADER}",
    *("E1,Ann,Lee,ann@a.test", "E2,Bo,Ng,bo@a.test", "E3,Cy,Oh,cy@a.test"),
)
BY_MANAGER = sheet(
    "employee_id,first_name,last_name,email,Manager ID",
    *("E1,Ann,Lee,ann@a.test,", "E2,Bo,Ng,bo@a.test,E1", "E3,Cy,Oh,cy@a.test,E1"),
)
UNMANAGED = BY_MANAGER.replace("Manager ID", "_boss")
FIELD = {"custom_fields": [{"key": "employee_id", "label": "Number", "type": "text"}]}


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other") as opened:
        yield opened


async def numbers(site: Site) -> dict[str, str]:
    users = (await site.api("owner").get(f"{API}/users")).json()["users"]
    return {user["email"].partition("@")[0]: user["custom"].get("employee_id") for user in users}


def identifier_of(advice: Any) -> str | None:
    """Return the suggested identifier; None if there is none."""
    found = advice["settings"].get("identifier") if advice else None
    return found if found is None else str(found)


async def test_a_number_in_every_row_is_suggested_as_identifier_as_a_guess(site: Site) -> None:
    advice = await advised(site, NUMBERED)
    assert identifier_of(advice) == "employee_id"
    sentence = next(each for each in advice["sentences"] if "“Employee ID”" in each)
    assert sentence.endswith("(a guess: check it).")
    report = await follow(site, advice, NUMBERED)
    assert (report["state"], report["counts"]) == (advice["state"], advice["counts"])
    moved = NUMBERED.replace("bo@a.test", "bo.ng@a.test")
    number = await site.imported(moved.encode())
    counts = (await site.api("owner").get(f"{API}/imports/{number}")).json()["counts"]
    assert (counts["created"], counts["updated"], counts["deactivated"]) == (0, 1, 0)


@pytest.mark.parametrize(
    "row", ["E4,Di,Po,", "E4,Di,Po,ann@a.test"], ids=["an address is missing", "two people share one"]
)
async def test_a_number_is_certain_if_addresses_do_not_identify_users(site: Site, row: str) -> None:
    file = f"{NUMBERED}{row}\n"
    advice = await advised(site, file)
    assert identifier_of(advice) == "employee_id"
    assert not any("“Employee ID”" in each and "guess" in each for each in advice["sentences"])
    report = await follow(site, advice, file)
    assert report["counts"] == advice["counts"]
    assert {*await states(site)} == {"ann", "bo", "cy"}


@pytest.mark.parametrize(
    "row",
    [
        "E9,Ann,Lee,ann@a.test",
        ",Di,Po,di@a.test",
        "E1,Di,Po,di@a.test",
        "none,Di,Po,di@a.test",
        "1.2E+05,Di,Po,di@a.test",
    ],
    ids=["of contracts", "blank", "twice", "no number", "cut"],
)
async def test_a_number_that_users_share_or_lack_is_not_an_identifier(site: Site, row: str) -> None:
    assert identifier_of(await advised(site, f"{NUMBERED}{row}\n")) is None


@pytest.mark.parametrize("cell", ["", "E1"])
async def test_a_number_is_not_an_identifier_if_a_row_far_below_shares_or_lacks_it(
    site: Site, monkeypatch: pytest.MonkeyPatch, cell: str
) -> None:
    monkeypatch.setattr("importer.advice.sample.SAMPLE_ROWS", 4)
    file = f"{NUMBERED}{cell},Di,Po,di@a.test\n"
    advice = await advised(site, file)
    assert identifier_of(advice) is None
    assert (await follow(site, advice, file))["counts"]["created"] == 4


async def test_a_company_with_users_gets_the_number_as_a_field_and_keeps_its_identifier(site: Site) -> None:
    await site.imported(sheet("first_name,last_name,email", "Ann,Lee,ann@a.test", "Bo,Ng,bo@a.test").encode())
    advice = await advised(site, NUMBERED)
    assert identifier_of(advice) is None
    assert [each["key"] for each in advice["settings"]["custom_fields"]] == ["employee_id"]
    report = await follow(site, advice, NUMBERED)
    assert (report["state"], report["counts"]) == (advice["state"], advice["counts"])
    assert await numbers(site) == {"ann": "E1", "bo": "E2", "cy": "E3"}
    assert identifier_of(await advised(site, f"{NUMBERED},Di,Po,nowhere\n")) is None


async def numbered(site: Site, *files: str) -> Any:
    """Return the advice on a file that names managers by number. The users have their numbers from `files`."""
    await site.office.tenants.change_settings("acme", FIELD, by="operator")
    for file in files:
        await site.imported(file.encode())
    return await advised(site, BY_MANAGER)


async def test_a_number_that_all_users_have_and_managers_use_becomes_the_identifier(site: Site) -> None:
    advice = await numbered(site, UNMANAGED)
    assert identifier_of(advice) == "employee_id"
    report = await follow(site, advice, BY_MANAGER)
    assert (report["state"], report["counts"]) == (advice["state"], advice["counts"])
    assert (report["counts"]["created"], report["counts"]["deactivated"]) == (0, 0)
    assert (await site.api("owner").get(f"{API}/users/E2")).json()["manager"] == "E1"


OLD = sheet("first_name,last_name,email", "Di,Po,di@a.test")
GONE = sheet("first_name,last_name,email,deactivate", "Di,Po,di@a.test,yes")
RENUMBERED = UNMANAGED.replace("E3,Cy", "E7,Cy")


@pytest.mark.parametrize("files", [(OLD, GONE, UNMANAGED), (OLD, UNMANAGED), (RENUMBERED,), (RENUMBERED, UNMANAGED)])
async def test_the_identifier_stays_if_a_user_would_not_be_found_by_number(
    site: Site, files: tuple[str, ...]
) -> None:
    advice = await numbered(site, *files)
    assert identifier_of(advice) is None
    assert any("make it the identifier" in each for each in advice["sentences"])


SAP = sheet(
    "STATUS,USERID,FIRSTNAME,LASTNAME,EMAIL,MANAGER",
    *("active,annlee,Ann,Lee,ann@a.test,NO_MANAGER", "active,bong,Bo,Ng,bo@a.test,annlee"),
    "inactive,cyoh,Cy,Oh,cy@a.test,bong",
)


@pytest.mark.parametrize("manager", ["MANAGER", "Manager ID", "Supervisor ID", "Supervisor"])
@pytest.mark.parametrize("word", ["NO_MANAGER", "N/A", ""])
async def test_logins_that_managers_are_named_by_become_the_identifier(site: Site, manager: str, word: str) -> None:
    file = SAP.replace("MANAGER\n", f"{manager}\n", 1).replace("NO_MANAGER", word)
    advice = await advised(site, file)
    assert identifier_of(advice) == "user_id"
    report = await follow(site, advice, file)
    assert report["counts"] == advice["counts"]
    assert not {"unknown_link", "malformed_link"} & {each["code"] for each in report["messages"]}
    assert (await site.api("owner").get(f"{API}/users/bong")).json()["manager"] == "annlee"
    assert await states(site) == {"ann": "active", "bo": "active"}


@pytest.mark.parametrize("word", ["NO_MANAGER", "N/A", "keine", "-", "NULL"])
async def test_a_word_for_no_manager_is_blank_where_numbers_become_the_identifier(site: Site, word: str) -> None:
    file = sheet(
        f"Employee ID,{HEADER},Manager ID",
        *(f"E1,Ann,Lee,ann@a.test,{word}", "E2,Bo,Ng,bo@a.test,E1"),
    )
    advice = await advised(site, file)
    assert advice["settings"]["value_mapping"] == {"manager": {word: ""}}
    report = await follow(site, advice, file)
    assert report["counts"] == advice["counts"]
    assert {each["code"] for each in report["messages"]} <= {"header_spelling"}


async def test_first_names_are_not_logins(site: Site) -> None:
    file = sheet(
        "Nickname,First Name,Last Name,Email,Manager",
        *("Annie,Ann,Lee,ann@a.test,", "Bob,Bo,Ng,bo@a.test,Annie"),
    )
    assert identifier_of(await advised(site, file)) is None


async def test_numbers_that_find_no_user_are_not_an_identifier(site: Site) -> None:
    await numbered(site, UNMANAGED)
    file = BY_MANAGER.replace("E", "N")
    advice = await advised(site, f"{file}N4,Di,Po\n", dry_run=True)
    assert identifier_of(advice) is None


async def test_rejected_rows_sent_back_do_not_suggest_an_identifier(site: Site) -> None:
    rows = [f"{line},bad_date,Bad.,{row}" for line, row in enumerate(NUMBERED.splitlines()[1:], 2)]
    assert identifier_of(await advised(site, sheet(f"_line,_code,_message,Employee ID,{HEADER}", *rows))) is None


async def test_advice_from_before_the_first_users_is_not_shown_again(site: Site) -> None:
    assert identifier_of(await advised(site, NUMBERED)) == "employee_id"
    await site.imported(OLD.encode())
    again = await advised(site, NUMBERED)
    assert identifier_of(again) is None
    assert (await follow(site, again, NUMBERED))["counts"]["created"] == 3
