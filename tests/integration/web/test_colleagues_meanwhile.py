"""Two users with the form of the same token open: neither overwrites what the other has changed meanwhile."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from engine.tokens import Role, Token
from tests.integration.web.test_colleagues_page import HERE, OPERATORS, one
from tests.support.forms import Form
from tests.support.pages import done, page
from tests.support.site import Site, open_site

OLD, NEW, OTHER = "old@acme.example", "new@acme.example", "other@acme.example"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme") as opened:
        yield opened


@pytest.fixture
async def operator(site: Site) -> httpx.AsyncClient:
    return await site.browser("operator")


async def ann_of(site: Site, role: Role = Role.OWNER) -> Token:
    """Return a token that has a name and an address."""
    number, tenant = (await one(site, role, tenant_of(role))).id, tenant_of(role)
    return await edit(site, number, tenant, comment="Ann", email=OLD)


def tenant_of(role: Role) -> str | None:
    return None if role is Role.OPERATOR else "acme"


async def edit(
    site: Site,
    number: int,
    tenant: str | None = "acme",
    *,
    comment: str | None = None,
    role: Role | None = None,
    email: str | None = None,
) -> Token:
    """Change a token as another user does."""
    by = await one(site, Role.OPERATOR, None)
    return await site.office.tokens.edit(by, tenant, number, comment=comment, role=role, email=email)


def fields(text: str, token: Token, here: str = HERE) -> dict[str, str]:
    """Return what the form that changes this token sends without edits."""
    forms: list[dict[str, str]] = []
    for name, value in Form(text, f"{here}/change").pairs:
        if name == "number":
            forms.append({})
        forms[-1][name] = value
    return next(each for each in forms if each["number"] == str(token.id))


def errors(text: str, token: Token) -> dict[str, str]:
    """Return the sentences beside the fields of the form of this token."""
    found = re.findall(rf'id="(\w+)-{token.id}-error">([^<]*)<', text)
    return {name: html.unescape(sentence) for name, sentence in found}


@pytest.mark.parametrize("role", [Role.OWNER, Role.OPERATOR])
async def test_a_form_from_before_a_new_address_changes_only_the_name(site: Site, role: Role) -> None:
    here = HERE if role is Role.OWNER else OPERATORS
    ann = await ann_of(site, role)
    stale = fields(await page(site, here, role="operator"), ann, here)
    await edit(site, ann.id, tenant_of(role), email=NEW)
    hers, operator = await site.browser(role.value), await site.browser("operator")
    assert done(await operator.post(f"{here}/change", data=stale | {"comment": "Ann Lee"})) == (here, "token-changed")
    after = await site.office.tokens.show(tenant_of(role), ann.id)
    assert (after.comment, after.role, after.email) == ("Ann Lee", role, NEW)
    assert (await hers.get(here)).status_code == 200, "she is still signed in"


async def test_a_form_from_before_a_new_role_changes_only_the_name(site: Site, operator: httpx.AsyncClient) -> None:
    ann = await ann_of(site)
    stale = fields((await operator.get(HERE)).text, ann)
    await edit(site, ann.id, role=Role.VIEWER)
    await operator.post(f"{HERE}/change", data=stale | {"comment": "Ann Lee"})
    after = await site.office.tokens.show("acme", ann.id)
    assert (after.comment, after.role) == ("Ann Lee", Role.VIEWER)


async def test_an_empty_form_from_before_a_name_and_an_address_keeps_both(
    site: Site, operator: httpx.AsyncClient
) -> None:
    bo = await one(site, Role.VIEWER)
    stale = fields((await operator.get(HERE)).text, bo)
    assert (stale["comment"], stale["email"]) == ("", "")
    await edit(site, bo.id, comment="Bo", email=NEW)
    await operator.post(f"{HERE}/change", data=stale | {"role": "owner"})
    after = await site.office.tokens.show("acme", bo.id)
    assert (after.comment, after.role, after.email) == ("Bo", Role.OWNER, NEW)
    answer = await operator.post(f"{HERE}/change", data=stale | {"email": OTHER})
    assert "while this form was open" in errors(answer.text, bo)["email"]
    assert await site.office.tokens.show("acme", bo.id) == after


@pytest.mark.parametrize(
    ("field", "newer", "typed", "says"),
    [
        ("comment", "Bo <i>", "Cy", "The name changed to “Bo <i>” while this form was open."),
        ("comment", "", "Cy", "The name was removed while this form was open."),
        ("email", NEW, OTHER, f"The email address changed to “{NEW}” while this form was open."),
        ("email", NEW, "", f"The email address changed to “{NEW}” while this form was open."),
        ("email", "", OTHER, "The email address was removed while this form was open."),
    ],
)
async def test_a_form_that_would_overwrite_a_newer_value_is_shown_again(
    site: Site, operator: httpx.AsyncClient, field: str, newer: str, typed: str, says: str
) -> None:
    ann = await ann_of(site)
    stale = fields((await operator.get(HERE)).text, ann)
    now = await edit(site, ann.id, role=Role.VIEWER, **{field: newer})  # type: ignore[arg-type]
    answer = await operator.post(f"{HERE}/change", data=stale | {field: typed})
    assert answer.status_code == 409
    assert "<title>Not saved:" in answer.text
    assert answer.text.count("<details open>") == 1
    assert errors(answer.text, ann) == {field: f"{says} Nothing was saved. Check it and save again."}
    assert f'aria-describedby="{field}-{ann.id}-error" aria-invalid="true"' in answer.text
    assert await site.office.tokens.show("acme", ann.id) == now
    again = fields(answer.text, ann)
    expected = {"comment": now.comment, "email": now.email or "", "role": "viewer"} | {field: typed}
    assert {name: again[name] for name in expected} == expected
    assert done(await operator.post(f"{HERE}/change", data=again)) == (HERE, "token-changed")
    after = await site.office.tokens.show("acme", ann.id)
    assert {"comment": after.comment, "email": after.email or "", "role": after.role.value} == expected


async def test_a_form_that_shows_an_unknown_role_is_shown_again(site: Site, operator: httpx.AsyncClient) -> None:
    ann = await ann_of(site)
    stale = fields((await operator.get(HERE)).text, ann) | {"shown_role": "guest", "role": "viewer"}
    answer = await operator.post(f"{HERE}/change", data=stale)
    assert errors(answer.text, ann)["role"].startswith("The role changed to “Owner” while this form was open.")
    assert await site.office.tokens.show("acme", ann.id) == ann


async def test_an_error_in_a_form_does_not_hide_a_newer_value(site: Site, operator: httpx.AsyncClient) -> None:
    ann = await ann_of(site)
    stale = fields((await operator.get(HERE)).text, ann)
    now = await edit(site, ann.id, email=NEW)
    answer = await operator.post(f"{HERE}/change", data=stale | {"email": "other"})
    assert "not a valid email address" in errors(answer.text, ann)["email"]
    answer = await operator.post(f"{HERE}/change", data=fields(answer.text, ann) | {"email": OTHER})
    assert "while this form was open" in errors(answer.text, ann)["email"]
    assert await site.office.tokens.show("acme", ann.id) == now


async def test_the_api_changes_only_the_fields_that_were_sent(site: Site) -> None:
    """A client that has read the token before need not send what it does not change."""
    ann, owner = await ann_of(site), site.api("owner")
    path = f"/api/v1/tenants/acme/tokens/{ann.id}"
    assert (await owner.get(path)).json()["email"] == OLD
    now = await edit(site, ann.id, email=NEW)
    hers = await site.browser("owner")
    answer = await owner.patch(path, json={"comment": "Ann Lee"})
    assert (answer.status_code, answer.json()) == (200, {**now.to_json(), "comment": "Ann Lee"})
    assert (await hers.get(HERE)).status_code == 200
