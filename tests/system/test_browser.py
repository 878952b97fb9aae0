"""An owner's tasks in a browser, on the real server, with files uploaded by a real sftp."""

from __future__ import annotations

import asyncio
import re
import subprocess
from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page, Route, expect

from server.tenants.setting_texts import SETTING_TEXTS
from tests.support.browser import open_page, sign_in, sign_in_with_the_form, token, url
from tests.support.clients import client, needs
from tests.support.keypairs import public_line
from tests.support.server_process import ServerProcess

NAMES = (f"acme{number}" for number in count(1))
HEADER = "first_name,last_name,email,primary_team\n"

pytestmark = [needs("chromium", "sftp", "ssh-keygen"), pytest.mark.asyncio(loop_scope="module")]


def people(*names: str, team: str = "Sales") -> bytes:
    return (HEADER + "".join(f"{name},Example,{name}@acme.example,{team}\n" for name in names)).encode()


def crowd(size: int, *, without: int = 0) -> bytes:
    return people(*(f"p{number}" for number in range(size - without)))


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    with ServerProcess(tmp_path_factory.mktemp("server")) as started:
        yield started


@pytest.fixture
def tenant(server: ServerProcess) -> str:
    """Add a tenant for the test, whose files are complete lists."""
    name = next(NAMES)
    server.add_tenant(name, deactivate_missing="true")
    return name


def label(setting: str) -> str:
    """Return the label of a setting in the form."""
    return SETTING_TEXTS[setting].label


async def not_reloaded(page: Page) -> bool:
    """Return whether the document is the one that `remember` was called on."""
    return bool(await page.evaluate("window.remembered === true"))


async def remember(page: Page) -> None:
    await page.evaluate("window.remembered = true")


async def test_a_running_import_updates_its_page_without_a_reload(
    server: ServerProcess, browser: Browser, tenant: str
) -> None:
    async with open_page(browser, url(server)) as page:
        await sign_in(page, token(server, tenant))
        await expect(page.get_by_role("heading", name="No files yet")).to_be_visible()
        await remember(page)
        with server.stored.writing_users(tenant):  # the import cannot end before the page shows that it runs
            server.put(tenant, crowd(30_000))
            await expect(page.get_by_role("progressbar")).to_be_visible()
        await expect(page.get_by_role("row").filter(has_text="Completed")).to_contain_text("30,000")
        await expect(page.get_by_role("progressbar")).to_have_count(0)
        assert await not_reloaded(page)


async def test_a_page_without_an_event_stream_retries_less_and_less_often(
    server: ServerProcess, browser: Browser, tenant: str
) -> None:
    refused = count()

    async def refuse(route: Route) -> None:
        next(refused)
        await route.fulfill(status=429)

    async with open_page(browser, url(server)) as page:
        await sign_in(page, token(server, tenant))
        await page.route(re.compile(r"/events\?"), refuse)
        await page.clock.install()
        await page.reload()
        for _ in range(60):  # ten minutes
            await page.clock.fast_forward(10_000)
            assert await page.evaluate("fetch('/healthz').then((answer) => answer.ok)")
        assert 2 <= next(refused) <= 7  # after 10 s, 20 s, 40 s and so on


async def test_a_page_that_the_server_could_not_send_is_renewed_later(
    server: ServerProcess, browser: Browser, tenant: str
) -> None:
    refused, ended = count(), asyncio.Event()

    async def refuse(route: Route) -> None:
        if route.request.resource_type == "fetch" and (not ended.is_set() or next(refused) == 0):
            await route.fulfill(status=503)
        else:
            await route.continue_()

    async with open_page(browser, url(server)) as page:
        await sign_in(page, token(server, tenant))
        await page.route(re.compile("/imports$"), refuse)
        await page.clock.install()
        await page.reload()
        await remember(page)
        server.put(tenant, people("ann"))
        server.wait(tenant)
        ended.set()
        row = page.get_by_role("row").filter(has_text="Completed")
        for _ in range(12):  # two minutes
            await page.clock.fast_forward(10_000)
            assert await page.evaluate("fetch('/healthz').then((answer) => answer.ok)")
            if await row.count():
                break
        await expect(row).to_have_count(1)
        assert await not_reloaded(page)


