"""The help and the steps to the first file in a real browser: on every screen, by keyboard, without JavaScript."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from pathlib import Path

import asyncssh
import pytest
from playwright.async_api import Browser, expect

from server.tenants.setting_texts import SETTING_TEXTS
from server.web.pages.help.book import TOPICS
from tests.support.browser import open_page, sign_in
from tests.support.clients import needs
from tests.support.screens import faults_of, faults_on_screens
from tests.support.server_process import ServerProcess
from tests.system.test_keyboard import unreachable

HOME = "/tenants/acme"
FAILING = b"first_name,last_name,email\nAnn,Lee,ann@example.com\nBo,Ng,bo\n"

pytestmark = [needs("chromium", "sftp"), pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Start a server with a company whose import 1 has a rejected row."""
    with ServerProcess(tmp_path_factory.mktemp("help")) as started:
        started.add_tenant("acme")
        started.put("acme", FAILING)
        started.wait("acme")
        yield started


def url(server: ServerProcess) -> str:
    return f"http://127.0.0.1:{server.http_port}"


def token(server: ServerProcess, *who: str) -> str:
    return server.cli("token", "create", *who).text.strip()


async def test_every_page_of_the_help_fits_and_passes_accessibility_checks(
    server: ServerProcess, browser: Browser
) -> None:
    found: dict[str, object] = {}
    async with open_page(browser, url(server)) as page:
        for path in ("/help", *(f"/help/{name}" for name in TOPICS)):
            await page.goto(path)
            found |= await faults_on_screens(page, path, (320, 1280))
    assert found == {}


@pytest.mark.parametrize("javascript", [True, False])
async def test_help_opens_at_the_section_of_the_page(
    server: ServerProcess, browser: Browser, javascript: bool
) -> None:
    async with open_page(browser, url(server), javascript=javascript) as page:
        await sign_in(page, token(server, "acme", "--role", "owner"))
        await page.goto(f"{HOME}/keys")
        async with page.expect_popup() as opened:
            await page.get_by_role("link", name="Help", exact=False).first.click()
        section = await opened.value
        await expect(section).to_have_url(f"{url(server)}/help/owner-guide#connecting")
        await expect(section.get_by_role("heading", name="Connecting")).to_be_in_viewport()
        await expect(section.get_by_role("button", name="Sign out")).to_be_visible()
        await expect(section.get_by_role("link", name="Help", exact=True).first).to_have_attribute(
            "aria-current", "page"
        )


@pytest.mark.parametrize("javascript", [True, False])
async def test_the_code_of_a_message_opens_its_row(server: ServerProcess, browser: Browser, javascript: bool) -> None:
    async with open_page(browser, url(server), javascript=javascript) as page:
        await sign_in(page, token(server, "acme", "--role", "viewer"))
        await page.goto(f"{HOME}/imports/1")
        async with page.expect_popup() as opened:
            await page.get_by_role("cell").get_by_role("link", name="invalid_email").click()
        row = (await opened.value).locator("tr:target")
        await expect(row).to_be_in_viewport()
        await expect(row).to_contain_text("Write one email address")


async def test_a_setting_opens_its_row_and_the_form_keeps_what_was_typed(
    server: ServerProcess, browser: Browser
) -> None:
    async with open_page(browser, url(server)) as page:
        await sign_in(page, token(server, "acme", "--role", "owner"))
        await page.goto(f"{HOME}/settings")
        await page.locator("#retention_days").fill("30")
        async with page.expect_popup() as opened:
            await page.get_by_role("link", name=f"Help on {SETTING_TEXTS['date_format'].label}").click()
        await expect((await opened.value).locator("tr:target")).to_contain_text("date_format")
        await expect(page.locator("#retention_days")).to_have_value("30")


@pytest.mark.parametrize("javascript", [True, False])
async def test_the_contents_lead_to_a_section_by_keyboard(
    server: ServerProcess, browser: Browser, javascript: bool
) -> None:
    async with open_page(browser, url(server), javascript=javascript) as page:
        await page.goto("/help")
        await page.get_by_role("link", name="Guide for owners").focus()
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/help/owner-guide")
        link = page.get_by_role("navigation", name="On this page").get_by_role("link", name="Held imports")
        await link.focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Held imports")).to_be_in_viewport()
        assert page.url.endswith("/help/owner-guide#held-imports")
        picture = page.get_by_role("img", name="A held import", exact=True)
        await picture.scroll_into_view_if_needed()
        await expect(picture).to_have_js_property("complete", True)
        assert await picture.evaluate("each => each.naturalWidth") > 300


async def test_every_control_of_the_help_is_reached_by_keyboard(server: ServerProcess, browser: Browser) -> None:
    async with open_page(browser, url(server)) as page:
        for path in ("/help", "/help/owner-guide", "/help/file-format", "/help/errors"):
            await page.goto(path)
            assert await unreachable(page) == [], path


@pytest.mark.parametrize(("company", "javascript"), [("scripted", True), ("plain", False)])
async def test_the_steps_of_an_empty_company_lead_to_its_first_import(
    server: ServerProcess, browser: Browser, company: str, javascript: bool
) -> None:
    server.cli("tenant", "add", company)
    key = asyncssh.generate_private_key("ssh-ed25519")
    server.private_key(company).write_bytes(key.export_private_key())
    server.private_key(company).chmod(0o600)
    async with open_page(browser, url(server), javascript=javascript) as page:
        await sign_in(page, token(server, company, "--role", "owner"))
        steps = page.get_by_role("region", name="No files yet").get_by_role("listitem")
        await expect(steps.get_by_text("Done", exact=True)).to_have_count(0)
        await page.get_by_role("link", name="Add a key").click()
        await page.get_by_label("Public key").fill(key.export_public_key().decode())
        await page.get_by_role("button", name="Add this key").click()
        await page.get_by_role("link", name="Imports").first.click()
        await expect(steps.filter(has_text="Done")).to_have_text([re.compile("^\\s*Add a key Done")])
        assert not javascript or await faults_of(page, company) == {}
        await page.get_by_role("link", name="FileZilla").first.wait_for()
        async with page.expect_download() as fetched:
            await page.get_by_role("link", name="Download a sample").click()
        file = Path(await (await fetched.value).path()).read_bytes()
        await asyncio.to_thread(server.sftp, company, "ls")
        await page.reload()
        await expect(steps.filter(has_text="Done")).to_have_count(2)
        await asyncio.to_thread(server.put, company, file)
        await asyncio.to_thread(server.wait, company)
        if not javascript:
            await page.reload()
        await expect(page.get_by_role("row", name="#1")).to_contain_text("Completed")
        await expect(steps).to_have_count(0)
