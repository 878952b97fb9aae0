"""The expected counts of advice are those of the import: with users and without, warnings included."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.integration.advice.test_followed import advised, follow, sheet
from tests.support.site import Site, open_site

OURS = "first_name,last_name,email"
UNKNOWN = "Locker,Shoe Size,Badge Colour,skills"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other") as opened:
        yield opened


FILE = sheet(
    f"{OURS},language,Work Location,{UNKNOWN}",
    *("Ann,Lee,ann@a.test,Deutsch,L1,1,2,red,x", "Bo,Ng,bo@a.test,English,L1,1,2,red,x"),
)
SAME_HEADER = FILE.replace("Deutsch", "de").replace("English", "en")
OTHER_HEADER = sheet(OURS, "Ann,Lee,ann@a.test")
FAILS = sheet(f"First Name,Last Name,Email,{UNKNOWN}", "Ann,Lee,ann@a.test,1,2,red,x")


def told(advice: Any) -> Any:
    return advice["state"], advice["counts"]


@pytest.mark.parametrize("dry_run", [False, True])
@pytest.mark.parametrize(
    "before", [None, SAME_HEADER, OTHER_HEADER], ids=["no users", "its header", "another header"]
)
@pytest.mark.parametrize("file", [FILE, FAILS], ids=["rejects", "fails"])
async def test_the_expected_counts_are_the_counts_of_the_import(
    site: Site, file: str, before: str | None, *, dry_run: bool
) -> None:
    if before is not None:
        await site.imported(before.encode())
    advice = await advised(site, file, dry_run=dry_run)
    assert advice["settings"]
    report = await follow(site, advice, file)
    assert told(advice) == (report["state"], report["counts"])


async def test_earlier_messages_about_the_header_are_not_counted_again(site: Site) -> None:
    await site.imported(SAME_HEADER.encode())
    without = await advised(site, FILE)
    assert without["counts"]["warnings"] == 0


async def test_a_file_without_dry_run_has_no_expected_counts(site: Site) -> None:
    first = await advised(site, FAILS)
    again = await advised(site, f"{FAILS}Bo,Ng,bo@a.test,1,2,red,x\n")
    assert first["counts"]["created"] == 1
    assert again == {**first, "state": None, "counts": None}
