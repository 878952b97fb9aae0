"""The page of a company's tokens, and that of operators: create, change and revoke, as without JavaScript."""

from __future__ import annotations

import asyncio
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from engine.tokens import Role, Token
from tests.support.forms import Form
from tests.support.pages import done, page, seen
from tests.support.site import FROM_OURS, Site, open_site

HERE = "/tenants/acme/colleagues"
OPERATORS = "/operators"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other") as opened:
        yield opened


@pytest.fixture
async def owner(site: Site) -> httpx.AsyncClient:
    return await site.browser("owner")


def shown_token(text: str) -> str:
    """Return the token in the field of the page."""
    found = re.search(r'<input id="new-token" value="([^"]+)" readonly', text)
    assert found
    return found[1]


async def one(site: Site, role: Role, tenant: str | None = "acme") -> Token:
    return next(each for each in await site.office.tokens.of(tenant) if each.role is role)


async def create(client: httpx.AsyncClient, here: str = HERE, **changes: str) -> httpx.Response:
    """Send the form of the page with these changes."""
    form = Form((await client.get(here)).text, here)
    return await client.post(here, data=form.but(**changes))


@pytest.mark.parametrize("by", ["owner", "operator"])
async def test_a_colleague_gets_a_token_that_is_shown_once(site: Site, by: str) -> None:
    client = await site.browser(by)
    sent = {"role": "viewer", "comment": "Grace, HR", "email": "grace@acme.example", "expires": "2099-01-31"}
    answer = await create(client, **sent)
    assert answer.status_code == 200
    assert answer.headers["cache-control"] == "no-store"
    assert "Copy the token now: it is not shown again." in answer.text
    text = shown_token(answer.text)
    again = await client.get(HERE)
    assert text not in again.text
    for part in ("Grace, HR", "Viewer", "grace@acme.example", "1 Feb 2099"):
        assert part in seen(again.text)
    colleague = site.anybody(**FROM_OURS)
    assert (await colleague.post("/sign-in", data={"token": text})).headers["location"] == "/tenants/acme/imports"
    assert (await colleague.get(HERE)).status_code == 403


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("role", "operator", "Choose a role: owner or viewer."),
        ("comment", "x" * 101, "at most 100 characters"),
        ("email", "grace", "not a valid email address"),
        ("expires", "2001-01-01", "is past"),
    ],
)
async def test_an_error_is_shown_beside_its_field_and_the_form_is_kept(
    site: Site, owner: httpx.AsyncClient, field: str, value: str, sentence: str
) -> None:
    before = await site.office.tokens.list()
    answer = await create(owner, **{"comment": '"><b>Grace', field: value})
    assert answer.status_code == 422
    found = re.search(rf'id="{field}-error">([^<]*)<', answer.text)
    assert found
    assert sentence in found[1]
    assert "<b>Grace" not in answer.text
    assert Form(answer.text, HERE)["comment"] == (value if field == "comment" else '"><b>Grace')
    assert await site.office.tokens.list() == before


async def test_the_token_of_a_colleague_is_changed(site: Site, owner: httpx.AsyncClient) -> None:
    viewer = await one(site, Role.VIEWER)
    sent = {"number": viewer.id, "comment": "Grace <i>Hall", "role": "owner", "email": "Grace@acme.example"}
    answer = await owner.post(f"{HERE}/change", data=sent)
    assert done(answer) == (f"{HERE}", "token-changed")
    text = (await owner.get(answer.headers["location"])).text
    assert "Token changed." in text
    assert "Grace &lt;i&gt;Hall" in text
    changed = await site.office.tokens.show("acme", viewer.id)
    assert (changed.comment, changed.role, changed.email) == ("Grace <i>Hall", Role.OWNER, "grace@acme.example")
    assert f'id="email-{viewer.id}" name="email" type="email" value="grace@acme.example"' in text


@pytest.mark.parametrize(
    ("field", "value", "status", "sentence"),
    [
        ("comment", "x" * 101, 422, "at most 100 characters"),
        ("role", "operator", 422, "Choose a role: owner or viewer."),
        ("role", "viewer", 409, "This is the last owner&#39;s token of acme:"),
        ("email", '"><b>grace', 422, "Write only the email address"),
    ],
)
async def test_a_change_that_is_refused_opens_the_form_of_its_token(
    site: Site, owner: httpx.AsyncClient, field: str, value: str, status: int, sentence: str
) -> None:
    mine, before = await one(site, Role.OWNER), await site.office.tokens.list()
    sent = {"number": mine.id, "role": "owner", "comment": "Ann", "email": "", field: value}
    answer = await owner.post(f"{HERE}/change", data=sent)
    assert answer.status_code == status
    found = re.search(rf'id="{field}-{mine.id}-error">([^<]*)<', answer.text)
    assert found
    assert sentence in found[1]
    assert f'aria-describedby="{field}-{mine.id}-error" aria-invalid="true"' in answer.text
    assert answer.text.count("<details open>") == 1
    assert "<title>Not saved:" in answer.text
    assert "<b>grace" not in answer.text
    assert await site.office.tokens.list() == before


