"""The settings of hooks in a real browser: a switch for each hook, and a control for each field of its model."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest
from playwright.async_api import Browser, expect

from tests.support import ROOT
from tests.support.browser import open_page
from tests.support.clients import needs
from tests.support.screens import faults_of
from tests.support.server_process import ServerProcess
from tests.system.test_settings_in_browser import open_settings, stored, url

MODULE = """
from typing import Literal
from pydantic import BaseModel, Field
from headcount import hook

class Invoices(BaseModel):
    table: str = Field("invoices", title="Name of the table", description="A table of the database.")
    limit: int | None = Field(None, title="Most rows")
    strict: bool = Field(False, title="Refuse unknown columns")
    currency: Literal["EUR", "CHF"] = "EUR"
    columns: list[str] = ["number"]

@hook("/invoices/*.csv", name="invoices", settings=Invoices)
async def invoices(delivery):
    pass

@hook("/scans/*", name="scans")
async def scans(delivery):
    pass
"""

pytestmark = [needs("chromium"), pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    folder = tmp_path_factory.mktemp("hooks")
    (folder / "hooks_of_acme.py").write_text(MODULE)
    env = {"PYTHONPATH": f"{ROOT}{os.pathsep}{folder}", "HEADCOUNT_HOOKS": "hooks_of_acme"}
    with ServerProcess(folder, env=env) as started:
        started.add_tenant("acme")
        yield started


@pytest.mark.parametrize("javascript", [True, False])
async def test_an_owner_turns_a_hook_off_and_sets_its_values(
    server: ServerProcess, browser: Browser, javascript: bool
) -> None:
    async with open_page(browser, url(server), javascript=javascript) as page:
        await open_settings(page, server)
        await page.get_by_label("scans", exact=True).uncheck()
        await page.get_by_label("Name of the table").fill("bills")
        await page.get_by_label("Most rows").fill("many")
        await page.get_by_label("Refuse unknown columns").check()
        await page.get_by_label("Currency").select_option("CHF")
        if javascript:
            await expect(page.locator(".unsaved-count")).to_have_text("2 changes not saved")
        await page.get_by_role("button", name="Save", exact=True).click()
        await expect(page.locator("#hook_settings-error")).to_have_text(
            "invoices, limit: must be a whole number, not “many”."
        )
        await expect(page.get_by_label("scans", exact=True)).not_to_be_checked()
        await expect(page.get_by_label("Name of the table")).to_have_value("bills")
        await page.get_by_label("Most rows").fill("7")
        await page.get_by_role("button", name="Save", exact=True).click()
        await expect(page.locator(".notice")).to_contain_text("Settings saved.")
        values = {"table": "bills", "limit": 7, "strict": True, "currency": "CHF"}
        found = stored(server)
        assert (found["hooks"], found["hook_settings"]) == (["invoices"], {"invoices": values})
        await page.get_by_label("scans", exact=True).check()
        await page.get_by_label("Name of the table").fill("")
        await page.get_by_label("Most rows").fill("")
        await page.get_by_label("Refuse unknown columns").uncheck()
        await page.get_by_label("Currency").select_option("EUR")
        await page.get_by_role("button", name="Save", exact=True).click()
        await expect(page.get_by_label("Name of the table")).to_have_value("invoices")
        found = stored(server)
        assert (found["hooks"], found["hook_settings"]) == (None, {})


@pytest.mark.parametrize(("width", "dark"), [(320, False), (390, True), (1280, True)])
async def test_the_settings_of_hooks_fit_every_screen(
    server: ServerProcess, browser: Browser, width: int, dark: bool
) -> None:
    found: dict[str, object] = {}
    async with open_page(browser, url(server), dark=dark) as page:
        await page.set_viewport_size({"width": width, "height": 800})
        for role in ("owner", "viewer"):
            await open_settings(page, server, role=role)
            await expect(page.locator("#group-hooks")).to_be_visible()
            found |= await faults_of(page, role, "but colors" if width == 390 else "all")
    assert not found, json.dumps(found, indent=1)
