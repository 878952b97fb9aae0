"""Owners pause the imports of their company in a browser, and end the pause, with and without JavaScript."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from playwright.async_api import Browser, expect

from ground.moments import rfc3339, utc_now
from tests.support.browser import open_page, sign_in, staying, token, url
from tests.support.clients import needs
from tests.support.importing import people
from tests.support.mailserver import MailHost
from tests.support.server_process import ServerProcess
from tests.support.waiting import eventually

pytestmark = [needs("chromium", "sftp"), pytest.mark.asyncio(loop_scope="module")]


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])
async def test_an_owner_pauses_the_imports_and_ends_the_pause(
    server: ServerProcess, browser: Browser, tenant: str, javascript: bool
) -> None:
    tomorrow = (datetime.now(UTC) + timedelta(days=1)).replace(second=0, microsecond=0)
    zone = ZoneInfo("Europe/Berlin") if javascript else UTC  # the browser's, or the one that the page names
    async with open_page(browser, url(server), javascript=javascript) as page:
        await sign_in(page, token(server, tenant))
        await page.get_by_text("Pause the imports", exact=True).first.click()
        field = page.get_by_label(f"Pause until ({'Europe/Berlin' if javascript else 'UTC'})", exact=True)
        await field.fill(f"{tomorrow.astimezone(zone):%Y-%m-%dT%H:%M}")
        await page.get_by_label("Reason", exact=True).fill("Migration")
        await page.get_by_role("button", name="Pause the imports").click()
        await expect(page.locator(".notice")).to_contain_text("The imports are paused.")
        await expect(page.locator(".calls")).to_contain_text("Grace (owner, token")
        await expect(page.locator(".calls")).to_contain_text("No file waits.")
        stored = server.cli("tenant", "show", tenant, "--json").json["settings"]
        assert (stored["paused_until"], stored["paused_because"]) == (rfc3339(tomorrow), "Migration")
        await page.get_by_text("Change the pause", exact=True).first.click()
        await expect(field).to_have_value(f"{tomorrow.astimezone(zone):%Y-%m-%dT%H:%M}")
        server.put(tenant, people("ann"))
        if not javascript:
            await page.goto(f"/tenants/{tenant}/imports")
        await expect(page.locator(".calls")).to_contain_text("1 file waits for the end of the pause.")
        async with staying(page):
            await page.get_by_role("button", name="End the pause").click()
            await expect(page.locator(".notice")).to_contain_text("The pause has ended.")
    assert server.reaches(tenant, 1, "completed")


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])
async def test_a_refused_pause_keeps_the_form_and_says_why(
    server: ServerProcess, browser: Browser, tenant: str, javascript: bool
) -> None:
    async with open_page(browser, url(server), javascript=javascript) as page:
        await sign_in(page, token(server, tenant))
        await page.get_by_text("Pause the imports", exact=True).first.click()
        await page.get_by_label(re.compile("^Pause until")).fill("2001-01-01T08:00")
        await page.get_by_label("Reason", exact=True).fill("Migration")
        await page.get_by_role("button", name="Pause the imports").click()
        await expect(page.locator("#until-error")).to_contain_text("is past")
        await expect(page.get_by_label(re.compile("^Pause until"))).to_be_focused()
        await expect(page.get_by_label(re.compile("^Pause until"))).to_have_value("2001-01-01T08:00")
        await expect(page.get_by_label("Reason", exact=True)).to_have_value("Migration")
        await page.get_by_role("link", name="Imports").click()
        await expect(page.locator(".calls")).to_have_count(0)


def pause_until(server: ServerProcess, end: datetime) -> None:
    server.cli("tenant", "set", "acme", f"paused_until={rfc3339(end)}", "paused_because=Migration")


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])
async def test_a_mail_says_a_day_before_that_a_pause_ends_and_links_to_its_page(
    mailing: ServerProcess, mail: MailHost, browser: Browser, javascript: bool
) -> None:
    pause_until(mailing, utc_now() + timedelta(days=9))
    mailing.put("acme", people("ann"))
    assert mailing.stop() == 0
    pause_until(mailing, utc_now() + timedelta(days=1))  # of the same pause, which is longer than a day
    mailing.start()
    await eventually(lambda: mail.mails, what="the mail")
    (sent,) = mail.mails
    assert sent["Subject"] == "[Headcount] acme: the pause ends within a day"
    text = sent.get_body(("plain",))
    assert text
    assert "1 file waits. At the end of the pause, waiting files are imported in order." in text.get_content()
    link = re.search(r"http://\S+", text.get_content())
    assert link
    async with open_page(browser, url(mailing), javascript=javascript) as page:
        await page.goto(link[0])
        await page.get_by_label("Access token").fill(token(mailing, "acme"))
        await page.get_by_role("button", name="Sign in", exact=True).click()
        await expect(page.locator(".calls")).to_contain_text("1 file waits for the end of the pause.")
        async with staying(page):
            await page.get_by_role("button", name="End the pause").click()
            await expect(page.locator(".notice")).to_contain_text("The pause has ended.")
    assert mailing.reaches("acme", 1, "completed")
