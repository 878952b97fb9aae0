"""Times in a browser: every page names their zone once, and the chart has the days of the list."""

from __future__ import annotations

import pytest
from playwright.async_api import Browser, expect

from tests.support.browser import open_page, sign_in, token, url
from tests.support.clients import needs
from tests.support.importing import people
from tests.support.server_process import ServerProcess

pytestmark = [needs("chromium", "sftp"), pytest.mark.asyncio(loop_scope="module")]
LATE = "2026-01-31T23:30:00.000Z"
"""The last day of January in UTC, and the first of February in the zone of the browser, Europe/Berlin."""


@pytest.mark.parametrize(
    ("javascript", "zone", "day", "time"),
    [(True, "Europe/Berlin", "1 Feb 2026", "1 Feb 2026, 00:30"), (False, "UTC", "31 Jan", "31 Jan 2026, 23:30 UTC")],
    ids=["script", "no-script"],
)
async def test_list_and_chart_have_one_zone_which_the_page_names(
    server: ServerProcess, browser: Browser, tenant: str, javascript: bool, zone: str, day: str, time: str
) -> None:
    for number, names in enumerate((("ann",), ("ann", "bo")), 1):
        server.put(tenant, people(*names))
        assert server.reaches(tenant, number, "completed")
    server.stored.date_imports(LATE, tenant)
    async with open_page(browser, url(server), javascript=javascript) as page:
        await sign_in(page, token(server, tenant))
        await expect(page.locator("footer")).to_contain_text(f"Times are in {zone}")
        await expect(page.locator('label[for="until"]')).to_have_text(f"Pause until ({zone})")
        await expect(page.locator("td.when time").first).to_have_text(time)
        await expect(page.locator("svg .hint title").first).to_have_text(
            f"#1, {day}: 1 created or reactivated, 0 updated, 0 deactivated; 1 active user"
        )
        await expect(page.locator("figure tbody th").first).to_have_text(f"#1, {day}")
        server.put(tenant, people("ann", "bo", "cy"))
        assert server.reaches(tenant, 3, "completed")
        if not javascript:
            await page.reload()
        await expect(page.locator("svg .hint")).to_have_count(3)
        await expect(page.locator("figure tbody th").first).to_have_text(f"#1, {day}")
        await expect(page.locator("svg .hint title").first).to_contain_text(f"#1, {day}: 1 created")
