"""The page of notifications: what was sent where, and a test of it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from ground.moments import utc_now
from importer.model import ImportState
from importer.queue.notices import Channel
from tests.support.pages import done, page, seen, settings
from tests.support.runs import end_in
from tests.support.site import Site, open_site

HERE = "/tenants/acme/notifications"
MAIL = "hr@acme.example"
WEBHOOK = "https://acme.example/hook?a=<b>"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    smtp = {"smtp_url": "smtp://127.0.0.1:1", "smtp_from": "headcount@example.com"}
    async with open_site(tmp_path, "acme", "other", **smtp) as opened:
        yield opened


async def sent_test(site: Site, role: str = "owner") -> httpx.Response:
    return await (await site.browser(role)).post(f"{HERE}/test")


async def test_without_an_address_the_page_says_what_to_do(site: Site) -> None:
    owners, viewers = seen(await page(site, HERE)), seen(await page(site, HERE, role="viewer"))
    assert "No notifications yet" in owners
    assert "Enter an email address or a webhook in the settings." in owners
    assert "Send a test" not in owners
    assert "An owner enters an email address or a webhook in the settings." in viewers


@pytest.mark.parametrize("role", ["owner", "operator"])
async def test_a_test_is_queued_for_every_address_and_listed(site: Site, role: str) -> None:
    await settings(site, notify_email=[MAIL, "it@acme.example"], notify_webhook=WEBHOOK)
    text = await page(site, HERE, role=role)
    assert f"Mails go to {MAIL}, it@acme.example" in seen(text)
    assert f"Webhooks go to {WEBHOOK}" in seen(text)
    assert "<b>" not in text
    assert done(await sent_test(site, role)) == (HERE, "test-queued")
    listed = re.findall(r'<th scope="row">\s*(.+?)\s*<span class="under">(\w+)<', await page(site, HERE))
    assert listed == [("Test", "Webhook"), ("Test", "Mail")]
    assert {each.channel for each in await site.office.outbox.newest("acme", 9)} == set(Channel)


async def test_a_viewer_reads_the_list_and_sends_no_test(site: Site) -> None:
    await settings(site, notify_email=[MAIL])
    assert "Send a test" not in await page(site, HERE, role="viewer")
    assert (await sent_test(site, "viewer")).status_code == 403
    assert (await sent_test(site, "elsewhere")).status_code == 404
    assert await site.office.outbox.newest("acme", 9) == []


async def test_a_test_without_an_address_is_refused_with_the_reason(site: Site) -> None:
    answer = await sent_test(site)
    assert answer.status_code == 409
    assert "There is no address yet." in seen(answer.text)


async def test_a_company_reads_that_sending_is_off(site: Site) -> None:
    sentence = "The operator has turned sending off. Mails and webhooks wait, and are given up after 7 days."
    await site.office.tenants.sending.turn_off(utc_now())
    assert sentence not in seen(await page(site, HERE)), "there is no address"
    await settings(site, notify_email=[MAIL])
    assert sentence in seen(await page(site, HERE, role="viewer"))
    await site.office.tenants.sending.turn_on()
    assert sentence not in seen(await page(site, HERE))


async def test_a_notification_about_a_file_of_a_hook_links_to_its_page(site: Site) -> None:
    await settings(site, notify_email=[MAIL])
    number = await site.filed(ImportState.FAILED)
    run = await site.office.runs.require("acme", number)
    await site.office.outbox.put(await site.office.herald.notices_of_run(run))
    assert '<a href="/tenants/acme/files/1">' in await page(site, HERE)


@pytest.mark.parametrize(
    ("state", "channels"),
    [
        (ImportState.COMPLETED, {Channel.WEBHOOK}),
        (ImportState.COMPLETED_WITH_ERRORS, {*Channel}),
        (ImportState.FAILED, {*Channel}),
        (ImportState.ABORTED, {*Channel}),
        (ImportState.IGNORED, set()),
    ],
)
async def test_a_completed_file_of_a_hook_sends_a_webhook_and_no_mail(
    site: Site, state: ImportState, channels: set[Channel]
) -> None:
    await settings(site, notify_email=[MAIL], notify_webhook=WEBHOOK)
    run = await site.office.runs.require("acme", await site.filed())
    notices = await site.office.herald.notices_of_run(replace(run, state=state))
    assert {each.channel for each in notices} == channels


async def test_a_file_that_fails_again_after_a_rerun_is_notified_again(site: Site) -> None:
    await settings(site, notify_email=[MAIL])
    runs, number = site.office.runs, await site.filed(ImportState.FAILED)
    first = await runs.require("acme", number)
    await runs.rerun("acme", number)
    again = await end_in(runs, number, ImportState.FAILED, at="2026-03-01T13:00:00.000Z")
    for run in (first, again, again):
        await site.office.outbox.put(await site.office.herald.notices_of_run(run))
    assert len(await site.office.outbox.newest("acme", 9)) == 2


async def test_a_notification_about_an_import_links_to_it_and_shows_why_it_failed(site: Site) -> None:
    await settings(site, notify_email=[MAIL])
    number = await site.imported(b"first_name,last_name\nAnn,Lee\n")
    notices = await site.office.herald.notices_of(await site.office.reader.require("acme", number))
    await site.office.outbox.put(notices)
    (message,) = await site.office.outbox.due(Channel.MAIL)
    begun = await site.office.outbox.begin(message)
    assert begun
    await site.office.outbox.failed(begun, "the mail server answered 451 <busy>")
    text = await page(site, HERE, role="viewer")
    assert f'<a href="/tenants/acme/imports/{number}">Import {number} failed' in text
    assert "The mail server answered 451 &lt;busy&gt;." in text
    assert ">Waiting<" in text


async def test_the_page_shows_only_the_notifications_of_its_company(site: Site) -> None:
    await settings(site, notify_email=[MAIL])
    await sent_test(site)
    browser = await site.browser("elsewhere")
    answer = await browser.get("/tenants/other/notifications")
    assert "No notifications yet" in answer.text
    assert MAIL not in answer.text


async def test_the_page_says_that_no_mail_server_is_set(tmp_path: Path) -> None:
    async with open_site(tmp_path / "plain", "acme") as plain:
        sentence = "This server cannot send mails"
        assert sentence not in await page(plain, HERE)
        await settings(plain, notify_email=[MAIL])
        assert sentence in await page(plain, HERE)
