"""The list of imports: held and running ones, the chart and the table; and its live events."""

from __future__ import annotations

import asyncio
import html
import json
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from server.web.pages import events as events_module
from tests.support.importing import people, sheet
from tests.support.pages import IMPORTS, listed, page, seen, settings
from tests.support.site import Site, open_site
from tests.support.waiting import DEADLINE_S


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other") as opened:
        yield opened


async def test_the_list_says_what_to_do_before_the_first_file(site: Site) -> None:
    text = await page(site)
    assert "No files yet" in text
    assert "/tenants/acme/keys" in text
    assert "<svg" not in text


async def test_the_newest_import_comes_first_with_its_counts(site: Site) -> None:
    await site.imported(people("ann", "bo"))
    await site.imported(sheet(("Ann", "Jones", "ann@example.com"), ("Cy", "Lee", "cy@example.com"), ("", "x", "y")))
    text = await page(site)
    assert listed(text) == [2, 1]
    row = re.search(r"#2</a>.*?</tr>", text, re.DOTALL)
    assert row
    counts = [found[1] for found in re.finditer(r'data-label="\w+">([\d,]+)<', row[0])]
    assert counts == ["3", "1", "1", "0", "1"], "rows, created, updated, deactivated, rejected"
    assert "Completed with rejected rows" in row[0]


def row_of(text: str, number: int) -> str:
    """Return the row of an import in the list, with its tags."""
    return next(row for row in re.findall(r"<tr>.*?</tr>", text, re.DOTALL) if f"#{number}</a>" in row)


async def test_the_counts_of_a_file_that_changed_no_user_are_not_listed(site: Site) -> None:
    await settings(site, deactivate_missing=True, max_deactivations_percent=10)
    await site.imported(people(*(f"p{number}" for number in range(20))))
    held = await site.imported(people(*(f"p{number}" for number in range(9))))
    await site.imported(people(*(f"p{number}" for number in range(20))))
    text = await page(site)
    row = row_of(text, held)
    assert "Replaced by a newer file" in row
    assert "data-label" not in row
    assert "nothing was changed" in seen(f"<main>{row}</main>")


async def test_the_counts_of_an_undone_import_are_marked_as_those_before_the_undo(site: Site) -> None:
    await site.imported(people("ann", "bo"))
    assert "before the undo" not in await page(site)
    await site.office.queue.undo("acme", 1, by="Grace (owner, token 2)")
    await site.run()
    row = row_of(await page(site), 1)
    assert "counts before the undo" in row
    assert 'data-label="Created">2<' in row


async def test_imports_are_filtered_by_state(site: Site) -> None:
    await site.imported(people("ann"))
    await site.imported(b"")
    text = await page(site, f"{IMPORTS}?state=failed")
    assert listed(text) == [2]
    assert '<option value="failed" selected>' in text
    assert "No import has the state “Discarded”." in seen(await page(site, f"{IMPORTS}?state=discarded"))
    assert listed(await page(site, f"{IMPORTS}?state=odd")) == [2, 1]


async def test_older_imports_are_on_further_pages(site: Site) -> None:
    for _ in range(52):
        await site.upload(b"x")
    first = await page(site, f"{IMPORTS}?state=queued")
    assert listed(first) == list(range(52, 2, -1))
    older = re.search(r'<a href="([^"]+)" rel="next"', first)
    assert older
    second = await page(site, IMPORTS + html.unescape(older[1]))
    assert listed(second) == [2, 1]
    assert 'rel="next"' not in second
    assert "Newest" in second
    assert listed(await page(site, f"{IMPORTS}?before=99999999999999999999")) == listed(await page(site))


async def test_a_held_import_is_shown_first_with_a_link_to_the_decision(site: Site) -> None:
    await settings(site, deactivate_missing=True)
    await site.imported(people(*(f"p{number}" for number in range(20))))
    await site.imported(people(*(f"p{number}" for number in range(9))))
    for role, decide in (("owner", "Approve or discard it."), ("viewer", "An owner must approve or discard it.")):
        text = await page(site, role=role)
        first = seen(text)[: seen(text).index("State")]
        held = "Held: this file may be incomplete and would deactivate 11 of 20 active users."
        assert f"{held} {decide}" in first
        assert f'class="button" href="{IMPORTS}/2"' in text


async def test_queued_and_running_imports_are_renewed_without_a_script(site: Site) -> None:
    await site.upload(people("ann"))
    await site.office.queue.claim("acme", 1)
    await site.office.queue.progress("acme", 1, 0.25)
    await site.upload(people("ann"), dry_run=True)
    text = await page(site)
    assert '<noscript><meta http-equiv="refresh"' in text
    assert '<progress max="1" value="0.25"' in text
    assert "Import in progress." in text
    assert "Queued for a dry run." in text
    await site.office.queue.requeue("acme", 1)
    await site.run()
    assert "refresh" not in await page(site)


