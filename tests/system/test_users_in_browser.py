"""The list of users and the protection of one in a real browser, with and without JavaScript."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.async_api import Browser, Page, expect

from server.web.pages.words import NOTICES
from tests.support.browser import open_page, sign_in
from tests.support.clients import needs
from tests.support.importing import sheet
from tests.support.server_process import ServerProcess

USERS = "/tenants/acme/users"
HEADER = ("first_name", "last_name", "email", "primary_team", "location")

pytestmark = [needs("chromium", "sftp"), pytest.mark.asyncio(loop_scope="module")]
both = pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    rows = [
        (f"Nr{number:02}", chr(ord("Z") - number % 26), f"p{number:02}@acme.example", f"Team {number % 2}", "Oslo")
        for number in range(60)
    ]
    with ServerProcess(tmp_path_factory.mktemp("server")) as started:
        started.add_tenant("acme")
        started.put("acme", sheet(*rows, header=HEADER))
        started.wait("acme")
        yield started


def token(server: ServerProcess, role: str) -> str:
    return server.cli("token", "create", "acme", "--role", role).text.strip()


async def first_row(page: Page) -> str:
    return (await page.locator("tbody th a").first.inner_text()).strip()


@both
async def test_a_viewer_filters_sorts_pages_and_downloads(
    server: ServerProcess, browser: Browser, javascript: bool
) -> None:
    async with open_page(browser, f"http://127.0.0.1:{server.http_port}", javascript=javascript) as page:
        await sign_in(page, token(server, "viewer"))
        await page.goto(USERS)
        await expect(page.get_by_text("1–25 of 60 users")).to_be_visible()
        await page.get_by_text("Filter and sort").click()
        await page.get_by_label("Primary or secondary team").select_option("Team 1")
        await page.get_by_label("Sort by").select_option("Last name")
        await page.get_by_role("button", name="Search").click()
        await expect(page.get_by_text("1–25 of 30 users")).to_be_visible()
        assert await first_row(page) == "Nr25 A"
        await expect(page.get_by_label("Primary or secondary team")).to_have_value("Team 1")
        await page.get_by_role("link", name="Next page").click()
        await expect(page.get_by_text("26–30 of 30 users")).to_be_visible()
        await page.get_by_role("link", name="Previous page").click()
        await expect(page.get_by_text("1–25 of 30 users")).to_be_visible()
        async with page.expect_download() as downloading:
            await page.get_by_role("link", name="as CSV").click()
        path = await (await downloading.value).path()
        assert len(path.read_text(encoding="utf-8").splitlines()) == 31
        await page.get_by_role("link", name="Show all").click()
        await expect(page.get_by_text("1–25 of 60 users")).to_be_visible()


@both
async def test_an_owner_protects_a_user_by_key(server: ServerProcess, browser: Browser, javascript: bool) -> None:
    async with open_page(browser, f"http://127.0.0.1:{server.http_port}", javascript=javascript) as page:
        await sign_in(page, token(server, "owner"))
        await page.goto(f"{USERS}/p07@acme.example")
        await page.get_by_role("button", name="Protect this user").press("Enter")
        await expect(page.get_by_role("status")).to_have_text(NOTICES["user-protected"])
        await expect(page.get_by_text("No import deactivates Nr07.")).to_be_visible()
        await page.goto(f"{USERS}?protected=yes")
        assert await first_row(page) == f"Nr07 {chr(ord('Z') - 7)}"
        await page.goto(f"{USERS}/p07@acme.example")
        await page.get_by_role("button", name="End the protection").press("Enter")
        await expect(page.get_by_role("button", name="Protect this user")).to_be_visible()
