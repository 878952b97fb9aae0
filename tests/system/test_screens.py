"""Every page as people see it: usable by everybody (axe finds nothing), never wider than the screen, no complaint of
the browser. On the way it can take the pictures of the owner's guide: `make screenshots`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest
from playwright.async_api import Browser, Page

from tests.support.browser import open_page, sign_in
from tests.support.clients import needs
from tests.support.server_process import ROOT, ServerProcess

SAMPLES = ROOT / "deploy" / "demo"
PICTURES = os.environ.get("HEADCOUNT_SCREENSHOTS")
"""The folder that pictures are put in, by look; not set: none are taken."""
DESK = (False, False)
"""Its pictures are those of the guide: as much as fits on a screen. The others are of whole pages."""

HOME = "/tenants/acme"
OWNERS = {
    "imports": f"{HOME}/imports",
    "imports-held": f"{HOME}/imports?state=held",
    "imports-none": f"{HOME}/imports?state=undone",
    "import": f"{HOME}/imports/2",
    "errors": f"{HOME}/imports/1",
    "held": f"{HOME}/imports/3",
    "dry-run": f"{HOME}/imports/4",
    "users": f"{HOME}/users",
    "users-none": f"{HOME}/users?search=nobody",
    "user": f"{HOME}/users/priya.raman@acme.example",
    "settings": f"{HOME}/settings",
    "keys": f"{HOME}/keys",
    "try": f"{HOME}/try",
    "not-found": f"{HOME}/nothing",
    "api": "/api",
}
EMPTY = {
    "empty-imports": "/tenants/globex/imports",
    "empty-users": "/tenants/globex/users",
    "empty-keys": "/tenants/globex/keys",
}
OPERATORS = {"companies": "/tenants", **EMPTY}
VIEWERS = {"viewer-held": f"{HOME}/imports/3", "viewer-settings": f"{HOME}/settings", "viewer-keys": f"{HOME}/keys"}

AXE = next(Path(str(resources.files("axe_playwright_python"))).rglob("axe.min.js")).read_text(encoding="utf-8")

pytestmark = [needs("chromium", "sftp"), pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Two companies: one with three days of files and a dry run, one without anything."""
    with ServerProcess(tmp_path_factory.mktemp("screens")) as started:
        started.add_tenant("acme", deactivate_missing="true")
        for day in ("monday", "tuesday", "wednesday"):
            started.put("acme", (SAMPLES / f"{day}.csv").read_bytes())
            started.wait("acme")
        started.put("acme", (SAMPLES / "tuesday.csv").read_bytes(), "/test/sync_users.csv")
        started.reaches("acme", 4, "completed", "completed_with_errors", "unchanged")
        started.cli("tenant", "add", "globex")
        yield started


def token(server: ServerProcess, *who: str) -> str:
    return server.cli("token", "create", *who).text.strip()


def ids(look: tuple[bool, bool]) -> str:
    return f"{'phone' if look[0] else 'desk'}-{'dark' if look[1] else 'light'}"


LOOKS = [(False, False), (True, True), *([(False, True), (True, False)] if PICTURES else [])]
"""Phone or desk, dark or light. Two of the four have every width and every colour in them; pictures are of all."""


@pytest.mark.parametrize("look", LOOKS, ids=ids)
async def test_everybody_can_use_every_page(server: ServerProcess, browser: Browser, look: tuple[bool, bool]) -> None:
    phone, dark = look
    visits = [
        (("acme", "--role", "owner", "--comment", "Grace, HR"), OWNERS),
        (("--operator",), OPERATORS),
        (("acme", "--role", "viewer"), VIEWERS),
    ]
    found: dict[str, object] = {}
    for who, pages in visits:
        async with open_page(browser, f"http://127.0.0.1:{server.http_port}", phone=phone, dark=dark) as page:
            await page.goto("/sign-in")
            found |= await looked_at(page, "sign-in", look)
            await sign_in(page, token(server, *who))
            for name, path in pages.items():
                answer = await page.goto(path)
                if answer is None or answer.status != (404 if name == "not-found" else 200):
                    found[name] = answer and answer.status
                found |= await looked_at(page, name, look)
    assert not found


LONG = (
    "first_name,last_name,email,job_title,primary_team\n"
    f"{'W' * 30},{'Hubert Blaine ' * 4},{'a' * 50}@{'d' * 50}.example,{'Head of all ' * 4},{'T' * 60}\n"
    "محمد,عبد الرحمن,m@long.example,Baker,Sales\n"
)


@pytest.mark.parametrize("width", [320, 390, 1280])
async def test_long_words_push_nothing_out_of_sight(server: ServerProcess, browser: Browser, width: int) -> None:
    company = "a" + "b" * 30
    if company not in server.cli("tenant", "list").text:
        server.add_tenant(company)
        server.put(company, LONG.encode())
        server.wait(company)
    async with open_page(browser, f"http://127.0.0.1:{server.http_port}") as page:
        await page.set_viewport_size({"width": width, "height": 800})
        await sign_in(page, token(server, company, "--role", "owner"))
        for name in ("imports", "imports/1", "users", "users/m@long.example", "settings", "keys", "try"):
            await page.goto(f"/tenants/{company}/{name}")
            assert await page.evaluate("document.documentElement.scrollWidth - window.innerWidth") <= 0, name
        await page.goto(f"/tenants/{company}/users")
        table = "document.querySelector('.table').scrollWidth - document.querySelector('.table').clientWidth"
        assert await page.evaluate(table) <= 0


async def looked_at(page: Page, name: str, look: tuple[bool, bool]) -> dict[str, object]:
    """What is wrong with the page that is open, by what it is."""
    await take_picture(page, name, look)
    await page.evaluate(AXE)
    violations = (await page.evaluate("axe.run()"))["violations"]
    found: dict[str, object] = {
        f"{name}: {each['id']}": [node["html"][:200] for node in each["nodes"]] for each in violations
    }
    if wider := await page.evaluate("document.documentElement.scrollWidth - window.innerWidth"):
        found[f"{name}: wider than the screen"] = wider
    if not re.fullmatch(r"\S.* · Headcount", await page.title()):
        found[f"{name}: title"] = await page.title()
    return found


async def take_picture(page: Page, name: str, look: tuple[bool, bool]) -> None:
    if PICTURES:
        folder = Path(PICTURES) / ids(look)
        folder.mkdir(parents=True, exist_ok=True)
        await page.screenshot(path=folder / f"{name}.png", full_page=look != DESK)
