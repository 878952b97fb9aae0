"""The pages of forms on screens of every width, light and dark: empty, refused, sent, and with all parts open.

Their pictures are taken as in tests/system/test_screens.py, in folders by width.
"""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator
from datetime import timedelta
from email.message import EmailMessage

import pytest
import pytest_asyncio
from playwright.async_api import Browser, Page, expect

from ground.moments import rfc3339, utc_now
from server.web.pages.words import NOTICES
from tests.support.browser import open_page, sign_in, token, url
from tests.support.clients import needs
from tests.support.importing import people
from tests.support.mailserver import MailHost
from tests.support.screens import faults_on_screens, screens
from tests.support.server_process import ServerProcess
from tests.support.waiting import eventually
from tests.system.test_screens import PICTURES, SPREAD

W = "W" * 60
ADA, LONG = "ada@acme.example", f"{'a' * 60}@{'d' * 50}.example"
UNKNOWN = "unknown@acme.example"
LONGEST = "a" + "b" * 30

pytestmark = [needs("chromium", "sftp"), pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def mail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailHost]:
    with MailHost(tmp_path_factory.mktemp("mails")) as host:
        yield host


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, mail: MailHost) -> Iterator[ServerProcess]:
    """Start a server with acme, and a company with long words that is paused while a file waits."""
    env = {
        "HEADCOUNT_SMTP_URL": f"smtp://127.0.0.1:{mail.port}",
        "HEADCOUNT_HTTP_PUBLIC_URL": "http://headcount.invalid",
    }
    with ServerProcess(tmp_path_factory.mktemp("forms"), env=env) as started:
        started.add_tenant("acme")
        token(started, "acme", "owner", "--email", ADA)
        until = rfc3339(utc_now() + timedelta(days=30))
        started.add_tenant(LONGEST, paused_until=until, paused_because=W * 3)
        started.put(LONGEST, people("ann"))
        started.cli("token", "create", LONGEST, "--role", "owner", "--comment", W, "--email", LONG)
        yield started


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def links(server: ServerProcess, mail: MailHost, browser: Browser) -> list[str]:
    """Request links for both addresses, and return their paths: to open a link does not use it up."""
    async with open_page(browser, url(server)) as page:
        for address in (ADA, LONG):
            await request_link(page, address)
    await eventually(lambda: len(mail.mails) == 2, what="both mails")
    return [found[1] for each in mail.mails if (found := re.search(r"invalid(/sign-in/link\?\S+)", text_of(each)))]


async def request_link(page: Page, address: str) -> None:
    """Request a sign-in link, and stay on the page that says so."""
    await page.goto("/sign-in")
    await page.get_by_label("Email address").fill(address)
    await page.get_by_role("button", name="Email me a sign-in link").click()
    await expect(page.locator(".notice")).to_have_text(NOTICES["link-requested"])


def text_of(mail: EmailMessage) -> str:
    body = mail.get_body(("plain",))
    assert body
    return str(body.get_content())


async def states(page: Page, server: ServerProcess, links: list[str]) -> AsyncIterator[str]:
    """Open the pages of all forms in turn, and yield the name of each."""
    for path in ("/sign-in", *links, "/sign-in/link?code=used"):
        await page.goto(path)
        yield path.partition("?code")[0]
    await request_link(page, UNKNOWN)
    yield "link requested"
    await sign_in(page, server.cli("token", "create", "--operator").text.strip())
    for company in ("acme", LONGEST):
        await page.goto(f"/tenants/{company}/colleagues")
        yield f"{company} colleagues"
        await page.goto(f"/tenants/{company}/imports")
        yield f"{company} pause"
        await page.locator("#until").fill("2001-01-01T08:00")
        await page.locator("#pause button").click()
        await expect(page.locator("#until-error")).to_be_visible()
        yield f"{company} refused pause"
    async for name in states_of_tokens(page):
        yield name
    async for name in states_of_companies(page):
        yield name


async def states_of_tokens(page: Page) -> AsyncIterator[str]:
    for path, role in (("/tenants/acme/colleagues", "viewer"), ("/operators", "")):
        await page.goto(path)
        yield path
        await page.locator("#comment").fill(f"{W}{W}"[:100])
        if role:
            await page.locator("#role").select_option(role)
        await page.get_by_role("button", name="Create this token").click()
        await expect(page.locator("#new-token")).to_be_visible()
        yield f"{path} created"
        await page.locator("#email").fill(W)
        await page.locator("#expires").fill("2001-01-01")
        await page.get_by_role("button", name="Create this token").click()
        await expect(page.get_by_role("alert")).to_be_visible()
        yield f"{path} refused"
        await page.goto(path)
        await page.evaluate(SPREAD, "")
        form = page.locator(f'form[action="{path}/change"]').last
        await form.locator("[name=shown_comment]").evaluate("field => field.value = 'the name before'")
        await form.get_by_label("Name").fill("another name")
        await form.get_by_role("button", name="Save changes").click()
        await expect(page.get_by_role("alert")).to_contain_text("while this form was open")
        yield f"{path} changed meanwhile"


async def states_of_companies(page: Page) -> AsyncIterator[str]:
    await page.goto("/tenants")
    yield "companies"
    for button in ("Add this company", "Remove this company"):
        await page.goto("/tenants")
        await page.evaluate(SPREAD, "")
        form = page.locator("form").filter(has=page.get_by_role("button", name=button))
        await form.get_by_label("Name").fill(W * 4)
        await form.get_by_role("button").click()
        await expect(page.get_by_role("alert")).to_be_visible()
        yield f"{button} refused"


async def test_every_form_fits_every_screen_and_passes_accessibility_checks(
    server: ServerProcess, browser: Browser, links: list[str]
) -> None:
    found: dict[str, object] = {}
    async with open_page(browser, url(server)) as page:
        async for name in states(page, server, links):
            await page.evaluate(SPREAD, "")
            found |= await faults_on_screens(page, name)
            if PICTURES:
                async for width, scheme in screens(page):
                    file = f"{PICTURES}/{width}-{scheme}/{re.sub(r'[^a-z]+', '-', name.lower()).strip('-')}.png"
                    await page.screenshot(path=file, full_page=True)
    assert not found
