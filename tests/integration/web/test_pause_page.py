"""The pause of a feed on the page of the imports, for every role."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest

from ground.moments import rfc3339, utc_now
from importer.model import ImportState
from importer.worker.turns import Turns
from server.web.pages.imports.pausing import moment_of
from tests.support.importing import people
from tests.support.pages import IMPORTS, done, page, seen, settings
from tests.support.site import Site, open_site
from tests.support.waiting import eventually

PAUSE, RESUME = f"{IMPORTS}/pause", f"{IMPORTS}/resume"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other") as opened:
        yield opened


def typed(hours: float = 24) -> str:
    return f"{utc_now() + timedelta(hours=hours):%Y-%m-%dT%H:%M}"


async def turned(site: Site) -> None:
    """Let the worker look once for an import to run."""
    assert await Turns(site.office.queue, site.closing, site._starter).due("acme") is None


async def test_an_owner_pauses_the_imports_and_the_page_says_who_until_when_and_why(site: Site) -> None:
    owner = await site.browser("owner")
    until = typed()
    answer = await owner.post(PAUSE, data={"until": until, "because": " <b>Migration</b> "})
    assert done(answer) == (f"{IMPORTS}", "paused")
    await site.upload(people("ann"))
    await turned(site)
    for role in ("owner", "viewer", "operator"):
        text = await page(site, role=role)
        sentence = r"Owner, token 2 paused the imports until .+ UTC : <b>Migration</b>\. 1 file waits for the end"
        assert re.search(sentence, seen(text))
        assert f'<time datetime="{until}:00.000Z"' in text
        assert "Queued. Paused until" in seen(text)
        assert f'<time datetime="{until}:00Z"' in text, "the message of the import is in the reader's zone"
        assert ("End the pause" in text) is ("Change the pause" in text) is (role != "viewer")
    assert f'value="{until}"' in await page(site)
    one = await page(site, f"{IMPORTS}/1")
    assert "Queued. Paused until" in seen(one)


async def test_a_page_on_which_all_imports_wait_for_the_pause_does_not_reload(site: Site) -> None:
    await settings(site, paused_until=rfc3339(utc_now() + timedelta(days=1)))
    number = await site.upload(people("ann"))
    for path in (IMPORTS, f"{IMPORTS}/{number}"):
        assert "http-equiv" not in await page(site, path), "a reload loses what is typed in the form of the pause"
    await site.upload(people("ann"), dry_run=True)
    assert 'http-equiv="refresh"' in await page(site), "a dry run does not wait for the pause"


async def test_a_refused_form_of_a_pause_does_not_reload_and_its_page_renews_itself(site: Site) -> None:
    await site.upload(people("ann"))
    answer = await (await site.browser("owner")).post(PAUSE, data={"because": "Move"})
    assert answer.status_code == 422
    assert "http-equiv" not in answer.text
    assert f'data-page="{IMPORTS}"' in answer.text


async def test_an_owner_ends_the_pause_and_the_file_is_imported(site: Site) -> None:
    owner = await site.browser("owner")
    await owner.post(PAUSE, data={"until": typed()})
    number = await site.upload(people("ann"))
    await turned(site)
    answer = await owner.post(RESUME)
    assert done(answer) == (f"{IMPORTS}", "resumed")
    assert site.office.queue.changed.is_set()
    now = await site.office.tenants.settings("acme")
    assert (now.paused_until, now.paused_because) == (None, None)
    await site.run()
    entry = await site.office.reader.require("acme", number)
    assert (entry.state, entry.message) == (ImportState.COMPLETED, None)
    text = seen(await page(site))
    assert "paused" not in text
    assert "Pause the imports" in text


@pytest.mark.parametrize(
    ("sent", "reason"),
    [
        ({}, "Choose the date and the time at which the pause ends."),
        ({"until": "2001-01-01T08:00"}, "1 Jan 2001, 08:00 UTC is past."),
        ({"until": "2201-01-01T08:00"}, "is more than 366 days ahead."),
        ({"until": "soon"}, "Must be a time with its zone"),
        ({"until": typed(), "because": "x" * 201}, "at most 200 characters"),
    ],
)
async def test_a_refused_pause_shows_the_form_with_the_reason(site: Site, sent: dict[str, str], reason: str) -> None:
    answer = await (await site.browser("owner")).post(PAUSE, data={**sent, "because": sent.get("because", "Move")})
    assert answer.status_code == 422
    assert reason in seen(answer.text)
    assert '<details class="card" id="pause" open>' in answer.text
    assert f'value="{sent.get("because", "Move")}"' in answer.text
    assert (await site.office.tenants.settings("acme")).paused_until is None


async def test_only_owners_and_the_operator_pause_and_resume(site: Site) -> None:
    stranger, viewer, other = site.anybody(), await site.browser("viewer"), await site.browser("elsewhere")
    for path in (PAUSE, RESUME):
        assert (await stranger.post(path, headers={"sec-fetch-site": "same-origin"})).status_code == 303
        assert (await viewer.post(path, data={"until": typed()})).status_code == 403
        assert (await other.post(path, data={"until": typed()})).status_code == 404
    assert (await site.office.tenants.settings("acme")).paused_until is None
    operator = await site.browser("operator")
    assert (await operator.post(PAUSE, data={"until": typed()})).status_code == 303
    assert (await site.office.tenants.settings("acme")).paused_until is not None


async def test_a_reason_with_a_time_that_does_not_exist_is_shown_as_it_was_typed(site: Site) -> None:
    because = "Until 2026-02-30 25:61 UTC & <b>later</b>"
    assert (await (await site.browser("owner")).post(PAUSE, data={"until": typed(), "because": because})).status_code
    number = await site.upload(people("ann"))
    await turned(site)
    for path in (IMPORTS, f"{IMPORTS}/{number}"):
        assert because in seen(await page(site, path, role="viewer"))


async def test_an_undo_on_the_page_and_over_the_api_does_not_wait_for_a_paused_import(site: Site) -> None:
    for names in (("ann",), ("ann", "bob")):
        await site.imported(people(*names))
    await settings(site, paused_until=rfc3339(utc_now() + timedelta(days=1)))
    await site.upload(people("cy"))
    assert f'action="{IMPORTS}/2/undo"' in await page(site, f"{IMPORTS}/2")
    undone = await (await site.browser("owner")).post(f"{IMPORTS}/2/undo")
    assert done(undone) == (f"{IMPORTS}/2", "undoing")
    await run_until(site, 2, ImportState.UNDONE)
    answer = await site.api("owner").post("/api/v1/tenants/acme/imports/1/undo")
    assert answer.status_code == 202, answer.text
    await run_until(site, 1, ImportState.UNDONE)
    report = (await site.api("viewer").get("/api/v1/tenants/acme/imports/3")).json()
    assert (report["state"], report["message"][:12]) == ("queued", "Paused until")


async def run_until(site: Site, number: int, state: ImportState) -> None:
    async def there() -> bool:
        return (await site.office.reader.require("acme", number)).state is state

    async with site.working():
        await eventually(there)


async def test_the_pause_is_a_setting_of_the_api(site: Site) -> None:
    owner, path = site.api("owner"), "/api/v1/tenants/acme/settings"
    until = rfc3339(utc_now() + timedelta(days=1))
    changed = await owner.patch(path, json={"paused_until": until, "paused_because": "Move"})
    assert (changed.json()["paused_until"], changed.json()["paused_because"]) == (until, "Move")
    refused = await owner.patch(path, json={"paused_until": "2001-01-01T00:00:00Z"})
    assert (refused.status_code, refused.json()["code"]) == (422, "bad_setting")
    assert "is past" in refused.json()["detail"]
    assert (await owner.patch(path, json={"paused_until": None})).json()["paused_until"] is None


def test_the_end_is_read_in_the_zone_of_the_script_or_in_utc() -> None:
    assert moment_of("2026-12-31T09:00", "2026-12-31T08:00:00.000Z") == "2026-12-31T08:00:00.000Z"
    assert moment_of("2026-12-31T09:00", "") == "2026-12-31T09:00:00.000Z"
    assert moment_of(" ", "2026-12-31T08:00:00.000Z") == ""
    assert moment_of("soon", "") == "soon"
