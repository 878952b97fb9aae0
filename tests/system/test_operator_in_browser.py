"""The operator's page of the server in a real browser, with and without JavaScript."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import pytest
from playwright.async_api import Browser, Page, expect

from server.web.pages.words import NOTICES
from tests.support.browser import open_page, sign_in
from tests.support.clients import needs
from tests.support.importing import people
from tests.support.server_process import ServerProcess
from tests.support.waiting import eventually

pytestmark = [needs("chromium", "sftp"), pytest.mark.asyncio(loop_scope="module")]
both = pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    env = {"HEADCOUNT_PENALTY_MIN_S": "1", "HEADCOUNT_PENALTY_NO_LOGIN_S": "60", "HEADCOUNT_PENALTY_MAX_S": "600"}
    with ServerProcess(tmp_path_factory.mktemp("server"), env=env) as started:
        started.add_tenant("acme")
        yield started


def operator(server: ServerProcess) -> str:
    return server.cli("token", "create", "--operator").text.strip()


def banned(server: ServerProcess) -> bool:
    """Open a connection that does not log in; return whether its address is banned by now."""
    with socket.create_connection(("127.0.0.1", server.sftp_port), timeout=5):
        pass
    return bool(server.cli("ban", "list", "--json").json)


async def open_server_page(page: Page, server: ServerProcess) -> None:
    await sign_in(page, operator(server))
    await page.get_by_role("link", name="Server", exact=True).click()
    await expect(page.get_by_role("heading", name="Server", exact=True)).to_be_visible()


@both
async def test_the_operator_lifts_a_ban(server: ServerProcess, browser: Browser, javascript: bool) -> None:
    await eventually(lambda: banned(server))
    async with open_page(browser, f"http://127.0.0.1:{server.http_port}", javascript=javascript) as page:
        await open_server_page(page, server)
        await page.get_by_role("button", name="Lift the ban of 127.0.0.1").click()
        await expect(page.locator(".notice")).to_have_text(NOTICES["ban-lifted"])
        await expect(page.get_by_text("No address is banned.")).to_be_visible()
    assert server.cli("ban", "list", "--json").json == []


async def test_the_queue_of_the_server_is_live(server: ServerProcess, browser: Browser) -> None:
    async with open_page(browser, f"http://127.0.0.1:{server.http_port}") as page:
        await open_server_page(page, server)
        await expect(page.get_by_text("No import runs, and none waits.")).to_be_visible()
        await page.evaluate("window.remembered = true")
        with server.stored.writing_users("acme"):
            server.put("acme", people("ann"))
            await expect(page.get_by_role("link", name="acme #1")).to_be_visible()
        await expect(page.get_by_text("No import runs, and none waits.")).to_be_visible()
        assert await page.evaluate("window.remembered === true")
