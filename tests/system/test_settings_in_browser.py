"""The settings form in a real browser: its examples, its table of columns, and its bar, with and without a script."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from playwright.async_api import Browser, Page, expect

from server.tenants.setting_texts import SETTING_TEXTS
from tests.support.browser import open_page, sign_in
from tests.support.clients import needs
from tests.support.screens import faults_of
from tests.support.server_process import ServerProcess
from tests.system.test_screens import PUSHED, SPACED, SPREAD

SETTINGS = "/tenants/acme/settings"
GERMAN = (
    "Vorname;Nachname;E-Mail;Eintritt;Abteilung\n"
    "Jörg;Müller;j@x.example;03/11/2026;Vertrieb\n"
    "Ann;Groß;a@x.example;28/11/2026;Einkauf\n"
)
FITTING = {
    "delimiter": ";",
    "encoding": "cp1252",
    "date_format": "%d/%m/%Y",
    "field_mapping": json.dumps(
        {"Vorname": "first_name", "Nachname": "last_name", "E-Mail": "email", "Eintritt": "hire_date", "Old": "role"}
    ),
}
W = "W" * 60
WIDE = f"first_name,last_name,email,{W},{W}2\n{W},{'Hubert Blaine ' * 5},{'a' * 50}@x.example,{W},{W}\n"
UNDER_THE_BAR = """() => {
    const each = document.activeElement, box = each.getBoundingClientRect();
    const bar = document.querySelector(".settings .bar");
    if (bar.contains(each) || !each.closest("section") || !box.width) return null;
    const top = bar.getBoundingClientRect().top;
    return box.top >= 0 && box.top < top - 1 ? null : each.outerHTML.slice(0, 160);
}"""
"""Returns the focused control if the bar, or the border of the window, hides its beginning."""

pytestmark = [needs("chromium", "sftp"), pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Start a server with two companies: one with a German file that fits its settings, one with long words."""
    with ServerProcess(tmp_path_factory.mktemp("settings")) as started:
        started.add_tenant("acme", **FITTING)
        started.put("acme", GERMAN.encode("cp1252"))
        assert started.wait("acme")["state"] == "completed"
        started.add_tenant("globex", field_mapping=json.dumps({W: "job_title", f"{W}3": "role"}))
        started.put("globex", WIDE.encode())
        started.wait("globex")
        yield started


def url(server: ServerProcess) -> str:
    return f"http://127.0.0.1:{server.http_port}"


async def open_settings(page: Page, server: ServerProcess, company: str = "acme", role: str = "owner") -> None:
    await page.context.clear_cookies()
    await sign_in(page, server.cli("token", "create", company, "--role", role).text.strip())
    await page.goto(f"/tenants/{company}/settings")


def stored(server: ServerProcess) -> dict[str, object]:
    found: dict[str, object] = server.cli("tenant", "show", "acme", "--json").json["settings"]
    return found


@pytest.mark.parametrize(("width", "dark"), [(320, False), (390, True), (800, False), (1280, True)])
async def test_the_settings_form_fits_every_screen(
    server: ServerProcess, browser: Browser, width: int, dark: bool
) -> None:
    found: dict[str, object] = {}
    async with open_page(browser, url(server), dark=dark) as page:
        await page.set_viewport_size({"width": width, "height": 800})
        for company in ("acme", "globex"):
            for role in ("owner", "viewer"):
                await open_settings(page, server, company, role)
                if role == "owner":
                    await page.get_by_label("Encoding", exact=True).select_option("other")
                    await page.evaluate(SPREAD, "")
                found |= await faults_of(page, f"{company} {role}", "all" if width >= 800 else "but colors")
                await page.evaluate(SPREAD, SPACED)
                if await page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
                    found[f"{company} {role}: pushed"] = await page.evaluate(PUSHED)
    assert not found, json.dumps(found, indent=1)


