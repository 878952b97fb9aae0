"""The pages of requests that were refused or failed: in the layout of the visitor, with a way back."""

from __future__ import annotations

import re
import shutil
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.support.site import FROM_OURS, Site, open_site

HOME = "/tenants/acme"
REFUSED = [
    ("GET", f"{HOME}/nothing", 404),
    ("GET", f"{HOME}/users/nobody@example.com", 404),
    ("GET", f"{HOME}/imports/77", 404),
    ("GET", "/tenants/nothing/imports", 404),
    ("GET", f"{HOME}/keys/revoke", 405),
    ("GET", f"{HOME}/users?state=odd", 422),
    ("POST", f"{HOME}/imports/77/discard", 404),
    ("POST", f"{HOME}/keys/revoke", 404),
]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other") as opened:
        yield opened


def navigation(answer: httpx.Response) -> list[str]:
    """Return the labels of the links in the navigation of a company."""
    nav = re.search(r"<nav .*?</nav>", answer.text, re.DOTALL)
    return re.findall(r">([^<]+)</a>", nav[0]) if nav else []


def way_back(answer: httpx.Response) -> str:
    return re.findall(r'class="back"><a href="([^"]*)"', answer.text)[0]


@pytest.mark.parametrize(("method", "path", "status"), REFUSED)
async def test_a_refused_request_shows_the_layout_of_the_visitor(
    site: Site, method: str, path: str, status: int
) -> None:
    answer = await (await site.browser("owner")).request(method, path)
    assert answer.status_code == status
    assert "Signed in as" in answer.text
    assert "Sign out" in answer.text
    assert navigation(answer)[:2] == ["Imports", "Users"]


@pytest.mark.parametrize(
    ("path", "back"),
    [
        (f"{HOME}/nothing", f"{HOME}/imports"),
        (f"{HOME}/users/nobody@example.com", f"{HOME}/users"),
        (f"{HOME}/imports/77", f"{HOME}/imports"),
        ("/nothing", f"{HOME}/imports"),
        ("/tenants/nothing/users/x", f"{HOME}/imports"),
    ],
)
async def test_the_page_of_a_problem_leads_back_to_the_page_above(site: Site, path: str, back: str) -> None:
    browser = await site.browser("viewer")
    assert way_back(await browser.get(path)) == back
    assert (await browser.get(back)).status_code == 200


@pytest.mark.only_on("sqlite", "no other engine has a tenant alone that is broken")
@pytest.mark.parametrize("broken", ["users.db is missing", "the folder is missing"])
async def test_the_page_of_a_broken_company_leads_the_operator_to_the_server(site: Site, broken: str) -> None:
    root = site.office.tenants.folder("acme").root
    if broken.startswith("users.db"):
        for each in root.glob("users.db*"):
            each.unlink(missing_ok=True)
    else:
        shutil.rmtree(root)
    owner, operator = await site.browser("owner"), await site.browser("operator")
    for page in ("imports", "users", "keys"):
        of_operator, of_owner = await operator.get(f"{HOME}/{page}"), await owner.get(f"{HOME}/{page}")
        assert (of_operator.status_code, of_owner.status_code) == (503, 503)
        assert way_back(of_operator) == "/server#broken"
        assert way_back(of_owner) == f"{HOME}/imports"
        assert (">Try again</a>" in of_owner.text) == (page == "imports"), "no page leads back to itself by its name"
    server = await operator.get("/server")
    assert 'id="broken"' in server.text
    assert f'href="{HOME}/imports"' in server.text


async def test_a_viewer_who_is_refused_an_owners_page_stays_signed_in(site: Site) -> None:
    answer = await (await site.browser("viewer")).get(f"{HOME}/colleagues")
    assert answer.status_code == 403
    assert "Colleagues" not in navigation(answer)
    assert "Signed in as" in answer.text


async def test_an_operators_problem_has_the_navigation_of_the_company_it_is_about(site: Site) -> None:
    browser = await site.browser("operator")
    of_company = await browser.get("/tenants/other/users/nobody@example.com")
    assert '<span class="company">other</span>' in of_company.text
    assert way_back(of_company) == "/tenants/other/users"
    for path in ("/nothing", "/tenants/unknown/imports", "/tenants/UNKNOWN%20/imports"):
        answer = await browser.get(path)
        assert (answer.status_code, navigation(answer), way_back(answer)) == (404, [], "/tenants"), path
        assert "All companies" in answer.text


async def test_another_tenants_problem_shows_nothing_of_that_tenant(site: Site) -> None:
    answer = await (await site.browser("elsewhere")).get(f"{HOME}/users/nobody@example.com")
    assert answer.status_code == 404
    assert '<span class="company">other</span>' in answer.text
    assert "There is no company with this name." in answer.text
    assert 'href="/tenants/acme' not in answer.text


async def test_without_a_session_the_page_of_a_problem_leads_to_the_sign_in_page(site: Site) -> None:
    answer = await site.anybody().get("/nothing")
    assert (answer.status_code, way_back(answer)) == (404, "/sign-in")
    assert "Signed in as" not in answer.text


async def test_a_form_of_another_site_is_refused_with_a_page(site: Site) -> None:
    browser = await site.browser("owner")
    forger = site.anybody(origin="https://evil.example")
    forger.cookies.update(browser.cookies)
    answer = await forger.post(f"{HOME}/keys/revoke")
    assert answer.status_code == 403
    assert answer.headers["content-type"].startswith("text/html")
    assert "This form was not sent from a page of this server." in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]


async def test_the_api_answers_problems_as_json(site: Site) -> None:
    answer = await site.api("owner").get("/api/v1/nothing")
    assert answer.headers["content-type"] == "application/problem+json"


async def test_an_internal_error_is_a_page_with_the_security_headers(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def fails(*_: object) -> None:
        raise ZeroDivisionError

    browser = await site.browser("owner")
    monkeypatch.setattr(site.office.key_uses, "of", fails)
    answer = await browser.get(f"{HOME}/keys")
    assert answer.status_code == 500
    assert "Internal error" in answer.text
    assert "Signed in as" in answer.text
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"


async def test_a_problem_has_a_page_while_no_session_can_be_read(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: object) -> None:
        raise OSError("disk I/O error")

    browser = site.anybody(**FROM_OURS)
    await browser.post("/sign-in", data={"token": site.tokens["owner"]})
    monkeypatch.setattr(site.office.sign_ins, "find", fails)
    answer = await browser.get("/nothing")
    assert (answer.status_code, way_back(answer)) == (404, "/sign-in")
