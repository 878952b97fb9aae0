"""The list of users with its search, and the page of one user with its history."""

from __future__ import annotations

import csv
import html
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.support.importing import Company, people, sheet
from tests.support.site import Site, open_site

USERS = "/tenants/acme/users"
LINKED = ("first_name", "last_name", "email", "job_title", "manager", "coach", "primary_team", "secondary_team")


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other") as opened:
        yield opened


@pytest.fixture
def company(site: Site) -> Company:
    return site.stored.company("acme")


async def page(site: Site, path: str, status: int = 200, role: str = "viewer") -> str:
    answer = await (await site.browser(role)).get(path)
    assert answer.status_code == status, answer.text
    return answer.text


def next_of(text: str) -> str | None:
    """Return the address of the next page; None on the last one."""
    found = re.search(r'href="([^"]+)" rel="next"', text)
    return html.unescape(found[1]).partition("#")[0] if found else None


async def test_the_users_page_says_what_to_do_before_the_first_file(site: Site) -> None:
    for role, sends in (("viewer", False), ("owner", True)):
        text = await page(site, USERS, role=role)
        assert "No users yet" in text
        assert "/tenants/acme/keys#connect" in text
        assert ('<a class="button" href="/tenants/acme/try">Send a file</a>' in text) is sends


@pytest.mark.parametrize("role", ["viewer", "owner", "operator"])
async def test_a_viewer_is_not_led_to_the_page_that_sends_files(site: Site, role: str) -> None:
    for path in (USERS, "/tenants/acme/imports"):
        text = await page(site, path, role=role)
        assert ('href="/tenants/acme/try"' in text) == (role != "viewer"), path


async def test_users_are_listed_searched_and_filtered_by_state(site: Site, company: Company) -> None:
    await company.run(people("ann", "bo", "cy"))
    await company.sql("UPDATE users SET state = 'deactivated' WHERE email = 'bo@example.com'")
    listed = await page(site, USERS)
    assert "2 active, 1 deactivated" in listed
    assert all(f"{name}@example.com" in listed for name in ("ann", "bo", "cy"))
    found = await page(site, f"{USERS}?search=CY")
    assert "cy@example.com" in found
    assert "ann@example.com" not in found
    assert 'value="CY"' in found
    deactivated = await page(site, f"{USERS}?state=deactivated")
    assert "bo@example.com" in deactivated
    assert "cy@example.com" not in deactivated


async def test_a_search_without_a_result_shows_what_was_searched(site: Site, company: Company) -> None:
    await company.run(people("ann"))
    text = await page(site, f"{USERS}?search=%3Cb%3Ezoe&state=active")
    assert "No active user matches “&lt;b&gt;zoe”." in text
    assert "Search finds the beginnings of words in names, email addresses and identifiers." in text


async def test_an_unknown_filter_is_refused(site: Site) -> None:
    await page(site, f"{USERS}?state=odd", 422)
    await page(site, f"{USERS}?after=99999999999999999999", 422)


async def test_pages_of_users_lead_to_the_last_user(site: Site, company: Company) -> None:
    await company.run(people(*(f"p{number:03}" for number in range(120))))
    seen: list[str] = []
    address: str | None = f"{USERS}?state=active"
    while address:
        text = await page(site, address)
        seen += re.findall(r"(p\d{3})@example", text)
        address = next_of(text)
    assert seen == [f"p{number:03}" for number in range(120)]


async def test_one_user_has_all_fields_links_and_reports(site: Site, company: Company) -> None:
    await company.run(
        sheet(
            ("Ann", "Ash", "ann@example.com", "Head", "", "", "Sales", "Choir,Chess"),
            ("Ben", "Bay", "ben@example.com", "", "ann@example.com", "", "", ""),
            ("Cleo", "Cox", "cleo@example.com", "", "", "ann@example.com", "", ""),
            header=LINKED,
        )
    )
    await company.sql("UPDATE users SET protected = true WHERE email = 'ann@example.com'")
    ann = await page(site, f"{USERS}/ann@example.com")
    for text in ("Head", "Sales", "Choir, Chess", "Protected", "Users who report to Ann", "Users coached by Ann"):
        assert text in ann, text
    assert f'<a href="{USERS}/ben%40example.com">Ben Bay</a>' in ann
    ben = await page(site, f"{USERS}/ben@example.com")
    assert f'<a href="{USERS}/ann%40example.com">Ann Ash</a>' in ben
    assert "Protected" not in ben


