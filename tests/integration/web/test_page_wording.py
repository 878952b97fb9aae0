"""The real pages with 0, 1 and 2 of everything: right plurals, no zeros in sentences, and short sentences."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from importer.model import ImportState
from server.runs.registry import RegisteredHook
from tests.support.forms import Form
from tests.support.importing import sheet
from tests.support.keypairs import public_line
from tests.support.pages import page, seen, settings
from tests.support.plurals import Blocks, faults_of, long_sentences, mean_length
from tests.support.sentences import AVERAGE_WORDS
from tests.support.site import Site, open_site

HOME = "/tenants/acme"
HEADER = ("first_name", "last_name", "email", "job_title", "manager")
BASE = (
    "imports",
    "files",
    "files?state=ignored",
    "users",
    "users?search=unknown&state=active",
    "users?state=deactivated",
    "settings",
    "settings/history",
    "keys",
    "colleagues",
    "notifications",
)
PAGES = [f"{HOME}/{name}" for name in (*BASE, "try", "imports?state=failed", "nothing")]
HOOKS = (RegisteredHook("invoices", "/invoices/*.csv", "acme-invoices"),)
ENDS = (
    ImportState.COMPLETED,
    ImportState.COMPLETED_WITH_ERRORS,
    ImportState.FAILED,
    ImportState.QUEUED,
)
"""The ends of the files of a hook."""
ZERO_FACTS = re.compile(r"\b0 (active users|open connections|active|connections|bytes|deactivated|updated)\b")
"""Lists of facts, not sentences: the heads of the lists, and the hints of the chart."""
EXPECTED = {
    0: ("No users changed.", "No users would change.", "No active user matches"),
    1: ("1 user reactivated.", "1 row rejected.", "The undo deactivates 1 reactivated user.", "Fix 1 setting:"),
    2: ("2 users reactivated.", "2 rows rejected.", "The undo deactivates 2 reactivated users.", "Fix 2 settings:"),
}
"""Some texts that the pages must show with this count of everything."""


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other", found=HOOKS) as opened:
        yield opened


def person(name: str, job_title: str = "", manager: str = "", email: str = "") -> tuple[str, ...]:
    return (name.title(), "Lee", email or f"{name}@example.com", job_title, manager)


def crew(count: int, prefix: str = "p", job_title: str = "") -> list[tuple[str, ...]]:
    return [person(f"{prefix}{number}", job_title) for number in range(count)]


async def fill(site: Site, count: int) -> list[int]:
    """Make `count` of everything that pages count, and return the ids of the imports."""
    staff = crew(12, "s")
    changed = [*crew(count, "s", "Head"), *staff[count:]]
    rejected = [("", *person(f"bad{number}")[1:]) for number in range(count)]
    warned = [person(f"w{number}", manager="unknown@example.com") for number in range(count)]
    await settings(site, deactivate_missing=True, detect_truncation=False)
    first = [*staff, *crew(count, "left")]
    second = [*changed, *crew(count, "new"), *rejected, *warned]
    await site.imported(sheet(*first, header=HEADER))
    undone = await site.imported(sheet(*second, header=HEADER))
    if count:
        await site.office.queue.undo("acme", undone, by="Grace (owner, token 2)")
        await site.run()
    for rows in (second, [*changed, *crew(count, "new"), *crew(count, "left"), *warned]):
        await site.imported(sheet(*rows, header=HEADER))
    await site.imported(sheet(*second, header=HEADER), dry_run=True)
    for content in (b"first_name,last_name\nAnn,Lee\n", b"first_name;last_name;email\nAnn;Lee;ann@example.com\n"):
        await site.imported(content)
    await site.office.trials.of_settings("acme", {"deactivate_missing": False}, "Grace (owner, token 2)")
    await site.run()
    held = await site.imported(sheet(*crew(count, "s"), *warned, person("last"), header=HEADER))
    for state in ENDS * count:
        await site.filed(state)
    for number in range(count):
        await site.office.tenants.ring("acme").add(public_line(number=number))
    return [*range(1, held + 1)]


async def pages(site: Site, paths: list[str]) -> dict[str, str]:
    """Return the pages at `paths` as owner and as viewer, and the operator's list of companies."""
    found = {}
    for role in ("owner", "viewer"):
        browser = await site.browser(role)
        found |= {f"{role} {path}": (await browser.get(path)).text for path in paths}
    for query in ("", "?attention=true", "?search=unknown"):
        found[f"companies{query}"] = (await (await site.browser("operator")).get(f"/tenants{query}")).text
    found["sign-in"] = (await site.anybody().get("/sign-in")).text
    return found