async def test_the_chart_shows_applied_imports_and_has_a_table(site: Site) -> None:
    await site.imported(people("ann", "bo"))
    assert "<svg" not in await page(site), "one point does not make a line"
    await site.imported(b"")
    await site.imported(people("cy"), dry_run=True)
    await site.imported(people("dee"))
    text = await page(site)
    assert text.count('class="hint"') == 2
    assert "Active users went from 2 to 3" in text
    table = re.search(r"<caption>The newest imports.*?</table>", text, re.DOTALL)
    assert table
    assert re.findall(r"<td>([\d,–]+)</td>", table[0]) == ["2", "2", "0", "0", "3", "1", "0", "0"]


async def test_the_page_names_the_zone_of_its_times_once(site: Site) -> None:
    for names in (("ann",), ("ann", "bo")):
        await site.imported(people(*names))
    text = await page(site)
    footer = text.split("<footer>")[1]
    assert "Times are in <span data-zone>UTC</span>" in footer
    assert "Pause until (<span data-zone>UTC</span>)" in text
    assert re.search(r'#1, <time datetime="[^"]+Z" data-day>\d+ \w+</time>', text)
    assert "Times are in" not in (await site.anybody().get("/sign-in")).text


async def test_the_chart_has_no_dry_run_and_no_undone_import(site: Site) -> None:
    for names in (("ann",), ("ann", "bo"), ("ann", "bo", "cy")):
        await site.imported(people(*names))
    await site.office.queue.undo("acme", 3, by="Grace (owner, token 2)")
    await site.run()
    await site.imported(people("ann", "bo", "dee"), dry_run=True)
    assert re.findall(r"<title[^>]*>#(\d+),", await page(site)) == ["1", "2"]


async def test_before_the_second_applied_import_a_sentence_stands_for_the_chart(site: Site) -> None:
    sentence = "After 2 applied imports, a chart here shows what the imports changed."
    assert sentence not in await page(site)
    await site.imported(people("ann"))
    assert sentence in await page(site)
    await site.imported(people("bo"))
    assert sentence not in await page(site)


async def test_a_chart_of_imports_without_changes_says_so(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("server.web.pages.imports.page.DRAWN", 2)
    for _ in range(2):
        await site.imported(people("ann"))
    assert "These imports changed no users." not in await page(site)
    await site.imported(people("ann"))
    assert "These imports changed no users." in await page(site)


# Live events


@asynccontextmanager
async def following(
    site: Site, path: str = f"{IMPORTS}/events", role: str = "owner", **headers: str
) -> AsyncIterator[Any]:
    """Open an event stream and yield its events as they arrive."""
    client = await site.browser(role)
    async with client.stream("GET", path, headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["x-accel-buffering"] == "no"
        yield _events(answer)


async def _events(answer: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    event: dict[str, Any] = {}
    async for line in answer.aiter_lines():
        name, _, value = line.partition(": ")
        if name == "data":
            yield {**event, **json.loads(value)}
        elif name in {"id", "event"}:
            event[name] = value


async def test_a_page_gets_all_events_since_it_was_made(site: Site) -> None:
    text = await page(site)
    after = re.search(r'data-after="(\d+)"', text)
    assert after
    await site.upload(people("ann"))
    await site.upload(people("ann"), "other")
    async with following(site, f"{IMPORTS}/events?after={after[1]}") as events, asyncio.timeout(DEADLINE_S):
        first = await anext(events)
        assert (first["event"], first["tenant"], first["import"], first["state"]) == ("state", "acme", 1, "queued")
        await site.run()
        async for event in events:
            if event["state"] == "completed":
                break
    number = {"last-event-id": first["id"]}
    async with following(site, **number) as events, asyncio.timeout(DEADLINE_S):
        assert (await anext(events))["state"] != "queued", "the browser has received that event"


async def test_the_operator_gets_the_events_of_all_tenants(site: Site) -> None:
    await site.upload(people("ann"))
    await site.upload(people("ann"), "other")
    async with following(site, "/tenants/events?after=0", "operator") as events, asyncio.timeout(DEADLINE_S):
        assert {(await anext(events))["tenant"] for _ in range(2)} == {"acme", "other"}


async def test_a_sign_out_ends_the_event_stream(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "BEAT_S", 0.05)
    client = await site.browser("owner")
    async with client.stream("GET", f"{IMPORTS}/events") as answer, asyncio.timeout(DEADLINE_S):
        await client.post("/sign-out")
        async for _ in answer.aiter_lines():
            pass


@pytest.mark.parametrize("after", ["odd", "-1", "99999999999999999999", "²"])
async def test_an_invalid_event_number_is_ignored(site: Site, after: str) -> None:
    client = await site.browser("owner")
    async with client.stream("GET", f"{IMPORTS}/events", params={"after": after}) as answer:
        assert answer.status_code == 200
