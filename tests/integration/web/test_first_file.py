"""The empty list of imports leads to the first file in three steps, and ticks those that are done."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from tests.support.importing import people
from tests.support.keypairs import public_line
from tests.support.pages import IMPORTS, page, seen
from tests.support.site import Site, open_site

STEPS = ("Add a key", "Connect with WinSCP", "Send sync_users.csv")


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(
        tmp_path, "acme", "other", sftp_public_host="files.example.com", sftp_public_port=2022
    ) as it:
        yield it


def steps(text: str) -> dict[str, bool]:
    """Return the steps on a page, and whether each is ticked."""
    ticked = '<span class="badge completed">Done</span>'
    found = re.findall(rf'<li( class="done")?>\s*<h3>([^<]*?)\s*(?:{ticked})?</h3>', text)
    assert text.count("Done</span>") == sum(bool(done) for done, _ in found)
    return {name: bool(done) for done, name in found}


@pytest.mark.parametrize("role", ["viewer", "owner", "operator"])
async def test_an_empty_company_sees_three_steps_with_what_to_enter(site: Site, role: str) -> None:
    text = await page(site, role=role)
    assert steps(text) == dict.fromkeys(STEPS, False)
    shown = seen(text)
    for each in ("File protocol SFTP", "Host name files.example.com", "Port number 2022", "User name acme"):
        assert each in shown
    for program in ("winscp", "filezilla", "sftp"):
        assert f'href="/help/owner-guide#{program}"' in text
    assert 'href="/help/sync_users.csv" download' in text
    may_change = role != "viewer"
    assert ("On Windows, PuTTYgen does that" in shown) == may_change
    assert ("Ask an owner to add the key" in shown) == (not may_change)
    assert ('href="/tenants/acme/keys#add"' in text) == may_change
    assert ('href="/tenants/acme/try">test it first</a>' in text) == may_change


async def test_a_step_is_ticked_when_it_is_done(site: Site) -> None:
    ring = site.office.tenants.ring("acme")
    key = await ring.add(public_line())
    assert steps(await page(site)) == dict(zip(STEPS, (True, False, False), strict=True))
    site.office.key_uses.used("acme", key.fingerprint, "192.0.2.1")
    assert steps(await page(site)) == dict(zip(STEPS, (True, True, False), strict=True))
    assert steps(await page(site, role="viewer")) == dict(zip(STEPS, (True, True, False), strict=True))


async def test_an_expired_key_ticks_no_step(site: Site) -> None:
    ring = site.office.tenants.ring("acme")
    await ring.add(public_line(), expires="2001-01-31", now=datetime(2001, 1, 1, tzinfo=UTC))
    assert steps(await page(site)) == dict.fromkeys(STEPS, False)


async def test_the_steps_are_shown_until_the_first_file_and_on_no_filtered_list(site: Site) -> None:
    assert "No files yet" not in await page(site, f"{IMPORTS}?state=held")
    assert "No files yet" not in await page(site, f"{IMPORTS}?before=1")
    await site.upload(people("ann"))
    assert "No files yet" not in await page(site)


async def test_the_steps_of_another_company_are_its_own(site: Site) -> None:
    ring = site.office.tenants.ring("other")
    key = await ring.add(public_line())
    site.office.key_uses.used("other", key.fingerprint, "192.0.2.1")
    assert steps(await page(site)) == dict.fromkeys(STEPS, False)
