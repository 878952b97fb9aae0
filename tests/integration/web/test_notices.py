"""The notice of an action: shown once, on the page that follows, to the session that acted."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from server.web.pages.words import NOTICES
from tests.support import ROOT
from tests.support.keypairs import public_line
from tests.support.pages import done
from tests.support.site import FROM_OURS, Site, open_site

KEYS = "/tenants/acme/keys"
COOKIE = "headcount-notice"
NOTICE = re.compile(r'<p class="notice" role="status">([^<]*)</p>')


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other", http_trusted_proxies="127.0.0.1") as opened:
        yield opened


@pytest.fixture
async def owner(site: Site) -> httpx.AsyncClient:
    return await site.browser("owner")


async def add_key(browser: httpx.AsyncClient, number: int = 0) -> httpx.Response:
    return await browser.post(KEYS, data={"key": public_line(number=number)})


async def shown(browser: httpx.AsyncClient, path: str = KEYS, **headers: str) -> list[str]:
    """Return the notices on the page at `path`."""
    return NOTICE.findall((await browser.get(path, headers=headers)).text)


async def test_a_notice_is_shown_once_and_is_gone_at_a_reload(owner: httpx.AsyncClient) -> None:
    assert done(await add_key(owner)) == (KEYS, "key-added")
    assert await shown(owner) == [NOTICES["key-added"]]
    assert await shown(owner) == []
    assert COOKIE not in owner.cookies


@pytest.mark.parametrize("code", NOTICES)
async def test_a_link_cannot_show_a_notice(owner: httpx.AsyncClient, code: str) -> None:
    assert await shown(owner, f"{KEYS}?done={code}&notice={code}") == []


async def test_a_notice_is_not_shown_to_another_session(site: Site, owner: httpx.AsyncClient) -> None:
    await add_key(owner)
    for role in ("owner", "operator"):
        other = await site.browser(role)
        other.cookies.set(COOKIE, owner.cookies[COOKIE])
        assert await shown(other) == [], role
    assert await shown(owner) == [NOTICES["key-added"]]


async def test_a_notice_waits_for_the_page_it_is_for(owner: httpx.AsyncClient) -> None:
    await add_key(owner)
    assert await shown(owner, "/tenants/acme/imports") == []
    assert await shown(owner) == [NOTICES["key-added"]]


async def test_a_page_that_a_script_fetches_does_not_use_up_the_notice(owner: httpx.AsyncClient) -> None:
    await add_key(owner)
    assert await shown(owner, **{"sec-fetch-dest": "empty"}) == []
    assert await shown(owner, **{"sec-fetch-dest": "document"}) == [NOTICES["key-added"]]


@pytest.mark.parametrize("text", ["key-revoked.{seal}", "{code}.", "{code}", ".{seal}", "", "{code}.é"])
async def test_a_notice_with_a_wrong_seal_is_not_shown(owner: httpx.AsyncClient, text: str) -> None:
    code, _, seal = (await add_key(owner)).cookies[COOKIE].partition(".")
    forged = text.format(code=code, seal=seal)
    cookies = f"headcount={owner.cookies['headcount']}; {COOKIE}={forged}"
    answer = await owner.get(KEYS, headers=[(b"cookie", cookies.encode())])
    assert answer.status_code == 200
    assert NOTICE.findall(answer.text) == []


async def test_the_notice_of_a_sign_out_is_on_the_sign_in_page(owner: httpx.AsyncClient) -> None:
    assert done(await owner.post("/sign-out")) == ("/sign-in", "signed-out")
    assert await shown(owner, "/sign-in") == [NOTICES["signed-out"]]
    assert await shown(owner, "/sign-in") == []


@pytest.mark.parametrize("scheme", ["http", "https"])
async def test_the_cookie_of_a_notice_is_sent_only_to_pages_of_this_server(site: Site, scheme: str) -> None:
    browser = site.anybody(**FROM_OURS, **{"x-forwarded-proto": scheme})
    answer = await browser.post("/sign-out")
    (cookie,) = (each for each in answer.headers.get_list("set-cookie") if "notice" in each)
    assert cookie.startswith(COOKIE if scheme == "http" else f"__Host-{COOKIE}")
    assert re.search(r"=signed-out\.[0-9a-f]{64};", cookie), "a known code and its seal, no text"
    for part in ("HttpOnly", "SameSite=strict", "Max-Age=60", "Path=/"):
        assert part in cookie, part
    assert ("Secure" in cookie) == (scheme == "https")


def test_no_address_names_a_notice() -> None:
    """An address with a notice in it would show it again at each reload, and a link could show any."""
    for file in (ROOT / "server" / "web").rglob("*.*"):
        if file.suffix in {".py", ".html", ".js"}:
            assert not re.search(r"[?&]done=", file.read_text(encoding="utf-8")), file