async def test_an_owner_who_becomes_a_viewer_gets_to_the_imports(site: Site, owner: httpx.AsyncClient) -> None:
    mine = await one(site, Role.OWNER)
    await create(owner, role="owner")
    sent = {"number": mine.id, "role": "viewer", "comment": "Ann", "email": ""}
    answer = await owner.post(f"{HERE}/change", data=sent)
    assert (await owner.get(answer.headers["location"])).status_code == 200
    assert (await owner.get(HERE)).status_code == 403


@pytest.mark.parametrize("address", ["new@acme.example", ""])
async def test_a_new_address_signs_a_colleague_out(site: Site, owner: httpx.AsyncClient, address: str) -> None:
    viewer = await one(site, Role.VIEWER)
    sent = {"number": viewer.id, "role": "viewer", "comment": "Grace", "email": "grace@acme.example"}
    await owner.post(f"{HERE}/change", data=sent)
    colleague = await site.browser("viewer")
    for changes, status in ((sent, 200), ({**sent, "comment": "Grace Hall"}, 200), ({**sent, "email": address}, 303)):
        assert done(await owner.post(f"{HERE}/change", data=changes)) == (HERE, "token-changed")
        assert (await colleague.get("/tenants/acme/imports")).status_code == status


@pytest.mark.parametrize("role", ["owner", "operator"])
async def test_a_new_address_of_ones_own_leaves_only_the_browser_in_which_it_was_entered(
    site: Site, role: str
) -> None:
    here = HERE if role == "owner" else OPERATORS
    browser = await site.browser(role)
    mine = await one(site, Role(role), "acme" if role == "owner" else None)
    sent = {"number": mine.id, "role": role, "comment": "Ann"}
    for address in ("mistyped@acme.example", "ann@acme.example", ""):
        other = await site.browser(role)
        assert (await other.get(here)).status_code == 200
        answer = await browser.post(f"{here}/change", data={**sent, "email": address})
        assert done(answer) == (here, "token-changed")
        assert "Token changed." in (await browser.get(here)).text
        assert (await other.get(here)).status_code == 303


async def test_revoking_a_token_asks_once_more_and_signs_its_holder_out(site: Site, owner: httpx.AsyncClient) -> None:
    viewer, colleague = await one(site, Role.VIEWER), await site.browser("viewer")
    asked = (await owner.get(HERE)).text
    assert "Its holder is signed out at once." in asked
    assert "Revoke this token" in asked
    answer = await owner.post(f"{HERE}/revoke", data={"number": viewer.id})
    assert done(answer) == (f"{HERE}", "token-revoked")
    assert (await colleague.get("/tenants/acme/imports")).status_code == 303
    assert (await owner.post(f"{HERE}/revoke", data={"number": viewer.id})).status_code == 404


async def test_the_page_offers_no_button_for_the_last_owners_token(site: Site, owner: httpx.AsyncClient) -> None:
    mine = await one(site, Role.OWNER)
    assert "This is the last owner's token." in (await owner.get(HERE)).text
    assert (await owner.post(f"{HERE}/revoke", data={"number": mine.id})).status_code == 409
    assert "This is the last owner's token." not in await page(site, HERE, role="operator")
    await create(owner, role="owner")
    text = (await owner.get(HERE)).text
    assert "This is the last owner's token." not in text
    assert "You are signed in with this token." in text
    assert (await owner.post(f"{HERE}/revoke", data={"number": mine.id})).status_code == 303
    assert (await owner.get(HERE)).headers["location"].startswith("/sign-in")


async def test_tokens_of_others_are_neither_shown_nor_changed(site: Site, owner: httpx.AsyncClient) -> None:
    others = [await one(site, Role.OWNER, "other"), await one(site, Role.OPERATOR, None)]
    before = await site.office.tokens.list()
    for token in others:
        for action in ("change", "revoke"):
            answer = await owner.post(f"{HERE}/{action}", data={"number": token.id, "role": "viewer", "comment": "x"})
            assert answer.status_code == 404
    assert await site.office.tokens.list() == before
    text = (await owner.get(HERE)).text
    assert [f'value="{token.id}"' in text for token in (*others, await one(site, Role.VIEWER))] == [
        False,
        False,
        True,
    ]


async def test_only_owners_and_the_operator_see_the_link_to_colleagues(site: Site) -> None:
    for role, sees in (("owner", True), ("operator", True), ("viewer", False)):
        assert (f'href="{HERE}"' in await page(site, role=role)) is sees


