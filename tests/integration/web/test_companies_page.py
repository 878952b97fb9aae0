"""The operator's list of companies: those that need attention first, and the health of the server."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.bans import Ban
from ground.moments import rfc3339
from server.web.pages.companies import PARTS
from tests.support.chosen import EMBEDDED, chosen_engine
from tests.support.importing import people
from tests.support.pages import done
from tests.support.site import Site, open_site

PAGE = "/tenants"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "beta", "zoo") as opened:
        yield opened


async def page(site: Site, query: str = "") -> str:
    answer = await (await site.browser("operator")).get(PAGE + query)
    assert answer.status_code == 200
    return answer.text


def named(text: str) -> list[str]:
    """Return the companies of the page, in order."""
    return re.findall(r'<th scope="row">\s*<a href="/tenants/([a-z]+)/imports"', text)


async def test_without_companies_the_page_says_how_to_add_one(tmp_path: Path) -> None:
    async with open_site(tmp_path) as site:
        text = await page(site)
        assert "headcount tenant add NAME" in text
        assert "Add this company" in text
        assert "Remove a company" not in text


async def test_a_company_shows_its_newest_import_users_and_connections(site: Site) -> None:
    number = await site.imported(people("ann", "bo"))
    text = await page(site)
    assert named(text) == ["acme", "beta", "zoo"]
    assert f'<a href="/tenants/acme/imports/{number}">#{number}</a> <span class="badge completed">' in text
    assert text.count("no file yet") == 2
    assert "3 companies, 2 active users, 0 open connections" in text


async def test_a_count_of_1_has_a_singular_noun(tmp_path: Path) -> None:
    async with open_site(tmp_path, "acme") as site:
        await site.imported(people("ann"))
        await site.imported(people("ann", job_title="Baker"))
        assert "1 company, 1 active user, 0 open connections" in await page(site)
        text = (await (await site.browser("operator")).get("/tenants/acme/imports")).text
        assert "1 active user</span>" in text


async def test_companies_that_need_attention_come_first_with_the_reason(site: Site) -> None:
    await site.imported(b"nonsense\n", "zoo")
    text = await page(site)
    assert named(text) == ["zoo", "acme", "beta"]
    assert "Newest import failed" in text
    assert named(await page(site, "?attention=true")) == ["zoo"]


async def test_a_stale_feed_needs_attention(site: Site) -> None:
    await site.office.tenants.change_settings("beta", {"stale_after_days": 2})
    assert named(await page(site)) == ["acme", "beta", "zoo"]
    site.stored.date_tenants(rfc3339(datetime.now(UTC) - timedelta(days=3)))
    text = await page(site)
    assert named(text) == ["beta", "acme", "zoo"]
    assert "No file was applied for 2 days" in text


async def test_a_paused_company_shows_until_when_and_why(site: Site) -> None:
    tenants, until = site.office.tenants, rfc3339(datetime.now(UTC) + timedelta(days=2))
    assert "Imports paused" not in await page(site)
    await tenants.change_settings("beta", {"paused_until": until, "paused_because": "Moving <b>"})
    text = await page(site)
    row = text.partition('<a href="/tenants/beta/imports">')[2].partition("</tr>")[0]
    assert f'Imports paused until <time datetime="{until}"' in row
    assert "Moving &lt;b&gt;" in row
    assert text.count("Imports paused") == 1
    assert named(text) == ["acme", "beta", "zoo"], "a pause needs no attention"
    await tenants.change_settings("beta", {"paused_until": None})
    assert "Imports paused" not in await page(site)


@pytest.mark.only_on("sqlite", "no other engine has a tenant alone that is broken")
async def test_a_pause_that_cannot_be_read_leaves_the_page(site: Site) -> None:
    until = rfc3339(datetime.now(UTC) + timedelta(days=2))
    await site.office.tenants.change_settings("beta", {"paused_until": until})
    site.stored.folder("beta").users_db.write_bytes(b"no database")
    assert named(await page(site)) == ["beta", "acme", "zoo"]


async def test_companies_are_found_by_name(site: Site) -> None:
    assert named(await page(site, "?search=ACM")) == ["acme"]
    assert "No company has “&lt;b&gt;x” in its name." in await page(site, "?search=%3Cb%3Ex")
    assert "No company needs attention." in await page(site, "?attention=true")


async def test_a_part_that_is_down_is_shown(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    assert "SFTP, imports, database and disk are working." in await page(site)

    async def down() -> bool:
        return False

    monkeypatch.setitem(site.checks, "worker", down)
    text = await page(site)
    assert f"Server problem.</strong> Not working: {PARTS['worker']}. The log has the cause." in text


async def test_only_the_operator_sees_the_list_of_companies(site: Site) -> None:
    for role in ("owner", "viewer", "elsewhere"):
        assert (await (await site.browser(role)).get(PAGE)).status_code == 403


async def test_banned_addresses_are_listed_for_the_operator(site: Site) -> None:
    assert "Banned addresses" not in await page(site)
    until = rfc3339(datetime.now(UTC) + timedelta(minutes=5))
    bans = [Ban(f"192.0.2.{number}", until, "refused logins") for number in range(12)]
    await site.office.tenants.store.bans().write(bans, (), known=())
    text = await page(site)
    assert re.findall(r"<th scope=\"row\">192\.0\.2\.\d+</th>", text)
    assert text.count("refused logins") == 10
    assert "And 2 more" in text


async def test_the_operator_adds_a_company_and_a_token_for_its_owner(site: Site) -> None:
    browser = await site.browser("operator")
    answer = await browser.post(PAGE, data={"name": " globex "})
    assert done(answer) == ("/tenants/globex/colleagues", "company-added")
    text = (await browser.get(answer.headers["location"])).text
    assert "Company added." in text
    assert "No tokens yet" in text
    assert named(await page(site)) == ["acme", "beta", "globex", "zoo"]


@pytest.mark.parametrize(
    ("name", "status", "sentence"),
    [
        ("acme", 409, "There is a company “acme” already."),
        ("<B>", 422, "cannot be the name of a company. Use 2 to 31 of"),
        ("", 422, "cannot be the name of a company. Use 2 to 31 of"),
    ],
)
async def test_a_company_that_is_not_added_says_why(site: Site, name: str, status: int, sentence: str) -> None:
    answer = await (await site.browser("operator")).post(PAGE, data={"name": name})
    assert answer.status_code == status
    assert sentence in answer.text
    assert "<B>" not in answer.text
    assert named(answer.text) == ["acme", "beta", "zoo"]


@pytest.mark.parametrize(
    "is_broken",
    [
        False,
        pytest.param(True, marks=pytest.mark.only_on("sqlite", "no other engine has a tenant alone that is broken")),
    ],
)
async def test_a_company_is_removed_when_its_name_is_typed(site: Site, is_broken: bool) -> None:
    browser = await site.browser("operator")
    if is_broken:
        site.stored.folder("beta").users_db.write_bytes(b"no database")
    for wrong in ("", "bet", "beta2"):
        answer = await browser.post(f"{PAGE}/remove", data={"name": wrong})
        assert answer.status_code in {404, 422}
        assert 'id="remove-error"' in answer.text
    answer = await browser.post(f"{PAGE}/remove", data={"name": "beta"})
    code = "company-removed" if chosen_engine() == EMBEDDED else "company-put-aside"
    assert done(answer) == (f"{PAGE}", code)
    assert named(await page(site)) == ["acme", "zoo"]
    assert site.stored.removed() == ["beta"]


async def test_only_the_operator_adds_and_removes_companies(site: Site) -> None:
    for role in ("owner", "viewer"):
        browser = await site.browser(role)
        for path in (PAGE, f"{PAGE}/remove"):
            assert (await browser.post(path, data={"name": "acme"})).status_code == 403
    assert named(await page(site)) == ["acme", "beta", "zoo"]