async def test_the_history_shows_changes_and_undos_by_import(site: Site, company: Company) -> None:
    await company.run(people("ann", job_title="Clerk"))
    await company.run(people("ann", job_title="Head"))
    await company.undo()
    text = await page(site, f"{USERS}/ann@example.com")
    events = text.split('id="history"')[1].split("import #")
    assert "undo of" in events[0]
    assert [each[0] for each in events[1:]] == ["2", "2", "1"]
    assert "<del>Head</del>" in events[1]
    assert "<ins>Clerk</ins>" in events[1]
    assert "<ins>Head</ins>" in events[2]
    assert "Created" in events[3]


async def test_a_long_history_is_paged_from_the_newest(
    site: Site, company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("server.web.pages.users.PAGE", 2)
    for title in ("", "T1", "T2", "T3"):
        await company.run(people("ann", job_title=title))
    newest = await page(site, f"{USERS}/ann@example.com")
    assert "<ins>T3</ins>" in newest
    assert "<ins>T1</ins>" not in newest
    assert "Created" not in newest
    older = next_of(newest)
    assert older
    oldest = await page(site, older)
    assert "Created" in oldest
    assert "<ins>T1</ins>" in oldest


async def test_a_custom_identifier_may_hold_anything(site: Site, company: Company) -> None:
    key = "A/B %2F?x#history"
    header = ("first_name", "last_name", "email", "employee_id")
    fields = [{"key": "employee_id", "label": "Number <i>"}]
    await company.run(sheet(("Ann", "Ash", "ann@example.com", key), header=header), custom_fields=fields)
    await site.office.tenants.change_settings("acme", {"custom_fields": fields})
    await site.office.tenants.change_settings("acme", {"identifier": "employee_id"})
    listed = await page(site, USERS)
    address = f"{USERS}/{quote(key, safe='')}"
    assert f'href="{address}"' in listed
    assert "Number &lt;i&gt;" in listed
    assert "Ann Ash" in await page(site, address)


async def test_names_of_users_stay_text(site: Site, company: Company) -> None:
    bad = "<script>alert(1)</script>"
    await company.run(sheet((bad, bad, "ann@example.com", bad, "", "", bad, bad), header=LINKED))
    for path in (USERS, f"{USERS}/ann@example.com", f"{USERS}?search={quote(bad)}"):
        text = await page(site, path)
        assert "<script>alert" not in text, path
        assert "&lt;script&gt;alert" in text, path


async def test_an_unknown_identifier_is_not_found(site: Site) -> None:
    assert "There is no user “zoe@example.com” in this company." in await page(site, f"{USERS}/zoe@example.com", 404)


async def test_all_users_can_be_downloaded(site: Site, company: Company) -> None:
    await company.run(people("ann", "bo"))
    browser = await site.browser("viewer")
    as_csv, as_lines = [await browser.get(f"{USERS}.{ending}") for ending in ("csv", "jsonl")]
    assert as_csv.headers["content-disposition"] == 'attachment; filename="sync_users.csv"'
    assert [row["email"] for row in csv.DictReader(as_csv.text.splitlines())] == ["ann@example.com", "bo@example.com"]
    assert [json.loads(line)["email"] for line in as_lines.text.splitlines()] == ["ann@example.com", "bo@example.com"]
    text = (await browser.get(USERS)).text
    assert all(f'href="{USERS}.{ending}"' in text for ending in ("csv", "jsonl"))
