"""The help as pages: open to all, signed in where a session is, and linked from every other page."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from fastapi.routing import iter_route_contexts

from server.web.pages.help.book import TOPICS, book, sample
from tests.support.importing import people
from tests.support.pages import page, seen
from tests.support.site import Site, open_site

ROLES = ("visitor", "viewer", "owner", "elsewhere", "operator")
LINK = re.compile(r'href="(/help[^"]*)"')


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other") as opened:
        yield opened


async def text_for(site: Site, role: str, path: str, status: int = 200) -> str:
    client = site.anybody() if role == "visitor" else await site.browser(role)
    answer = await client.get(path)
    assert answer.status_code == status, f"{role} {path}: {answer.text}"
    return answer.text


@pytest.mark.parametrize("role", ROLES)
async def test_every_document_of_the_help_is_shown_to_every_visitor(site: Site, role: str) -> None:
    contents = await text_for(site, role, "/help")
    for name, topic in TOPICS.items():
        assert f'<a href="/help/{name}">{topic.title}</a>' in contents
        text = await text_for(site, role, f"/help/{name}")
        assert html.escape(book()[name].title.text) in text
        assert book()[name].html in text
        assert ("Sign out" in text) == (role != "visitor")
        assert ('href="/tenants/acme/imports"' in text) == (role in {"owner", "viewer"})
        assert ('href="/tenants"' in text) == (role == "operator")


async def test_a_page_of_the_help_lists_its_sections(site: Site) -> None:
    text = await text_for(site, "visitor", "/help/owner-guide")
    contents = text.split('aria-label="On this page"')[1].split("</nav>")[0]
    links = re.findall(r'href="#([^"]+)"', contents)
    assert links == [each.anchor for each in book()["owner-guide"].headings]
    assert all(f' id="{each}"' in text for each in links)


@pytest.mark.parametrize("path", ["/help/nothing", "/help/architecture", "/help/owner-guide.md", "/help/a/b"])
async def test_an_unknown_document_is_not_found(site: Site, path: str) -> None:
    await text_for(site, "visitor", path, 404)
    await text_for(site, "owner", path, 404)


@pytest.mark.parametrize("name", ["../owner-guide.md", "..%2Fowner-guide.md", "none.png", "%2e%2e/api.md"])
async def test_only_pictures_are_served_beside_the_documents(site: Site, name: str) -> None:
    answer = await site.anybody().get(f"/help/images/{name}")
    assert answer.status_code == 404


async def test_every_picture_and_link_on_a_page_of_the_help_is_answered(site: Site) -> None:
    client = site.anybody()
    pictures = 0
    for name in TOPICS:
        text = (await client.get(f"/help/{name}")).text
        for link in {*re.findall(r'(?:href|src)="(/[^"#]*)', text)} - {"/"}:
            answer = await client.get(html.unescape(link))
            assert answer.status_code == 200, f"{name} links to {link}"
            if link.startswith("/help/images/"):
                pictures += 1
                assert answer.headers["content-type"] == "image/png"
                assert "immutable" in answer.headers["cache-control"]
    assert pictures > 5


async def test_a_page_of_the_help_is_not_kept_and_has_the_strict_policy(site: Site) -> None:
    answer = await (await site.browser("owner")).get("/help/settings")
    assert answer.headers["cache-control"] == "no-store"
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    main = answer.text.split("<main")[1]
    assert "<script" not in main
    assert "style=" not in main


async def test_the_sample_is_a_file_that_is_imported_without_a_message(site: Site) -> None:
    answer = await site.anybody().get("/help/sync_users.csv")
    assert answer.headers["content-type"] == "text/csv; charset=utf-8"
    assert answer.headers["content-disposition"] == 'attachment; filename="sync_users.csv"'
    assert answer.content == sample()
    entry = await site.office.reader.get("acme", await site.imported(answer.content))
    assert entry is not None
    assert entry.outcome is not None
    assert entry.outcome.counts.rejected == entry.outcome.counts.warnings == 0
    assert (entry.state.value, entry.outcome.messages) == ("completed", ())


async def test_the_help_is_shown_while_no_session_can_be_read(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(*_: object) -> None:
        raise OSError("disk I/O error")

    browser = await site.browser("owner")
    monkeypatch.setattr(site.office.sign_ins, "find", fails)
    for path in ("/help", "/help/operating"):
        answer = await browser.get(path)
        assert answer.status_code == 200, "the operator needs the help on a broken disk"
        assert "Sign out" not in answer.text


def pages_of(site: Site) -> list[str]:
    """Return the addresses of all pages: every route of GET outside the API and the downloads, with import 1."""
    routes = [each for each in iter_route_contexts(site.app.routes) if each.path and "GET" in (each.methods or ())]
    paths = {str(each.path) for each in routes if not str(each.path).startswith("/api/")}
    values = {"tenant": "acme", "number": "1", "identifier": "p0@example.com", "topic": "errors"}
    return sorted(re.sub(r"\{(\w+)(?::\w+)?\}", lambda found: values.get(found[1], "1"), path) for path in paths)


@pytest.mark.parametrize("role", ROLES)
async def test_every_page_links_to_its_section_of_the_help(site: Site, role: str) -> None:
    await site.imported(people("p0", "p1", "p2") + b",,\n")
    client = site.anybody() if role == "visitor" else await site.browser(role)
    checked = set()
    for path in [*pages_of(site), "/tenants/acme/nothing"]:
        if path.endswith("/events"):
            continue
        answer = await client.get(path)
        if answer.headers.get("content-type", "").startswith("text/html") and answer.status_code != 303:
            checked.add(path)
            header = answer.text.split("<main")[0]
            (link,) = LINK.findall(header)
            assert "Help" in header.split(f'href="{link}"')[1].split("</a>")[0]
            if answer.status_code == 200 and not path.startswith("/help"):
                assert "#" in link or link == "/help/api", f"{path} links to {link}, not to its section"
            for each in LINK.findall(answer.text):
                target, _, anchor = html.unescape(each).partition("#")
                topic = target.removeprefix("/help").removeprefix("/")
                assert topic in {"", "sync_users.csv", *TOPICS}, f"{path} links to {each}"
                assert not anchor or anchor in book()[topic].anchors, f"{path} links to {each}"
    least = {"visitor": 4, "elsewhere": 4, "viewer": 9, "owner": 10, "operator": 11}
    assert len(checked) >= least[role], checked


async def test_the_code_of_a_message_links_to_its_row_in_the_help(site: Site) -> None:
    await site.imported(b"first_name,last_name,email\nAnn,,ann@example.com\nBo,Ng,bo\n")
    text = await page(site, "/tenants/acme/imports/1")
    table = text.split('aria-labelledby="messages"')[1].split("</table>")[0]
    assert re.findall(r'href="/help/errors#(\w+)"', table) == ["every_row_rejected", "missing_value", "invalid_email"]
    assert "invalid_email" in seen(text)


@pytest.mark.parametrize("role", ["owner", "viewer"])
async def test_the_name_of_a_setting_links_to_its_row_in_the_help(site: Site, role: str) -> None:
    text = await page(site, "/tenants/acme/settings", role=role)
    named = re.findall(r'href="/help/settings#(\w+)"', text)
    assert {"identifier", "delimiter", "field_mapping", "notify_email", "invitations"} <= set(named)
    assert len(named) > 25


async def test_the_code_of_a_problem_on_the_page_of_the_api_links_to_its_row(site: Site) -> None:
    text = await text_for(site, "visitor", "/api")
    codes = set(re.findall(r'href="/help/api#(\w+)"', text))
    assert {"no_token", "not_held", "bad_setting", "key_private"} <= codes
    assert codes <= book()["api"].anchors


async def test_a_problem_of_the_api_links_to_the_row_of_its_code(site: Site) -> None:
    for client, path, code in (
        (site.anybody(), "/api/v1/tenants/acme/imports", "no_token"),
        (site.api("elsewhere"), "/api/v1/tenants/acme/imports", "no_tenant"),
        (site.api("owner"), "/api/v1/tenants/acme/imports?limit=0", "bad_request"),
        (site.api("owner"), "/api/v1/nothing", "not_found"),
    ):
        answer = await client.get(path)
        link = answer.links["help"]["url"]
        assert (answer.json()["code"], link) == (code, f"/help/api#{code}")
        assert code in book()["api"].anchors
        assert (await client.get(link)).status_code == 200
