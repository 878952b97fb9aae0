"""The settings form shows examples of the newest file, and its columns beside the fields they stand for."""

from __future__ import annotations

import bz2
import html
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.tenants.settings import TenantSettings
from server.web.pages.settings.controls import SELDOM
from server.web.pages.settings.sample import SAMPLE_BYTES
from tests.support.forms import Form
from tests.support.importing import people
from tests.support.pages import done
from tests.support.site import Site, open_site

SETTINGS = "/tenants/acme/settings"
GERMAN = (
    "Vorname;Nachname;E-Mail;Eintritt;Abteilung\n"
    "Jörg;Müller;j@x.example;03/11/2026;Vertrieb\n"
    "Ann;Groß;a@x.example;28/11/2026;Einkauf\n"
).encode("cp1252")
FITTING: dict[str, Any] = {
    "delimiter": ";",
    "encoding": "cp1252",
    "date_format": "%d/%m/%Y",
    "field_mapping": {
        "E-Mail": "email",
        "vorname": "first_name",
        "Nachname": "last_name",
        "Eintritt": "hire_date",
        "Old": "role",
        "Nr": "",
    },
}


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other") as opened:
        yield opened


@pytest.fixture
async def owner(site: Site) -> httpx.AsyncClient:
    return await site.browser("owner")


async def change(site: Site, **changes: Any) -> None:
    await site.office.tenants.change_settings("acme", changes, by="Bo")


async def settings(site: Site) -> TenantSettings:
    return await site.office.tenants.settings("acme")


async def page(browser: httpx.AsyncClient) -> str:
    answer = await browser.get(SETTINGS)
    assert answer.status_code == 200
    return answer.text


def previews(text: str) -> dict[str, str]:
    """Return the example below each choice."""
    found = re.findall(r'<p class="help preview" id="(\w+)-preview"[^>]*>([^<]*)</p>', text)
    return {setting: html.unescape(sentence) for setting, sentence in found}


def number_of(form: Form, header: str) -> int:
    """Return the number of the row of a column."""
    return next(int(name.split(".")[1]) for name, text in form.pairs if name.endswith(".header") and text == header)


async def test_each_choice_shows_what_it_reads_in_the_newest_file(site: Site, owner: httpx.AsyncClient) -> None:
    await change(site, **FITTING)
    number = await site.imported(GERMAN)
    text = await page(owner)
    assert f'<a href="/tenants/acme/imports/{number}">import #{number}</a>' in text
    assert previews(text) == {
        "delimiter": "With Semicolon (;), your newest file has 5 columns.",
        "encoding": "With Windows-1252 (Excel, Western Europe), your newest file has “Jörg”, “Müller”, “Groß”.",
        "date_format": "With 31/12/2026 (day/month/year), “03/11/2026” in your newest file is 3 November 2026.",
    }
    assert "With 12/31/2026 (month/day/year), “03/11/2026” in your newest file is 11 March 2026." in html.unescape(
        text
    )


async def test_a_table_of_columns_sent_as_shown_changes_nothing(site: Site, owner: httpx.AsyncClient) -> None:
    await change(site, **FITTING)
    before = await settings(site)
    await site.imported(GERMAN)
    form = Form(await page(owner), SETTINGS)
    assert form["field_mapping"] == "rows"
    answer = await owner.post(SETTINGS, data=form.but())
    assert done(answer) == (SETTINGS, "settings-same")
    after = await settings(site)
    assert after == before
    assert [*after.field_mapping] == [*before.field_mapping]


async def test_columns_are_mapped_in_the_table(site: Site, owner: httpx.AsyncClient) -> None:
    await change(site, **FITTING)
    await site.imported(GERMAN)
    form = Form(await page(owner), SETTINGS)
    rows = {name: number_of(form, name) for name in ("Abteilung", "Old", "Eintritt", "")}
    sent = form.but(
        **{
            f"field_mapping__{rows['Abteilung']}__field": "primary_team",
            f"field_mapping__{rows['Old']}__field": "-",
            f"field_mapping__{rows['Eintritt']}__field": "",
            f"field_mapping__{rows['']}__header": "Chef",
            f"field_mapping__{rows['']}__field": "manager",
        }
    )
    answer = await owner.post(SETTINGS, data=sent)
    assert done(answer) == (SETTINGS, "settings-saved")
    assert (await settings(site)).field_mapping == {
        "E-Mail": "email",
        "vorname": "first_name",
        "Nachname": "last_name",
        "Eintritt": "",
        "Nr": "",
        "Abteilung": "primary_team",
        "Chef": "manager",
    }


