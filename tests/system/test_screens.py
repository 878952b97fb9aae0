"""Every page in a browser: axe finds no fault, no page is wider than the screen, and the browser logs no error.

The same tests take the pictures of the owner's guide: `make screenshots`.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from playwright.async_api import Browser, Page

from tests.support import ROOT
from tests.support.browser import DESKTOP, PHONE, open_page, sign_in
from tests.support.clients import needs
from tests.support.hooked import gate_of, hooked, run_of
from tests.support.keypairs import public_line
from tests.support.screens import faults_on_screens
from tests.support.server_process import ServerProcess
from tests.support.waiting import DEADLINE_S

SAMPLES = ROOT / "deploy" / "demo"
PICTURES = os.environ.get("SCREENSHOTS")
"""The folder for pictures, by look. If it is not set, no pictures are taken."""
DESK = (False, False)
"""The look of the guide's pictures, which show one screen. Pictures of the other looks show the whole page."""

HOME = "/tenants/acme"
OWNERS = {
    "imports": f"{HOME}/imports",
    "imports-held": f"{HOME}/imports?state=held",
    "imports-none": f"{HOME}/imports?state=undone",
    "import": f"{HOME}/imports/2",
    "errors": f"{HOME}/imports/1",
    "held": f"{HOME}/imports/3",
    "dry-run": f"{HOME}/imports/4",
    "tested": f"{HOME}/imports/5",
    "files": f"{HOME}/files",
    "files-none": f"{HOME}/files?state=ignored",
    "file": f"{HOME}/files/1",
    "file-failed": f"{HOME}/files/2",
    "users": f"{HOME}/users",
    "users-filtered": f"{HOME}/users?sort=last_name&protected=no",
    "users-none": f"{HOME}/users?search=unknown",
    "user": f"{HOME}/users/priya.raman@acme.example",
    "settings": f"{HOME}/settings",
    "keys": f"{HOME}/keys",
    "colleagues": f"{HOME}/colleagues",
    "notifications": f"{HOME}/notifications",
    "try": f"{HOME}/try",
    "not-found": f"{HOME}/nothing",
    "api": "/api",
}
EMPTY = {
    "empty-imports": "/tenants/globex/imports",
    "empty-files": "/tenants/globex/files",
    "empty-users": "/tenants/globex/users",
    "empty-keys": "/tenants/globex/keys",
    "empty-notifications": "/tenants/globex/notifications",
    "empty-colleagues": "/tenants/globex/colleagues",
}
OPERATORS = {"companies": "/tenants", "server": "/server", "operators": "/operators", **EMPTY}
VIEWERS = {
    "viewer-held": f"{HOME}/imports/3",
    "viewer-file": f"{HOME}/files/2",
    "viewer-settings": f"{HOME}/settings",
    "viewer-keys": f"{HOME}/keys",
}

