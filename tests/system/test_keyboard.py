"""The pages by keyboard alone, in a real browser: every control is a Tab stop with a visible focus, and works."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path

import pytest
from playwright.async_api import Browser, Locator, Page, expect

from ground.moments import utc_now
from server.tenants.setting_texts import SETTING_TEXTS
from tests.support.browser import open_page, url
from tests.support.clients import needs
from tests.support.hooked import gate_of, hooked, run_of
from tests.support.importing import crowd
from tests.support.keypairs import public_line
from tests.support.server_process import ServerProcess

HOME = "/tenants/acme"
OWNERS = (
    *(f"{HOME}/{name}" for name in ("imports", "imports?state=held", "imports/1", "imports/2", "users", "settings")),
    *(f"{HOME}/{name}" for name in ("users/p1@example.com", "settings/history", "keys", "notifications")),
    *(f"{HOME}/{name}" for name in ("colleagues", "try", "nothing", "files", "files/1", "files?state=ignored")),
    "/api",
)
VIEWERS = tuple(f"{HOME}/{name}" for name in ("imports/2", "settings", "keys", "try"))
EMPTY = tuple(f"/tenants/globex/{name}" for name in ("imports", "files", "users", "keys", "settings/history"))
OPERATORS = ("/tenants", "/operators", "/server", *EMPTY)

FOCUSED = """() => {
    const each = document.activeElement;
    if (each === document.body) return null;
    const box = each.getBoundingClientRect(), style = getComputedStyle(each);
    const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2
        && box.width > 0 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
    return [each.dataset.stop, seen, each.outerHTML.slice(0, 200)];
}"""
"""Returns the number of the focused control, whether its focus can be seen, and its HTML."""
CONTROLS = f"""() => {{
    const all = "a[href], button, input, select, textarea, summary, [tabindex='0']";
    const found = [...document.querySelectorAll(all)].filter(each =>
        each.type !== "hidden" && each.tabIndex >= 0 && !each.disabled && each.checkVisibility());
    found.forEach((each, number) => each.dataset.stop = number);
    window.stops = [];
    addEventListener("keyup", () => window.stops.push(({FOCUSED})()), true);
    return found.length;
}}"""
"""Numbers the controls that a user can see, and counts them. Notes what has the focus after each key."""
STOPS_MOST = 400

pytestmark = [needs("chromium", "sftp"), pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Start a server with a company whose import 2 is held and whose hook failed, and an empty one."""
    folder = tmp_path_factory.mktemp("keyboard")
    gate_of(folder).touch()
    with ServerProcess(folder, env=hooked(folder)) as started:
        started.add_tenant("acme", deactivate_missing="true")
        for size in (40, 25):
            started.put("acme", crowd(size))
            started.wait("acme")
        started.put("acme", b"bad\n", "/invoices/march.csv")
        run_of(started, "acme", 1, "failed")
        started.cli("tenant", "add", "globex")
        yield started


async def signed_in(page: Page, server: ServerProcess, *bearer: str) -> None:
    """Sign in by keyboard: the field has the focus."""
    await page.goto("/sign-in")
    await expect(page.get_by_label("Access token")).to_be_focused()
    await page.keyboard.type(server.cli("token", "create", *bearer).text.strip())
    await page.keyboard.press("Enter")
    await page.wait_for_url(lambda address: "/sign-in" not in address)


async def unreachable(page: Page) -> list[str]:
    """Press Tab through the page; return the controls that it did not reach, and those without a visible focus."""
    missing = set(map(str, range(await page.evaluate(CONTROLS))))
    faults, presses = [], 0
    while missing and presses < STOPS_MOST:
        for _ in missing:
            await page.keyboard.press("Tab")
        presses += len(missing)
        for number, seen, html in filter(None, await page.evaluate("window.stops.splice(0)")):
            missing.discard(number)
            if not seen:
                faults.append(f"focus not visible: {html}")
    for number in missing:
        html = await page.locator(f"[data-stop='{number}']").evaluate("each => each.outerHTML.slice(0, 200)")
        faults.append(f"not reached: {html}")
    return faults


async def tab_to(page: Page, control: Locator) -> None:
    """Press Tab until the control has the focus, which must be visible."""
    await expect(control).to_be_visible()
    goal = await control.element_handle()
    for _ in range(STOPS_MOST):
        await page.keyboard.press("Tab")
        there, connected = await goal.evaluate("each => [each === document.activeElement, each.isConnected]")
        if there:
            _, seen, html = await page.evaluate(FOCUSED)
            assert seen, html
            return
        if not connected:  # the page has been renewed
            goal = await control.element_handle()
    raise AssertionError(f"Tab does not reach {control}")


