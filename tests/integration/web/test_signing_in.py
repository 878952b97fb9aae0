"""A token becomes a session, which ends when it should; and no other site can use it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from engine.tokens import Role
from ground.waits import Growing
from server.tenants.sign_ins import SESSION_S
from server.web import slowing
from tests.support.site import FROM_OURS, Site, open_site

HOME = "/tenants/acme/imports"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other") as opened:
        yield opened


async def is_in(client: httpx.AsyncClient) -> bool:
    return (await client.get(HOME)).status_code == 200


async def test_the_cookie_is_for_our_pages_only(site: Site) -> None:
    answer = await site.anybody(**FROM_OURS).post("/sign-in", data={"token": site.tokens["owner"]})
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "secure" not in cookie, "this was plain HTTP"
    assert site.tokens["owner"].lower() not in cookie


async def test_behind_tls_the_cookie_is_secure(site: Site) -> None:
    client = site.anybody(**FROM_OURS, **{"x-forwarded-proto": "https"})
    answer = await client.post("/sign-in", data={"token": site.tokens["owner"]})
    cookie = answer.headers["set-cookie"]
    assert cookie.startswith("__Host-")
    assert "secure" in cookie.lower()
    assert "path=/" in cookie.lower()
    assert "domain" not in cookie.lower()


async def test_a_proxy_that_tells_nonsense_makes_nothing_fail(site: Site) -> None:
    client = site.anybody(**{"x-forwarded-for": "unknown", "authorization": "Bearer wrong"})
    assert (await client.get("/api/v1/tenants")).status_code == 401


async def test_signing_out_ends_the_session_not_only_the_cookie(site: Site) -> None:
    browser = await site.browser("owner")
    kept = dict(browser.cookies)
    assert await is_in(browser)
    await browser.post("/sign-out")
    thief = site.anybody()
    thief.cookies.update(kept)
    assert not await is_in(browser)
    assert not await is_in(thief)


async def test_revoking_a_token_ends_its_sessions(site: Site) -> None:
    browser, other = await site.browser("owner"), await site.browser("viewer")
    number = next(token.id for token in await site.office.tokens.list() if token.role is Role.OWNER)
    await site.office.tokens.revoke(number)
    assert not await is_in(browser)
    assert await is_in(other)


async def test_a_session_ends_by_itself(site: Site) -> None:
    now = datetime.now(UTC)
    token = await site.office.tokens.find(site.tokens["owner"], now)
    assert token
    text = await site.office.sign_ins.open(token, now)
    assert await site.office.sign_ins.find(text, now + timedelta(seconds=SESSION_S - 1)) == token
    assert await site.office.sign_ins.find(text, now + timedelta(seconds=SESSION_S)) is None


async def test_no_session_lasts_longer_for_a_clock_that_stepped_back(site: Site) -> None:
    now = datetime.now(UTC)
    token = await site.office.tokens.find(site.tokens["owner"], now)
    assert token
    text = await site.office.sign_ins.open(token, now)
    week_ago = now - timedelta(days=7)
    assert await site.office.sign_ins.find(text, week_ago) is None
    await site.office.sign_ins.open(token, week_ago)
    assert await site.office.sign_ins.find(text, now) is None, "it must not come to life again in a week"


async def test_whoever_signs_in_ends_nobody_elses_session(site: Site) -> None:
    first = await site.browser("owner")
    await site.browser("viewer")
    assert (await first.get("/tenants/acme/imports")).status_code == 200


async def test_a_session_does_not_outlive_its_token(site: Site) -> None:
    now = datetime.now(UTC)
    token, _ = await site.office.tokens.create("acme", Role.OWNER, (now + timedelta(hours=1)).isoformat())
    text = await site.office.sign_ins.open(token, now)
    assert await site.office.sign_ins.find(text, now + timedelta(minutes=59)) == token
    assert await site.office.sign_ins.find(text, now + timedelta(minutes=61)) is None


async def test_the_text_of_a_session_is_kept_nowhere(site: Site, tmp_path: Path) -> None:
    browser = await site.browser("owner")
    (text,) = browser.cookies.values()
    assert all(text.encode() not in path.read_bytes() for path in tmp_path.glob("headcount.db*"))


async def test_a_wrong_token_is_refused_after_a_wait_that_grows(site: Site) -> None:
    client = site.anybody(**FROM_OURS)
    for least_s in (slowing.WAITS.first_s, 2 * slowing.WAITS.first_s):
        answer = await client.post("/sign-in", data={"token": "hc_wrong"})
        assert answer.status_code == 401
        assert "opens nothing" in answer.text
        assert answer.elapsed.total_seconds() >= least_s


async def test_a_right_token_does_not_wait_for_the_wrong_ones_before_it(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(slowing, "WAITS", Growing(0.001, 0.001))
    for _ in range(3):
        assert (await site.anybody(**FROM_OURS).post("/sign-in", data={"token": "hc_wrong"})).status_code == 401
        assert (await site.anybody(authorization="Bearer hc_wrong").get("/api/v1/tenants")).status_code == 401
    monkeypatch.setattr(slowing, "WAITS", Growing(3600.0, 3600.0))  # longer than any client waits
    assert await is_in(await site.browser("owner"))
    assert (await site.api("operator").get("/api/v1/tenants")).status_code == 200


async def test_wrong_tokens_of_one_address_keep_no_other_waiting(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async def status(address: str) -> int:
        client = site.anybody(**{"authorization": "Bearer hc_wrong", "x-forwarded-for": address})
        return (await client.get("/api/v1/tenants")).status_code

    monkeypatch.setattr(slowing, "WAITS", Growing(0.001, 0.001))
    for _ in range(2 * slowing.WAITING_MOST):
        assert await status("192.0.2.1") == 401, "one after the other is not too many at once"
    monkeypatch.setattr(slowing, "WAITS", Growing(0.001, 3600.0))  # theirs would wait longer than any client
    assert await status("192.0.2.2") == 401


@pytest.mark.parametrize(
    "origin",
    [
        {},
        {"origin": "https://evil.example"},
        {"sec-fetch-site": "cross-site"},
        {"sec-fetch-site": "same-site"},
        {"sec-fetch-site": "none"},
    ],
    ids=lambda origin: next(iter(origin.values()), "silent"),
)
async def test_no_form_of_another_site_is_taken(site: Site, origin: dict[str, str]) -> None:
    browser = await site.browser("owner")
    forger = site.anybody(**origin)
    forger.cookies.update(browser.cookies)
    assert (await forger.post("/sign-out")).status_code == 403
    assert await is_in(browser)


async def test_the_cookie_opens_nothing_of_the_api_and_a_token_no_page(site: Site) -> None:
    browser = await site.browser("owner")
    assert (await browser.get("/api/v1/tenants/acme/imports/1")).status_code == 401
    assert not await is_in(site.api("owner"))


@pytest.mark.parametrize(
    "target",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "/\t/evil.example", "nothing", "//[", "//\u2100"],
)
async def test_nobody_is_sent_elsewhere_after_signing_in(site: Site, target: str) -> None:
    form = {"token": site.tokens["owner"], "next": target}
    answer = await site.anybody(**FROM_OURS).post("/sign-in", data=form)
    assert answer.headers["location"] == HOME


@pytest.mark.parametrize("target", ["//[", "//\u2100"])
async def test_a_link_to_the_form_that_leads_to_no_address_still_shows_the_form(site: Site, target: str) -> None:
    assert (await site.anybody().get("/sign-in", params={"next": target})).status_code == 200


async def test_of_a_stranger_no_more_is_read_than_a_token_takes(site: Site) -> None:
    answer = await site.anybody(**FROM_OURS).post("/sign-in", data={"token": "x" * 20_000})
    assert answer.status_code == 413


async def test_who_was_on_the_way_somewhere_is_brought_there(site: Site) -> None:
    client = site.anybody(**FROM_OURS)
    asked = await client.get("/tenants/acme/imports?state=held")
    assert asked.headers["location"] == "/sign-in?next=%2Ftenants%2Facme%2Fimports%3Fstate%3Dheld"
    form = {"token": site.tokens["owner"], "next": "/tenants/acme/imports?state=held"}
    assert (await client.post("/sign-in", data=form)).headers["location"] == "/tenants/acme/imports?state=held"


async def test_a_link_from_a_mail_finds_whoever_is_signed_in(site: Site) -> None:
    """The browser keeps a strict cookie back when another site sent it; from our own page it asks again."""
    answer = await site.anybody(**{"sec-fetch-site": "cross-site"}).get(HOME)
    assert answer.status_code == 200
    assert 'http-equiv="refresh" content="0"' in answer.text


async def test_every_answer_keeps_the_browser_from_harm(site: Site) -> None:
    for path in ("/sign-in", "/healthz", "/nowhere", "/api/v1/nowhere", "/static/headcount.css"):
        headers = (await site.anybody().get(path)).headers
        assert "default-src 'none'" in headers["content-security-policy"], path
        assert "unsafe" not in headers["content-security-policy"], path
        assert headers["x-content-type-options"] == "nosniff", path
        assert "cache-control" in headers, path


async def test_what_is_somebodys_is_kept_by_no_browser_and_what_is_everybodys_is(site: Site) -> None:
    browser = await site.browser("owner")
    page = await browser.get(HOME)
    assert page.headers["cache-control"] == "no-store"
    (address,) = re.findall(r'href="(/static/headcount.css[^"]*)"', page.text)
    assert "immutable" in (await browser.get(address)).headers["cache-control"]


async def test_no_form_fills_the_memory(site: Site) -> None:
    answer = await site.anybody(**FROM_OURS).post("/sign-in", data={"token": "x" * 2_000_000})
    assert answer.status_code == 413