async def test_the_operator_creates_and_revokes_tokens_of_operators(site: Site) -> None:
    browser = await site.browser("operator")
    answer = await create(browser, OPERATORS, comment="Ada")
    other = site.anybody(**FROM_OURS)
    signed_in = await other.post("/sign-in", data={"token": shown_token(answer.text)})
    assert signed_in.headers["location"] == "/tenants"
    made = next(each for each in await site.office.tokens.of(None) if each.comment == "Ada")
    renamed = await browser.post(f"{OPERATORS}/change", data={"number": made.id, "comment": "Ada L"})
    assert done(renamed) == (f"{OPERATORS}", "token-changed")
    assert "Ada L" in (await browser.get(OPERATORS)).text
    assert (await browser.post(f"{OPERATORS}/revoke", data={"number": made.id})).status_code == 303
    assert (await other.get("/tenants")).status_code == 303
    company = await one(site, Role.OWNER)
    assert (await browser.post(f"{OPERATORS}/revoke", data={"number": company.id})).status_code == 404


@pytest.mark.parametrize(("here", "role"), [(HERE, "owner"), (OPERATORS, "operator")])
async def test_a_form_that_is_sent_twice_creates_one_token(site: Site, here: str, role: str) -> None:
    client = await site.browser(role)
    data = Form((await client.get(here)).text, here).but(comment="Grace")
    answers = await asyncio.gather(*(client.post(here, data=data) for _ in range(3)))
    assert sum("Token created" in each.text for each in answers) == 1
    assert sum("This form was sent twice" in each.text for each in answers) == 2
    assert [each.comment for each in await site.office.tokens.list()].count("Grace") == 1
    again = Form(answers[0].text, here).but(comment="Grace")
    assert "Token created" in (await client.post(here, data=again)).text


async def test_the_page_offers_sign_in_links_only_if_the_server_sends_them(site: Site, tmp_path: Path) -> None:
    link = "sign in with a link"
    text = await page(site, HERE, role="owner")
    assert link not in text
    assert "This server sends no sign-in links" in text
    mails = {"smtp_url": "smtp://127.0.0.1:1", "http_public_url": "https://hr.example.com"}
    async with open_site(tmp_path / "mails", "acme", **mails) as sending:
        assert link in await page(sending, HERE, role="owner")


@pytest.mark.logs("token_created")
@pytest.mark.logs("token_changed")
@pytest.mark.logs("token_revoked")
@pytest.mark.logs("tenant_added")
@pytest.mark.logs("tenant_removed")
async def test_the_log_says_which_token_created_changed_and_revoked_what(
    site: Site, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "server.web.office")
    owner, operator = await one(site, Role.OWNER), await one(site, Role.OPERATOR, None)
    client, api = await site.browser("owner"), site.api("owner")
    await create(client, comment="Eve", email="eve@acme.example")
    eve = next(each for each in await site.office.tokens.of("acme") if each.comment == "Eve")
    await client.post(f"{HERE}/change", data={"number": eve.id, "role": "viewer", "comment": "Eva"})
    await client.post(f"{HERE}/revoke", data={"number": eve.id})
    made = (await api.post("/api/v1/tenants/acme/tokens", json={"role": "owner"})).json()
    await api.patch(f"/api/v1/tenants/acme/tokens/{made['id']}", json={"role": "viewer"})
    await api.delete(f"/api/v1/tenants/acme/tokens/{made['id']}")
    root = await site.browser("operator")
    await create(root, OPERATORS, comment="Ada")
    ada = next(each for each in await site.office.tokens.of(None) if each.comment == "Ada")
    await root.post("/tenants", data={"name": "globex"})
    await root.post("/tenants/remove", data={"name": "globex"})
    await site.api("operator").post("/api/v1/tenants", json={"name": "initech"})
    await site.api("operator").delete("/api/v1/tenants/initech")
    mine, root_is = owner.bearer, operator.bearer
    assert [each.getMessage() for each in caplog.records if each.name == "server.web.office"] == [
        f"Token {eve.id} (viewer) of acme was created by {mine}.",
        f"Token {eve.id} (viewer) of acme was changed by {mine}.",
        f"Token {eve.id} (viewer) of acme was revoked by {mine}.",
        f"Token {made['id']} (owner) of acme was created by {mine}.",
        f"Token {made['id']} (viewer) of acme was changed by {mine}.",
        f"Token {made['id']} (viewer) of acme was revoked by {mine}.",
        f"Token {ada.id} (operator) of operators was created by {root_is}.",
        f"Tenant globex was added by {root_is}.",
        f"Tenant globex was removed by {root_is}.",
        f"Tenant initech was added by {root_is}.",
        f"Tenant initech was removed by {root_is}.",
    ]
    assert "eve@acme.example" not in caplog.text