async def press(page: Page, control: Locator, key: str = "Enter") -> None:
    await tab_to(page, control)
    await page.keyboard.press(key)


async def open_in_menu(page: Page, name: str) -> None:
    await press(page, page.get_by_role("navigation", name="acme").get_by_role("link", name=name, exact=True))
    await expect(page.get_by_role("heading", level=1)).to_have_text(name)


@pytest.mark.parametrize(
    ("bearer", "pages"),
    [
        (("acme", "--role", "owner"), OWNERS),
        (("acme", "--role", "viewer"), VIEWERS),
        (("--operator",), OPERATORS),
    ],
    ids=["owner", "viewer", "operator"],
)
async def test_every_control_can_be_reached_with_tab_and_shows_its_focus(
    server: ServerProcess, browser: Browser, bearer: tuple[str, ...], pages: tuple[str, ...]
) -> None:
    found: dict[str, list[str]] = {}
    async with open_page(browser, url(server)) as page:
        await page.goto("/sign-in")
        found["/sign-in"] = await unreachable(page)
        await signed_in(page, server, *bearer)
        for path in pages:
            await page.goto(path)
            found[path] = await unreachable(page)
    assert not {path: faults for path, faults in found.items() if faults}


async def test_every_page_works_by_keyboard(server: ServerProcess, browser: Browser, tmp_path: Path) -> None:
    file = tmp_path / "people.csv"
    file.write_bytes(crowd(24))
    async with open_page(browser, url(server)) as page:
        await signed_in(page, server, "acme", "--role", "owner", "--comment", "Grace")
        await approve(page)
        await send_for_a_test(page, file)
        await change_a_setting(page)
        await add_and_revoke_a_key(page)
        await create_change_and_revoke_a_token(page)
        await pause_and_resume(page)
        await run_a_file_again(page, server)
        await find_a_user(page)
        await undo(page)
        await press(page, page.get_by_role("button", name="Sign out"))
        await expect(page.locator(".notice")).to_have_text("You are signed out.")
    assert server.report("acme", 2)["state"] == "undone"
    assert server.report("acme", 3)["dry_run"]
    settings = server.cli("tenant", "show", "acme", "--json").json["settings"]
    assert (settings["max_deactivations_percent"], settings["reactivate_returning"]) == (50, False)
    assert (settings["blank_cells"], settings["custom_fields"][0]["key"]) == ("keep", "shoe_size")


async def run_a_file_again(page: Page, server: ServerProcess) -> None:
    gate_of(server.folder).write_text("mended")
    await open_in_menu(page, "Files")
    await press(page, page.get_by_role("link", name="#1", exact=True))
    await press(page, page.get_by_role("button", name="Run again"), "Space")
    await expect(page.locator(".notice")).to_contain_text("Queued again")
    await expect(page.locator(".badge.completed")).to_be_visible()


async def approve(page: Page) -> None:
    await press(page, page.get_by_role("link", name="Review"))
    await press(page, page.locator("summary", has_text="Approve: deactivate 15 users"))
    await press(page, page.get_by_role("button", name="Deactivate 15 users"), "Space")
    await expect(page.locator(".notice")).to_have_text("Approved and queued.")
    await expect(page.locator(".badge.completed")).to_be_visible()


async def send_for_a_test(page: Page, file: Path) -> None:
    async with page.expect_file_chooser() as chooser:  # the browser needs a moment before it reports choosers
        await open_in_menu(page, "Send a file")
        await tab_to(page, page.locator("input[type=file]"))
        await page.keyboard.press("Enter")
    await (await chooser.value).set_files(file)
    await press(page, page.get_by_role("button", name="Test this file"))
    await expect(page.get_by_text("Dry run: nothing was changed.", exact=True)).to_be_visible()


async def change_a_setting(page: Page) -> None:
    """Change a number, a switch, a choice and a table, and save them."""

    def setting(name: str) -> Locator:
        return page.get_by_label(SETTING_TEXTS[name].label, exact=True)

    await open_in_menu(page, "Settings")
    await press(page, page.get_by_role("button", name="Add field"))
    await expect(page.get_by_label("Key", exact=True)).to_be_focused()
    await page.keyboard.type("shoe_size")
    await press(page, setting("reactivate_returning"), "Space")
    await press(page, setting("blank_cells"), "ArrowDown")
    await tab_to(page, setting("max_deactivations_percent"))
    await page.keyboard.type("50")
    await press(page, page.get_by_role("button", name="Save", exact=True))
    await expect(page.locator(".notice")).to_have_text("Settings saved. The next import uses them.")


