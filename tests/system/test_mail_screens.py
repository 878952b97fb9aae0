"""Real mails of the server in a browser: axe finds no fault, none is wider than its screen, and none loads anything.

The same test takes the pictures of mails in the owner's guide: `make screenshots`.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from datetime import timedelta
from email.message import EmailMessage

import asyncssh
import pytest
from playwright.async_api import Browser, Page

from ground.moments import rfc3339, utc_now
from server.notify.digest import week_before
from tests.support.browser import open_page
from tests.support.clients import needs
from tests.support.mailserver import MailHost
from tests.support.screens import too_wide, violations_of
from tests.support.server_process import ServerProcess
from tests.support.waiting import eventually, wait_until
from tests.system.test_screens import DESK, LOOKS, SAMPLES, ids, take_picture

MAILS = {
    "mail-held": "import 3 is held",
    "mail-aborted": "was interrupted",
    "mail-stale": "no file for 3 days",
    "mail-digest": "week to",
    "mail-errors": "import 1 was applied, with rejected rows",
}
"""The name of the picture -> a part of the subject."""

SETTINGS = {
    "deactivate_missing": "true",
    "notify_email": "grace@acme.example",
    "notify_digest": "weekly",
    "stale_after_days": "3",
}

pytestmark = [needs("chromium", "sftp"), pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """Return the HTML of real mails: of three days of files, an interrupted upload, and a week without files."""
    folder = tmp_path_factory.mktemp("mails")
    with MailHost(folder) as host:
        env = {
            "HEADCOUNT_SMTP_URL": f"smtp://127.0.0.1:{host.port}",
            "HEADCOUNT_HTTP_PUBLIC_URL": "https://headcount.acme.example",
        }
        with ServerProcess(folder, env=env) as server:
            server.add_tenant("acme", **SETTINGS)
            for day in ("monday", "tuesday", "wednesday"):
                server.put("acme", (SAMPLES / f"{day}.csv").read_bytes())
                server.wait("acme")
            with ThreadPoolExecutor(1) as thread:
                thread.submit(asyncio.run, interrupt(server)).result()
            server.stop()
            move_to_the_week_before(server)
            server.start()
            wait_until(lambda: all(found(host, part) for part in MAILS.values()), 30, "all mails")
            yield {name: html_of(found(host, part)[0]) for name, part in MAILS.items()}


async def interrupt(server: ServerProcess) -> None:
    """Close the connection in the middle of an upload."""
    with suppress(asyncssh.Error, OSError):
        async with server.connect("acme") as connection:
            sftp = await connection.start_sftp_client()
            file = await sftp.open("/sync_users.csv", "wb")
            await file.write((SAMPLES / "wednesday.csv").read_bytes()[:300])
            connection.abort()
    await eventually(lambda: server.state("acme", 4) == "aborted")


def move_to_the_week_before(server: ServerProcess) -> None:
    """Change when the company was added and its imports ended, so that its digest is due and its feed is stale."""
    ends = week_before(utc_now()).ends
    days = (ends - timedelta(days=7 - day) for day in range(1, 5))
    server.stored.date_tenants("2020-01-01T00:00:00.000Z")
    for number, day in enumerate(days, start=1):
        server.stored.date_imports(rfc3339(day), "acme", number)
    server.stored.forget_digests()


def found(host: MailHost, part: str) -> list[EmailMessage]:
    return [mail for mail in host.mails if part in mail["Subject"]]


def html_of(mail: EmailMessage) -> str:
    body = mail.get_body(("html",))
    assert body
    return str(body.get_content())


@pytest.mark.parametrize("look", LOOKS, ids=ids)
async def test_every_mail_is_readable_on_a_phone_and_in_the_dark(
    pages: dict[str, str], browser: Browser, look: tuple[bool, bool]
) -> None:
    faults: dict[str, object] = {}
    async with open_page(browser, "https://mail.invalid", phone=look[0], dark=look[1]) as page:
        loaded: list[str] = []
        page.on("request", lambda request: loaded.append(request.url))
        for name, html in pages.items():
            faults |= await looked_at(page, name, html, look)
    assert not faults
    assert loaded == []


async def looked_at(page: Page, name: str, html: str, look: tuple[bool, bool]) -> dict[str, object]:
    """Return the faults of a mail, by kind."""
    if look == DESK:
        await page.set_viewport_size({"width": 720, "height": 100})
    await page.set_content(html)
    if look == DESK:
        height = await page.evaluate("document.documentElement.scrollHeight")
        await page.set_viewport_size({"width": 720, "height": min(height, 900)})
    await take_picture(page, name, look)
    return await violations_of(page, name) | await too_wide(page, name)
