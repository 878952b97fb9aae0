"""The list of users: filters, order, pages and downloads, and the protection of one user."""

from __future__ import annotations

import csv
import html
import json
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from server.web.pages import user_lists
from tests.support.importing import Company, people, sheet
from tests.support.pages import done, page, seen
from tests.support.site import Site, open_site

USERS = "/tenants/acme/users"
HEADER = ("first_name", "last_name", "email", "primary_team", "secondary_team", "location")
STAFF = (
    ("Ann", "Young", "ann@example.com", "Sales", "", "Oslo"),
    ("Bo", "Adams", "bo@example.com", "Ops", "Sales", "Oslo"),
    ("Cy", "Miller", "cy@example.com", "<b>Ops", "", "Bergen"),
)
LINE = re.compile(r'<span class="under">(\w+)@example.com</span>')


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other") as opened:
        yield opened


@pytest.fixture
async def company(site: Site) -> Company:
    acme = site.stored.company("acme")
    await acme.run(sheet(*STAFF, header=HEADER))
    return acme


async def listed(site: Site, query: str = "") -> list[str]:
    return LINE.findall(await page(site, f"{USERS}{query}", role="viewer"))


@pytest.mark.parametrize(
    ("query", "names"),
    [
        ("?team=sales", ["ann", "bo"]),
        ("?team=Sales&location=Oslo&search=adams", ["bo"]),
        ("?location=Bergen", ["cy"]),
        ("?team=%3Cb%3EOps", ["cy"]),
        ("?protected=yes", ["bo"]),
        ("?protected=no", ["ann", "cy"]),
        ("?sort=last_name", ["bo", "cy", "ann"]),
        ("?sort=newest&team=Sales", ["bo", "ann"]),
        ("?team=Nothing", []),
    ],
)
async def test_users_are_filtered_and_sorted_by_the_address(
    site: Site, company: Company, query: str, names: list[str]
) -> None:
    await company.sql("UPDATE users SET protected = true WHERE email = 'bo@example.com'")
    text = await page(site, f"{USERS}{query}", role="viewer")
    assert LINE.findall(text) == names
    assert "<b>Ops" not in text
    assert ("No user matches these filters." in text) == (not names)


async def test_the_filters_stay_chosen_and_are_part_of_every_link(
    site: Site, company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_lists, "PAGE", 1)
    text = await page(site, f"{USERS}?team=Sales&sort=last_name&search=exam&skip=1", role="viewer")
    assert LINE.findall(text) == ["ann"]
    assert '<details class="more" open>' in text
    for option in ('value="Sales" selected', 'value="last_name" selected', 'value="exam"'):
        assert option in text, option
    links = [html.unescape(each) for each in re.findall(r'href="([^"]*search=exam[^"]*)"', text)]
    assert len(links) == 3, "the previous page, CSV and JSON lines"
    turned, *downloads = [link.partition("?")[2] for link in links]
    assert turned == "search=exam&team=Sales&sort=last_name"
    assert downloads == ["search=exam&team=Sales"] * 2, "a download is in the order of creation"


async def test_pages_say_which_users_they_show(site: Site, company: Company) -> None:
    await company.run(people(*(f"p{number:03}" for number in range(109))))
    seen_users: list[str] = []
    facts = []
    address = f"{USERS}?sort=email"
    while address:
        text = await page(site, address, role="viewer")
        facts += re.findall(r"[\d,]+–[\d,]+ of [^<]+", text)
        seen_users += LINE.findall(text)
        found = re.search(r'href="([^"]+)" rel="next"', text)
        address = html.unescape(found[1]) if found else ""
    assert facts == [f"{start}–{min(start + 24, 112)} of 112 users" for start in range(1, 112, 25)]
    assert seen_users == sorted(seen_users)
    assert len(set(seen_users)) == 112


async def test_a_page_leads_to_the_previous_and_the_first_one(site: Site, company: Company) -> None:
    await company.run(people(*(f"p{number:03}" for number in range(80))))
    text = await page(site, f"{USERS}?skip=50", role="viewer")
    assert f'href="{USERS}">First page' in text
    assert f'href="{USERS}?skip=25" rel="prev"' in text
    second = await page(site, f"{USERS}?skip=25", role="viewer")
    assert "First page" not in second
    assert f'href="{USERS}" rel="prev"' in second


