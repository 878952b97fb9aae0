"""The operator's page of the running server: the queue, broken companies, what is owed, bans and the disk."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from engine.bans import Ban
from ground.moments import rfc3339, utc_now
from importer.queue.notices import Channel
from server.tenants.sending import MARK
from server.web.pages import operating
from server.web.pages.operating import Disk, disk_of
from tests.support.importing import people
from tests.support.pages import done, page, seen, settings
from tests.support.site import Site, open_site

HERE = "/server"
ADDRESS = "192.0.2.7"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "beta") as opened:
        yield opened


async def text_of(site: Site) -> str:
    return seen(await page(site, HERE, role="operator"))


async def ban(site: Site, *sources: str) -> None:
    until = rfc3339(utc_now() + timedelta(minutes=5))
    await site.office.bans.write([Ban(each, until, "3 refused <logins>") for each in sources], [], known=())


@pytest.mark.parametrize(("role", "status"), [("viewer", 403), ("owner", 403), ("elsewhere", 403), ("operator", 200)])
async def test_only_the_operator_sees_the_server_and_lifts_bans(site: Site, role: str, status: int) -> None:
    await ban(site, ADDRESS)
    browser = await site.browser(role)
    assert (await browser.get(HERE)).status_code == status
    lifted = await browser.post(f"{HERE}/bans/lift", data={"source": ADDRESS})
    assert lifted.status_code == (303 if status == 200 else 403)
    assert (await site.office.bans.list() == []) == (status == 200)


async def test_the_server_page_says_that_sending_is_off(site: Site) -> None:
    await settings(site, notify_email=["hr@example.com"])
    await site.office.outbox.put(await site.office.herald.test_notices("acme", utc_now()))
    sentence = "To turn it on: headcount notify on"
    assert sentence not in await text_of(site)
    sending = site.office.tenants.sending
    await sending.turn_off(datetime(2026, 3, 31, 2, 10, tzinfo=UTC))
    text = await text_of(site)
    assert "Sending is off since 31 Mar 2026, 02:10 UTC" in text
    assert f"No mail, webhook or invitation is sent. {sentence}" in text
    assert "Not tried: sending is off." in text
    await site.office.tenants.home.marks.put(MARK, "<b>")
    assert "Sending is off. No mail" in await text_of(site)
    await sending.turn_on()
    assert sentence not in await text_of(site)


async def test_without_a_session_the_server_page_leads_to_the_sign_in_page(site: Site) -> None:
    answer = await site.anybody().get(HERE)
    assert (answer.status_code, answer.headers["location"]) == (303, "/sign-in?next=%2Fserver")


async def test_a_server_without_trouble_says_so_in_sentences(site: Site) -> None:
    text = await text_of(site)
    for sentence in (
        "SFTP, imports, database and disk are working.",
        "No import runs, and none waits.",
        "All companies can be used.",
        "No mail and no webhook waits.",
        "No address is banned.",
    ):
        assert sentence in text, sentence


async def test_the_queue_has_the_imports_of_all_companies_with_their_reasons(site: Site) -> None:
    first = await site.upload(people("ann"))
    await site.upload(people("bo"), "beta")
    assert await site.office.queue.claim("acme", first)
    html = await page(site, HERE, role="operator")
    assert "1 import waits in all companies." in seen(html)
    assert 'href="/tenants/acme/imports/1">acme #1</a>' in html
    assert "beta #1" in html
    assert "<progress" in html
    assert "Import in progress." in html


async def test_a_long_queue_shows_the_oldest_imports(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operating, "SHOWN", 1)
    for tenant in ("acme", "beta"):
        await site.upload(people("ann"), tenant)
    text = await text_of(site)
    assert "2 imports wait in all companies; the oldest are listed." in text
    assert "acme #1" in text
    assert "beta #1" not in text


@pytest.mark.only_on("sqlite", "no other engine has a tenant alone that is broken")
async def test_a_broken_company_is_named_with_the_reason(site: Site) -> None:
    shutil.rmtree(site.office.tenants.folder("beta").root)
    await site.api("operator").get("/api/v1/tenants/beta/imports")
    text = await text_of(site)
    assert re.search(r"beta : the folder \S+ is missing; restore it", text)
    assert "All companies can be used." not in text


async def test_owed_mails_are_listed_with_the_reason(site: Site) -> None:
    await settings(site, notify_email=["hr@acme.example"], notify_webhook="https://acme.example/hook")
    await site.api("owner").post("/api/v1/tenants/acme/notifications/test")
    (message,) = await site.office.outbox.due(Channel.MAIL)
    begun = await site.office.outbox.begin(message)
    assert begun
    await site.office.outbox.failed(begun, "the mail server answered 451 <busy>")
    text = await text_of(site)
    assert "1 mail waits, 1 webhook waits." in text
    assert "The mail server answered 451 <busy>." in text
    assert "The first attempt is due." in text


@pytest.mark.parametrize("smtp", [{}, {"smtp_url": "smtp://127.0.0.1:1", "smtp_from": "headcount@example.com"}])
async def test_without_a_mail_server_the_page_says_why_mails_wait(tmp_path: Path, smtp: dict[str, str]) -> None:
    warning = "No mail server is set: set HEADCOUNT_SMTP_URL."
    async with open_site(tmp_path, "acme", **smtp) as site:
        assert warning not in await text_of(site), "no mail waits"
        await settings(site, notify_email=["hr@acme.example"])
        await site.api("owner").post("/api/v1/tenants/acme/notifications/test")
        text = await text_of(site)
        assert (warning in text) == (not smtp)
        assert ("The first attempt is due." in text) == bool(smtp)


async def test_a_ban_is_listed_and_lifted(site: Site) -> None:
    await ban(site, ADDRESS, "192.0.2.8")
    html = await page(site, HERE, role="operator")
    assert "3 refused &lt;logins&gt;" in html
    browser = await site.browser("operator")
    answer = await browser.post(f"{HERE}/bans/lift", data={"source": ADDRESS})
    assert done(answer) == (HERE, "ban-lifted")
    text = seen((await browser.get(HERE)).text)
    assert "Ban lifted." in text
    assert ADDRESS not in text
    assert "192.0.2.8" in text


@pytest.mark.parametrize(
    ("source", "sentence"),
    [(ADDRESS, f"{ADDRESS} is not banned."), ("no address", "“no address” is not an IP address.")],
)
async def test_an_address_without_a_ban_is_not_lifted_and_the_page_says_so(
    site: Site, source: str, sentence: str
) -> None:
    answer = await (await site.browser("operator")).post(f"{HERE}/bans/lift", data={"source": source})
    assert answer.status_code == 409
    assert sentence in seen(answer.text)


async def test_many_bans_are_cut_with_their_number(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(operating, "SHOWN", 1)
    await ban(site, ADDRESS, "192.0.2.8", "192.0.2.9")
    assert "And 2 more: headcount ban list shows all." in await text_of(site)


@pytest.mark.only_on("sqlite", "no other engine has a disk of its own")
async def test_the_page_shows_the_free_space(site: Site, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = disk_of(tmp_path)
    assert found
    assert found.total == shutil.disk_usage(tmp_path).total
    monkeypatch.setattr(operating, "disk_of", lambda _: Disk(9 * 1024**3, 100 * 1024**3))
    text = await text_of(site)
    assert "9 GiB of 100 GiB are free (9%)." in text
    assert "Less than 10% of the disk is free." in text
    monkeypatch.setattr(operating, "disk_of", lambda _: Disk(10 * 1024**3, 100 * 1024**3))
    assert "Less than 10%" not in await text_of(site)


async def test_a_part_that_is_down_is_named(site: Site) -> None:
    async def fails() -> bool:
        raise OSError("gone")

    site.checks["sftp"] = fails
    assert "Server problem. Not working: SFTP." in await text_of(site)


def test_a_disk_that_cannot_be_read_is_none(tmp_path: Path) -> None:
    assert disk_of(tmp_path / "missing") is None