async def add_and_revoke_a_key(page: Page) -> None:
    await open_in_menu(page, "Keys")
    await tab_to(page, page.get_by_label("Public key", exact=True))
    await page.keyboard.type(public_line())
    await tab_to(page, page.get_by_label("Comment", exact=True))
    await page.keyboard.type("Payroll")
    await press(page, page.get_by_role("button", name="Add this key"))
    await expect(page.locator(".notice")).to_have_text("Key added. It can be used now.")
    key = page.get_by_role("listitem").filter(has_text="Payroll")
    await press(page, key.locator("summary"))
    await press(page, key.get_by_role("button", name="Revoke this key"), "Space")
    await expect(page.locator(".notice")).to_contain_text("Key revoked.")
    await expect(key).to_have_count(0)


async def create_change_and_revoke_a_token(page: Page) -> None:
    await open_in_menu(page, "Colleagues")
    form = page.get_by_role("region", name="Create a token")
    await press(page, form.get_by_label("Role", exact=True), "ArrowDown")
    await tab_to(page, form.get_by_label("Name", exact=True))
    await page.keyboard.type("Ada")
    await page.keyboard.press("Enter")
    await expect(page.get_by_label("Token of Ada")).to_be_focused()
    ada = page.get_by_role("listitem").filter(has_text="Ada")
    await expect(ada).to_contain_text("Owner")
    await press(page, ada.locator("summary", has_text="Change"))
    await tab_to(page, ada.get_by_label("Name", exact=True))
    await page.keyboard.type("Ada L")
    await page.keyboard.press("Enter")
    await expect(page.locator(".notice")).to_have_text("Token changed.")
    await press(page, ada.locator("summary", has_text="Revoke"))
    await press(page, ada.get_by_role("button", name="Revoke this token"), "Space")
    await expect(page.locator(".notice")).to_have_text("Token revoked. Its holder is signed out.")
    await expect(ada).to_have_count(0)


async def pause_and_resume(page: Page) -> None:
    await open_in_menu(page, "Imports")
    await press(page, page.locator("summary", has_text="Pause the imports"))
    await tab_to(page, page.get_by_label(re.compile("^Pause until")))
    day = f"{utc_now() + timedelta(days=3):%Y-%m-%dT%H:%M}"
    await page.get_by_label(re.compile("^Pause until")).fill(day)  # the order of its parts depends on the system
    await press(page, page.get_by_role("button", name="Pause the imports"))
    await expect(page.locator(".notice")).to_contain_text("The imports are paused.")
    await press(page, page.get_by_role("button", name="End the pause"))
    await expect(page.locator(".notice")).to_contain_text("The pause has ended.")


async def find_a_user(page: Page) -> None:
    await open_in_menu(page, "Users")
    await tab_to(page, page.get_by_role("searchbox"))
    await page.keyboard.type("p7@")
    await page.keyboard.press("Enter")
    await expect(page.locator("tbody tr")).to_have_count(1)
    await press(page, page.locator("tbody a"))
    await expect(page.get_by_role("heading", name="History")).to_be_visible()


async def undo(page: Page) -> None:
    await open_in_menu(page, "Imports")
    await press(page, page.get_by_role("link", name="#2", exact=True))
    await press(page, page.locator("summary#undo"))
    await press(page, page.get_by_role("button", name="Undo import #2"), "Space")
    await expect(page.locator(".notice")).to_have_text("The undo is queued.")
    await expect(page.locator(".badge.undone")).to_be_visible()


async def test_the_operator_adds_and_removes_a_company_by_keyboard(server: ServerProcess, browser: Browser) -> None:
    async with open_page(browser, url(server)) as page:
        await signed_in(page, server, "--operator")
        await tab_to(page, page.locator("#add-name"))
        await page.keyboard.type("initech")
        await page.keyboard.press("Enter")
        await expect(page.locator(".notice")).to_contain_text("Company added.")
        await press(page, page.get_by_role("link", name="All companies"))
        await press(page, page.locator("summary", has_text="Remove a company"))
        await tab_to(page, page.locator("#remove-name"))
        await page.keyboard.type("initech")
        await page.keyboard.press("Enter")
        await expect(page.locator(".notice")).to_contain_text("Company removed.")
    assert "initech" not in server.cli("tenant", "list").text
