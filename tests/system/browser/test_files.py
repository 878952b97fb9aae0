"""Files of hooks in a browser, with and without JavaScript: sent over SFTP, followed, downloaded and run again."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.async_api import Browser, expect

from tests.support.browser import open_page, sign_in, staying, token, url
from tests.support.clients import needs
from tests.support.hooked import gate_of, hooked
from tests.support.server_process import ServerProcess

pytestmark = [needs("chromium", "sftp"), pytest.mark.asyncio(loop_scope="module")]

BOTH = pytest.mark.parametrize("javascript", [True, False], ids=["script", "no-script"])
FILE = "/invoices/march.csv"


@pytest.fixture
def gate(tmp_path: Path) -> Path:
    return gate_of(tmp_path)


@pytest.fixture
def company(tmp_path: Path) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path, env=hooked(tmp_path)) as started:
        started.add_tenant("acme")
        yield started


async def test_a_file_of_a_hook_updates_its_page_without_a_reload(
    company: ServerProcess, browser: Browser, gate: Path
) -> None:
    async with open_page(browser, url(company)) as page:
        await sign_in(page, token(company, "acme", "viewer"))
        await page.get_by_role("link", name="Files", exact=True).click()
        await expect(page.get_by_text("No files yet")).to_be_visible()
        await expect(page.get_by_text("/invoices/*.csv")).to_be_visible()
        await page.evaluate("window.remembered = true")
        company.put("acme", b"one\ntwo\n", FILE)
        row = page.get_by_role("row").filter(has_text=FILE)
        await expect(row).to_contain_text("Attempt 1 of 5 is running.")
        gate.touch()
        await expect(row).to_contain_text("The hook has read <one>.")
        await expect(row).to_contain_text("Completed")
        await expect(page.locator("[role=status].hidden")).to_have_text("#1: Completed")
        assert await page.evaluate("window.remembered === true")


@BOTH
async def test_an_owner_reads_what_a_hook_said_and_downloads_its_report(
    company: ServerProcess, browser: Browser, gate: Path, javascript: bool
) -> None:
    gate.touch()
    company.put("acme", b"one\ntwo\n", FILE)
    async with open_page(browser, url(company), javascript=javascript) as page:
        await sign_in(page, token(company, "acme"))
        await page.goto("/tenants/acme/files/1")
        await expect(page.locator(".outcome")).to_contain_text("The hook has read <one>.")
        await expect(page.get_by_role("row").nth(2)).to_contain_text("Old: <two>.")
        async with page.expect_download() as report:
            await page.get_by_role("link", name="lines.txt").click()
        assert Path(await (await report.value).path()).read_bytes() == b"2 lines"
        assert (await report.value).suggested_filename == "invoices-1.lines.txt"


@BOTH
async def test_a_file_that_a_hook_refused_is_listed_with_its_words(
    company: ServerProcess, browser: Browser, javascript: bool
) -> None:
    assert company.sftp("acme", f'put "{company.private_key("acme").with_suffix(".pub")}" "{FILE}"').returncode == 0
    virus = company.folder / "virus"
    virus.write_bytes(b"virus\n")
    assert company.sftp("acme", f'put "{virus}" "{FILE}"').returncode != 0
    async with open_page(browser, url(company), javascript=javascript) as page:
        await sign_in(page, token(company, "acme", "viewer"))
        await page.get_by_role("link", name="Files", exact=True).click()
        await page.get_by_label("State").select_option("Upload failed")
        await page.get_by_role("button", name="Show").click()
        await expect(page.get_by_role("row")).to_have_count(2)
        await expect(page.get_by_role("row").nth(1)).to_contain_text("#2")
        await expect(page.get_by_role("row").nth(1)).to_contain_text("This file has a <virus>.")


@BOTH
async def test_an_owner_runs_a_failed_file_again_in_a_browser(
    company: ServerProcess, browser: Browser, gate: Path, javascript: bool
) -> None:
    gate.touch()
    company.put("acme", b"bad\n", FILE)
    async with open_page(browser, url(company), javascript=javascript) as page:
        await sign_in(page, token(company, "acme"))
        await page.goto("/tenants/acme/files/1")
        await expect(page.locator(".outcome")).to_contain_text("This is bad: <bad>")
        await expect(page.get_by_text("5 of 5")).to_be_visible()
        gate.write_text("mended")
        async with staying(page):
            await page.get_by_role("button", name="Run again").click()
            await expect(page.locator(".notice")).to_contain_text("Queued again")
        await expect(page.locator(".outcome")).to_contain_text("The hook has read <bad>.")
        await expect(page.get_by_text("1 of 5")).to_be_visible()
