"""Advice followed exactly: with the suggested settings loaded, the users match the file."""

from __future__ import annotations

import asyncio
import json
import tomllib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli import run_cli
from tests.support.importing import people
from tests.support.pages import IMPORTS, page, seen
from tests.support.site import Site, open_site

API = "/api/v1/tenants/acme"
HEADER = "First Name,Last Name,Email"
OURS = "first_name,last_name,email"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other") as opened:
        yield opened


async def advised(site: Site, content: bytes | str, **how: Any) -> Any:
    """Return the advice on a file, as the API has it, with the id of its import."""
    number = await site.imported(content if isinstance(content, bytes) else content.encode(), **how)
    report = (await site.api("owner").get(f"{API}/imports/{number}")).json()
    return report["advice"]


async def follow(site: Site, advice: Any, content: bytes | str) -> dict[str, Any]:
    """Load the settings as an operator does, import the file again, and return its report."""
    await site.office.tenants.change_settings("acme", tomllib.loads(advice["toml"]), by="operator", whole=True)
    number = await site.imported(content if isinstance(content, bytes) else content.encode())
    return (await site.api("owner").get(f"{API}/imports/{number}")).json()  # type: ignore[no-any-return]


async def states(site: Site) -> dict[str, str]:
    users = (await site.api("owner").get(f"{API}/users")).json()["users"]
    return {user["email"].partition("@")[0]: user["state"] for user in users}


def sheet(header: str, *rows: str) -> str:
    return "".join(f"{line}\n" for line in (header, *rows))


GERMAN = sheet(
    "Personalnummer;Nachname;Vorname;E-Mail;Abteilung;Eintritt;Befristet bis;Austritt",
    "1001;Müller;Jörg;jm@a.test;Lager;01.03.2024;31.12.2026;",
    "1002;Beyer;Eva;eb@a.test;Büro;15.09.2023;;",
    "1003;Groß;Karl;kg@a.test;Büro;01.01.2020;;30.06.2024",
).encode("cp1252")

FOLLOWED = [
    (GERMAN, {"jm", "eb"}),
    (
        sheet(
            "Employee #,First Name,Last Name,Status,Hire Date,Work Email,Reports To,Reports To Email",
            "8001,Ada,Ko,Active,09-10-2023,ada@a.test,,",
            "8002,Ben,Li,Active,02-02-2024,ben@a.test,Ada Ko,ada@a.test",
            "8003,Cy,Moe,Terminated,05-12-2021,cy@a.test,Ben Li,ben@a.test",
        ),
        {"ada", "ben"},
    ),
    (
        sheet(
            f"{HEADER},Start Date,End Date,Termination Date",
            "Ann,Lee,ann@a.test,2020-01-01,,",
            "Bo,Ng,bo@a.test,2020-01-01,2022-12-31,2022-12-31",
            "Cy,Oh,cy@a.test,2020-01-01,2099-12-31,2099-12-31",
        ),
        {"ann", "cy"},
    ),
    (sheet(f"{OURS},Deactivation Date", "Ann,Lee,ann@a.test,", "Bo,Ng,bo@a.test,2022-12-31"), {"ann"}),
    (sheet(f"{HEADER},Active", "Ann,Lee,ann@a.test,TRUE", "Bo,Ng,bo@a.test,FALSE"), {"ann"}),
    (sheet(f"{HEADER},Activate", "Ann,Lee,ann@a.test,TRUE", "Bo,Ng,bo@a.test,FALSE"), {"ann"}),
    (sheet(f"{HEADER},Account Disabled", "Ann,Lee,ann@a.test,TRUE", "Bo,Ng,bo@a.test,FALSE"), {"bo"}),
    (sheet(f"{OURS},Terminated", "Ann,Lee,ann@a.test,", "Bo,Ng,bo@a.test,2025-12-31"), {"ann"}),
    (sheet("sep=;", "first_name;last_name;email", "Ann;Lee;ann@a.test"), {"ann"}),
    (sheet("Staff list", "", HEADER, "Ann,Lee,ann@a.test"), {"ann"}),
    (sheet(OURS, "Ann,Lee,ann@a.test", "Total,1,"), {"ann"}),
    (
        sheet(
            "STATUS,FIRSTNAME,LASTNAME,EMAIL,HIREDATE",
            "Status,First Name,Last Name,Email,Hire Date",
            "active,Ann,Lee,ann@a.test,01/17/2020",
            "inactive,Cy,Oh,cy@a.test,03/04/2019",
        ),
        {"ann"},
    ),
    (
        sheet(
            f"{OURS},language,primary_team",
            "Ann,Lee,ann@a.test,Deutsch,NULL",
            "Bo,Ng,bo@a.test,English,Sales",
        ),
        {"ann", "bo"},
    ),
    (
        sheet(f"{OURS},Activate", *(f"F{n},L{n},u{n}@a.test,{'TRUE' if n % 10 else 'FALSE'}" for n in range(40))),
        {f"u{n}" for n in range(40) if n % 10},
    ),
]