pytestmark = [needs("chromium", "sftp"), pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Start a server with two companies: one with three days of files, two dry runs and a hook's files, one empty."""
    folder = tmp_path_factory.mktemp("screens")
    gate_of(folder).touch()
    with ServerProcess(folder, env=hooked(folder)) as started:
        started.add_tenant("acme", deactivate_missing="true")
        for day in ("monday", "tuesday", "wednesday"):
            started.put("acme", (SAMPLES / f"{day}.csv").read_bytes())
            started.wait("acme")
        started.put("acme", (SAMPLES / "tuesday.csv").read_bytes(), "/test/sync_users.csv")
        started.reaches("acme", 4, "completed", "completed_with_errors", "unchanged")
        headers = {"authorization": f"Bearer {token(started, 'acme', '--role', 'owner')}", "content-type": "text/csv"}
        answer = httpx.post(
            f"http://127.0.0.1:{started.http_port}/api/v1/tenants/acme/imports?dry_run=true",
            content=(SAMPLES / "tuesday.csv").read_bytes(),
            headers=headers,
            timeout=DEADLINE_S,
        )
        assert answer.status_code == 202, answer.text
        started.reaches("acme", 5, "completed", "completed_with_errors", "unchanged", "held")
        for number, content in enumerate((b"No;Sum\n1;20\n", b"bad\n"), start=1):
            started.put("acme", content, f"/invoices/{number}.csv")
            run_of(started, "acme", number, "completed", "failed")
        started.cli("tenant", "add", "globex")
        yield started


def token(server: ServerProcess, *who: str) -> str:
    return server.cli("token", "create", *who).text.strip()


def ids(look: tuple[bool, bool]) -> str:
    return f"{'phone' if look[0] else 'desk'}-{'dark' if look[1] else 'light'}"


LOOKS = [(False, False), (True, True), *([(False, True), (True, False)] if PICTURES else [])]
"""Phone or desk, dark or light. Two of the four looks have all widths and colors. Pictures are taken of all four."""


async def test_every_page_passes_accessibility_checks(server: ServerProcess, browser: Browser) -> None:
    visits = [
        (("acme", "--role", "owner", "--comment", "Grace, HR"), OWNERS),
        (("--operator",), OPERATORS),
        (("acme", "--role", "viewer"), VIEWERS),
    ]
    found: dict[str, object] = {}
    for who, pages in visits:
        async with open_page(browser, f"http://127.0.0.1:{server.http_port}") as page:
            await page.goto("/sign-in")
            found |= await looked_at(page, "sign-in")
            await sign_in(page, token(server, *who))
            for name, path in pages.items():
                answer = await page.goto(path)
                if answer is None or answer.status != (404 if name == "not-found" else 200):
                    found[name] = answer and answer.status
                found |= await looked_at(page, name)
    assert not found


W, WORDS = "W" * 60, "Hubert Blaine " * 4
LONG = (
    "first_name,last_name,email,job_title,primary_team,secondary_team,location,manager\n"
    f"{W},{WORDS},{'a' * 50}@{'d' * 50}.example,{WORDS},{W},{W}1,{W},m@long.example\n"
    f"{W},{W},{'b' * 60}@{'d' * 50}.example,{W},{W},,{W},{'x' * 90}\n"
    "محمد,عبد الرحمن,m@long.example,Baker,Sales,,,\n"
)
"""Long words in every field. In the second file most users change or are missing, in the third rows fail.

The fourth is held: it has only a new user.
"""
SECOND = (
    LONG.replace("Hubert", "Ubert").replace("Baker", "B" * 80).replace(f"{W},{W},{'b' * 60}", f"{W},{W},{'c' * 60}")
)
THIRD = f"first_name,last_name,email,{'Z' * 70}\n{W},{W},{'no-address' * 9},{W}\n{W},{W},m@long.example,{W}\n"
FOURTH = LONG.splitlines()[0] + f"\n{W},{W},{'e' * 60}@{'d' * 50}.example,{W},{W},{W},{W},\n"
LENGTHY = {
    "identifier": "email",
    "deactivate_missing": "true",
    "notify_email": "n" * 60 + "@example.com",
    "custom_fields": json.dumps([{"key": "k" * 60, "label": W, "type": "choice", "choices": [W, f"{W}2"]}]),
    "field_mapping": json.dumps({f"{W}3": "job_title"}),
    "value_mapping": json.dumps({"role": {W: "admin"}}),
}
LONG_PAGES = (
    *("imports", "imports/1", "imports/2", "imports/3", "imports/4", "imports/5", "imports/6", "imports?state=held"),
    *("files", "files/1", "files/2", "files?hook=" + "w" * 90),
    *("users", "users/m@long.example", f"users/{'a' * 50}@{'d' * 50}.example", "settings", "settings/history"),
    *("users?sort=last_name&team=" + "W" * 60, "notifications", "keys", "try", "nothing-" + "n" * 90),
)
ENDS = ("completed", "completed_with_errors", "unchanged", "held", "failed")
SPREAD = """style => {
    if (style) document.styleSheets[0].insertRule(style);
    for (const each of document.querySelectorAll("details")) each.open = true;
}"""
SPACED = "* { letter-spacing: .12em !important; word-spacing: .16em !important; }"
"""The widest spacing that a reader may set (WCAG 2.2, 1.4.12): wider than any font."""
PUSHED = """() => [...document.querySelectorAll("body *")].filter(each => {
    for (let box = each; box; box = box.parentElement)
        if (box != document.body && !["visible", "clip"].includes(getComputedStyle(box).overflowX)) return false;
    return each.getClientRects().length && each.getBoundingClientRect().right > window.innerWidth + 0.5;
}).map(each => each.outerHTML.slice(0, 160)).slice(-3)"""
"""The elements that reach past the right border and are not inside a box that scrolls."""


@pytest.fixture(scope="module")
def lengthy(server: ServerProcess) -> str:
    """Add a company with the longest name, and long words in all its users, files, settings and keys."""
    company = "a" + "b" * 30
    server.add_tenant(company)
    key = server.folder / "long.pub"
    key.write_text(public_line())
    server.cli(
        "key", "add", company, str(key), "--comment", f"{W}{WORDS}"[:200], "--from", "2001:db8:aaaa:bbbb:cccc::/80"
    )
    server.cli("tenant", "set", company, *(f"{name}={value}" for name, value in LENGTHY.items()))
    for number, (file, path) in enumerate(
        [(LONG, ""), (SECOND, ""), (THIRD, ""), (LONG, "/test"), ("\ufeff" + W, ""), (FOURTH, "")], start=1
    ):
        server.put(company, file.encode(), f"{path}/sync_users.csv")
        server.reaches(company, number, *ENDS)
    for number, line in enumerate((W * 3, f"bad {W * 3}"), start=1):
        server.put(company, f"{line}\n".encode(), f"/invoices/{W}{number}.csv")
        run_of(server, company, number, "completed", "failed")
    return company


async def test_long_words_never_widen_a_page(server: ServerProcess, browser: Browser, lengthy: str) -> None:
    pushed: dict[str, object] = {}
    visits = [
        ((lengthy, "--role", "owner"), (*LONG_PAGES, "colleagues")),
        (("--operator",), ("", "/server")),
        ((lengthy, "--role", "viewer"), LONG_PAGES),
    ]
    async with open_page(browser, f"http://127.0.0.1:{server.http_port}") as page:
        for who, names in visits:
            await page.context.clear_cookies()
            await sign_in(page, token(server, *who, "--comment", f"{W} {WORDS}"[:100]))
            for name in names:
                await page.goto(
                    name if name.startswith("/") else f"/tenants/{lengthy}/{name}" if name else "/tenants"
                )
                for style, widths in (("", (1280,)), (SPACED, (1280, 390, 320))):
                    await page.evaluate(SPREAD, style)
                    for width in widths:
                        await page.set_viewport_size({"width": width, "height": 800})
                        if await page.evaluate("document.documentElement.scrollWidth > window.innerWidth"):
                            pushed[f"{who[-1]}: {name} {width} {style}"] = await page.evaluate(PUSHED)
        await page.set_viewport_size({"width": 1280, "height": 800})
        await page.goto(f"/tenants/{lengthy}/users")
        table = "document.querySelector('.table').scrollWidth - document.querySelector('.table').clientWidth"
        assert await page.evaluate(table) <= 0
    assert not pushed, json.dumps(pushed, indent=1)


async def test_the_decision_about_a_held_import_fits_every_screen(
    server: ServerProcess, browser: Browser, lengthy: str
) -> None:
    found: dict[str, object] = {}
    async with open_page(browser, f"http://127.0.0.1:{server.http_port}") as page:
        for company, held in (("acme", 3), (lengthy, 6)):
            for role, queries in (("owner", ("", "?action=all&sort=action")), ("viewer", ("?action=all&search=x",))):
                await page.context.clear_cookies()
                await sign_in(page, token(server, company, "--role", role))
                for query in queries:
                    await page.goto(f"/tenants/{company}/imports/{held}{query}")
                    await page.evaluate(SPREAD, "")
                    found |= await faults_on_screens(page, f"{company} {role} {query}")
    assert not found


async def looked_at(page: Page, name: str) -> dict[str, object]:
    """Take pictures of the open page, and return its faults, by kind."""
    for phone, dark in LOOKS if PICTURES else []:
        await page.set_viewport_size(PHONE if phone else DESKTOP)  # type: ignore[arg-type]
        await page.emulate_media(color_scheme="dark" if dark else "light")
        await take_picture(page, name, (phone, dark))
    await page.emulate_media(color_scheme="light")
    return await faults_on_screens(page, name, (PHONE["width"], DESKTOP["width"]))


async def take_picture(page: Page, name: str, look: tuple[bool, bool]) -> None:
    if PICTURES:
        folder = Path(PICTURES) / ids(look)
        folder.mkdir(parents=True, exist_ok=True)
        await page.screenshot(path=folder / f"{name}.png", full_page=look != DESK)
