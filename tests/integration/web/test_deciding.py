"""The page of a held import: why it is held, the users that it would change, and the decision."""

from __future__ import annotations

import csv
import html
import io
import json
import re
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest

from engine.tokens import Role
from ground.moments import rfc3339, utc_now
from importer.model import Counts, FileFacts, Guard, GuardReason, ImportState, Outcome
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


async def test_the_page_says_when_another_file_replaces_a_held_import(site: Site) -> None:
    here = f"{IMPORTS}/{await hold(site, people(*(f'p{each}' for each in range(20))), people('p0'))}"
    assert "You can also send the right file: it replaces this one." in seen(await page(site, here))
    await settings(site, paused_until=rfc3339(utc_now() + timedelta(days=1)))
    told = seen(await page(site, here))
    assert "the right file: it replaces this one when the pause of the imports has ended." in told


async def test_an_import_that_deactivates_no_user_is_approved_by_its_number(site: Site) -> None:
    await settings(site, max_creations_percent=10)
    await site.imported(people("ann"))
    number = await site.imported(people("ann", "bo", "cy"))
    text = await page(site, f"{IMPORTS}/{number}")
    assert "Approve import The approval creates 2 users." in seen(text)
    assert f"Approve import #{number}</button>" in text


async def test_a_viewer_sees_which_owners_can_decide(site: Site) -> None:
    tokens = site.office.tokens
    await tokens.create("acme", Role.OWNER, comment="Grace, HR")
    await tokens.create("acme", Role.OWNER, comment="Grace, HR")
    await tokens.create("acme", Role.VIEWER, comment="Vic")
    await tokens.create("other", Role.OWNER, comment="Olga")
    here = f"{IMPORTS}/{await hold(site, people(*(f'p{each}' for each in range(20))), people('p0'))}"
    told = seen(await page(site, here, role="viewer"))
    assert "Only an owner can approve or discard. Owners: “Grace, HR”. " in told
    assert "Owners:" not in await page(site, here)


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
    name = f"messages/{number}.touched.jsonl"
    entries = [json.loads(line) for line in (site.stored.kept("acme", name) or b"").splitlines()]
    assert entries
    for each in entries:
        del each["line"]
    site.stored.keep("acme", name, "".join(f"{json.dumps(each)}\n" for each in entries).encode())
    assert {row[4] for row in (await rows_of(site, number))[1:]} == {""}


async def test_an_applied_import_has_no_csv_of_users_to_change(site: Site) -> None:
    number = await site.imported(people("ann"))
    assert (await (await site.browser("viewer")).get(f"{IMPORTS}/{number}/touched.csv")).status_code == 404
    assert "touched.csv" not in await page(site, f"{IMPORTS}/1")


async def crowd(site: Site) -> str:
    """Hold an import that deactivates 30 users, creates 2 and updates 1; return its page."""
    names = [f"p{each:02}" for each in range(40)]
    new = [("Zoë", "Adams", "zoe@example.com"), ("Max", "Adams", "max@example.com")]
    other = sheet(*new, ("Amy", "Smith", "p00@example.com"))
    rest = people(*names[1:10]).partition(b"\n")[2]
    return f"{IMPORTS}/{await hold(site, people(*names), other + rest)}"


def names_in(text: str) -> list[str]:
    """Return the names in the list of users to change, in order."""
    section = text[text.index('<h2 id="touched">') :]
    found = re.findall(r'<th scope="row">(?:<a [^>]*>)?([^<]+)', section[: section.index("</section>")])
    return [html.unescape(each) for each in found]


async def test_the_users_that_an_import_would_change_are_found_by_words(site: Site) -> None:
    here = await crowd(site)
    for search, names in {
        "p15": ["P15 Smith"],
        "SMITH p2": [f"P2{each} Smith" for each in range(10)],
        "zoe": ["Zoë Adams"],
        "ZOË adams": ["Zoë Adams"],
        "max@example": ["Max Adams"],
        "nobody": [],
    }.items():
        text = await page(site, f"{here}?action=all&search={search}")
        assert names_in(text) == names
        assert ("No users found." in text) is not bool(names)
        assert "Show all" in text
    assert "1–1 of 1 user" in seen(await page(site, f"{here}?search=p15"))
    assert names_in(await page(site, f"{here}?search=zoe")) == [], "only users to deactivate"