async def test_errors_are_opened_filtered_and_downloaded(
    server: ServerProcess, browser: Browser, tenant: str
) -> None:
    server.put(tenant, people("ann", "ben") + b"Cy,,cy@acme.example,Sales\nDee,Example,nonsense,Sales\n")
    server.wait(tenant)
    async with open_page(browser, url(server)) as page:
        await sign_in(page, token(server, tenant))
        await page.get_by_role("link", name="#1").click()
        await expect(page.get_by_role("heading", name="Import #1")).to_be_visible()
        messages = page.get_by_role("region", name="Messages", exact=True)
        await expect(messages.get_by_text("nonsense").first).to_be_visible()
        await (
            page.get_by_role("navigation", name="Codes of messages").get_by_role("link", name="invalid_email").click()
        )
        await expect(messages.locator("tbody tr")).to_have_count(1)
        async with page.expect_download() as fetched:
            await page.get_by_role("link", name="Rejected rows").click()
        rows = Path(await (await fetched.value).path()).read_text(encoding="utf-8-sig").splitlines()
        assert [row.split(",")[0] for row in rows] == ["_line", "4", "5"]


async def test_settings_can_be_tested_on_the_newest_file_before_saving(
    server: ServerProcess, browser: Browser, tenant: str
) -> None:
    server.put(tenant, people("ann", "ben").replace(b"primary_team", b"Abteilung"))
    assert server.wait(tenant)["counts"]["teams_created"] == 0
    async with open_page(browser, url(server)) as page:
        await sign_in(page, token(server, tenant))
        await page.get_by_role("link", name="Settings").click()
        await page.get_by_label("Field of Abteilung").select_option("Primary team")
        await page.get_by_role("button", name="Test on the newest file").click()
        await expect(page.get_by_role("heading", name="Tested settings")).to_be_visible()
        await expect(page.get_by_text("Dry run: nothing was changed.", exact=True)).to_be_visible()
        assert "Abteilung" not in server.cli("tenant", "show", tenant).text
        await page.get_by_role("button", name="Save these settings").click()
        await expect(page.locator(".notice")).to_contain_text("saved")
        await expect(page.get_by_label("Field of Abteilung")).to_have_value("primary_team")
    assert "Abteilung" in server.cli("tenant", "show", tenant).text
    server.put(tenant, people("ann", "ben").replace(b"primary_team", b"Abteilung"))
    assert server.wait(tenant)["counts"]["teams_created"] == 1


async def test_an_invalid_setting_gets_an_error_beside_it_and_nothing_is_saved(
    server: ServerProcess, browser: Browser, tenant: str
) -> None:
    async with open_page(browser, url(server)) as page:
        await sign_in(page, token(server, tenant))
        await page.goto(f"/tenants/{tenant}/settings")
        await page.get_by_label(label("max_deactivations_percent")).fill("many")
        await page.get_by_label(label("encoding"), exact=True).select_option("latin-1")
        await page.get_by_role("button", name="Save").click()
        await expect(page.get_by_role("alert")).to_contain_text("Nothing was saved. Fix 1 setting:")
        field = page.get_by_label(label("max_deactivations_percent"))
        await expect(field).to_have_value("many")
        await expect(field).to_have_attribute("aria-invalid", "true")
        await expect(page.get_by_label(label("encoding"), exact=True)).to_have_value("latin-1")
    assert "latin-1" not in server.cli("tenant", "show", tenant).text


async def test_a_key_is_added_on_the_page_and_logs_in_until_it_is_revoked(
    server: ServerProcess, browser: Browser, tenant: str, tmp_path: Path
) -> None:
    name = f"{tenant}-keyless"
    server.cli("tenant", "add", name)
    private = server.private_key(name)
    make = [client("ssh-keygen"), "-q", "-t", "ed25519", "-N", "", "-C", "hr@globex", "-f", str(private)]
    subprocess.run(make, check=True)
    owner = server.cli("token", "create", name, "--role", "owner").text.strip()
    async with open_page(browser, url(server)) as page:
        await sign_in(page, owner)
        await page.get_by_role("link", name="Keys").click()
        await page.get_by_label("Public key").fill(Path(f"{private}.pub").read_text())
        await page.get_by_role("button", name="Add").click()
        await expect(page.get_by_text("hr@globex").first).to_be_visible()
        server.put(name, people("ann"))
        assert server.wait(name)["state"] == "completed"
        await page.reload()
        await page.get_by_text("Revoke").first.click()
        await page.get_by_role("button", name=re.compile("Revoke")).first.click()
        await expect(page.locator(".notice")).to_be_visible()
    assert server.sftp(name, "ls").returncode != 0