async def test_a_choice_shows_at_once_what_it_reads_in_the_newest_file(
    server: ServerProcess, browser: Browser
) -> None:
    async with open_page(browser, url(server)) as page:
        await open_settings(page, server)
        dates, encodings = page.locator("#date_format-preview"), page.locator("#encoding-preview")
        await expect(dates).to_have_text(
            "With 31/12/2026 (day/month/year), “03/11/2026” in your newest file is 3 November 2026."
        )
        await page.get_by_label("Date format", exact=True).select_option("%m/%d/%Y")
        await expect(dates).to_contain_text(
            "With 12/31/2026 (month/day/year), “03/11/2026” in your newest file is 11 March 2026."
        )
        await expect(encodings).to_contain_text("“Jörg”, “Müller”, “Groß”")
        await page.get_by_label("Encoding", exact=True).select_option("cp1251")
        await expect(encodings).to_contain_text("“Jцrg”")
        await expect(page.get_by_label("Other encoding")).to_be_hidden()
        await page.get_by_label("Encoding", exact=True).select_option("other")
        await expect(page.get_by_label("Other encoding")).to_be_visible()
        await expect(encodings).to_be_hidden()
        await page.get_by_label("Other encoding").fill("iso8859-2")
        await page.get_by_role("button", name="Add column").click()
        await expect(encodings).to_contain_text("With “iso8859-2”, your newest file has “Jörg”")
        await page.get_by_label("Other encoding").press_sequentially("x")
        await expect(encodings).to_be_hidden()


async def test_settings_that_are_changed_are_marked_until_they_are_saved(
    server: ServerProcess, browser: Browser
) -> None:
    async with open_page(browser, url(server)) as page:
        await open_settings(page, server)
        mark, counted = page.locator(".badge.unsaved:visible"), page.locator(".unsaved-count")
        await expect(mark).to_have_count(0)
        await page.get_by_label("Keep uploads and history").fill("91")
        await page.get_by_label("Field of Abteilung").select_option("Primary team")
        await expect(mark).to_have_count(2)
        await expect(counted).to_have_text("2 changes not saved")
        await page.get_by_label("Keep uploads and history").fill("90")
        await expect(counted).to_have_text("1 change not saved")
        await page.get_by_label("Field of Abteilung").select_option("No field yet")
        await expect(counted).to_be_hidden()
        await page.get_by_label("Reactivate returning users").uncheck()
        await page.get_by_role("button", name="Add field").click()  # the server keeps the mark
        await expect(counted).to_have_text("1 change not saved")
        await page.get_by_label("Reactivate returning users").check()
        await page.get_by_role("button", name="Save", exact=True).click()
        await expect(page.locator(".notice")).to_have_text("No changes to save.")
        await expect(mark).to_have_count(0)


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no script"])
async def test_columns_get_their_fields_in_a_table(server: ServerProcess, browser: Browser, javascript: bool) -> None:
    before = stored(server)["field_mapping"]
    async with open_page(browser, url(server), javascript=javascript) as page:
        await open_settings(page, server)
        row = page.get_by_role("row").filter(has_text="Abteilung")
        await expect(row).to_contain_text("Vertrieb, Einkauf")
        await row.get_by_role("combobox").select_option("Location")
        await expect(page.get_by_role("row").filter(has_text="Old")).to_contain_text("Not in your newest file")
        await page.get_by_role("button", name="Add column").click()
        assert await page.get_by_label("Another column").count() == 2
        await page.get_by_label("Another column").last.fill("Chef")
        await page.get_by_label("Field of the other column").last.select_option("Manager")
        await page.get_by_role("button", name="Save", exact=True).click()
        await expect(page.locator(".notice")).to_have_text("Settings saved. The next import uses them.")
        mapped = {**before, "Abteilung": "location", "Chef": "manager"}  # type: ignore[dict-item]
        assert stored(server)["field_mapping"] == mapped
        await page.get_by_label("Field of Abteilung").select_option("No field yet")
        await page.get_by_label("Field of Chef").select_option("Remove this name")
        await page.get_by_role("button", name="Save", exact=True).click()
        await expect(page.get_by_label("Field of Chef")).to_have_count(0)
    assert stored(server)["field_mapping"] == before


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "no script"])
async def test_values_get_their_meanings_in_a_table(
    server: ServerProcess, browser: Browser, javascript: bool
) -> None:
    company = f"roles{javascript}".lower()
    server.add_tenant(company)
    server.put(company, b"first_name,last_name,email,role\nAnn,Lee,a@x.example,Chef\n")
    assert server.wait(company)["counts"]["rejected"] == 1
    async with open_page(browser, url(server), javascript=javascript) as page:
        await open_settings(page, server, company)
        await page.get_by_label("Meaning of Chef in Role").select_option("Admin")
        await page.get_by_role("button", name="Test on the newest file").click()
        await expect(page.get_by_text("1 user would be created.")).to_be_visible()
        await page.get_by_role("button", name="Save these settings").click()
        await expect(page.get_by_label("Meaning of Chef in Role")).to_have_value("admin")
    settings = server.cli("tenant", "show", company, "--json").json["settings"]
    assert settings["value_mapping"] == {"role": {"Chef": "admin"}}


