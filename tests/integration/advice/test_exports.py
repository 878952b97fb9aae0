"""Advice on exports of HR systems, followed exactly: leavers are deactivated, and all others are active.

Each export marks its leavers in its own way, and has columns that are not fields.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.advice.test_followed import API, advised, follow, sheet, states
from tests.support.site import Site, open_site


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other") as opened:
        yield opened


WORKDAY = sheet(
    "Workers Report",
    "Run on 2025-11-01",
    "",
    "Employee ID,Legal Name - First Name,Legal Name - Last Name,Email - Primary Work,Email - Primary Home,"
    "Worker's Manager,Manager ID,Location ID,Location,Birth Date,Hire Date,Contract End Date,Termination Date,"
    "Active Status",
    "10001,Ann,Lee,ann@a.test,ann@home.test,,,L1,Berlin,1980-02-03-07:00,2019-04-01-07:00,,,Active",
    "10002,Bo,Ng,bo@a.test,bo@home.test,Ann Lee,10001,L2,Rome,1985-04-05-07:00,2021-05-03-07:00,"
    "2024-05-03-07:00,,Active",
    "10003,Cy,Oh,cy@a.test,cy@home.test,Ann Lee,10001,L1,Berlin,1990-05-06-07:00,2020-01-07-08:00,,"
    "2025-01-28-08:00,Inactive",
    "10004,Di,Po,di@a.test,di@home.test,Bo Ng,10002,L1,Berlin,1991-05-06-07:00,2020-01-07-08:00,,"
    "2099-01-28-08:00,Active",
    "Total: 4",
)
ADP = sheet(
    "Associate ID,First Name,Last Name,Work Contact: Work Email,Personal Contact: Personal Email,Reports To Name,"
    "Reports To Associate ID,Hire Date,Rehire Date,Termination Date,Position Status",
    "A1XK01,Ann,Lee,ann@a.test,ann@home.test,,,04/01/2019,,,Active",
    'A1XK02,Bo,Ng,bo@a.test,,"Lee, Ann",A1XK01,05/13/2021,06/20/2023,02/28/2022,Leave',
    'A1XK03,Cy,Oh,cy@a.test,,"Lee, Ann",A1XK01,01/17/2020,,11/28/2024,Terminated',
    'A1XK04,Di,Po,di@a.test,,"Lee, Ann",A1XK01,01/07/2020,,11/28/2024,Deceased',
)
PERSONIO = sheet(
    "Mitarbeiterliste;;;;;;",
    "Vorname;Nachname;E-Mail;Private E-Mail;Geburtsdatum;Vorgesetzter;Einstellungsdatum;Vertragsende;"
    "Letzter Arbeitstag;Status",
    "Änn;Lee;ann@a.test;ann@home.test;14.03.1980;;01.04.2019;;;Aktiv",
    "Bo;Ng;bo@a.test;bo@home.test;15.04.1985;Änn Lee;13.05.2021;31.12.2099;;Abwesend",
    "Cy;Oh;cy@a.test;;16.05.1990;Änn Lee;07.01.2020;28.11.2024;28.11.2024;Inaktiv",
    "Di;Po;di@a.test;;16.06.1991;Änn Lee;07.01.2020;31.01.2024;;Aktiv",
    "Summe;4;;;;;;;;",
).encode("cp1252")
HIBOB = sheet(
    "Display name,First name,Last name,Email,Personal email,Employee ID,Site,Reports to,Reports to ID,"
    "Reports to email,Start date,Date of birth,Termination date,Lifecycle status,Is manager",
    "Ann Lee,Ann,Lee,ann@a.test,ann@home.test,11,London,,,,21/04/2019,14/03/1980,,Employed,Yes",
    "Bo Ng,Bo,Ng,bo@a.test,,12,London,Ann Lee,11,ann@a.test,13/05/2021,15/04/1985,,Garden leave,No",
    "Cy Oh,Cy,Oh,cy@a.test,,13,London,Ann Lee,11,ann@a.test,07/01/2020,16/05/1990,28/11/2024,Terminated,No",
    "Di Po,Di,Po,di@a.test,,14,London,Ann Lee,11,ann@a.test,07/01/2020,16/05/1990,28/11/2099,Employed,No",
)
CONTRACTS = sheet(
    "Employee ID,First Name,Last Name,Work Email,Contract Start,Contract End,Position Status",
    "1,Ann,Lee,ann@a.test,2019-01-01,2022-12-31,Terminated",
    "1,Ann,Lee,ann@a.test,2023-01-01,,Active",
    "2,Bo,Ng,bo@a.test,2019-01-01,2022-12-31,Terminated",
)
INVERTED = sheet(
    "EmployeeNumber,GivenName,Surname,WorkEmail,PrivateEmail,IsInactive,StartDate,BirthDate,ManagerName,LocationID",
    "1,Ann,Lee,ann@a.test,ann@home.test,0,2019-01-15,1980-01-01,,L1",
    "2,Bo,Ng,bo@a.test,bo@home.test,1,2019-01-15,1980-01-01,Ann Lee,L1",
)
FRENCH = sheet(
    "Matricule;Prénom;Nom;Adresse e-mail professionnelle;Adresse e-mail personnelle;Responsable;Date de naissance;"
    "Date d'embauche;Date de fin de contrat;Date de sortie;Statut",
    "0101;Anne;Lefèvre;ann@a.test;ann@home.test;;14/03/1980;01/04/2019;;;Actif",
    "0102;Bo;Ng;bo@a.test;;Anne Lefèvre;15/04/1985;13/05/2021;31/12/2023;;Congé maternité",
    "0103;Cy;Ohé;cy@a.test;;Anne Lefèvre;16/05/1990;07/01/2020;;28/11/2024;Sorti",
)
SPANISH = sheet(
    "Nombre;Apellidos;Correo electrónico;Correo personal;Fecha de nacimiento;Fecha de alta;Fecha de baja;Situación",
    "Ann;López;ann@a.test;ann@home.test;14/03/1980;01/04/2019;;Alta",
    "Bo;Ng;bo@a.test;;15/03/1980;13/05/2021;;Baja médica",
    "Cy;Oh;cy@a.test;;16/03/1980;07/01/2020;28/11/2024;Baja",
)
SAP = sheet(
    "STATUS,USERID,FIRSTNAME,LASTNAME,GENDER,EMAIL,MANAGER,HR,JOBCODE,LOCATION,HIREDATE,DATE_OF_BIRTH,EXITDATE",
    "active,1001,Ann,Lee,F,ann@a.test,NO_MANAGER,NO_HR,J1,Walldorf,04/21/2019,03/14/1980,",
    "active,1002,Bo,Ng,M,bo@a.test,1001,NO_HR,J2,Walldorf,05/13/2021,03/14/1980,12/31/9999",
    "inactive,1003,Cy,Oh,M,cy@a.test,1001,NO_HR,J3,Walldorf,01/07/2020,03/14/1980,05/31/2024",
)
ZEROS = sheet(
    "First Name,Last Name,Work Email,Hire Date,Termination Date",
    *("Ann,Lee,ann@a.test,2019-04-21,0000-00-00", "Bo,Ng,bo@a.test,2021-05-13,2024-11-15"),
)
EXPORTS = {
    "workday": (WORKDAY, {"ann", "bo", "di"}),
    "adp": (ADP, {"ann", "bo"}),
    "personio": (PERSONIO, {"ann", "bo", "di"}),
    "hibob": (HIBOB, {"ann", "bo", "di"}),
    "contracts": (CONTRACTS, {"ann"}),
    "inverted": (INVERTED, {"ann"}),
    "french": (FRENCH, {"ann", "bo"}),
    "spanish": (SPANISH, {"ann", "bo"}),
    "sap": (SAP, {"ann", "bo"}),
    "zeros": (ZEROS, {"ann"}),
    "n/a": (ZEROS.replace("0000-00-00", "N/A"), {"ann"}),
}
NEVER_READ = {
    *("Email - Primary Home", "Personal Contact: Personal Email", "Private E-Mail", "Personal email", "PrivateEmail"),
    *("Worker's Manager", "Reports To Name", "Vorgesetzter", "Reports to", "ManagerName", "Is manager"),
    *("Adresse e-mail personnelle", "Correo personal", "Responsable", "HR", "JOBCODE", "DATE_OF_BIRTH"),
    *("Fecha de nacimiento", "Date de naissance", "Date de fin de contrat", "Contract End Date", "Vertragsende"),
    *("Location ID", "LocationID", "Birth Date", "BirthDate", "Geburtsdatum", "Date of birth", "Rehire Date"),
}


@pytest.mark.parametrize(("content", "active"), EXPORTS.values(), ids=EXPORTS)
async def test_an_export_deactivates_its_leavers_and_keeps_all_others_active(
    site: Site, content: bytes | str, active: set[str]
) -> None:
    advice = await advised(site, content)
    assert not NEVER_READ & {column["header"] for column in advice["columns"] if column["field"]}
    report = await follow(site, advice, content)
    assert {name for name, state in (await states(site)).items() if state == "active"} == active
    assert (report["state"], report["counts"]) == (advice["state"], advice["counts"])
    assert report["counts"]["rejected"] == 0


async def test_a_last_day_is_not_read_where_a_status_says_that_its_user_has_not_left(site: Site) -> None:
    advice = await advised(site, ADP)
    note = (
        "“Termination Date” is not read: it says that 1 user has left who has not left by “Position Status”. "
        "It may hold dates of a previous job."
    )
    assert note in advice["sentences"]
    assert next(each["note"] for each in advice["columns"] if each["header"] == "Termination Date") == note
    report = await follow(site, advice, ADP)
    told = [each["message"] for each in report["messages"] if each["code"] == "unread_leavers"]
    assert len(told) == 1
    assert "1 user has left (line 3), but another column says the opposite" in told[0]
    assert "field_mapping" not in told[0]


async def test_a_last_day_is_not_read_where_a_flag_that_is_read_says_otherwise(site: Site) -> None:
    file = sheet(
        "first_name,last_name,email,deactivate,Termination Date",
        *("Ann,Lee,ann@a.test,no,2022-12-31", "Bo,Ng,bo@a.test,yes,2022-12-31"),
    )
    advice: Any = await advised(site, file)
    assert "Termination Date" not in advice["settings"].get("field_mapping", {})
    assert await states(site) == {"ann": "active"}


async def test_a_column_with_a_last_day_before_the_hire_date_is_read(site: Site) -> None:
    file = sheet(
        "First Name,Last Name,Email,Hire Date,Termination Date,Status",
        "Ann,Lee,ann@a.test,2023-01-01,2022-12-31,Active",
        "Bo,Ng,bo@a.test,2019-01-01,2022-12-31,Terminated",
    )
    advice = await advised(site, file)
    assert advice["settings"]["field_mapping"]["Termination Date"] == "leave_date"
    await follow(site, advice, file)
    assert (await site.api("owner").get(f"{API}/users/ann@a.test")).json()["state"] == "active"


async def test_the_form_of_dates_that_finds_the_leavers_is_kept(site: Site) -> None:
    file = sheet(
        "First Name,Last Name,Email,Hire Date,Contract End Date,Termination Date",
        "Ann,Lee,ann@a.test,2019-04-01-07:00,,",
        "Bo,Ng,bo@a.test,2021-05-03-07:00,2024-05-03-07:00,",
        "Cy,Oh,cy@a.test,2020-01-07-08:00,,2025-01-28-08:00",
    )
    advice = await advised(site, file)
    assert (advice["settings"], advice["toml"]) == ({}, None)
    assert not any("so it is left out" in each for each in advice["sentences"])


async def test_the_end_of_a_contract_deactivates_no_user_without_a_last_day(site: Site) -> None:
    file = sheet(
        "First Name,Last Name,Email,Contract End,Exit Date",
        *("Ann,Lee,ann@a.test,2022-12-31,", "Bo,Ng,bo@a.test,2022-12-31,2022-12-31", "Cy,Oh,cy@a.test,2023-12-31,"),
    )
    advice = await advised(site, file)
    assert (advice["settings"], advice["toml"]) == ({}, None)


@pytest.mark.parametrize(
    "rows",
    [
        ("Account Status,Employee Status", "Enabled,Active", "Disabled,Terminated", "Disabled,On Leave"),
        ("Account Enabled,Status", "TRUE,Active", "TRUE,Terminated", "FALSE,Active"),
        ("Account Enabled,Termination Date", "TRUE,", "TRUE,2022-12-31", "TRUE,2099-12-31"),
    ],
)
async def test_a_status_or_last_day_counts_more_than_an_account_flag(site: Site, rows: tuple[str, ...]) -> None:
    names = ("First Name,Last Name,Email", "Ann,Lee,ann@a.test", "Bo,Ng,bo@a.test", "Cy,Oh,cy@a.test")
    file = sheet(*map(",".join, zip(names, rows, strict=True)))
    await follow(site, await advised(site, file), file)
    assert {name for name, state in (await states(site)).items() if state == "active"} == {"ann", "cy"}


@pytest.mark.parametrize("word", ["Pending termination", "Resigned", "Inactive"])
async def test_an_ambiguous_word_rejects_its_row_until_it_is_completed(site: Site, word: str) -> None:
    file = sheet(
        "First Name,Last Name,Email,Status",
        *("Ann,Lee,ann@a.test,Active", "Bo,Ng,bo@a.test,Terminated", f"Cy,Oh,cy@a.test,{word}"),
    )
    advice = await advised(site, file)
    assert '"?"' in advice["toml"]
    await follow(site, advice, file)
    assert await states(site) == {"ann": "active"}


@pytest.mark.parametrize("header", ["Personal Email", "E-Mail privat", "Manager E-Mails", "Emergency Contact Email"])
async def test_private_addresses_and_those_of_others_are_not_suggested_as_email(site: Site, header: str) -> None:
    file = sheet(f"First Name,Last Name,{header}", "Ann,Lee,ann@home.test", "Bo,Ng,bo@home.test")
    advice = await advised(site, file)
    assert "email" not in advice["settings"].get("field_mapping", {}).values()
    assert f"“{header}” seems to hold private addresses" in " ".join(advice["gaps"]) or "Manager" in header


@pytest.mark.parametrize(
    ("names", "addresses"),
    [
        ("Vorgesetzter", "Vorgesetzter E-Mail"),
        ("Leidinggevende", "E-mail leidinggevende"),
        ("Responsabile", "Mail responsabile"),
    ],
)
async def test_managers_are_read_from_the_column_of_addresses_not_of_names(
    site: Site, names: str, addresses: str
) -> None:
    file = sheet(
        f"Vorname;Nachname;E-Mail;{names};{addresses}", "Ann;Lee;ann@a.test;;", "Bo;Ng;bo@a.test;Ann Lee;ann@a.test"
    )
    await follow(site, await advised(site, file), file)
    assert (await site.api("owner").get(f"{API}/users/bo@a.test")).json()["manager"] == "ann@a.test"