async def test_the_table_lists_columns_before_any_mapping_fits(site: Site, owner: httpx.AsyncClient) -> None:
    await site.imported(GERMAN)
    text = await page(owner)
    form = Form(text, SETTINGS)
    assert [text for name, text in form.pairs if name.endswith(".header")] == [
        *("Vorname", "Nachname", "E-Mail", "Eintritt", "Abteilung", ""),
    ]
    assert "<bdi>Müller</bdi>, <bdi>Groß</bdi>" in text


async def test_a_row_is_added_to_the_table_and_keeps_what_was_chosen(site: Site, owner: httpx.AsyncClient) -> None:
    await site.imported(GERMAN)
    form = Form(await page(owner), SETTINGS)
    row, blank = number_of(form, "Vorname"), number_of(form, "")
    chosen = {f"field_mapping__{row}__field": "first_name", f"field_mapping__{blank}__header": "Chef"}
    answer = await owner.post(
        f"{SETTINGS}/rows",
        data=form.but(**chosen, **{f"field_mapping__{blank}__field": "coach"}, rows="add:field_mapping"),
    )
    again = Form(answer.text, SETTINGS)
    assert (again[f"field_mapping.{row}.field"], again[f"field_mapping.{blank}.header"]) == ("first_name", "Chef")
    assert again[f"field_mapping.{blank + 1}.header"] == ""
    assert "autofocus" in answer.text.split(f'id="field_mapping.{blank + 1}.header"')[1].split(">")[0]
    assert (await settings(site)).field_mapping == {}
    assert (await owner.post(SETTINGS, data=again.but())).status_code == 303
    assert (await settings(site)).field_mapping == {"Vorname": "first_name", "Chef": "coach"}


async def test_a_wrong_table_is_shown_again_with_its_error_and_examples(site: Site, owner: httpx.AsyncClient) -> None:
    await site.imported(GERMAN)
    form = Form(await page(owner), SETTINGS)
    blank = number_of(form, "")
    chosen = {f"field_mapping__{blank}__header": "vorname", f"field_mapping__{blank}__field": "coach"}
    answer = await owner.post(SETTINGS, data=form.but(**chosen, encoding="other"))
    assert answer.status_code == 422
    assert "“vorname” has two rows; remove one" in answer.text
    assert "Type a value below “Other”" in answer.text
    assert "<bdi>Müller</bdi>" in answer.text
    again = Form(answer.text, SETTINGS)
    assert (again[f"field_mapping.{blank}.header"], again["encoding"]) == ("vorname", "other")


async def test_a_typed_format_is_tried_on_the_newest_file_when_the_form_is_shown_again(
    site: Site, owner: httpx.AsyncClient
) -> None:
    await site.imported(GERMAN)
    form = Form(await page(owner), SETTINGS)
    typed = {"date_format": "other", "date_format__other": "%m.%d.%y", "encoding": "other", "encoding__other": "no"}
    answer = await owner.post(f"{SETTINGS}/rows", data=form.but(**typed, rows="add:custom_fields"))
    assert previews(answer.text)["date_format"] == "With “%m.%d.%y”, “03/11/2026” in your newest file cannot be read."
    assert previews(answer.text)["encoding"] == ""
    assert Form(answer.text, SETTINGS)["date_format.other"] == "%m.%d.%y"


@pytest.mark.parametrize("typed", ["bz2", "zip", "hex", "base64", "quopri", "rot13", "uu", "punycode", "x" * 5000])
async def test_a_file_is_never_unpacked_by_a_typed_encoding(site: Site, owner: httpx.AsyncClient, typed: str) -> None:
    await site.imported(GERMAN)
    await site.imported(bz2.compress(GERMAN))
    form = Form(await page(owner), SETTINGS)
    sent = form.but(encoding="other", encoding__other=typed)
    shown = await owner.post(f"{SETTINGS}/rows", data={**sent, "rows": "add:custom_fields"})
    assert (shown.status_code, previews(shown.text)["encoding"]) == (200, "")
    refused = await owner.post(SETTINGS, data=sent)
    assert refused.status_code == 422
    assert "encoding that Python knows, such as utf-8" in html.unescape(refused.text)
    assert (await settings(site)).encoding == "utf-8"