async def test_a_typed_date_format_is_saved_without_a_script(server: ServerProcess, browser: Browser) -> None:
    async with open_page(browser, url(server), javascript=False) as page:
        await open_settings(page, server)
        await page.get_by_label("Date format", exact=True).select_option("other")
        await page.get_by_label("Other date format").fill("%d. %B %Y")
        await page.get_by_role("button", name="Save", exact=True).click()
        await expect(page.locator(".notice")).to_contain_text("Settings saved.")
        await expect(page.locator("#date_format-preview")).to_have_text(
            "With “%d. %B %Y”, “03/11/2026” in your newest file cannot be read."
        )
        assert stored(server)["date_format"] == "%d. %B %Y"
        await page.get_by_label("Date format", exact=True).select_option("%d/%m/%Y")
        await page.get_by_role("button", name="Save", exact=True).click()
        await expect(page.locator("#date_format-preview")).to_contain_text("is 3 November 2026.")
    assert stored(server)["date_format"] == "%d/%m/%Y"


@pytest.mark.parametrize("size", [(1280, 700), (320, 640), (640, 400)], ids=str)
async def test_the_bar_hides_no_control_that_has_the_focus(
    server: ServerProcess, browser: Browser, size: tuple[int, int]
) -> None:
    async with open_page(browser, url(server)) as page:
        await page.set_viewport_size({"width": size[0], "height": size[1]})
        await open_settings(page, server)
        await page.evaluate(SPREAD, "")
        await page.locator("#deactivate_missing").focus()
        await page.evaluate(
            f"window.stops = []; addEventListener('keyup', () => stops.push(({UNDER_THE_BAR})()), true)"
        )
        for key in ("Tab", "Shift+Tab"):
            for _ in range(140):
                await page.keyboard.press(key)
        stops = await page.evaluate("window.stops")
    assert len(stops) >= 2 * 140
    assert [each for each in stops if each] == []


@pytest.mark.parametrize(("width", "javascript"), [(320, True), (1280, True), (1280, False)])
async def test_a_link_to_a_setting_leads_to_it_and_its_label(
    server: ServerProcess, browser: Browser, width: int, javascript: bool
) -> None:
    async with open_page(browser, url(server), javascript=javascript) as page:
        await page.set_viewport_size({"width": width, "height": 800})
        await open_settings(page, server)
        for name in ("identifier", "date_format", "field_mapping", "quota_files", "allowed_networks"):
            await page.goto("about:blank")
            await page.goto(f"{SETTINGS}#{name}")
            label = page.locator("label, legend").get_by_text(SETTING_TEXTS[name].label, exact=True)
            await expect(label).to_be_in_viewport(ratio=1)
            await expect(page.locator(f"#{name}")).to_be_in_viewport()


async def test_the_list_of_groups_leads_to_each_group_and_follows_the_page(
    server: ServerProcess, browser: Browser
) -> None:
    async with open_page(browser, url(server)) as page:
        await open_settings(page, server)
        groups = page.get_by_role("navigation", name="Groups of settings").get_by_role("link")
        await groups.filter(has_text="Notifications").click()
        await expect(page.get_by_role("heading", name="Notifications")).to_be_in_viewport()
        await expect(groups.filter(has_text="Notifications")).to_have_attribute("aria-current", "true")
        await expect(page.locator(".sections .aside a[aria-current]")).to_have_count(1)
