"""A held import in a browser: why it is held, the users that it would change, and the decision."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from server.tenants.setting_texts import SETTING_TEXTS
from tests.support.browser import open_page, sign_in, staying, token, url
from tests.support.clients import needs
from tests.support.importing import crowd, sheet
from tests.support.server_process import ServerProcess

pytestmark = [needs("chromium", "sftp"), pytest.mark.asyncio(loop_scope="module")]


def hold(server: ServerProcess, tenant: str, before: bytes, after: bytes) -> None:
    """Send two complete lists, so that the second is held."""
    server.put(tenant, before)
    server.wait(tenant)
    server.put(tenant, after)
    assert server.wait(tenant)["state"] == "held"


def addresses(template: str) -> bytes:
    return sheet(*[(f"F{each}", "Lee", template.format(f"u{each}")) for each in range(12)])


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])
async def test_an_owner_sees_the_users_of_a_held_import_and_approves_it_in_two_steps(
    server: ServerProcess, browser: Browser, tenant: str, javascript: bool
) -> None:
    hold(server, tenant, crowd(40), crowd(40, without=15))
    async with open_page(browser, url(server), javascript=javascript) as page:
        await sign_in(page, token(server, tenant))
        await page.get_by_role("link", name="Review").click()
        await expect(page.get_by_role("region", name="Users to deactivate").locator("tbody tr")).to_have_count(15)
        reasons = page.get_by_role("region", name="Your decision").get_by_role("listitem")
        await expect(reasons.first).to_have_text(re.compile("^It would deactivate 15 of 40 active users"))
        assert await reasons.count() > 1, "one fact each"
        sure = page.get_by_role("button", name="Deactivate 15 users", exact=True)
        await expect(sure).to_be_hidden()
        await page.get_by_text("Approve: deactivate 15 users").click()
        await expect(page.get_by_text("The approval deactivates 15 users.")).to_be_visible()
        assert server.report(tenant, 2)["state"] == "held", "the first step only asks"
        async with staying(page):
            await sure.click()
            await expect(page.locator(".notice")).to_contain_text("Approved")
        await expect(page.locator(".badge.completed")).to_be_visible()
    report = server.report(tenant, 2)
    assert (report["state"], report["counts"]["deactivated"]) == ("completed", 15)
    assert report["decided_by"].startswith("Grace (owner, token ")


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])
async def test_an_owner_discards_a_held_import_and_no_user_changes(
    server: ServerProcess, browser: Browser, tenant: str, javascript: bool
) -> None:
    hold(server, tenant, crowd(40), crowd(40, without=15))
    async with open_page(browser, url(server), javascript=javascript) as page:
        await sign_in(page, token(server, tenant))
        await page.get_by_role("link", name="Review").click()
        await page.get_by_role("button", name="Discard import").click()
        await expect(page.locator(".notice")).to_have_text("Discarded: nothing was changed.")
        await expect(page.get_by_role("region", name="Your decision")).to_have_count(0)
    assert server.report(tenant, 2)["state"] == "discarded"
    assert set(server.users(tenant).values()) == {"active"}


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])
async def test_the_users_that_an_import_would_change_are_searched_sorted_and_downloaded(
    server: ServerProcess, browser: Browser, tenant: str, javascript: bool
) -> None:
    hold(server, tenant, crowd(60), crowd(60, without=30) + b"Ann,Lee,ann@acme.example\n")
    async with open_page(browser, url(server), javascript=javascript) as page:
        await sign_in(page, token(server, tenant, "viewer"))
        await page.get_by_role("link", name="View", exact=True).click()
        await expect(page.get_by_text("1–25 of 30 users")).to_be_visible()
        pages = page.get_by_role("navigation", name="Pages: touched")
        await page.set_viewport_size({"width": 800, "height": 900})
        above, below = await pages.bounding_box(), await page.get_by_role("region", name="File").bounding_box()
        assert above
        assert below
        assert below["y"] - above["y"] - above["height"] >= 16, "the pager does not touch the card below it"
        await pages.get_by_role("link", name="Next page").click()
        await expect(page.get_by_text("26–30 of 30 users")).to_be_visible()
        await page.get_by_role("navigation", name="Actions").get_by_role("link", name="All 31").click()
        rows = page.get_by_role("region", name="Users to change").locator("tbody tr")
        await expect(rows.first).to_contain_text("Ann Lee")
        await page.get_by_label("Sort by").select_option("Action")
        await page.get_by_role("button", name="Show", exact=True).click()
        await expect(rows.first).to_contain_text("Deactivate")
        await page.get_by_role("searchbox").fill("p3 SMITH")
        await page.get_by_role("searchbox").press("Enter")
        await expect(rows).to_have_count(10)
        async with page.expect_download() as fetched:
            await page.get_by_role("link", name="Users to change").click()
        lines = Path(await (await fetched.value).path()).read_text(encoding="utf-8-sig").splitlines()
    assert len(lines) == 32
    assert lines[-1] == "ann@acme.example,Ann Lee,ann@acme.example,created,32"


async def test_a_viewer_sees_a_held_import_and_no_button(
    server: ServerProcess, browser: Browser, tenant: str
) -> None:
    hold(server, tenant, crowd(40), crowd(40, without=15))
    async with open_page(browser, url(server)) as page:
        await sign_in(page, token(server, tenant, "viewer"))
        await page.goto(f"/tenants/{tenant}/imports/2")
        await expect(page.get_by_text("Only an owner can approve or discard.")).to_be_visible()
        await expect(page.get_by_role("button", name=re.compile("Approve|Discard"))).to_have_count(0)


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])
@pytest.mark.parametrize(
    ("renamed", "fact"),
    [
        ("{}@new.example", "The domain of their addresses changed."),
        ("{}.lee@new.example", "may already exist under another email"),
    ],
    ids=["domain", "renumbered"],
)
async def test_changed_identifiers_are_named_and_lead_to_their_setting(
    server: ServerProcess, browser: Browser, tenant: str, renamed: str, fact: str, javascript: bool
) -> None:
    server.cli("tenant", "set", tenant, "max_deactivations_percent=100", "max_creations_percent=10")
    hold(server, tenant, addresses("{}@old.example"), addresses(renamed))
    async with open_page(browser, url(server), javascript=javascript) as page:
        await sign_in(page, token(server, tenant))
        await page.get_by_role("link", name="Review").click()
        decision = page.get_by_role("region", name="Your decision")
        await expect(decision).to_contain_text(fact)
        await decision.get_by_role("link", name=SETTING_TEXTS["identifier"].label).click()
        await page.wait_for_url("**/settings#identifier")
        await expect(page.get_by_label(SETTING_TEXTS["identifier"].label)).to_be_in_viewport()