async def test_two_owners_who_change_the_table_and_another_setting_are_merged(
    site: Site, owner: httpx.AsyncClient
) -> None:
    await change(site, **FITTING)
    await site.imported(GERMAN)
    form = Form(await page(owner), SETTINGS)
    await change(site, field_mapping={**FITTING["field_mapping"], "New": "coach"}, max_sessions=4)
    sent = form.but(**{f"field_mapping__{number_of(form, 'Abteilung')}__field": "location"}, max_sessions="7")
    answer = await owner.post(SETTINGS, data=sent)
    assert answer.status_code == 409
    again = Form(answer.text, SETTINGS)
    assert again[f"field_mapping.{number_of(again, 'Abteilung')}.field"] == "location"
    assert again["max_sessions"] == "7"
    assert (await owner.post(SETTINGS, data=again.but())).status_code == 303
    after = await settings(site)
    assert (after.field_mapping["Abteilung"], after.max_sessions) == ("location", 7)


async def test_without_a_file_column_names_are_typed(owner: httpx.AsyncClient) -> None:
    text = await page(owner)
    assert '<textarea id="field_mapping" name="field_mapping"' in text
    assert previews(text) == {}
    assert "The examples below" not in text


async def test_a_list_counts_before_dry_runs_and_correction_files(site: Site, owner: httpx.AsyncClient) -> None:
    await site.imported(GERMAN)
    await site.upload(people("ann"), dry_run=True)
    correction = b"_line,_code,_message,first_name,last_name,email\n2,x,y,Ann,Lee,a@x.example\n"
    await site.imported(correction)
    assert "<bdi>Müller</bdi>" in await page(owner)


async def test_the_file_of_a_dry_run_is_shown_if_there_is_no_other(site: Site, owner: httpx.AsyncClient) -> None:
    number = await site.upload(GERMAN, dry_run=True)
    text = await page(owner)
    assert "<bdi>Müller</bdi>" in text
    assert f'imports/{number}">import #{number}</a>' in text


WORKBOOK = b"PK\x03\x04" + b"\x14\0\x06\0xl/workbook.xml" * 40
WRONG = {"workbook": WORKBOOK, "pdf": b"%PDF-1.7\n1 0 obj\n", "blank": b"\n\n", "wide": b"\x81\x8d\xff\x98" * 90}


@pytest.mark.parametrize("name", WRONG)
async def test_a_file_that_is_not_a_list_leaves_the_examples_of_the_list_before(
    site: Site, owner: httpx.AsyncClient, name: str
) -> None:
    number = await site.imported(GERMAN)
    await site.imported(WRONG[name])
    text = await page(owner)
    assert f'imports/{number}">import #{number}</a>' in text
    assert "<bdi>Müller</bdi>" in text


@pytest.mark.parametrize("name", WRONG)
async def test_a_dry_run_that_is_not_a_list_leaves_the_examples_of_the_one_before(
    site: Site, owner: httpx.AsyncClient, name: str
) -> None:
    await site.upload(GERMAN, dry_run=True)
    await site.upload(WRONG[name], dry_run=True)
    assert "<bdi>Müller</bdi>" in await page(owner)


GARBLED = {
    "empty": b"",
    "zeros": b"\0" * 5000,
    "bytes": bytes(range(256)) * 40,
    "quotes": b'first_name,last_name,"email\n' + b'"' * 100_001,
    "archive": b"PK\x03\x04" + b"\xfe\xff" * 900,
    "cut": "first_name,last_name,email\nJörg,Müller,j@x.example".encode()[:30],
    "html": b"<script>alert(1)</script>,first_name,last_name,email\n<script>alert(2)</script>,a,b,c\n",
}