async def wrong_settings(site: Site, count: int) -> str:
    """Return the form after saving it with `count` wrong settings."""
    owner = await site.browser("owner")
    form = Form((await owner.get(f"{HOME}/settings")).text, f"{HOME}/settings")
    wrong = dict(list({"retention_days": "0", "quota_files": "many"}.items())[:count])
    return (await owner.post(f"{HOME}/settings", data=form.but(**wrong))).text


@pytest.mark.parametrize("count", [0, 1, 2])
async def test_pages_have_the_right_plurals_and_short_sentences(site: Site, count: int) -> None:
    found = await pages(site, PAGES)
    numbers = await fill(site, count)
    files = [f"{HOME}/files/{number}" for number in range(1, len(ENDS) * count + 1)]
    after = await pages(site, [*PAGES, *files, *(f"{HOME}/imports/{number}" for number in numbers)])
    found |= {f"filled {name}": text for name, text in after.items()}
    found["settings"] = await wrong_settings(site, count)
    texts = {name: Blocks(page).found for name, page in found.items()}
    faults = {
        f"{name}: {block}": wrong
        for name, blocks in texts.items()
        for block in blocks
        if (wrong := faults_of(ZERO_FACTS.sub("", block)))
    }
    assert faults == {}
    blocks = list(dict.fromkeys(block for each in texts.values() for block in each))
    assert len(blocks) > 200
    assert long_sentences(blocks) == []
    assert mean_length(block for block in blocks if block.endswith((".", "!", "?"))) <= AVERAGE_WORDS
    shown = " ".join(blocks)
    assert all(text in shown for text in (*EXPECTED[count], "Held: this file would deactivate 1", "Tested settings"))


BOTH = sheet(person("ann"), person("bo"), header=HEADER)
NOT_FOLLOWED = {
    "perhaps_utf_8": ({"encoding": "cp1252"}, sheet(person("zoë", email="zoe@example.com"), header=HEADER)),
    "not_reactivated": ({"reactivate_returning": False}, BOTH),
    "unknown_link": ({}, sheet(person("ann", manager="unknown@example.com"), header=HEADER)),
    "absent_not_deactivated": ({}, sheet(person("ann"), ("Cy", "Lee", "", "", ""), header=HEADER)),
}
"""Settings and a file that changes no user when it comes again, by the warning that the file was not followed."""
CLAIMS = re.compile("(?i)as the file says|(had|have|is|was) to be changed|nothing to (do|change)|up to date|match")


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize("code", NOT_FOLLOWED)
async def test_a_page_with_a_warning_never_says_that_the_users_match_the_file(
    site: Site, code: str, dry_run: bool
) -> None:
    changes, content = NOT_FOLLOWED[code]
    await settings(site, deactivate_missing=True, detect_truncation=False)
    if code == "not_reactivated":  # bo leaves and returns
        await site.imported(BOTH)
        await site.imported(sheet(person("ann"), header=HEADER))
    await settings(site, **changes)
    await site.imported(content)
    number = await site.imported(content, dry_run=dry_run)
    text = seen(await page(site, f"{HOME}/imports/{number}"))
    assert code in text
    assert f"No users {'would change' if dry_run else 'changed'}" in text
    assert not CLAIMS.search(text), CLAIMS.search(text)
    assert not CLAIMS.search(seen(await page(site, f"{HOME}/imports")))
