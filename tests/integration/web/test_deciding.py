"""The page of a held import: why it is held, the users that it would change, and the decision."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.support.forms import Form
from tests.support.importing import HEADER, people, sheet
from tests.support.pages import IMPORTS, page, seen, settings
from tests.support.site import Site, open_site


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other") as opened:
        yield opened


async def hold(site: Site, before: bytes, after: bytes) -> int:
    """Import two complete lists; return the id of the second, which must be held."""
    await settings(site, deactivate_missing=True)
    await site.imported(before)
    number = await site.imported(after)
    assert (await site.office.reader.require("acme", number)).state == "held"
    return number


async def rows_of(site: Site, number: int) -> list[list[str]]:
    answer = await (await site.browser("viewer")).get(f"{IMPORTS}/{number}/touched.csv")
    assert (answer.status_code, answer.headers["content-type"]) == (200, "text/csv; charset=utf-8")
    assert answer.headers["content-disposition"] == f'attachment; filename="sync_users-{number}.touched.csv"'
    return [*csv.reader(io.StringIO(answer.content.decode("utf-8-sig")))]


async def test_an_approval_asks_once_more_and_carries_the_list_that_was_shown(site: Site) -> None:
    number = await hold(site, people(*(f"p{each}" for each in range(20))), people("p0", "p1"))
    here = f"{IMPORTS}/{number}"
    text = await page(site, here)
    asked = text.index("<summary", text.index('id="approve"'))
    assert text.index("Approve: deactivate 18 users", asked) < text.index("Deactivate 18 users</button>")
    assert "The approval deactivates 18 users. Check the list of these users below first." in seen(text)
    owner = await site.browser("owner")
    for form in ({}, {"held_at": ""}):
        refused = await owner.post(f"{here}/approve", data=form)
        assert refused.status_code == 409
        assert "review its users again" in seen(refused.text)
    assert (await site.office.reader.require("acme", number)).state == "held"
    form = Form(text, f"{here}/approve").but()
    assert (await owner.post(f"{here}/approve", data=form)).status_code == 303


async def test_an_import_that_deactivates_no_user_is_approved_by_its_number(site: Site) -> None:
    await settings(site, max_creations_percent=10)
    await site.imported(people("ann"))
    number = await site.imported(people("ann", "bo", "cy"))
    text = await page(site, f"{IMPORTS}/{number}")
    assert "Approve import The approval creates 2 users." in seen(text)
    assert f"Approve import #{number}</button>" in text


COLUMNS = ["identifier", "name", "email", "action", "line"]


async def test_users_that_a_held_import_would_change_are_downloaded_as_csv(site: Site) -> None:
    names = [f"p{number}" for number in range(8)]
    leavers = [("Pete", "Smith", f"{name}@example.com", "1") for name in names[:2]]
    left = sheet(*leavers, header=(*HEADER, "deactivate"))
    new = b"'=cmd,Lee,new@example.com,\n"
    number = await hold(site, people(*names), left + new)
    assert await rows_of(site, number) == [
        COLUMNS,
        ["p0@example.com", "Pete Smith", "p0@example.com", "deactivated", "2"],
        ["p1@example.com", "Pete Smith", "p1@example.com", "deactivated", "3"],
        *([f"p{at}@example.com", f"P{at} Smith", f"p{at}@example.com", "deactivated", ""] for at in range(2, 8)),
        ["new@example.com", "'=cmd Lee", "new@example.com", "created", "4"],
    ]
    assert f'href="{IMPORTS}/{number}/touched.csv"' in await page(site, f"{IMPORTS}/{number}")


async def test_a_csv_of_many_users_holds_each_once(site: Site) -> None:
    names = [f"p{number}" for number in range(1050)]
    number = await hold(site, people(*names), people("p0"))
    rows = await rows_of(site, number)
    assert [row[0] for row in rows[1:]] == [f"{name}@example.com" for name in names[1:]]


async def test_a_list_of_an_earlier_version_has_no_lines(site: Site) -> None:
    number = await hold(site, people(*(f"p{number}" for number in range(8))), people("p0"))
    path = site.office.tenants.folder("acme").touched(number)
    entries = [json.loads(line) for line in path.read_text().splitlines()]
    for each in entries:
        del each["line"]
    path.write_text("".join(f"{json.dumps(each)}\n" for each in entries))
    assert {row[4] for row in (await rows_of(site, number))[1:]} == {""}


async def test_an_applied_import_has_a_csv_without_users(site: Site) -> None:
    assert await rows_of(site, await site.imported(people("ann"))) == [COLUMNS]
    assert "touched.csv" not in await page(site, f"{IMPORTS}/1")
