"""An owner sends a test notification in a real browser, and a real mail server gets it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from playwright.async_api import Browser, Page, expect

from tests.support.browser import open_page, sign_in
from tests.support.clients import needs
from tests.support.mailserver import MailHost
from tests.support.server_process import ServerProcess
from tests.support.waiting import eventually

HERE = "/tenants/acme/notifications"

pytestmark = [needs("chromium"), pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def mail(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MailHost]:
    with MailHost(tmp_path_factory.mktemp("mail")) as host:
        yield host


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory, mail: MailHost) -> Iterator[ServerProcess]:
    env = {"HEADCOUNT_SMTP_URL": f"smtp://127.0.0.1:{mail.port}", "HEADCOUNT_SMTP_FROM": "headcount@example.com"}
    with ServerProcess(tmp_path_factory.mktemp("server"), env=env) as started:
        started.cli("tenant", "add", "acme")
        yield started


async def shows_sent(page: Page, count: int) -> bool:
    await page.reload()
    return await page.get_by_text("Sent", exact=True).count() == count


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])
async def test_an_owner_sends_a_test_and_sees_that_it_was_sent(
    server: ServerProcess, mail: MailHost, browser: Browser, javascript: bool
) -> None:
    server.cli("tenant", "set", "acme", f"notify_email=hr-{javascript}@acme.example".lower())
    token = server.cli("token", "create", "acme", "--role", "owner").text.strip()
    async with open_page(browser, f"http://127.0.0.1:{server.http_port}", javascript=javascript) as page:
        await sign_in(page, token)
        await page.get_by_role("link", name="Notifications").click()
        await page.get_by_role("button", name="Send a test").click()
        await expect(page.get_by_role("status")).to_contain_text("A test is queued for every address.")
        await eventually(lambda: any(each["To"].startswith(f"hr-{javascript}".lower()) for each in mail.mails))
        await eventually(lambda: shows_sent(page, len(mail.mails)))
