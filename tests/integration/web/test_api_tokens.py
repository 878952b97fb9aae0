"""Tokens in the API: owners make and revoke those of their own company."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from engine.tokens import Role
from tests.support.site import FROM_OURS, Site, open_site

TOKENS = "/api/v1/tenants/acme/tokens"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other") as opened:
        yield opened


async def id_of(site: Site, tenant: str | None, role: Role) -> int:
    return next(each.id for each in await site.office.tokens.of(tenant) if each.role is role)


async def made(site: Site, by: str = "owner", **fields: Any) -> Any:
    answer = await site.api(by).post(TOKENS, json={"role": "viewer", **fields})
    assert answer.status_code == 201, answer.text
    return answer.json()


@pytest.mark.parametrize("by", ["owner", "operator"])
async def test_a_token_is_created_and_its_text_is_shown_once(site: Site, by: str) -> None:
    sent = {"role": "owner", "comment": "Grace, HR", "expires": "2099-12-31", "email": "Grace@acme.example"}
    answer = await site.api(by).post(TOKENS, json=sent)
    assert answer.status_code == 201
    token = answer.json()
    text = token.pop("token")
    assert (token["role"], token["comment"], token["email"]) == ("owner", "Grace, HR", "grace@acme.example")
    assert token["expires_at"] == "2100-01-01T00:00:00.000Z"
    shown = await site.api(by).get(answer.headers["location"])
    listed = await site.api(by).get(TOKENS)
    assert shown.json() == token
    assert token in listed.json()["tokens"]
    assert text not in shown.text + listed.text
    assert (await site.anybody(authorization=f"Bearer {text}").get(TOKENS)).status_code == 200


async def test_a_viewers_token_can_only_read(site: Site) -> None:
    text = (await made(site))["token"]
    client = site.anybody(authorization=f"Bearer {text}")
    assert (await client.get("/api/v1/tenants/acme/imports")).status_code == 200
    for answer in (await client.get(TOKENS), await client.post(TOKENS, json={"role": "owner"})):
        assert answer.status_code == 403


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"role": "operator"}, "bad_request"),
        ({"role": None}, "bad_request"),
        ({"tenant": "other"}, "bad_request"),
        ({"comment": "a\u0007b"}, "bad_comment"),
        ({"comment": "x" * 101}, "bad_comment"),
        ({"email": "grace"}, "bad_email"),
        ({"expires": "2001-01-01"}, "bad_expiry"),
        ({"expires": "soon"}, "bad_expiry"),
    ],
)
async def test_a_token_that_is_not_created_says_why(site: Site, fields: dict[str, Any], code: str) -> None:
    before = await site.office.tokens.list()
    answer = await site.api("owner").post(TOKENS, json={"role": "viewer", **fields})
    assert (answer.status_code, answer.json()["code"]) == (422, code)
    assert await site.office.tokens.list() == before


async def test_an_owner_sees_and_revokes_only_tokens_of_the_own_company(site: Site) -> None:
    numbers = [await id_of(site, "other", Role.OWNER), await id_of(site, None, Role.OPERATOR)]
    before = await site.office.tokens.list()
    listed = (await site.api("owner").get(TOKENS)).json()["tokens"]
    assert {each["tenant"] for each in listed} == {"acme"}
    for number in (*numbers, 999):
        one = f"{TOKENS}/{number}"
        for answer in (
            await site.api("owner").get(one),
            await site.api("owner").patch(one, json={"comment": "x"}),
            await site.api("owner").delete(one),
        ):
            assert (answer.status_code, answer.json()["code"]) == (404, "unknown_token")
            assert answer.json()["detail"] == f"There is no token {number} of acme."
    assert await site.office.tokens.list() == before


async def test_a_token_is_changed(site: Site) -> None:
    token = await made(site, comment="Grace")
    one, owner = f"{TOKENS}/{token['id']}", site.api("owner")
    expected = {name: value for name, value in token.items() if name != "token"}
    for changes in (
        {"comment": "Grace Hall"},
        {"email": "grace@acme.example"},
        {"role": "owner", "comment": ""},
        {"email": None},
        {"email": ""},
        {},
    ):
        answer = await owner.patch(one, json=changes)
        expected |= {**changes, "email": changes.get("email", expected["email"]) or None}
        assert (answer.status_code, answer.json()) == (200, expected)
        assert (await owner.get(one)).json() == expected
    assert (await site.anybody(authorization=f"Bearer {token['token']}").get(TOKENS)).status_code == 200


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"role": "operator"}, 422, "bad_request"),
        ({"comment": None}, 422, "bad_request"),
        ({"expires": "2099-01-01"}, 422, "bad_request"),
        ({"comment": "x" * 101}, 422, "bad_comment"),
        ({"email": "grace"}, 422, "bad_email"),
    ],
)
async def test_a_token_that_is_not_changed_says_why(
    site: Site, changes: dict[str, Any], status: int, code: str
) -> None:
    number = (await made(site))["id"]
    before = await site.office.tokens.list()
    answer = await site.api("owner").patch(f"{TOKENS}/{number}", json=changes)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert await site.office.tokens.list() == before


async def test_a_viewer_that_becomes_an_owner_stays_signed_in(site: Site) -> None:
    number, browser = await id_of(site, "acme", Role.VIEWER), await site.browser("viewer")
    for role, status in (("owner", 200), ("viewer", 403)):
        assert (await site.api("owner").patch(f"{TOKENS}/{number}", json={"role": role})).status_code == 200
        assert (await browser.get("/tenants/acme/colleagues")).status_code == status


async def test_only_the_operator_makes_the_last_owner_a_viewer(site: Site) -> None:
    one = f"{TOKENS}/{await id_of(site, 'acme', Role.OWNER)}"
    answer = await site.api("owner").patch(one, json={"role": "viewer"})
    assert (answer.status_code, answer.json()["code"]) == (409, "last_owner")
    assert (await site.api("operator").patch(one, json={"role": "viewer"})).json()["role"] == "viewer"


async def test_a_revoked_token_ends_its_page_sessions_at_once(site: Site) -> None:
    token = await made(site)
    browser = site.anybody(**FROM_OURS)
    await browser.post("/sign-in", data={"token": token["token"]})
    assert (await browser.get("/tenants/acme/imports")).status_code == 200
    answer = await site.api("owner").delete(f"{TOKENS}/{token['id']}")
    assert (answer.status_code, answer.content) == (204, b"")
    assert (await browser.get("/tenants/acme/imports")).status_code == 303
    client = site.anybody(authorization=f"Bearer {token['token']}")
    assert (await client.get("/api/v1/tenants/acme/imports")).status_code == 401


async def test_an_owner_cannot_revoke_the_last_owners_token(site: Site) -> None:
    number = await id_of(site, "acme", Role.OWNER)
    answer = await site.api("owner").delete(f"{TOKENS}/{number}")
    assert (answer.status_code, answer.json()["code"]) == (409, "last_owner")
    await made(site, role="owner")
    assert (await site.api("owner").delete(f"{TOKENS}/{number}")).status_code == 204


async def test_the_operator_may_revoke_the_last_owners_token(site: Site) -> None:
    number = await id_of(site, "acme", Role.OWNER)
    assert (await site.api("operator").delete(f"{TOKENS}/{number}")).status_code == 204
    assert (await site.api("owner").get(TOKENS)).status_code == 401
