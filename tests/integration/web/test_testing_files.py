"""Testing a file on the page: it runs as a dry run, and a failed upload leaves no file behind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.support.importing import people
from tests.support.pages import IMPORTS, done, listed, page, seen, settings
from tests.support.site import Site, open_site
from tests.support.waiting import eventually


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other") as opened:
        yield opened


async def dry_run_of(site: Site, content: bytes, name: str = "people.csv", role: str = "owner") -> httpx.Response:
    return await (await site.browser(role)).post("/tenants/acme/try", files={"file": (name, content, "text/csv")})


async def test_the_test_of_a_file_changes_nothing(site: Site) -> None:
    await site.imported(people("ann"))
    answer = await dry_run_of(site, people("ann", "bo"), "New people.csv")
    assert done(answer) == (f"{IMPORTS}/2", "testing")
    await site.run()
    text = seen(await page(site, f"{IMPORTS}/2"))
    assert "1 user would be created. Dry run: nothing was changed." in text
    assert "New people.csv" in text
    assert "Tested by owner, token" in text
    assert len(site.stored.users("acme")) == 1


async def test_a_file_above_the_limit_is_refused_during_the_upload(site: Site) -> None:
    await settings(site, max_file_bytes=1000)

    async def endless() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.csv"\r\n\r\n'
        for _ in range(100):
            yield b"x" * 10_000
        yield b"\r\n--b--\r\n"

    browser = await site.browser("owner")
    chunked = await browser.post(
        "/tenants/acme/try", content=endless(), headers={"content-type": "multipart/form-data; boundary=b"}
    )
    for answer in (chunked, await dry_run_of(site, b"x" * 5000)):
        assert answer.status_code == 413
        assert "The file is too large: the limit is" in seen(answer.text)
        assert 'type="file"' in answer.text
    assert not site.stored.unfinished("acme")
    assert listed(await page(site)) == []


async def test_without_a_file_the_form_says_so(site: Site) -> None:
    answer = await dry_run_of(site, b"", "")
    assert answer.status_code == 422
    assert "Choose a file first." in seen(answer.text)


async def test_a_viewer_reads_that_only_an_owner_can_test_a_file(site: Site) -> None:
    text = await page(site, "/tenants/acme/try", role="viewer")
    assert "For owners only" in text
    assert "Only an owner can test or send a file." in text
    assert '<form method="post" action="/tenants/acme/try"' not in text
    assert (await dry_run_of(site, people("ann"), role="viewer")).status_code == 403


async def test_a_browser_that_disconnects_leaves_no_file_behind(site: Site) -> None:
    async def half() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.csv"\r\n\r\nfirst_name'
        raise OSError("the cable was pulled")

    browser = await site.browser("owner")
    kind = {"content-type": "multipart/form-data; boundary=b"}
    with pytest.raises(OSError, match="cable"):
        await browser.post("/tenants/acme/try", content=half(), headers=kind)
    await eventually(lambda: not site.stored.unfinished("acme"))
    assert listed(await page(site)) == []
