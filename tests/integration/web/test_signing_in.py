"""Signing in with a token: when the session ends, and that no other site can use it."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import httpx
import pytest

from engine.tokens import Role
from ground.waits import Growing
from server.tenants.access.sign_ins import SESSION_S
from server.web import slowing
from tests.support.forms import Form
from tests.support.site import FROM_OURS, Site, open_site

HOME = "/tenants/acme/imports"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other") as opened:
        yield opened


async def is_in(client: httpx.AsyncClient) -> bool:
    return (await client.get(HOME)).status_code == 200


async def test_the_cookie_is_sent_with_links_but_no_forms_of_other_sites(site: Site) -> None:
    answer = await site.anybody(**FROM_OURS).post("/sign-in", data={"token": site.tokens["owner"]})
    cookie = answer.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=lax" in cookie
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


async def test_an_invalid_forwarded_address_causes_no_error(site: Site) -> None:
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


async def test_revoking_a_token_ends_its_page_sessions(site: Site) -> None:
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
    assert text
    assert await site.office.sign_ins.find(text, now + timedelta(seconds=SESSION_S - 1)) == token
    assert await site.office.sign_ins.find(text, now + timedelta(seconds=SESSION_S)) is None


async def test_a_clock_that_steps_back_does_not_extend_a_session(site: Site) -> None:
    now = datetime.now(UTC)
    token = await site.office.tokens.find(site.tokens["owner"], now)
    assert token
    text = await site.office.sign_ins.open(token, now)
    assert text
    week_ago = now - timedelta(days=7)
    assert await site.office.sign_ins.find(text, week_ago) is None
    await site.office.sign_ins.open(token, week_ago)
    assert await site.office.sign_ins.find(text, now) is None, "it stays ended when the clock is right again"


async def test_a_sign_in_ends_no_other_session(site: Site) -> None:
    first = await site.browser("owner")
    await site.browser("viewer")
    assert (await first.get("/tenants/acme/imports")).status_code == 200


async def test_signing_in_again_ends_the_earlier_session_of_the_browser(site: Site) -> None:
    """Else it would outlive the sign-out: no browser has its cookie any more."""
    token = await site.office.tokens.find(site.tokens["owner"], datetime.now(UTC))
    assert token
    browser, thief = await site.browser("owner"), site.anybody()
    for path, form in (
        ("/sign-in", {"token": site.tokens["viewer"]}),
        ("/sign-in/link", {"code": await site.office.sign_ins.make_link(token, datetime.now(UTC))}),
    ):
        thief.cookies = httpx.Cookies(browser.cookies)
        assert (await browser.post(path, data=form)).status_code == 303
        assert await is_in(browser)
        assert not await is_in(thief), path


async def test_a_refused_sign_in_ends_no_session(site: Site) -> None:
    browser = await site.browser("owner")
    for path, form in (("/sign-in", {"token": "hc_wrong"}), ("/sign-in/link", {"code": "wrong"})):
        assert (await browser.post(path, data=form)).status_code in {401, 410}
        assert await is_in(browser)


async def test_a_session_does_not_outlive_its_token(site: Site) -> None:
    now = datetime.now(UTC)
    token, _ = await site.office.tokens.create("acme", Role.OWNER, (now + timedelta(hours=1)).isoformat())
    text = await site.office.sign_ins.open(token, now)
    assert text
    assert await site.office.sign_ins.find(text, now + timedelta(minutes=59)) == token
    assert await site.office.sign_ins.find(text, now + timedelta(minutes=61)) is None


async def test_the_text_of_a_session_is_not_stored(site: Site) -> None:
    browser = await site.browser("owner")
    (text,) = browser.cookies.values()
    assert site.stored.holds("acme")
    assert not site.stored.holds(text)


async def test_a_wrong_token_is_refused_after_a_growing_delay(site: Site) -> None:
    client = site.anybody(**FROM_OURS)
    for least_s in (slowing.WAITS.first_s, 2 * slowing.WAITS.first_s):
        answer = await client.post("/sign-in", data={"token": "hc_wrong"})
        assert answer.status_code == 401
        assert (
            "This token is mistyped, revoked or expired. Ask an owner of your company or the operator" in answer.text
        )
        assert answer.elapsed.total_seconds() >= least_s


async def test_a_valid_token_is_not_delayed_by_wrong_ones(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slowing, "WAITS", Growing(0.001, 0.001))
    for _ in range(3):
        assert (await site.anybody(**FROM_OURS).post("/sign-in", data={"token": "hc_wrong"})).status_code == 401
        assert (await site.anybody(authorization="Bearer hc_wrong").get("/api/v1/tenants")).status_code == 401
    monkeypatch.setattr(slowing, "WAITS", Growing(3600.0, 3600.0))  # longer than any client waits
    assert await is_in(await site.browser("owner"))
    assert (await site.api("operator").get("/api/v1/tenants")).status_code == 200


async def test_wrong_tokens_of_one_address_delay_no_other_address(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def status(address: str) -> int:
        client = site.anybody(**{"authorization": "Bearer hc_wrong", "x-forwarded-for": address})
        return (await client.get("/api/v1/tenants")).status_code

    monkeypatch.setattr(slowing, "WAITS", Growing(0.001, 0.001))
    for _ in range(2 * slowing.WAITING_MOST):
        assert await status("192.0.2.1") == 401, "requests in sequence are not concurrent"
    monkeypatch.setattr(slowing, "WAITS", Growing(0.001, 3600.0))  # longer than any client waits
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
async def test_forms_from_other_sites_are_refused(site: Site, origin: dict[str, str]) -> None:
    browser = await site.browser("owner")
    forger = site.anybody(**origin)
    forger.cookies.update(browser.cookies)
    assert (await forger.post("/sign-out")).status_code == 403
    assert await is_in(browser)


async def test_a_cookie_does_not_open_the_api_nor_a_token_a_page(site: Site) -> None:
    browser = await site.browser("owner")
    assert (await browser.get("/api/v1/tenants/acme/imports/1")).status_code == 401
    assert not await is_in(site.api("owner"))


@pytest.mark.parametrize(
    "target",
    ["https://evil.example/", "//evil.example", "/\\evil.example", "/\t/evil.example", "nothing", "//[", "//\u2100"],
)
async def test_signing_in_redirects_to_no_other_site(site: Site, target: str) -> None:
    form = {"token": site.tokens["owner"], "next": target}
    answer = await site.anybody(**FROM_OURS).post("/sign-in", data=form)
    assert answer.headers["location"] == HOME


@pytest.mark.parametrize("target", ["//[", "//\u2100"])
async def test_a_sign_in_link_with_an_invalid_target_shows_the_form(site: Site, target: str) -> None:
    assert (await site.anybody().get("/sign-in", params={"next": target})).status_code == 200


async def test_a_sign_in_form_above_16_kib_is_refused(site: Site) -> None:
    answer = await site.anybody(**FROM_OURS).post("/sign-in", data={"token": "x" * 20_000})
    assert answer.status_code == 413


async def test_signing_in_leads_to_the_page_that_was_asked_for(site: Site) -> None:
    client = site.anybody(**FROM_OURS)
    asked = await client.get("/tenants/acme/imports?state=held")
    assert asked.headers["location"] == "/sign-in?next=%2Ftenants%2Facme%2Fimports%3Fstate%3Dheld"
    form = {"token": site.tokens["owner"], "next": "/tenants/acme/imports?state=held"}
    assert (await client.post("/sign-in", data=form)).headers["location"] == "/tenants/acme/imports?state=held"


async def test_signing_in_leads_to_no_page_of_another_company(site: Site) -> None:
    for target, leads in (
        ("/tenants/other/imports/7", HOME),
        ("/tenants/", HOME),
        ("/tenants/acme/imports/7", "/tenants/acme/imports/7"),
        ("/api", "/api"),
    ):
        form = {"token": site.tokens["owner"], "next": target}
        answer = await site.anybody(**FROM_OURS).post("/sign-in", data=form)
        assert answer.headers["location"] == leads
    answer = await (await site.browser("operator")).get("/sign-in", params={"next": "/tenants/other/imports/7"})
    assert answer.headers["location"] == "/tenants/other/imports/7"


async def test_a_wrong_token_keeps_the_page_that_was_asked_for(site: Site) -> None:
    form = {"token": "hc_wrong", "next": "/tenants/acme/imports?state=held"}
    answer = await site.anybody(**FROM_OURS).post("/sign-in", data=form)
    assert Form(answer.text, "/sign-in")["next"] == "/tenants/acme/imports?state=held"


async def test_every_answer_has_the_security_headers(site: Site) -> None:
    for path in ("/sign-in", "/healthz", "/nowhere", "/api/v1/nowhere", "/static/headcount.css"):
        headers = (await site.anybody().get(path)).headers
        assert "default-src 'none'" in headers["content-security-policy"], path
        assert "unsafe" not in headers["content-security-policy"], path
        assert headers["x-content-type-options"] == "nosniff", path
        assert "cache-control" in headers, path


async def test_browsers_cache_static_files_but_no_page(site: Site) -> None:
    browser = await site.browser("owner")
    page = await browser.get(HOME)
    assert page.headers["cache-control"] == "no-store"
    (address,) = re.findall(r'href="(/static/headcount.css[^"]*)"', page.text)
    assert "immutable" in (await browser.get(address)).headers["cache-control"]


async def test_a_form_of_2_mb_is_refused(site: Site) -> None:
    answer = await site.anybody(**FROM_OURS).post("/sign-in", data={"token": "x" * 2_000_000})
    assert answer.status_code == 413
