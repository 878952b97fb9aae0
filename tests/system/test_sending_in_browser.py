"""An owner sends a file from the page in a real browser, with and without JavaScript."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, expect

from tests.support.browser import open_page, sign_in, staying
from tests.support.clients import needs
from tests.support.importing import people
from tests.support.server_process import ServerProcess

NAMES = (f"acme{number}" for number in count(1))
MANY = [f"p{number}" for number in range(20)]

pytestmark = [needs("chromium", "sftp"), pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture
def tenant(server: ServerProcess) -> str:
    """Add a tenant for the test, whose files are complete lists, with 20 users."""
    name = next(NAMES)
    server.add_tenant(name, deactivate_missing="true")
    server.put(name, people(*MANY))
    assert server.wait(name)["state"] == "completed"
    return name


def url(server: ServerProcess) -> str:
    return f"http://127.0.0.1:{server.http_port}"


def token(server: ServerProcess, tenant: str, role: str = "owner") -> str:
    return server.cli("token", "create", tenant, "--role", role, "--comment", "Grace").text.strip()


async def choose(page: Page, folder: Path, content: bytes) -> None:
    """Choose a file on the page, and wait for the result of its test."""
    file = folder / "march.csv"
    file.write_bytes(content)
    await page.get_by_role("link", name="Send a file").first.click()
    await page.locator("input[type=file]").set_input_files(file)
    await page.get_by_role("button", name="Test this file").click()
    await expect(page.get_by_text("Dry run: nothing was changed.", exact=True)).to_be_visible()


@pytest.mark.parametrize("javascript", [True, False])
async def test_an_owner_sends_the_tested_file_with_one_click(
    server: ServerProcess, browser: Browser, tenant: str, tmp_path: Path, javascript: bool
) -> None:
    async with open_page(browser, url(server), javascript=javascript) as page:
        await sign_in(page, token(server, tenant))
        await choose(page, tmp_path, people(*MANY, "zoe", "yan"))
        assert len(server.users(tenant)) == 20
        async with staying(page):
            await page.get_by_role("button", name="Send this file: create 2 users").click()
            await expect(page.locator(".notice")).to_have_text("File sent. Its import is queued.")
        await expect(page.get_by_text("2 users created.", exact=True)).to_be_visible()
        await expect(page.get_by_text("Grace", exact=True)).to_be_visible()
        await page.get_by_role("link", name="Import #2").click()
        await expect(page.get_by_text("This file was sent. It is import #3.")).to_be_visible()
        await expect(page.get_by_role("button", name="Send this file")).to_have_count(0)
    assert len(server.users(tenant)) == 22
    assert server.report(tenant, 3)["sent_by"] == "Grace"


@pytest.mark.parametrize("javascript", [True, False])
async def test_a_double_click_sends_the_file_once(
    server: ServerProcess, browser: Browser, tenant: str, tmp_path: Path, javascript: bool
) -> None:
    async with open_page(browser, url(server), javascript=javascript) as page:
        await sign_in(page, token(server, tenant))
        await choose(page, tmp_path, people(*MANY, "zoe"))
        async with staying(page):
            await page.get_by_role("button", name="Send this file: create 1 user").dblclick(no_wait_after=True)
            await expect(page.locator(".notice")).to_have_text("File sent. Its import is queued.")
        await expect(page.get_by_role("heading", name="Import #3")).to_be_visible()
        await expect(page.get_by_text("1 user created.", exact=True)).to_be_visible()
    assert server.state(tenant, 4) is None


@pytest.mark.parametrize("javascript", [True, False])
async def test_a_file_that_would_be_held_is_sent_and_held(
    server: ServerProcess, browser: Browser, tenant: str, tmp_path: Path, javascript: bool
) -> None:
    async with open_page(browser, url(server), javascript=javascript) as page:
        await sign_in(page, token(server, tenant))
        await choose(page, tmp_path, people(*MANY[:5]))
        held = page.get_by_role("button", name="Send this file: its import will be held for your approval")
        await held.focus()
        await page.keyboard.press("Enter")
        await expect(page.get_by_role("heading", name="Your decision")).to_be_visible()
    assert server.state(tenant, 3) == "held"
    assert set(server.users(tenant).values()) == {"active"}


@pytest.mark.parametrize("javascript", [True, False])
async def test_a_page_whose_test_is_no_longer_true_says_so(
    server: ServerProcess, browser: Browser, tenant: str, tmp_path: Path, javascript: bool
) -> None:
    sentence = "Import 3 arrived after this test. Test the file again."
    async with open_page(browser, url(server), javascript=javascript) as page:
        await sign_in(page, token(server, tenant))
        await choose(page, tmp_path, people(*MANY, "zoe"))
        server.put(tenant, people(*MANY))
        if not javascript:  # the page still has the button
            await page.get_by_role("button", name="Send this file: create 1 user").click()
            await expect(page.get_by_role("alert")).to_have_text(
                "Import 3 arrived after this test. Test the file again."
            )
        await expect(page.get_by_text(f"This file cannot be sent now. {sentence}")).to_be_visible()
        await expect(page.get_by_role("button", name="Send this file")).to_have_count(0)
        await page.locator("main").get_by_role("link", name="Send a file").click()
        await expect(page.get_by_role("heading", name="Send a file")).to_be_visible()
    server.reaches(tenant, 3, "unchanged")
    assert server.state(tenant, 4) is None


@pytest.mark.parametrize("javascript", [True, False])
async def test_a_viewer_sees_the_result_and_no_button(
    server: ServerProcess, browser: Browser, tenant: str, tmp_path: Path, javascript: bool
) -> None:
    async with open_page(browser, url(server)) as page:
        await sign_in(page, token(server, tenant))
        await choose(page, tmp_path, people(*MANY, "zoe"))
    async with open_page(browser, url(server), javascript=javascript) as page:
        await sign_in(page, token(server, tenant, "viewer"))
        await page.goto(f"/tenants/{tenant}/imports/2")
        await expect(page.get_by_text("Dry run: nothing was changed.", exact=True)).to_be_visible()
        await expect(page.get_by_text("Send this file")).to_have_count(0)