@pytest.mark.parametrize("name", GARBLED)
async def test_a_garbled_file_never_breaks_the_form(
    site: Site, owner: httpx.AsyncClient, caplog: pytest.LogCaptureFixture, name: str
) -> None:
    caplog.set_level(logging.DEBUG)
    await site.imported(GARBLED[name])
    text = await page(owner)
    assert "<script>alert" not in text
    form = Form(text, SETTINGS)
    answer = await owner.post(SETTINGS, data=form.but(max_sessions="7"))
    assert done(answer) == (SETTINGS, "settings-saved")
    after = await settings(site)
    assert after == TenantSettings(max_sessions=7)
    assert not any("Jörg" in record.getMessage() for record in caplog.records)


@pytest.mark.only_on("sqlite", "a file has a hole of many gigabytes")
async def test_only_the_beginning_of_a_huge_file_is_read(site: Site, owner: httpx.AsyncClient) -> None:
    rows = b"Ann,Lee,a@x.example\n" * 4000
    assert len(rows) > SAMPLE_BYTES
    number = await site.upload(b"first_name,last_name,email\n" + rows + b"Unseen,Lee,u@x.example\n")
    copy = site.stored.folder("acme").copy(number)
    with copy.open("r+b") as file:
        file.truncate(50 * 2**30)  # a file with a hole: it takes no space, and reading all of it takes minutes
    text = await page(owner)
    assert "<bdi>Ann</bdi>" in text
    assert "Unseen" not in text


@pytest.mark.only_on("sqlite", "a folder is in the place of a file")
async def test_a_file_that_cannot_be_opened_leaves_the_form_without_examples(
    site: Site, owner: httpx.AsyncClient
) -> None:
    number = await site.imported(GERMAN)
    copy = site.stored.folder("acme").copy(number)
    copy.unlink()
    copy.mkdir()
    assert previews(await page(owner)) == {}


async def test_a_wide_file_has_a_table_of_its_first_columns(site: Site, owner: httpx.AsyncClient) -> None:
    header = ["first_name", "last_name", "email", *(f"c{number}" for number in range(250))]
    mapping = {"c240": "job_title"}
    await change(site, field_mapping=mapping)
    await site.imported((",".join(header) + "\n" + ",".join("x" for _ in header) + "\n").encode())
    form = Form(await page(owner), SETTINGS)
    names = [text for name, text in form.pairs if name.endswith(".header")]
    assert (names[:4], names[-2:], len(names)) == (["first_name", "last_name", "email", "c0"], ["c240", ""], 102)
    assert done(await owner.post(SETTINGS, data=form.but())) == (SETTINGS, "settings-same")
    assert (await settings(site)).field_mapping == mapping


async def test_the_examples_of_a_company_are_shown_to_its_owners_only(site: Site) -> None:
    await site.imported(GERMAN)
    found = {
        role: await (await site.browser(role)).get(SETTINGS) for role in ("owner", "operator", "viewer", "elsewhere")
    }
    assert {role: answer.status_code for role, answer in found.items()} == {
        "owner": 200,
        "operator": 200,
        "viewer": 200,
        "elsewhere": 404,
    }
    assert {role for role, answer in found.items() if "Müller" in answer.text} == {"owner", "operator"}
    assert (await site.anybody().get(SETTINGS)).status_code in (303, 401)


async def test_settings_that_are_not_saved_are_marked(site: Site, owner: httpx.AsyncClient) -> None:
    form = Form(await page(owner), SETTINGS)
    assert "data-unsaved" not in await page(owner)
    answer = await owner.post(SETTINGS, data=form.but(max_sessions="0", deactivate_missing="on"))
    assert answer.status_code == 422
    marked = re.findall(
        r'data-unsaved>.*?<(?:input type="checkbox"|input|select|textarea) id="(\w+)"', answer.text, re.DOTALL
    )
    assert marked == ["deactivate_missing", "max_sessions"]
    assert "2 changes not saved" in answer.text


OF_HOOKS = {"hooks", "hook_settings"}
"""Settings that the form has only if the server has other hooks."""


