"""A real browser: Debian's Chromium without a screen, driven by Playwright.

Its package `chromium-headless-shell` is preferred to `chromium`: see `tests.support.clients`.

pytestmark = [needs("chromium"), pytest.mark.asyncio(loop_scope="module")]  # as the fixture `browser` has it

async def test_...(browser):
    async with open_page(browser, url) as page:
        await page.goto("/sign-in")
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Literal

from playwright.async_api import Browser, Page, Route, async_playwright, expect

from tests.support.clients import client
from tests.support.server_process import ServerProcess
from tests.support.waiting import DEADLINE_S

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)
DESKTOP = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}


expect.set_options(timeout=DEADLINE_S * 1000)


class Complaints(list[str]):
    """The errors of the browser's console: scripts that failed, content that the policy blocked, files not found."""


@asynccontextmanager
async def open_browser() -> AsyncIterator[Browser]:
    """Start Chromium. It takes a second or more, so one browser serves many pages."""
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=client("chromium"), args=FLAGS)
        try:
            yield browser
        finally:
            await browser.close()


@asynccontextmanager
async def open_page(
    browser: Browser, url: str, *, phone: bool = False, dark: bool = False, javascript: bool = True
) -> AsyncIterator[Page]:
    """Open a page in a new profile, as wide as a phone or a desk. Fails at the end if its console has an error."""
    scheme: Literal["dark", "light"] = "dark" if dark else "light"
    context = await browser.new_context(
        base_url=url,
        viewport=PHONE if phone else DESKTOP,  # type: ignore[arg-type]
        color_scheme=scheme,
        java_script_enabled=javascript,
        timezone_id="Europe/Berlin",
        locale="en-GB",
        accept_downloads=True,
    )
    context.set_default_timeout(DEADLINE_S * 1000)
    page = await context.new_page()
    complaints = Complaints()
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: _note(complaints, message))
    try:
        yield page
    finally:
        await context.close()
    assert not complaints


def _note(complaints: Complaints, message: Any) -> None:
    # The console also logs answers with an error status; the test itself checks those.
    if message.type == "error" and "the server responded with a status of" not in message.text:
        complaints.append(message.text)


@asynccontextmanager
async def staying(page: Page) -> AsyncIterator[None]:
    """Let the page that follows a form stay in the block, which opens no link; reload it afterwards if it was due.

    Without a script, a page whose import runs reloads itself after some seconds. Its notice is shown only once.
    """
    due = False

    async def decline(route: Route) -> None:
        nonlocal due
        if route.request.is_navigation_request() and route.request.method == "GET":
            due = True
            await route.fulfill(status=204)  # the browser stays where it is
        else:
            await route.continue_()

    await page.route("**/*", decline)
    try:
        yield
    finally:
        await page.unroute_all(behavior="wait")
    if due:
        await page.reload()


async def sign_in(page: Page, token: str) -> None:
    """Send what the form of the page Sign in sends, and open the page to which that leads: half the work."""
    origin = {"sec-fetch-site": "same-origin"}
    answer = await page.request.post("/sign-in", form={"token": token}, headers=origin, max_redirects=0)
    assert answer.status == 303, answer.status
    await page.goto(answer.headers["location"])


async def sign_in_with_the_form(page: Page, token: str) -> None:
    """Open the page Sign in, and use its form."""
    await page.goto("/sign-in")
    await page.get_by_label("Access token").fill(token)
    await page.get_by_role("button", name="Sign in").click()
    await page.wait_for_url(lambda url: "/sign-in" not in url)


def url(server: ServerProcess) -> str:
    return f"http://127.0.0.1:{server.http_port}"


def token(server: ServerProcess, tenant: str, role: str = "owner", *options: str) -> str:
    """Create a token of Grace, and return it."""
    return server.cli("token", "create", tenant, "--role", role, "--comment", "Grace", *options).text.strip()
