"""Trying a file on the page: it runs dry, and whatever goes wrong leaves nothing behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from engine.sqlite.tenant.users import open_users
from tests.support.importing import people
from tests.support.pages import IMPORTS, listed, page, seen, settings
from tests.support.site import Site, open_site
from tests.support.waiting import eventually


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other") as opened:
        yield opened


async def try_file(site: Site, content: bytes, name: str = "people.csv", role: str = "owner") -> httpx.Response:
    return await (await site.browser(role)).post("/tenants/acme/try", files={"file": (name, content, "text/csv")})


async def test_a_file_is_tried_and_changes_nothing(site: Site) -> None:
    await site.imported(people("ann"))
    answer = await try_file(site, people("ann", "bo"), "New people.csv")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{IMPORTS}/2?done=trying")
    assert "Your file has arrived" in seen(await page(site, answer.headers["location"]))
    await site.run()
    text = seen(await page(site, f"{IMPORTS}/2"))
    assert "1 person would join. This was only tried: nothing was changed." in text
    assert "New people.csv" in text
    assert "Tried by owner, token" in text
    async with open_users(site.office.tenants.folder("acme")) as db:
        assert [tuple(row) for row in await db.execute_fetchall("SELECT count(*) FROM users")] == [(1,)]


async def test_a_file_that_is_too_large_is_refused_with_a_sentence_while_it_comes(site: Site) -> None:
    await settings(site, max_file_bytes=1000)
    staging = site.office.tenants.folder("acme").staging

    async def endless() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.csv"\r\n\r\n'
        for _ in range(100):
            yield b"x" * 10_000
        yield b"\r\n--b--\r\n"

    browser = await site.browser("owner")
    chunked = await browser.post(
        "/tenants/acme/try", content=endless(), headers={"content-type": "multipart/form-data; boundary=b"}
    )
    for answer in (chunked, await try_file(site, b"x" * 5000)):
        assert answer.status_code == 413
        assert "The file is too large: the limit is" in seen(answer.text)
        assert 'type="file"' in answer.text
    assert not [*staging.iterdir()]
    assert listed(await page(site)) == []


async def test_without_a_file_the_form_says_so(site: Site) -> None:
    answer = await try_file(site, b"", "")
    assert answer.status_code == 422
    assert "Choose a file first." in seen(answer.text)


async def test_a_viewer_is_told_who_can_try_a_file(site: Site) -> None:
    text = await page(site, "/tenants/acme/try", role="viewer")
    assert "An owner can do this" in text
    assert '<form method="post" action="/tenants/acme/try"' not in text
    assert (await try_file(site, people("ann"), role="viewer")).status_code == 403


async def test_a_browser_that_goes_away_leaves_nothing_behind(site: Site) -> None:
    async def half() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.csv"\r\n\r\nfirst_name'
        raise OSError("the cable was pulled")

    browser = await site.browser("owner")
    kind = {"content-type": "multipart/form-data; boundary=b"}
    with pytest.raises(OSError, match="cable"):
        await browser.post("/tenants/acme/try", content=half(), headers=kind)
    staging = site.office.tenants.folder("acme").staging
    await eventually(lambda: not [*staging.iterdir()])
    assert listed(await page(site)) == []
