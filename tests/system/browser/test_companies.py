"""The operator adds and removes a company in a browser, without a shell, with and without JavaScript."""

from __future__ import annotations

from itertools import count

import asyncssh
import pytest
from playwright.async_api import Browser, Page, expect

from server.web.pages.words import NOTICES
from tests.support.browser import open_page, sign_in, sign_in_with_the_form, url
from tests.support.chosen import EMBEDDED, chosen_engine
from tests.support.clients import needs
from tests.support.importing import people
from tests.support.server_process import ServerProcess

NAMES = (f"globex{number}" for number in count(1))

pytestmark = [needs("chromium", "sftp"), pytest.mark.asyncio(loop_scope="module")]


def new_key(server: ServerProcess, tenant: str) -> str:
    """Generate the key of `tenant` as its HR system would, and return the line of its public key."""
    key = asyncssh.generate_private_key("ssh-ed25519")
    private = server.private_key(tenant)
    private.write_bytes(key.export_private_key())
    private.chmod(0o600)
    return key.export_public_key().decode()


async def type_name(page: Page, name: str, button: str) -> None:
    form = page.locator("form").filter(has=page.get_by_role("button", name=button))
    await form.get_by_label("Name", exact=True).fill(name)
    await page.get_by_role("button", name=button).click()


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])
async def test_the_operator_sets_a_company_up_and_removes_it_without_a_shell(
    server: ServerProcess, browser: Browser, javascript: bool
) -> None:
    name = next(NAMES)
    operator = server.cli("token", "create", "--operator").text.strip()
    async with (
        open_page(browser, url(server), javascript=javascript) as page,
        open_page(browser, url(server), javascript=javascript) as owner,
    ):
        await sign_in(page, operator)
        await type_name(page, "No Name", "Add this company")
        await expect(page.get_by_role("alert")).to_contain_text("Use 2 to 31 of")
        await type_name(page, name, "Add this company")
        await expect(page.locator(".notice")).to_contain_text("Company added.")
        await sign_in_with_the_form(owner, await first_token(page))
        await add_key(page, new_key(server, name))
        server.put(name, people("ann", "bo"))
        assert server.reaches(name, 1, "completed")
        await owner.goto("/")
        await expect(owner.get_by_role("row").filter(has_text="#1")).to_contain_text("Completed")
        await page.get_by_role("link", name="All companies").click()
        await expect(page.get_by_role("row").filter(has_text=name)).to_contain_text("Completed")
        await remove(page, name)
        await owner.reload()
        await expect(owner.get_by_label("Access token")).to_be_visible()
    assert server.sftp(name, "ls").returncode != 0
    assert server.stored.removed().count(name) == 1


async def first_token(page: Page) -> str:
    form = page.get_by_role("region", name="Create a token")
    await form.get_by_label("Role", exact=True).select_option("Owner")
    await form.get_by_label("Name", exact=True).fill("Grace")
    await page.get_by_role("button", name="Create this token").click()
    return await page.get_by_label("Token of Grace").input_value()


async def add_key(page: Page, line: str) -> None:
    await page.get_by_role("link", name="Keys").click()
    await page.get_by_label("Public key", exact=True).fill(line)
    await page.get_by_role("button", name="Add this key").click()
    await expect(page.locator(".notice")).to_have_text("Key added. It can be used now.")


async def remove(page: Page, name: str) -> None:
    """Remove the company; a part of its name is refused first."""
    await expect(page.get_by_role("button", name="Remove this company")).to_be_hidden()
    await page.locator("summary", has_text="Remove a company").click()
    await type_name(page, name[:-1], "Remove this company")
    await expect(page.get_by_role("alert")).to_have_text(f"There is no company “{name[:-1]}”.")
    await type_name(page, name, "Remove this company")
    code = "company-removed" if chosen_engine() == EMBEDDED else "company-put-aside"
    await expect(page.locator(".notice")).to_have_text(NOTICES[code])
    await expect(page.get_by_role("link", name=name, exact=True)).to_have_count(0)


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])
async def test_the_operator_gives_another_operator_a_token_and_revokes_it(
    server: ServerProcess, browser: Browser, javascript: bool
) -> None:
    async with (
        open_page(browser, url(server), javascript=javascript) as page,
        open_page(browser, url(server), javascript=javascript) as other,
    ):
        await sign_in(page, server.cli("token", "create", "--operator").text.strip())
        await page.get_by_role("link", name="Operators").click()
        form = page.get_by_role("region", name="Create a token")
        await form.get_by_label("Name", exact=True).fill("Ada")
        await page.get_by_role("button", name="Create this token").click()
        await sign_in(other, await page.get_by_label("Token of Ada").input_value())
        await expect(other.get_by_role("heading", name="All companies")).to_be_visible()
        ada = page.get_by_role("listitem").filter(has=page.get_by_role("heading", name="Ada", exact=True))
        await ada.get_by_text("Revoke").first.click()
        await ada.get_by_role("button", name="Revoke this token").click()
        await expect(page.locator(".notice")).to_have_text("Token revoked. Its holder is signed out.")
        await other.reload()
        await expect(other.get_by_label("Access token")).to_be_visible()
