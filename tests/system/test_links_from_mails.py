"""Links in a webmail, which is a page of another site, in a real browser: they open, and nothing else is possible."""

from __future__ import annotations

import html
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from playwright.async_api import Browser, expect

from tests.support.browser import open_page, sign_in
from tests.support.clients import needs
from tests.support.importing import people
from tests.support.server_process import ServerProcess

HELD = "/tenants/acme/imports/2"

pytestmark = [needs("chromium", "sftp"), pytest.mark.asyncio(loop_scope="module")]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServerProcess]:
    """Start a server with a company whose import 2 is held."""
    with ServerProcess(tmp_path_factory.mktemp("links")) as started:
        started.add_tenant("acme", deactivate_missing="true")
        started.put("acme", people(*(f"p{number}" for number in range(20))))
        started.wait("acme")
        started.put("acme", people("p1"))
        started.reaches("acme", 2, "held")
        yield started


@pytest.fixture(scope="module")
def webmail(server: ServerProcess) -> Iterator[str]:
    """Serve a mail with a link and a forged form from another site: `localhost`, not 127.0.0.1. Yield its address."""
    ours = f"http://127.0.0.1:{server.http_port}"
    mail = f"""<!doctype html><title>Mail</title><a href="{html.escape(ours + HELD)}">Open import 2</a>
    <form method="post" action="{ours}{HELD}/discard"><button>Win a prize</button></form>
    <form method="post" action="{ours}/sign-out"><button>Sign me out</button></form>"""

    class Webmail(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("content-type", "text/html; charset=utf-8")
            self.end_headers()
            self.wfile.write(mail.encode())

        def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the library's name
            """Write no line to stderr."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Webmail) as host:
        thread = threading.Thread(target=host.serve_forever)
        thread.start()
        yield f"http://localhost:{host.server_port}/"
        host.shutdown()
        thread.join()


@pytest.fixture(scope="module")
def token(server: ServerProcess) -> str:
    return server.cli("token", "create", "acme", "--role", "owner", "--comment", "Grace").text.strip()


def url(server: ServerProcess) -> str:
    return f"http://127.0.0.1:{server.http_port}"


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "plain"])
async def test_a_link_in_a_webmail_opens_its_page_for_a_user_who_is_signed_in(
    server: ServerProcess, browser: Browser, webmail: str, token: str, javascript: bool
) -> None:
    async with open_page(browser, url(server), javascript=javascript) as page:
        await sign_in(page, token)
        await page.goto(webmail)
        await page.get_by_role("link", name="Open import 2").click()
        await expect(page.get_by_role("heading", level=1)).to_contain_text("Import #2")
        assert page.url == url(server) + HELD


@pytest.mark.parametrize("javascript", [True, False], ids=["script", "plain"])
async def test_a_link_in_a_webmail_opens_its_page_after_the_sign_in(
    server: ServerProcess, browser: Browser, webmail: str, token: str, javascript: bool
) -> None:
    async with open_page(browser, url(server), javascript=javascript) as page:
        await page.goto(webmail)
        await page.get_by_role("link", name="Open import 2").click()
        await page.get_by_label("Access token").fill("hc_wrong")
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("alert")).to_contain_text("mistyped")
        await page.get_by_label("Access token").fill(token)
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.get_by_role("heading", level=1)).to_contain_text("Import #2")
        assert page.url == url(server) + HELD


@pytest.mark.parametrize("button", ["Win a prize", "Sign me out"])
async def test_a_form_in_a_webmail_changes_nothing_for_a_user_who_is_signed_in(
    server: ServerProcess, browser: Browser, webmail: str, token: str, button: str
) -> None:
    async with open_page(browser, url(server)) as page:
        await sign_in(page, token)
        await page.goto(webmail)
        async with page.expect_response(lambda answer: answer.request.method == "POST") as refused:
            await page.get_by_role("button", name=button).click()
        assert (await refused.value).status == 403
        await page.wait_for_url(f"{url(server)}/**")  # else the answer may interrupt the next page
        await page.goto(HELD)
        await expect(page.get_by_role("heading", level=1)).to_contain_text("Import #2")
        assert server.cli("import", "show", "acme", "2", "--json").json["state"] == "held"