@pytest.mark.parametrize(("content", "active"), FOLLOWED, ids=range(len(FOLLOWED)))
async def test_users_match_the_file_if_advice_is_followed(site: Site, content: bytes | str, active: set[str]) -> None:
    advice = await advised(site, content)
    report = await follow(site, advice, content)
    assert {name for name, state in (await states(site)).items() if state == "active"} == active
    assert report["state"] in ("completed", "completed_with_errors", "unchanged")


@pytest.mark.parametrize("dry_run", [False, True])
async def test_the_expected_result_is_the_result_of_the_import(site: Site, dry_run: bool) -> None:
    advice = await advised(site, GERMAN, dry_run=dry_run)
    report = await follow(site, advice, GERMAN)
    assert (report["state"], report["counts"]) == (advice["state"], advice["counts"])


WRAPPED = sheet(
    f"{OURS},manager,coach",
    "Ann,Lee,Ann Lee <ann@a.test>,,",
    "Bo,Ng,bo@a.test,mailto:bo@a.test,",
    "Cy,Oh,cy@a.test,,Bo Ng",
)
CALLED = (
    "“email” has more than the address in its cells (“Ann Lee <ann@a.test>”).",
    "“manager” has mailto: before the address in its cells (“mailto:bo@a.test”).",
    "“coach” holds names (“Bo Ng”), but a coach is found by email address.",
)


