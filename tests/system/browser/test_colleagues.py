"""Owners give their colleagues tokens in a browser, change and revoke them, with and without JavaScript."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from tests.support.browser import open_page, sign_in, sign_in_with_the_form, token, url
from tests.support.clients import needs
from tests.support.server_process import ServerProcess

pytestmark = [needs("chromium"), pytest.mark.asyncio(loop_scope="module")]


def card(page: Page, name: str) -> Locator:
    """Return the part of the page about the token with this name."""
    return page.get_by_role("listitem").filter(has=page.get_by_role("heading", name=name, exact=True))


def form(page: Page) -> Locator:
    """Return the part of the page in which a token is created."""
    return page.get_by_role("region", name="Create a token")


async def create(page: Page, role: str, name: str) -> str:
    """Create a token with the form, and return the token that the page shows."""
    await form(page).get_by_label("Role", exact=True).select_option(role)
    await form(page).get_by_label("Name", exact=True).fill(name)
    await form(page).get_by_label("Email address", exact=True).fill(f"{name.lower()}@acme.example")
    await page.get_by_role("button", name="Create this token").click()
    return await page.get_by_label(f"Token of {name}").input_value()


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])
async def test_a_colleague_signs_in_with_a_token_that_is_shown_once(
    server: ServerProcess, browser: Browser, tenant: str, javascript: bool
) -> None:
    async with (
        open_page(browser, url(server), javascript=javascript) as page,
        open_page(browser, url(server), javascript=javascript) as other,
    ):
        await sign_in(page, token(server, tenant))
        await page.get_by_role("link", name="Colleagues").click()
        made = await create(page, "Viewer", "Ada")
        await page.get_by_role("link", name="Colleagues").click()
        await expect(card(page, "Ada")).to_contain_text("ada@acme.example")
        assert made not in await page.content()
        await sign_in_with_the_form(other, made)
        await expect(other.locator("footer")).to_contain_text("Signed in as Ada (viewer, token")
        await expect(other.get_by_role("link", name="Colleagues")).to_have_count(0)


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])
async def test_an_error_in_the_form_of_a_colleague_is_shown_and_fixed(
    server: ServerProcess, browser: Browser, tenant: str, javascript: bool
) -> None:
    async with open_page(browser, url(server), javascript=javascript) as page:
        await sign_in(page, token(server, tenant))
        await page.goto(f"/tenants/{tenant}/colleagues")
        await form(page).get_by_label("Role", exact=True).select_option("Owner")
        await form(page).get_by_label("Name", exact=True).fill("Ada")
        address = form(page).get_by_label("Email address", exact=True)
        await address.fill("ada")
        await page.get_by_role("button", name="Create this token").click()
        await expect(page.get_by_role("alert")).to_contain_text("not a valid email address")
        await expect(address).to_be_focused()
        await expect(form(page).get_by_label("Role", exact=True)).to_have_value("owner")
        await expect(form(page).get_by_label("Name", exact=True)).to_have_value("Ada")
        await address.fill("ada@acme.example")
        await page.get_by_role("button", name="Create this token").click()
        await expect(page.get_by_label("Token of Ada")).to_be_focused()
        await expect(card(page, "Ada")).to_contain_text("Owner")


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])
async def test_an_owner_changes_the_name_of_a_colleague_and_revokes_the_token_in_two_steps(
    server: ServerProcess, browser: Browser, tenant: str, javascript: bool
) -> None:
    async with (
        open_page(browser, url(server), javascript=javascript) as page,
        open_page(browser, url(server), javascript=javascript) as other,
    ):
        await sign_in(page, token(server, tenant))
        await page.goto(f"/tenants/{tenant}/colleagues")
        await sign_in(other, await create(page, "Viewer", "Ada"))
        await card(page, "Ada").locator("summary", has_text="Change").click()
        await card(page, "Ada").get_by_label("Name", exact=True).fill("Ada Lovelace")
        await card(page, "Ada").get_by_role("button", name="Save changes").click()
        await expect(page.locator(".notice")).to_have_text("Token changed.")
        ada = card(page, "Ada Lovelace")
        sure = ada.get_by_role("button", name="Revoke this token")
        await expect(sure).to_be_hidden()
        await ada.get_by_text("Revoke").first.click()
        await expect(ada.get_by_text("Its holder is signed out at once.")).to_be_visible()
        await other.reload()
        await expect(other.locator("footer")).to_contain_text("Ada Lovelace (viewer"), "the first step only asks"
        await sure.click()
        await expect(page.locator(".notice")).to_have_text("Token revoked. Its holder is signed out.")
        await expect(ada).to_have_count(0)
        await other.reload()
        await expect(other.get_by_label("Access token")).to_be_visible()


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])
async def test_two_users_do_not_overwrite_each_others_change_of_a_token(
    server: ServerProcess, browser: Browser, tenant: str, javascript: bool
) -> None:
    async with (
        open_page(browser, url(server), javascript=javascript) as page,
        open_page(browser, url(server), javascript=javascript) as other,
    ):
        await sign_in(page, token(server, tenant))
        await page.goto(f"/tenants/{tenant}/colleagues")
        await create(page, "Viewer", "Ada")
        await sign_in(other, server.cli("token", "create", "--operator").text.strip())
        for each in (page, other):
            await each.goto(f"/tenants/{tenant}/colleagues")
            await card(each, "Ada").locator("summary", has_text="Change").click()
        address = card(other, "Ada").get_by_label("Email address", exact=True)
        await address.fill("new@acme.example")
        await card(other, "Ada").get_by_role("button", name="Save changes").click()
        await expect(card(other, "Ada")).to_contain_text("new@acme.example")
        await card(page, "Ada").get_by_label("Name", exact=True).fill("Ada Lovelace")
        await card(page, "Ada").get_by_role("button", name="Save changes").click()
        await expect(card(page, "Ada Lovelace")).to_contain_text("new@acme.example")
        await card(other, "Ada").locator("summary", has_text="Change").click()
        await card(other, "Ada").get_by_label("Name", exact=True).fill("Ada L")
        await card(other, "Ada").get_by_role("button", name="Save changes").click()
        name = card(other, "Ada Lovelace").get_by_label("Name", exact=True)
        await expect(other.get_by_role("alert")).to_contain_text("The name changed to “Ada Lovelace” while this form")
        await expect(name).to_be_focused()
        await expect(name).to_have_value("Ada L")
        await card(other, "Ada Lovelace").get_by_role("button", name="Save changes").click()
        await expect(card(other, "Ada L")).to_contain_text("new@acme.example")


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])
async def test_the_last_owner_reads_why_their_token_cannot_be_revoked(
    server: ServerProcess, browser: Browser, tenant: str, javascript: bool
) -> None:
    async with open_page(browser, url(server), javascript=javascript) as page:
        await sign_in(page, token(server, tenant))
        await page.goto(f"/tenants/{tenant}/colleagues")
        mine = card(page, "Grace")
        await mine.get_by_text("Revoke").first.click()
        await expect(mine.get_by_text("This is the last owner's token.")).to_be_visible()
        await expect(mine.get_by_role("button", name="Revoke this token")).to_have_count(0)
        await create(page, "Owner", "Ada")
        await mine.get_by_text("Revoke").first.click()
        await expect(mine.get_by_text("You are signed in with this token. You are signed out, too.")).to_be_visible()
        await mine.get_by_role("button", name="Revoke this token").click()
        await expect(page.get_by_label("Access token")).to_be_visible()
    tokens = server.cli("token", "list", "--json").json
    assert [each["comment"] for each in tokens if each["tenant"] == tenant] == ["Ada"]