async def test_the_test_of_a_chosen_file_changes_no_user(
    server: ServerProcess, browser: Browser, tenant: str, tmp_path: Path
) -> None:
    server.put(tenant, people("ann", "ben"))
    server.wait(tenant)
    file = tmp_path / "<b>people<b>.csv"
    file.write_bytes(people("ann", "ben", "cy"))
    async with open_page(browser, url(server)) as page:
        await sign_in(page, token(server, tenant))
        await page.get_by_role("link", name="Send a file").first.click()
        await page.locator("input[type=file]").set_input_files(file)
        await page.get_by_role("button", name="Test this file").click()
        await expect(page.get_by_text("Dry run: nothing was changed.", exact=True)).to_be_visible()
        await expect(page.get_by_text("<b>people<b>.csv").first).to_be_visible()
    assert set(server.users(tenant)) == {"ann@acme.example", "ben@acme.example"}


async def test_a_sign_out_ends_the_session_in_every_tab(server: ServerProcess, browser: Browser, tenant: str) -> None:
    async with open_page(browser, url(server)) as page:
        await sign_in(page, token(server, tenant))
        other = await page.context.new_page()
        await other.goto(f"/tenants/{tenant}/users")
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.locator(".notice")).to_contain_text("signed out")
        await other.reload()
        await expect(other.get_by_label("Access token")).to_be_visible()


async def test_every_page_works_without_javascript(
    server: ServerProcess, browser: Browser, tenant: str, tmp_path: Path
) -> None:
    server.put(tenant, crowd(40))
    server.wait(tenant)
    server.put(tenant, crowd(40, without=15))
    server.wait(tenant)
    file = tmp_path / "people.csv"
    file.write_bytes(crowd(39))
    async with open_page(browser, url(server), javascript=False) as page:
        await sign_in_with_the_form(page, token(server, tenant))
        await page.get_by_role("link", name="Review").click()
        await page.get_by_role("button", name="Discard import").click()
        await expect(page.locator(".notice")).to_contain_text("Discarded")
        await page.get_by_role("link", name="Settings").click()
        await page.get_by_role("button", name="Add field").click()
        await page.get_by_label("Key", exact=True).fill("shoe_size")
        await page.get_by_label(label("max_deactivations_percent")).fill("50")
        await page.get_by_role("button", name="Save").click()
        await expect(page.locator(".notice")).to_contain_text("saved")
        await page.get_by_role("link", name="Users").first.click()
        await page.get_by_role("searchbox").fill("p7")
        await page.get_by_role("button", name="Search").click()
        await expect(page.locator("tbody tr")).to_have_count(1)
        await page.get_by_role("link", name="p7 Example").click()
        await expect(page.get_by_role("heading", name="p7 Example")).to_be_visible()
        await page.get_by_role("link", name="Keys").click()
        await page.get_by_label("Public key", exact=True).fill(public_line())
        await page.get_by_role("button", name="Add this key").click()
        await expect(page.locator(".notice")).to_contain_text("Key added.")
        await page.get_by_role("link", name="Send a file").click()
        await page.locator("input[type=file]").set_input_files(file)
        await page.get_by_role("button", name="Test this file").click()
        await expect(
            page.get_by_text("Dry run: nothing was changed.", exact=True)
        ).to_be_visible()  # the page reloads itself
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.locator(".notice")).to_contain_text("signed out")
    settings = server.cli("tenant", "show", tenant, "--json").json["settings"]
    assert (settings["max_deactivations_percent"], settings["custom_fields"][0]["key"]) == (50, "shoe_size")
    assert server.report(tenant, 2)["state"] == "discarded"


async def test_the_skip_link_leads_to_the_content(server: ServerProcess, browser: Browser, tenant: str) -> None:
    async with open_page(browser, url(server)) as page:
        await page.goto("/sign-in")
        await expect(page.get_by_label("Access token")).to_be_focused()
        await page.keyboard.type(token(server, tenant))
        await page.keyboard.press("Enter")
        await page.wait_for_url("**/imports")
        await page.keyboard.press("Tab")
        await expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
        await page.keyboard.press("Enter")
        await page.keyboard.press("Tab")
        inside = await page.evaluate("document.querySelector('main').contains(document.activeElement)")
        assert inside, "the next stop is in the content"


async def test_file_content_on_a_page_is_text_never_html(
    server: ServerProcess, browser: Browser, tenant: str
) -> None:
    evil = "<img src=x onerror=document.title=1>"
    rows = f"first_name,last_name,email,primary_team,{evil}\n{evil},Example,ann@acme.example,{evil},x\n"
    server.put(tenant, rows.encode())
    assert server.wait(tenant)["state"] == "completed"
    async with open_page(browser, url(server)) as page:
        await sign_in(page, token(server, tenant))
        for path in ("imports", "imports/1", "users", "users/ann@acme.example"):
            await page.goto(f"/tenants/{tenant}/{path}")
            assert await page.locator("main img").count() == 0, path
            if path != "imports":
                await expect(page.get_by_text(evil).filter(visible=True).first).to_be_visible()