async def test_every_setting_has_help_and_every_group_an_anchor(site: Site, owner: httpx.AsyncClient) -> None:
    for browser in (owner, await site.browser("viewer")):
        text = await page(browser)
        for name in TenantSettings.model_fields.keys() - OF_HOOKS:
            assert f'href="/help/settings#{name}"' in text, name
        anchors = re.findall(r'<li><a href="#(group-[a-z-]+)">', text)
        assert anchors[:2] == ["group-users", "group-file-format"]
        assert [anchor for anchor in anchors if f'id="{anchor}"' not in text] == []


async def test_settings_that_few_companies_change_are_folded_away_while_default(
    site: Site, owner: httpx.AsyncClient
) -> None:
    def more(text: str) -> list[bool]:
        return [" open" in found for found in re.findall(r'<details class="more"( open)?>', text)]

    text = await page(owner)
    assert more(text) == [False, False]  # of the safety checks, and of storage and access
    hidden = "".join(re.findall(r'<details class="more">(.*?)</details>', text, re.DOTALL))
    assert {name for name in TenantSettings.model_fields if f'name="{name}"' in hidden} == SELDOM
    refused = await owner.post(SETTINGS, data=Form(text, SETTINGS).but(max_updates_percent="many"))
    assert more(refused.text) == [True, False]
    await change(site, quota_files=7)
    assert more(await page(owner)) == [False, True]


ROLES = (
    b"first_name,last_name,email,role\n"
    b"Ann,Lee,a@x.example,Chef\nBo,Bay,b@x.example,admin\nCy,Lee,c@x.example,Helfer\n"
)


async def test_values_without_a_meaning_get_one_in_a_table(site: Site, owner: httpx.AsyncClient) -> None:
    await change(site, value_mapping={"location": {"HQ": "Bern"}})
    await site.imported(ROLES)
    form = Form(await page(owner), SETTINGS)
    assert [text for name, text in form.pairs if ".word." in name] == ["Chef", "Helfer", ""]
    assert form["value_mapping.1.field"] == "role"
    unchanged = await owner.post(SETTINGS, data=form.but())
    assert done(unchanged) == (SETTINGS, "settings-same")
    chosen = {"value_mapping__1__meaning__0": "admin", "value_mapping__1__meaning__1": ""}
    new = {"value_mapping__1__word__2": "= Boss", "value_mapping__1__meaning__2": "hr"}
    assert done(await owner.post(SETTINGS, data=form.but(**chosen, **new))) == (SETTINGS, "settings-saved")
    mapped = {"location": {"HQ": "Bern"}, "role": {"Chef": "admin", "Helfer": "", "= Boss": "hr"}}
    assert (await settings(site)).value_mapping == mapped
    again = Form(await page(owner), SETTINGS)
    assert done(await owner.post(SETTINGS, data=again.but())) == (SETTINGS, "settings-same")
    assert (await owner.post(SETTINGS, data=again.but(value_mapping__1__meaning__1='"'))).status_code == 303
    del mapped["role"]["Helfer"]
    assert (await settings(site)).value_mapping == mapped
    again = Form(await page(owner), SETTINGS)
    removed = await owner.post(f"{SETTINGS}/rows", data=again.but(rows="remove:value_mapping:1"))
    assert (await owner.post(SETTINGS, data=Form(removed.text, SETTINGS).but())).status_code == 303
    assert (await settings(site)).value_mapping == {"location": {"HQ": "Bern"}}


async def test_a_row_is_added_below_a_table_of_values_that_was_filled(site: Site, owner: httpx.AsyncClient) -> None:
    await site.imported(ROLES)
    form = Form(await page(owner), SETTINGS)
    sent = form.but(value_mapping__0__meaning__0="admin", rows="add:value_mapping")
    added = await owner.post(f"{SETTINGS}/rows", data=sent)
    again = Form(added.text, SETTINGS)
    assert (again["value_mapping.0.meaning.0"], again["value_mapping.1.values"]) == ("admin", "")
    assert "autofocus" in added.text.split('id="value_mapping.1.field"')[1].split(">")[0]
    filled = again.but(value_mapping__1__field="location", value_mapping__1__values="HQ = Bern")
    assert (await owner.post(SETTINGS, data=filled)).status_code == 303
    assert (await settings(site)).value_mapping == {"role": {"Chef": "admin"}, "location": {"HQ": "Bern"}}
