"""Signing in by a link from a real mail, in a browser, with and without JavaScript."""

from __future__ import annotations

import re
from email.message import EmailMessage
from urllib.parse import urlsplit

import httpx
import pytest
from playwright.async_api import Browser, Page, expect

from tests.support.browser import open_page, token, url
from tests.support.clients import needs
from tests.support.mailserver import MailHost
from tests.support.server_process import ServerProcess
from tests.support.waiting import DEADLINE_S, eventually

ADA, STRANGER = "ada@acme.example", "stranger@acme.example"

pytestmark = [needs("chromium"), pytest.mark.asyncio(loop_scope="module")]


async def ask(page: Page, email: str) -> None:
    """Request a link on the open page."""
    await page.get_by_label("Email address").fill(email)
    await page.get_by_role("button", name="Email me a sign-in link").click()
    notice = "If a token has this address, a mail is on its way. Its link works for 10 minutes."
    await expect(page.locator(".notice")).to_have_text(notice)


async def newest(mail: MailHost, count: int) -> str:
    """Wait for so many mails, and return the link in the newest: the same in its text and its HTML."""
    await eventually(lambda: len(mail.mails) >= count, what=f"{count} mails")
    assert [each["To"] for each in mail.mails] == [ADA] * count
    (plain,), (html,) = [links(mail.mails[-1], kind) for kind in ("plain", "html")]
    assert plain == html
    return plain


def links(message: EmailMessage, kind: str) -> list[str]:
    body = message.get_body((kind,))
    assert body
    return list(dict.fromkeys(re.findall(r"http://[^\s\"<]+/sign-in/link\?[^\s\"<]+", str(body.get_content()))))


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])
async def test_a_link_from_a_mail_signs_in_once_by_its_button(
    mailing: ServerProcess, mail: MailHost, browser: Browser, javascript: bool
) -> None:
    token(mailing, "acme", "owner", "--email", ADA)
    async with open_page(browser, url(mailing), javascript=javascript) as page:
        await page.goto("/sign-in")
        await ask(page, STRANGER)
        answer = await page.content()
        await ask(page, ADA)
        assert await page.content() == answer, "the same answer for an address that no token has"
        link = await newest(mail, 1)
        for _ in range(2):
            opened = httpx.get(link, timeout=DEADLINE_S)
            assert opened.status_code == 200, "a program that checks mails opens the link"
            await page.goto(link)
            await expect(page.get_by_role("main").get_by_role("button")).to_have_count(1)
            await expect(page.get_by_role("main")).to_contain_text("You sign in to acme as Grace (owner, token")
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url("**/tenants/acme/imports")
        await expect(page.locator("footer")).to_contain_text("Signed in as Grace (owner, token")
        await page.get_by_role("button", name="Sign out").click()
        await page.goto(link)
        await expect(page.get_by_role("alert")).to_contain_text("This link was used, or is older than 10 minutes.")
        await ask(page, ADA)
        await page.goto(await newest(mail, 2))
        await page.get_by_role("button", name="Sign in").click()
        await page.wait_for_url("**/tenants/acme/imports")


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])
async def test_a_link_ends_with_its_token_and_a_changed_one_opens_nothing(
    mailing: ServerProcess, mail: MailHost, browser: Browser, javascript: bool
) -> None:
    token(mailing, "acme", "owner", "--email", ADA)
    (made,) = mailing.cli("token", "list", "--json").json
    async with open_page(browser, url(mailing), javascript=javascript) as page:
        await page.goto("/sign-in")
        await ask(page, ADA)
        link = await newest(mail, 1)
        await page.goto(f"{link}x")
        await expect(page.get_by_role("alert")).to_contain_text("This link was used")
        await page.goto(link)
        mailing.cli("token", "revoke", str(made["id"]))
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("alert")).to_contain_text("This link was used")
        await page.goto("/tenants/acme/imports")
        assert urlsplit(page.url).path == "/sign-in"