async def test_a_page_after_the_last_one_leads_back(site: Site, company: Company) -> None:
    text = await page(site, f"{USERS}?skip=75&team=Sales", role="viewer")
    assert "The list has 2 users." in seen(text)
    assert f'href="{USERS}?team=Sales">First page' in text


async def test_a_list_that_is_too_long_is_not_sorted_and_says_so(
    site: Site, company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(user_lists, "SORTED_MOST", 1)
    monkeypatch.setattr(user_lists, "PAGE", 1)
    monkeypatch.setattr("server.web.pages.users.SORTED_MOST", 1)
    first = await page(site, f"{USERS}?sort=last_name&location=Oslo", role="viewer")
    assert "More than 1 users match, so they are not sorted: the oldest come first." in first
    assert "1–1 of more than 1 users" in first
    found = re.search(r'href="([^"]+)" rel="next"', first)
    assert found
    second = await page(site, html.unescape(found[1]), role="viewer")
    assert LINE.findall(first) + LINE.findall(second) == ["ann", "bo"]
    assert "2–2 of more than 1 users" in second
    assert 'rel="next"' not in second
    assert "1–1 of 3 users" in await page(site, USERS, role="viewer")
    assert "1–1 of 3 users" in await page(site, f"{USERS}?state=active", role="viewer")


async def test_many_teams_are_typed_instead_of_chosen(
    site: Site, company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert '<select id="team"' in await page(site, USERS)
    for place in ("user_lists", "users"):
        monkeypatch.setattr(f"server.web.pages.{place}.NAMES", 1)
    text = await page(site, f"{USERS}?team=ops", role="viewer")
    assert '<input id="team" name="team" value="ops"' in text
    assert LINE.findall(text) == ["bo"]


@pytest.mark.parametrize("query", ["?protected=maybe", "?sort=odd", "?skip=-1", f"?team={'x' * 256}"])
async def test_a_wrong_filter_is_refused(site: Site, query: str) -> None:
    await page(site, f"{USERS}{query}", status=422)


async def test_a_download_has_exactly_the_users_of_the_filter(site: Site, company: Company) -> None:
    browser = await site.browser("viewer")
    query = "?team=Sales&sort=newest&skip=1"
    as_csv, as_lines = [await browser.get(f"{USERS}.{ending}{query}") for ending in ("csv", "jsonl")]
    assert [row["email"] for row in csv.DictReader(as_csv.text.splitlines())] == [
        "ann@example.com",
        "bo@example.com",
    ]
    assert [json.loads(line)["first_name"] for line in as_lines.text.splitlines()] == ["Ann", "Bo"]
    assert 'filename="some-users.csv"' in as_csv.headers["content-disposition"]
    complete = await browser.get(f"{USERS}.csv?sort=newest")
    assert 'filename="sync_users.csv"' in complete.headers["content-disposition"]
    assert len(complete.text.splitlines()) == 4


@pytest.mark.parametrize("query", ["?state=deactivated", "?search=cy", "?search=example", "?search=nomail"])
async def test_a_download_of_a_list_has_every_user_on_the_page(site: Site, company: Company, query: str) -> None:
    await company.sql("UPDATE users SET state = 'deactivated', known = false WHERE email = 'cy@example.com'")
    await company.sql("UPDATE users SET email = NULL, email_key = NULL, last_name = 'Nomail' WHERE first_name = 'Bo'")
    browser = await site.browser("viewer")
    text = (await browser.get(f"{USERS}{query}")).text
    table = text.split("<tbody>")[1].split("</tbody>")[0]
    on_page = [row.split()[0] for row in re.findall(r'<th scope="row">\s*(?:<a[^>]*>)?([^<]+)', table)]
    csv_link, lines_link = re.findall(r'href="([^"]+)" download', text)
    rows = [*csv.DictReader((await browser.get(html.unescape(csv_link))).text.splitlines())]
    lines = (await browser.get(html.unescape(lines_link))).text.splitlines()
    assert [row["first_name"] for row in rows] == on_page != []
    assert [json.loads(line)["first_name"] for line in lines] == on_page


async def test_the_file_of_all_users_says_which_users_it_leaves_out(site: Site, company: Company) -> None:
    await company.sql("UPDATE users SET state = 'deactivated', known = false WHERE email = 'cy@example.com'")
    browser = await site.browser("viewer")
    as_csv, as_lines = [(await browser.get(f"{USERS}.{ending}")).text.splitlines() for ending in ("csv", "jsonl")]
    assert [row["first_name"] for row in csv.DictReader(as_csv)] == ["Ann", "Bo"]
    assert len(as_lines) == 3
    left_out = "The CSV file of all users leaves out users whose creation was undone"
    assert left_out in seen((await browser.get(USERS)).text)
    assert left_out not in seen((await browser.get(f"{USERS}?team=Sales")).text)


async def test_a_download_is_in_the_order_of_creation_and_its_link_says_so(site: Site, company: Company) -> None:
    text = await page(site, f"{USERS}?team=Sales&sort=newest", role="viewer")
    assert "The users are in the order of creation." in seen(text)
    assert re.findall(r'href="([^"]+)" download', text) == [f"{USERS}.{each}?team=Sales" for each in ("csv", "jsonl")]


async def test_the_api_takes_the_same_filters(site: Site, company: Company) -> None:
    api = site.api("viewer")
    await company.sql("UPDATE users SET protected = true WHERE email = 'bo@example.com'")
    for query, names in (("team=sales", ["Ann", "Bo"]), ("location=Bergen", ["Cy"]), ("protected=true", ["Bo"])):
        answer = await api.get(f"/api/v1/tenants/acme/users?{query}")
        assert [user["first_name"] for user in answer.json()["users"]] == names, query
    assert (await api.get("/api/v1/tenants/acme/users?protected=odd")).status_code == 422
    paged = await api.get("/api/v1/tenants/acme/users?team=Sales&limit=1")
    assert "team=Sales" in paged.headers["link"]


# The protection of a user


async def protect(site: Site, protected: str, *, role: str, user: str = "ann%40example.com") -> httpx.Response:
    browser = await site.browser(role)
    return await browser.post(f"{USERS}/{user}/protection", data={"protected": protected})


@pytest.mark.parametrize("role", ["owner", "operator"])
@pytest.mark.logs("user_protected", "user_unprotected")
async def test_an_owner_protects_a_user_and_ends_the_protection(site: Site, company: Company, role: str) -> None:
    here = f"{USERS}/ann%40example.com"
    before = await page(site, here)
    assert "Protect this user" in before
    assert "No import deactivates Ann." not in before
    browser = await site.browser(role)
    answer = await browser.post(f"{here}/protection", data={"protected": "true"})
    assert done(answer) == (here, "user-protected")
    shown = (await browser.get(here)).text
    assert "No import deactivates this user." in shown
    assert "No import deactivates Ann." in shown
    assert (await company.users())["ann@example.com"]["protected"]
    assert done(await protect(site, "false", role=role)) == (here, "user-unprotected")
    assert not (await company.users())["ann@example.com"]["protected"]


async def test_others_cannot_protect_a_user(site: Site, company: Company) -> None:
    assert (await protect(site, "true", role="viewer")).status_code == 403
    assert (await protect(site, "true", role="elsewhere")).status_code == 404
    assert (await protect(site, "true", role="owner", user="nobody")).status_code == 404
    assert (await protect(site, "odd", role="owner")).status_code == 422
    await company.sql("UPDATE users SET protected = true WHERE email = 'bo@example.com'")
    text = seen(await page(site, f"{USERS}/bo@example.com", role="viewer"))
    assert "No import deactivates Bo. An owner can end this protection." in text
    assert "End the protection" not in text
    assert [user["protected"] for user in (await company.users()).values()] == [False, True, False]


async def test_while_an_import_writes_the_users_page_says_why_nothing_changed(
    site: Site, company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    site.stored.impatient(monkeypatch, 0.05)
    with site.stored.writing_users("acme"):
        answer = await protect(site, "true", role="owner")
    assert answer.status_code == 503
    assert "Not possible now" in seen(answer.text)
    assert "<h1>Ann Young</h1>" in answer.text
    assert not (await company.users())["ann@example.com"]["protected"]
