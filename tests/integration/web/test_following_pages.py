"""A page that follows events misses no change, also one that happens while it is read."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from importer.model import ImportState
from importer.queue.queue import Queue
from server.runs.finding import known_hooks
from server.runs.registry import RegisteredHook
from tests.support.importing import people
from tests.support.runs import ended, put_in_line, start
from tests.support.site import Site, open_site

HOOKS = (RegisteredHook("invoices", "/invoices/*.csv", "acme-invoices"),)


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", found=HOOKS, known=known_hooks(HOOKS)) as opened:
        yield opened


async def a_run(site: Site) -> Callable[[], Awaitable[object]]:
    """Start a run; return what ends it."""
    run = await start(site.office.runs, await put_in_line(site.office.runs))
    return lambda: site.office.runs.finish(ended(run, ImportState.COMPLETED), published=True)


async def an_import(site: Site) -> Callable[[], Awaitable[object]]:
    """Queue an import; return what ends it."""
    await site.upload(people("ann"))
    return site.run


@pytest.mark.parametrize(
    ("path", "begin", "role"),
    [
        ("/tenants/acme/files", a_run, "viewer"),
        ("/tenants/acme/files/1", a_run, "viewer"),
        ("/tenants/acme/imports", an_import, "viewer"),
        ("/tenants/acme/imports/1", an_import, "viewer"),
        ("/server", an_import, "operator"),
    ],
)
async def test_a_page_has_each_change_up_to_the_number_that_it_follows_from(
    site: Site,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
    begin: Callable[[Site], Awaitable[Callable[[], Awaitable[object]]]],
    role: str,
) -> None:
    end, browser = await begin(site), await site.browser(role)
    assert re.search("Running|Queued", (await browser.get(path)).text)
    listing = type(site.office.tenants.store.imports())
    newest_move = listing.newest_move

    async def after_the_end(self: Queue) -> int:
        monkeypatch.undo()
        await end()
        return await newest_move(self)

    monkeypatch.setattr(listing, "newest_move", after_the_end)
    page = (await browser.get(path)).text
    assert page == (await browser.get(path)).text, "no event comes for what it lacks"