async def test_users_to_change_are_filtered_by_action_and_sorted(site: Site) -> None:
    here = await crowd(site)
    first = await page(site, here, role="viewer")
    assert "Users to deactivate All 33 Deactivate 30 Create 2 Update 1" in seen(first)
    assert names_in(first) == [f"P{each} Smith" for each in range(10, 35)]
    assert names_in(await page(site, f"{here}?action=created")) == ["Max Adams", "Zoë Adams"]
    assert "Row Max Adams max@example.com line 3" in seen(await page(site, f"{here}?action=created"))
    everyone = await page(site, f"{here}?action=all")
    assert names_in(everyone)[:3] == ["Amy Smith", "Max Adams", "P10 Smith"]
    by_action = await page(site, f"{here}?action=all&sort=action&touched=25")
    assert names_in(by_action)[-4:] == ["P39 Smith", "Max Adams", "Zoë Adams", "Amy Smith"]
    assert names_in(await page(site, f"{here}?action=odd&sort=odd")) == names_in(first)


async def test_the_pages_of_users_to_change_say_which_part_they_show(site: Site) -> None:
    here = await crowd(site)
    first = await page(site, f"{here}?action=all&search=smith&severity=error")
    assert "1–25 of 31 users Next page" in seen(first)
    following = re.search(r'<a href="([^"]+)#touched" rel="next"', first)
    assert following
    second = await page(site, f"{here}{html.unescape(following[1])}")
    assert "First page 26–31 of 31 users" in seen(second)
    assert len({*names_in(first), *names_in(second)}) == 31
    assert names_in(await page(site, f"{here}?touched={2**60}")) == names_in(await page(site, here))


async def test_a_search_keeps_the_other_filters_of_the_page(site: Site) -> None:
    here = await crowd(site)
    form = Form(await page(site, f"{here}?action=all&sort=action&severity=error&touched=25"), f"{here}#touched")
    assert sorted(form.pairs) == [("action", "all"), ("search", ""), ("severity", "error"), ("sort", "action")]


async def test_the_reasons_of_a_held_import_are_a_list_one_fact_each(site: Site) -> None:
    text = await page(site, await crowd(site))
    decision = text[text.index('<h2 id="decide">') : text.index('id="approve"')]
    assert re.findall("<li>(.*)</li>", decision) == [
        "It would deactivate 30 of 40 active users (more than half).",
        "The file may be incomplete.",
        "The last active user of the previous applied file is not in it.",
        "It has 12 rows, and the previous applied file had 40 (more than 20% fewer).",
        "The import would deactivate 30 users who are not in the file.",
    ]


def test_an_outcome_of_an_earlier_version_has_no_list_of_reasons() -> None:
    guard = Guard((GuardReason.TOO_MANY_DEACTIVATIONS,), 10, 9, 9)
    held = Outcome(ImportState.HELD, Counts(deactivated=9), FileFacts("a.csv", 1), message="Held.", guard=guard)
    data = replace(held, why=("It would deactivate 9 users.",)).to_json()
    assert Outcome.from_json(data).why == ("It would deactivate 9 users.",)
    del data["why"]
    assert Outcome.from_json(data) == held


async def test_a_changed_domain_is_named_with_the_setting_that_keeps_the_users(site: Site) -> None:
    await settings(site, max_deactivations_percent=100, max_creations_percent=10)
    before = sheet(*[(f"F{each}", "Lee", f"u{each}@old.example") for each in range(8)])
    after = sheet(*[(f"G{each}", "Lee", f"u{each}@new.example") for each in range(8)])
    text = await page(site, f"{IMPORTS}/{await hold(site, before, after)}")
    told = seen(text)
    assert "8 users to deactivate have the address of a new user, except for the domain" in told
    assert "(u0@old.example and u0@new.example, for example). The domain of their addresses changed." in told
    assert '<a href="/tenants/acme/settings#identifier">' in text
    assert 'id="identifier"' in await page(site, "/tenants/acme/settings")


async def test_changed_identifiers_are_named_with_the_setting(site: Site) -> None:
    names = [f"p{each}" for each in range(12)]
    before = sheet(*[(name, "Lee", f"{name}@old.example") for name in names])
    after = sheet(*[(name, "Lee", f"{name}.lee@new.example") for name in names])
    text = await page(site, f"{IMPORTS}/{await hold(site, before, after)}")
    assert "may create the same people again under another email" in seen(text)
    assert '<a href="/tenants/acme/settings#identifier">' in text
    assert "says which field identifies a user. It is now email ." in seen(text)


async def test_an_import_held_for_another_reason_names_changed_identifiers(site: Site) -> None:
    await settings(site, max_deactivations_percent=100, max_creations_percent=10)
    names = [f"p{each}" for each in range(12)]
    before = sheet(*[(name, "Lee", f"{name}@old.example") for name in names])
    after = sheet(*[(name, "Lee", f"{name}.lee@new.example") for name in names])
    text = await page(site, f"{IMPORTS}/{await hold(site, before, after)}")
    assert "may already exist under another email" in seen(text)
    assert '<a href="/tenants/acme/settings#identifier">' in text


async def test_a_held_import_of_real_leavers_links_to_no_identifier(site: Site) -> None:
    assert "settings#identifier" not in await page(site, await crowd(site))
