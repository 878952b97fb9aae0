"""A file of another system: the page of its import suggests settings for it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from server.tenants.setting_texts import SETTING_TEXTS
from server.web.pages.imports.parts import RELATED
from tests.support.forms import Form
from tests.support.importing import people
from tests.support.pages import IMPORTS, page, seen, settings
from tests.support.site import Site, open_site

SETTINGS = "/tenants/acme/settings"
GERMAN = "Vorname;Nachname;E-Mail;Eintritt\nJürgen;Groß;juergen@acme.test;31.12.2019\n".encode("cp1252")


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other") as opened:
        yield opened


@pytest.mark.parametrize("dry_run", [False, True])
async def test_a_file_of_another_system_leads_to_suggested_settings(site: Site, dry_run: bool) -> None:
    number = await site.imported(GERMAN, dry_run=dry_run)
    text = await page(site, f"{IMPORTS}/{number}")
    assert "The columns are separated by semicolons." in seen(text)
    assert "“Vorname” looks like first_name." in seen(text)
    link = f"{SETTINGS}?tried={number}"
    assert f'href="{link}"' in text
    sheet = await page(site, link)
    assert f"Nothing is saved yet. The form shows the settings suggested for the file of import #{number}" in seen(
        sheet
    )
    form = Form(sheet, SETTINGS)
    assert (form["delimiter"], form["encoding"], form["date_format"]) == ("semicolon", "cp1252", "%d.%m.%Y")

    answer = await (await site.browser("owner")).post(SETTINGS, data=form.but())
    assert answer.status_code == 303, seen(answer.text)
    again = await site.imported(GERMAN)
    assert "1 user created." in seen(await page(site, f"{IMPORTS}/{again}"))


WORDS = (
    "Vorname;Nachname;E-Mail;Eintritt;role;value_mapping\n"
    "Jürgen;Groß;juergen@acme.test;31.12.2019;Häuptling;a\n"
    "Ann;Müller;ann@acme.test;30.11.2019;Koch;b\n"
).encode("cp1252")


async def test_the_page_names_settings_as_the_form_and_the_report_as_the_api(site: Site) -> None:
    number = await site.imported(WORDS)
    text = await page(site, f"{IMPORTS}/{number}")
    for said, setting in (
        (
            "The file is not in UTF-8 (Unicode, most systems) ; it looks like Windows-1252 (Excel, Western Europe)",
            "encoding",
        ),
        ("Dates are written as 31.12.2026 (day.month.year) .", "date_format"),
        ("has no meaning for role yet. Add it to Values .", "value_mapping"),
    ):
        assert said in seen(text)
        assert f'href="{SETTINGS}#{setting}"' in text
    assert "“value_mapping”" in text
    report = (await site.api("owner").get(f"/api/v1/tenants/acme/imports/{number}")).json()
    sentences = " ".join(report["advice"]["sentences"])
    assert "is not in utf-8; it looks like cp1252" in sentences
    assert "Dates are written as %d.%m.%Y (day.month.year)." in sentences
    assert "Add it to value_mapping." in sentences


async def test_tested_and_suggested_settings_are_filled_in_together(site: Site) -> None:
    await site.imported(GERMAN)
    await site.office.trials.of_settings("acme", {"delimiter": ";"}, "Ann")
    await site.run()
    form = Form(await page(site, f"{SETTINGS}?tried=2"), SETTINGS)
    assert (form["delimiter"], form["encoding"]) == ("semicolon", "cp1252")


@pytest.mark.parametrize("content", [people("ann"), b"first_name,last_name,email\nAnn,Lee,nowhere\n", b"\x00\x01"])
async def test_no_setting_is_suggested_where_none_would_help(site: Site, content: bytes) -> None:
    number = await site.imported(content)
    assert "Suggested settings" not in await page(site, f"{IMPORTS}/{number}")


async def test_a_viewer_reads_that_only_an_owner_can_change_settings(site: Site) -> None:
    number = await site.imported(GERMAN)
    text = await page(site, f"{IMPORTS}/{number}", role="viewer")
    assert "Only an owner can change the settings." in text
    assert "?tried=" not in text


async def test_rejected_dates_lead_to_the_date_format_setting(site: Site) -> None:
    rows = b"first_name,last_name,email,hire_date\nAnn,Lee,ann@acme.test,31.12.2019\nBo,Ng,bo@acme.test,2019-12-31\n"
    number = await site.imported(rows)
    assert f'href="{SETTINGS}#date_format"' in await page(site, f"{IMPORTS}/{number}")


def test_every_suggested_setting_is_in_the_form() -> None:
    assert set(RELATED.values()) <= SETTING_TEXTS.keys()


async def test_a_header_stays_text(site: Site) -> None:
    await settings(site, field_mapping={})
    number = await site.imported(b"Vorname;Nachname;E-Mail;<b>Team\nAnn;Lee;ann@acme.test;A\n")
    for path in (f"{IMPORTS}/{number}", f"{SETTINGS}?tried={number}"):
        assert "<b>Team" not in await page(site, path)
