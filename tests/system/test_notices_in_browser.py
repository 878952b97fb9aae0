"""The notice of an action and the page of a problem in a real browser, with and without JavaScript."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

import pytest
from playwright.async_api import Browser, Page, expect

from ground.moments import rfc3339, utc_now
from server.web.pages.words import NOTICES
from tests.support.browser import open_page, sign_in
from tests.support.clients import needs
from tests.support.server_process import ServerProcess

KEYS = "/tenants/acme/keys"

pytestmark = [needs("chromium"), pytest.mark.asyncio(loop_scope="module")]
both = pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server")) as started:
        started.cli("tenant", "add", "acme")
        yield started


def token(server: ServerProcess, role: str = "owner") -> str:
    return server.cli("token", "create", "acme", "--role", role, "--comment", "Grace").text.strip()


async def pause(page: Page) -> None:
    await page.goto("/tenants/acme/imports")
    await page.locator("#pause > summary").click()
    await page.get_by_label("Pause until").fill(rfc3339(utc_now() + timedelta(days=1))[:16])
    await page.locator("#pause button").click()


@both
async def test_a_notice_is_gone_at_a_reload_and_in_another_tab(
    server: ServerProcess, browser: Browser, javascript: bool
) -> None:
    async with open_page(browser, f"http://127.0.0.1:{server.http_port}", javascript=javascript) as page:
        await sign_in(page, token(server))
        await pause(page)
        notice = page.locator(".notice")
        await expect(notice).to_have_text(NOTICES["paused"])
        tab = await page.context.new_page()
        await tab.goto(page.url)
        await expect(tab.get_by_role("heading", name="Imports")).to_be_visible()
        await expect(tab.locator(".notice")).to_have_count(0)
        await page.reload()
        await expect(page.get_by_role("heading", name="Imports")).to_be_visible()
        await expect(notice).to_have_count(0)


@both
async def test_a_wrong_address_leads_back_to_the_page_above(
    server: ServerProcess, browser: Browser, javascript: bool
) -> None:
    async with open_page(browser, f"http://127.0.0.1:{server.http_port}", javascript=javascript) as page:
        await sign_in(page, token(server, "viewer"))
        await page.goto("/tenants/acme/users/nobody@example.com")
        await expect(page.get_by_role("heading", name="Not found")).to_be_visible()
        await expect(page.get_by_role("button", name="Sign out")).to_be_visible()
        await page.locator(".back a").click()
        await expect(page.get_by_role("heading", name="Users", exact=True)).to_be_visible()