async def test_cells_with_text_around_an_address_are_reported_wherever_advice_is_shown(
    site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    advice = await advised(site, WRAPPED)
    assert [gap.startswith(said) for gap, said in zip(advice["gaps"], CALLED, strict=True)] == [True] * len(CALLED)
    report = site.stored.visible("acme", "/results/sync_users-1.json")
    assert report
    assert json.loads(report)["advice"] == advice
    shown = seen(await page(site, f"{IMPORTS}/1"))
    (tmp_path / "new.csv").write_text(WRAPPED, encoding="utf-8")
    site.stored.use(monkeypatch)
    checked = await asyncio.to_thread(run_cli, "check", "acme", str(tmp_path / "new.csv"))
    for gap in advice["gaps"]:
        assert f"{gap} No setting can fix this." in shown
        assert f"{gap} No setting can fix this." in checked.text


async def test_cells_written_as_advised_identify_their_users(site: Site) -> None:
    file = sheet(f"{OURS},manager", "Ann,Lee,Ann Lee <ann@a.test>,", "Bo,Ng,bo@a.test,mailto:ann@a.test")
    advice = await advised(site, file)
    assert all("Export only the address, as ann@a.test, or fix the cells" in gap for gap in advice["gaps"])
    corrected = file.replace("Ann Lee <ann@a.test>", "ann@a.test").replace("mailto:ann@a.test", "ann@a.test")
    assert await advised(site, corrected) is None
    assert (await site.api("owner").get(f"{API}/users/bo@a.test")).json()["manager"] == "ann@a.test"


async def test_a_column_of_full_names_gets_the_advice_to_split_it(site: Site) -> None:
    advice = await advised(site, sheet("Name,E-Mail", "Ann Lee,ann@a.test", "Bo Ng,bo@a.test"))
    shown = seen(await page(site, f"{IMPORTS}/1"))
    assert "“Name” holds the first and the last name together (“Ann Lee”)." in advice["gaps"][0]
    assert f"{advice['gaps'][0]} No setting can fix this." in shown


async def test_the_column_of_addresses_is_suggested_for_managers_named_by_name(site: Site) -> None:
    file = sheet(f"{OURS},manager,Manager Email", "Ann,Lee,ann@a.test,,", "Bo,Ng,bo@a.test,Ann Lee,ann@a.test")
    advice = await advised(site, file)
    assert advice["settings"] == {"field_mapping": {"Manager Email": "manager"}}
    await follow(site, advice, file)
    assert (await site.api("owner").get(f"{API}/users/bo@a.test")).json()["manager"] == "ann@a.test"


async def test_unknown_words_reject_their_rows_until_a_person_completes_them(site: Site) -> None:
    file = sheet(
        f"{HEADER},Employment Status",
        *("Ann,Lee,ann@a.test,Active", "Bo,Ng,bo@a.test,Terminated"),
        *("Cy,Oh,cy@a.test,Leave", "Di,Po,di@a.test,Pending"),
    )
    advice = await advised(site, file)
    assert '# Pending = "?"' in advice["toml"]
    assert (await follow(site, advice, file))["counts"]["rejected"] == 1
    assert await states(site) == {"ann": "active", "cy": "active"}
    complete = {**advice, "toml": advice["toml"].replace('# Pending = "?"', 'Pending = "no"')}
    assert (await follow(site, complete, file))["counts"]["rejected"] == 0


@pytest.mark.parametrize("status", ["soon", "2022-12-31;x", "TRUE"])
async def test_settings_that_would_leave_leavers_active_are_not_suggested(site: Site, status: str) -> None:
    file = sheet(f"{HEADER},Termination Date", "Ann,Lee,ann@a.test,TRUE", f"Bo,Ng,bo@a.test,{status}")
    advice = await advised(site, file)
    assert (advice["settings"], advice["toml"], advice["counts"]) == ({}, None, None)
    assert any("with them, users who have left would be active" in each for each in advice["sentences"])


async def test_a_column_that_only_looks_like_a_field_is_left_out_where_it_rejects_rows(site: Site) -> None:
    rows = [f"F{n},L{n},u{n}@a.test,{'Sales' if n else 'admin'}" for n in range(4)]
    advice = await advised(site, sheet(f"{HEADER},User Role", *rows))
    assert "User Role" not in advice["settings"]["field_mapping"]
    assert advice["counts"]["rejected"] == 0
    assert [each["field"] for each in advice["columns"]] == ["first_name", "last_name", "email", None]


async def test_a_last_row_of_a_user_is_not_left_out_as_a_footer(site: Site) -> None:
    file = sheet(OURS, "Ann,Lee,ann@a.test", "Bo,Ng,nowhere")
    advice = await advised(site, file)
    assert advice is None


async def test_advice_is_not_computed_again_for_the_same_messages(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = await advised(site, GERMAN)
    monkeypatch.setattr("importer.worker.advising.advise_if_possible", None)
    assert (await advised(site, GERMAN.replace(b"Karl", b"Carl")))["settings"] == first["settings"]


async def test_a_number_that_managers_are_named_by_becomes_the_identifier_of_a_new_company(site: Site) -> None:
    file = sheet(
        "Employee ID,First Name,Last Name,Email,Manager ID",
        "E1,Ann,Lee,ann@a.test,",
        "E2,Bo,Ng,bo@a.test,E1",
    )
    advice = await advised(site, file)
    assert advice["settings"]["identifier"] == "employee_id"
    assert (await follow(site, advice, file))["counts"]["created"] == 2
    bo = (await site.api("owner").get(f"{API}/users/E2")).json()
    assert bo["manager"] == "E1"


async def test_the_identifier_of_a_company_with_users_is_not_switched(site: Site) -> None:
    await site.imported(people("ann"))
    file = sheet(
        "Employee ID,First Name,Last Name,Email,Manager ID",
        "E1,Ann,Lee,ann@example.com,",
        "E2,Bo,Ng,bo@a.test,E1",
    )
    advice = await advised(site, file)
    assert "identifier" not in advice["settings"]
    assert any("make it the identifier" in each for each in advice["sentences"])
    assert (await follow(site, advice, file))["counts"]["created"] == 1


async def test_the_message_and_the_advice_name_the_same_encoding(site: Site) -> None:
    content = sheet(OURS, "Zoë,Müller,zm@a.test", "José,Núñez,jn@a.test").encode("mac_roman")
    advice = await advised(site, content)
    report = (await site.api("owner").get(f"{API}/imports/1")).json()
    assert "it looks like Mac OS Roman" in report["message"]
    assert advice["settings"] == {"encoding": "mac_roman"}


async def test_words_to_complete_are_comments_if_the_import_works_without_them(site: Site) -> None:
    file = sheet(
        f"{OURS},Status", "Ann,Lee,ann@a.test,Active", "Bo,Ng,bo@a.test,Terminated", "Di,Po,d@a.test,Pending"
    )
    advice = await advised(site, file)
    assert advice["settings"] == {}
    assert tomllib.loads(advice["toml"]) == {}
    lines = advice["toml"].splitlines()
    assert '# Pending = "?"' in lines
    completed = "\n".join(line.removeprefix("# ") for line in lines[lines.index("# [field_mapping]") :])
    completed = completed.replace("To complete", "# To complete").replace('"?"', '"no"')
    assert (await follow(site, {"toml": completed}, file))["counts"]["rejected"] == 0
    assert await states(site) == {"ann": "active", "bo": "deactivated", "d": "active"}


CODES = ("Ann,Lee,ann@a.test,A", "Bo,Ng,bo@a.test,T", "Di,Po,di@a.test,L")


async def test_a_status_that_is_left_out_for_a_word_is_named_with_that_word(site: Site) -> None:
    rows = [row.replace("a.test,", "a.test,Clerk,") for row in CODES]
    advice = await advised(site, sheet(f"{OURS},Job Title,Employment Status Code", *rows))
    said = [each for each in advice["sentences"] if "“Employment Status Code”" in each]
    assert any("do not read it" in each and "“L”" in each for each in said)
    assert '# L = "?"' in advice["toml"]


async def test_leavers_by_a_letter_are_not_created_if_advice_is_followed(site: Site) -> None:
    file = sheet(f"{HEADER},Employment Status Code", *CODES)
    report = await follow(site, await advised(site, file), file)
    assert await states(site) == {"ann": "active"}
    assert [problem["line"] for problem in report["messages"] if problem["severity"] == "error"] == [4]


async def test_numbers_that_name_managers_are_found_under_any_header(site: Site) -> None:
    file = sheet(
        "USERID,USERNAME,FIRSTNAME,LASTNAME,EMAIL,MANAGER",
        "1001,a1,Ann,Lee,ann@a.test,NO_MANAGER",
        "1002,b2,Bo,Ng,bo@a.test,1001",
    )
    advice = await advised(site, file)
    assert advice["settings"]["identifier"] == "employee_id"
    assert advice["settings"]["field_mapping"]["USERID"] == "employee_id"
    assert (await follow(site, advice, file))["counts"]["created"] == 2
    assert (await site.api("owner").get(f"{API}/users/1002")).json()["manager"] == "1001"


@pytest.mark.parametrize(
    ("column", "cells"),
    [
        ("End Date", ("", "2022-12-31")),
        ("Terminated", ("", "2022-12-31")),
        ("Active", ("TRUE", "FALSE")),
        ("Leaver", ("no", "yes")),
        ("Status", ("Active", "Terminated")),
    ],
)
async def test_the_message_of_unread_leavers_and_the_advice_name_the_same_field(
    site: Site, column: str, cells: tuple[str, str]
) -> None:
    advice = await advised(site, sheet(f"{OURS},{column}", f"A,B,a@a.test,{cells[0]}", f"C,D,c@a.test,{cells[1]}"))
    report = (await site.api("owner").get(f"{API}/imports/1")).json()
    told = next(each["message"] for each in report["messages"] if each["code"] == "unread_leavers")
    assert f'{{"{column}": "{advice["settings"]["field_mapping"][column]}"}}' in told


@pytest.mark.parametrize(
    "content",
    [
        b'\xef\xbb\xbf"first_name","last_name","email"\n"Ann","Lee","ann@a.test"\n',
        b"first_name,last_name,email\nAnn,Lee,ann@a.test\nBo,Ng,bo@a.test\n\x1a",
        b"sep=,\nfirst_name,last_name,email\nAnn,Lee,ann@a.test\n",
    ],
)
async def test_nothing_is_suggested_for_a_file_that_fits(site: Site, content: bytes) -> None:
    assert await advised(site, content) is None
    assert "ann" in await states(site)
    assert await advised(site, content, dry_run=True) is None


async def test_day_numbers_of_a_spreadsheet_are_left_to_be_written_as_dates(site: Site) -> None:
    file = sheet(f"{OURS},hire_date", "Ann,Lee,ann@a.test,45231", "Bo,Ng,bo@a.test,44927")
    advice = await advised(site, file)
    assert advice is None
    report = (await site.api("owner").get(f"{API}/imports/1")).json()
    assert "2023-11-01" in report["messages"][1]["message"]


async def test_rows_without_their_last_cells_are_rejected_before_and_after(site: Site) -> None:
    file = sheet(
        "firstname,lastname,email,country,groups,type",
        *("Ann,Lee,ann@a.test,US,All,federated", "Bo,Ng,bo@a.test,US,All", "Cy,Oh,cy@a.test"),
        "Di,Po,di@a.test,US,All,federated,",
    )
    advice = await advised(site, file)
    assert advice["settings"]["field_mapping"].items() >= {"firstname": "first_name", "lastname": "last_name"}.items()
    assert {"country", "type"} & advice["settings"]["field_mapping"].keys() == set()
    report = await follow(site, advice, file)
    assert report["counts"] == advice["counts"]
    assert {code["code"] for code in report["messages"] if code["severity"] == "error"} == {"ragged_row"}
    assert await states(site) == {"ann": "active"}


async def test_lines_that_are_one_quoted_cell_get_a_sentence_and_no_settings(site: Site) -> None:
    file = sheet('"first_name,last_name,email"', '"Ann,Lee,ann@a.test"', '"Bo,Ng,bo@a.test"')
    advice = await advised(site, file)
    assert (advice["settings"], advice["toml"], advice["columns"]) == ({}, None, [])
    assert advice["gaps"] == ["Every line is in quotes as a whole, so its columns cannot be read."]


@pytest.mark.parametrize("footer", ["Total,9,", "EOF", "Record count: 9", "TRAILER|9"])
async def test_a_total_that_is_left_out_lets_absent_users_be_deactivated(site: Site, footer: str) -> None:
    await site.office.tenants.change_settings("acme", {"deactivate_missing": True}, by="operator")
    await site.imported(sheet(OURS, *(f"F{n},L{n},u{n}@a.test" for n in range(10))).encode())
    file = sheet(OURS, *(f"F{n},L{n},u{n}@a.test" for n in range(1, 10)), footer)
    advice = await advised(site, file, dry_run=True)
    assert advice["settings"] == {"skip_last_lines": 1}
    assert set((await states(site)).values()) == {"active"}
    report = await follow(site, advice, file)
    assert (report["state"], report["counts"]) == (advice["state"], advice["counts"])
    assert await states(site) == {f"u{n}": "active" if n else "deactivated" for n in range(10)}


async def test_no_settings_are_suggested_for_users_with_one_name(site: Site) -> None:
    file = sheet(OURS, "Sukarno,,su@a.test", ",Suharto,sh@a.test", "Ann,Lee,ann@a.test", "Teller,-,t@a.test")
    advice = await advised(site, file)
    assert advice is None or (advice["settings"], advice["toml"]) == ({}, None)
