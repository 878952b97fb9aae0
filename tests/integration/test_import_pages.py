"""The pages about imports: the list of them, one of them, and what may be done there."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.importing import people, sheet
from tests.support.site import Site, open_site

HOME = "/tenants/acme/imports"
NASTY = "<img src=x onerror=alert(1)>"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other") as opened:
        yield opened


async def page(site: Site, path: str = HOME, *, role: str = "owner", status: int = 200) -> str:
    answer = await (await site.browser(role)).get(path)
    assert answer.status_code == status, answer.text
    return answer.text


def seen(text: str) -> str:
    """What somebody reads on a page."""
    main = text[text.index("<main") : text.index("</main>")]
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", main)).split())


def numbers(text: str) -> list[int]:
    """The imports in the list."""
    return [int(found) for found in re.findall(r'<th scope="row"><a href="[^"]*/imports/(\d+)"', text)]


async def settings(site: Site, **changes: Any) -> None:
    await site.office.tenants.change_settings("acme", changes)


# The list


async def test_before_the_first_file_the_list_says_what_to_do(site: Site) -> None:
    text = await page(site)
    assert "No file has come yet" in text
    assert "/tenants/acme/keys" in text
    assert "<svg" not in text


async def test_the_newest_import_comes_first_with_what_it_did(site: Site) -> None:
    await site.imported(people("ann", "bo"))
    await site.imported(sheet(("Ann", "Jones", "ann@example.com"), ("Cy", "Lee", "cy@example.com"), ("", "x", "y")))
    text = await page(site)
    assert numbers(text) == [2, 1]
    row = re.search(r"#2</a>.*?</tr>", text, re.DOTALL)
    assert row
    told = [found[1] for found in re.finditer(r'data-label="\w+">([\d,]+)<', row[0])]
    assert told == ["3", "1", "1", "0", "1"], "rows, joined, changed, left, rejected"
    assert "Completed, with rejected rows" in row[0]


async def test_only_those_in_one_state_can_be_shown(site: Site) -> None:
    await site.imported(people("ann"))
    await site.imported(b"")
    text = await page(site, f"{HOME}?state=failed")
    assert numbers(text) == [2]
    assert '<option value="failed" selected>' in text
    assert "None is “Discarded”" in seen(await page(site, f"{HOME}?state=discarded"))
    assert numbers(await page(site, f"{HOME}?state=odd")) == [2, 1]


async def test_older_imports_are_on_further_pages(site: Site) -> None:
    for _ in range(52):
        await site.upload(b"x")
    first = await page(site, f"{HOME}?state=queued")
    assert numbers(first) == list(range(52, 2, -1))
    older = re.search(r'<a href="([^"]+)" rel="next"', first)
    assert older
    second = await page(site, HOME + html.unescape(older[1]))
    assert numbers(second) == [2, 1]
    assert 'rel="next"' not in second
    assert "Newest" in second
    assert numbers(await page(site, f"{HOME}?before=99999999999999999999")) == numbers(await page(site))


async def test_a_held_import_stands_out_and_leads_to_the_decision(site: Site) -> None:
    await settings(site, deactivate_missing=True)
    await site.imported(people(*(f"p{number}" for number in range(20))))
    await site.imported(people(*(f"p{number}" for number in range(9))))
    for role, told in (("owner", "waits for you"), ("viewer", "waits for an owner to decide")):
        text = await page(site, role=role)
        first = seen(text)[: seen(text).index("State")]
        assert f"would deactivate 11 of 20 people, so it {told}" in first
        assert f'class="button" href="{HOME}/2"' in text


async def test_what_waits_and_runs_is_shown_and_renewed_without_a_script_too(site: Site) -> None:
    await site.upload(people("ann"))
    await site.office.queue.claim("acme", 1)
    await site.office.queue.progress("acme", 1, 0.25)
    await site.upload(people("ann"), dry_run=True)
    text = await page(site)
    assert '<noscript><meta http-equiv="refresh"' in text
    assert '<progress max="1" value="0.25"' in text
    assert "This file is being imported." in text
    assert "This file waits for its turn to be tried." in text
    await site.office.queue.put_back("acme", 1)
    await site.run()
    assert "refresh" not in await page(site)


async def test_the_chart_is_of_applied_imports_and_can_be_read_as_a_table(site: Site) -> None:
    await site.imported(people("ann", "bo"))
    assert "<svg" not in await page(site), "one point is no line"
    await site.imported(b"")
    await site.imported(people("cy"), dry_run=True)
    await site.imported(people("dee"))
    text = await page(site)
    assert text.count('class="hint"') == 2
    assert "Users went from 2 to 3" in text
    table = re.search(r"<caption>The last imports.*?</table>", text, re.DOTALL)
    assert table
    assert re.findall(r"<td>([\d,–]+)</td>", table[0]) == ["2", "2", "0", "0", "3", "1", "0", "0"]
