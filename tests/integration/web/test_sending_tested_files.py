"""Send a tested file from its page: exactly the tested bytes land, once, and only while the test is still true."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from ground.moments import rfc3339, utc_now
from importer.model import ImportState
from importer.queue.entry import Entry
from importer.worker.pruning import trim_copies
from tests.support.chosen import EMBEDDED, chosen_engine
from tests.support.forms import Form
from tests.support.importing import people
from tests.support.pages import IMPORTS, done, page, seen
from tests.support.site import Site, open_site
from tests.support.waiting import eventually

FILE = people("ann", "ben")
SEMICOLONS = b"first_name;last_name;email;Vorname\nAnn;Lee;ann@x.example;Ann\n"
SETTINGS = "/tenants/acme/settings"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other") as opened:
        yield opened


def visible(site: Site) -> bytes | None:
    return site.stored.visible("acme", "/sync_users.csv")


async def a_test(site: Site, content: bytes = FILE) -> str:
    """Test a file on the page to its end; return the path of the page of the test."""
    files = {"file": ("march.csv", content, "text/csv")}
    answer = await (await site.browser("owner")).post("/tenants/acme/try", files=files)
    assert answer.status_code == 303, seen(answer.text)
    await site.run()
    return answer.headers["location"].partition("?")[0]


async def send(site: Site, test: str, role: str = "owner") -> httpx.Response:
    return await (await site.browser(role)).post(f"{test}/send")


async def entry(site: Site, number: int) -> Entry:
    return await site.office.reader.require("acme", number)


async def test_the_tested_bytes_land_and_the_import_links_to_its_test(site: Site) -> None:
    test = await a_test(site)
    text = await page(site, test)
    assert "<button>Send this file: create 2 users</button>" in text
    browser = await site.browser("owner")
    answer = await browser.post(f"{test}/send")
    assert done(answer) == (f"{IMPORTS}/2", "sent")
    assert visible(site) == FILE
    assert "File sent. Its import is queued." in seen((await browser.get(answer.headers["location"])).text)
    await site.run()
    sent = await entry(site, 2)
    assert (sent.state, sent.sent_by, sent.tested) == (ImportState.COMPLETED, "owner, token 2", 1)
    assert sent.file.sha256 == hashlib.sha256(FILE).hexdigest() == (await entry(site, 1)).file.sha256
    shown = await page(site, f"{IMPORTS}/2")
    assert "Sent by owner, token 2" in seen(shown)
    assert f'<dt>Tested as</dt><dd><a href="{IMPORTS}/1">Import #1</a>' in shown
    await eventually(lambda: site.stored.copy("acme", 1) is None)


async def test_a_second_click_leads_to_the_same_import(site: Site) -> None:
    test = await a_test(site)
    answers = await asyncio.gather(*(send(site, test) for _ in range(3)), send(site, test, "operator"))
    assert {done(each) for each in answers} == {(f"{IMPORTS}/2", "sent")}
    await site.run()
    assert done(await send(site, test)) == (f"{IMPORTS}/2", "sent")
    assert [each.id for each in await site.office.reader.page("acme")] == [2, 1]
    text = await page(site, test)
    assert f'This file was sent. It is <a href="{IMPORTS}/2">import #2</a>.' in text
    assert f'action="{test}/send"' not in text


async def test_a_second_click_after_a_newer_import_leads_to_the_same_import(site: Site) -> None:
    test = await a_test(site)
    assert done(await send(site, test)) == (f"{IMPORTS}/2", "sent")
    await site.run()
    await site.imported(people("cy"))
    assert f'This file was sent. It is <a href="{IMPORTS}/2">import #2</a>.' in await page(site, test)
    assert done(await send(site, test)) == (f"{IMPORTS}/2", "sent")
    assert [each.id for each in await site.office.reader.page("acme")] == [3, 2, 1]


async def test_a_viewer_neither_sees_the_button_nor_sends(site: Site) -> None:
    test = await a_test(site)
    text = await page(site, test, role="viewer")
    assert "Send this file" not in text
    assert (await send(site, test, "viewer")).status_code == 403
    assert (await send(site, test, "elsewhere")).status_code == 404
    stranger = await site.anybody(**{"sec-fetch-site": "same-origin"}).post(f"{test}/send")
    assert (stranger.status_code, stranger.headers["location"].partition("?")[0]) == (303, "/sign-in")
    foreign = site.anybody(**{"sec-fetch-site": "cross-site"})
    foreign.cookies = (await site.browser("owner")).cookies
    assert (await foreign.post(f"{test}/send")).status_code == 403
    assert visible(site) is None
    assert (await send(site, test, "operator")).status_code == 303


async def test_a_test_that_would_be_held_says_so_on_its_button(site: Site) -> None:
    many = [f"user{number}" for number in range(20)]
    await site.imported(people(*many))
    await site.office.tenants.change_settings("acme", {"deactivate_missing": True})
    test = await a_test(site, people(*many[:5]))
    assert "<button>Send this file: its import will be held for your approval</button>" in await page(site, test)
    assert (await send(site, test)).status_code == 303
    await site.run()
    assert (await entry(site, 3)).state is ImportState.HELD


async def test_a_failed_test_has_no_button(site: Site) -> None:
    test = await a_test(site, b"")
    assert "Send this file" not in await page(site, test)
    answer = await send(site, test)
    assert (answer.status_code, visible(site)) == (409, None)
    assert "Import 1 of acme failed: fix the file, and test it again." in seen(answer.text)


async def test_settings_are_tested_on_a_file_whose_test_failed(site: Site) -> None:
    await a_test(site, SEMICOLONS)
    assert (await entry(site, 1)).state is ImportState.FAILED
    form = await page(site, SETTINGS)
    assert "The examples below are from the file of" in seen(form)
    assert "Vorname" in seen(form)
    owner = await site.browser("owner")
    answer = await owner.post(f"{SETTINGS}/try", data=Form(form, SETTINGS).but(delimiter="semicolon"))
    assert answer.headers.get("location") == f"{IMPORTS}/2", seen(answer.text)
    await site.run()
    tested = await entry(site, 2)
    assert tested.trial
    assert (tested.trial.of, tested.state) == (1, ImportState.COMPLETED)
    assert site.stored.copy("acme", 1) is not None
    assert site.stored.copy("acme", 2) is None


async def test_settings_are_tested_on_an_imported_list_rather_than_on_a_tested_file(site: Site) -> None:
    await site.imported(FILE)
    await a_test(site, people("ann"))
    form = await page(site, SETTINGS)
    await (await site.browser("owner")).post(f"{SETTINGS}/try", data=Form(form, SETTINGS).but())
    trial = (await entry(site, 3)).trial
    assert trial
    assert trial.of == 1


async def test_a_test_that_has_not_ended_has_no_button(site: Site) -> None:
    files = {"file": ("march.csv", FILE, "text/csv")}
    browser = await site.browser("owner")
    assert (await browser.post("/tenants/acme/try", files=files)).status_code == 303
    assert "Send this file" not in await page(site, f"{IMPORTS}/1")
    answer = await send(site, f"{IMPORTS}/1")
    assert (answer.status_code, visible(site)) == (409, None)
    assert "This test is queued: wait until it ends, then send the file." in seen(answer.text)


async def refused(site: Site, test: str, sentence: str) -> None:
    """The page has no button and says why, and a click on an older page is refused with the same sentence."""
    text = await page(site, test)
    assert f"This file cannot be sent now. {sentence}" in seen(text)
    assert f'action="{test}/send"' not in text
    before = visible(site)
    answer = await send(site, test)
    assert answer.status_code == 409
    assert sentence in seen(answer.text)
    assert visible(site) == before
    assert not site.stored.unfinished("acme")


async def test_no_tested_file_is_sent_with_other_settings(site: Site) -> None:
    test = await a_test(site)
    await site.office.tenants.change_settings("acme", {"notify_email": "hr@acme.example"})  # says nothing about users
    assert f'action="{test}/send"' in await page(site, test)
    await site.office.tenants.change_settings("acme", {"blank_cells": "keep"})
    await refused(site, test, "The settings changed after this test. Test the file again.")
    await site.office.tenants.change_settings("acme", {"blank_cells": None})
    assert (await send(site, test)).status_code == 303


async def test_no_tested_file_is_sent_after_another_file_landed(site: Site) -> None:
    test = await a_test(site)
    await site.upload(people("cy"))
    await refused(site, test, "Import 2 arrived after this test. Test the file again.")


async def test_a_file_that_lands_during_the_click_is_not_replaced(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    test, sending = await a_test(site), site.office.sending
    copy = sending._copy

    async def slowly(*args: Any) -> None:
        await copy(*args)
        await site.upload(people("cy"))  # between the first look and the landing lock

    monkeypatch.setattr(sending, "_copy", slowly)
    answer = await send(site, test)
    assert (answer.status_code, visible(site)) == (409, None)
    assert "Import 2 arrived after this test. Test the file again." in seen(answer.text)
    assert not site.stored.unfinished("acme")
    assert [each.id for each in await site.office.reader.page("acme")] == [2, 1]


async def test_settings_that_change_while_another_file_lands_stop_the_click(site: Site) -> None:
    await site.imported(people("ann", "ben", "cy"))
    test, tenants = await a_test(site), site.office.tenants
    with site.office.sending._files_of("acme", tenants.folder("acme").root) as files:
        async with files.landing if chosen_engine() == EMBEDDED else files._one_change:
            click = asyncio.create_task(send(site, test))
            await eventually(lambda: any(site.stored.unfinished("acme")))
            await tenants.change_settings("acme", {"deactivate_missing": True})
        answer = await click
    assert (answer.status_code, visible(site)) == (409, None)
    assert "The settings changed after this test. Test the file again." in seen(answer.text)
    assert not site.stored.unfinished("acme")
    assert [each.id for each in await site.office.reader.page("acme")] == [2, 1]


async def test_no_tested_file_is_sent_while_an_approved_import_waits(site: Site) -> None:
    many = [f"user{number}" for number in range(20)]
    await site.office.tenants.change_settings("acme", {"deactivate_missing": True})
    await site.imported(people(*many))
    held = await site.imported(people(*many[:5]))
    assert (await entry(site, held)).state is ImportState.HELD
    test = await a_test(site, people(*many, "new"))
    assert f'action="{test}/send"' in await page(site, test)
    await site.office.queue.approve("acme", held, by="Ann", users=frozenset())
    await refused(site, test, f"Import {held} is queued: wait until it ends, then test the file again.")


async def paused_with(site: Site, waiting: bytes, **changes: Any) -> None:
    """Pause the feed, with a file that waits because of it."""
    paused = {"paused_until": rfc3339(utc_now() + timedelta(days=1))}
    await site.office.tenants.change_settings("acme", {**changes, **paused})
    number = await site.upload(waiting)
    async with site.working():
        await eventually(lambda: _paused(site, number))


async def _paused(site: Site, number: int) -> bool:
    return ((await entry(site, number)).message or "").startswith("Paused until ")


async def a_test_beside_others(site: Site, content: bytes) -> str:
    files = {"file": ("march.csv", content, "text/csv")}
    answer = await (await site.browser("owner")).post("/tenants/acme/try", files=files)
    number = int(answer.headers["location"].rpartition("/")[2])
    async with site.working():
        await eventually(lambda: _ended(site, number))
    return answer.headers["location"]


async def _ended(site: Site, number: int) -> bool:
    return (await entry(site, number)).finished_at is not None


async def test_no_tested_file_is_sent_while_an_older_file_waits_that_stays(site: Site) -> None:
    await paused_with(site, people("cy"))
    test = await a_test_beside_others(site, FILE)
    await refused(site, test, "Import 1 is queued: wait until it ends, then test the file again.")


async def test_a_tested_list_is_sent_while_an_older_list_waits_that_it_replaces(site: Site) -> None:
    await paused_with(site, people("cy"), deactivate_missing=True)
    test = await a_test_beside_others(site, FILE)
    assert "<button>Send this file: create 2 users</button>" in await page(site, test)
    assert done(await send(site, test)) == (f"{IMPORTS}/3", "sent")
    await site.office.tenants.change_settings("acme", {"paused_until": None})
    await site.run()
    outcome = (await entry(site, 3)).outcome
    assert outcome is not None
    assert ((await entry(site, 1)).state, outcome.counts.created) == (ImportState.SUPERSEDED, 2)


async def test_a_tested_correction_file_waits_for_an_older_list(site: Site) -> None:
    await paused_with(site, people("cy"), deactivate_missing=True)
    header, _, rows = FILE.decode().partition("\n")
    correction = f"_line,_code,_message,{header}\n" + "".join(f"2,x,y,{row}\n" for row in rows.splitlines())
    test = await a_test_beside_others(site, correction.encode())
    await refused(site, test, "Import 1 is queued: wait until it ends, then test the file again.")


async def test_no_tested_file_is_sent_after_an_undo(site: Site) -> None:
    await site.imported(people("cy"))
    test = await a_test(site)
    await site.office.queue.undo("acme", None, by="Ann")
    await site.run()
    await refused(site, test, "An import was applied or undone after this test. Test the file again.")


async def test_only_the_newest_tested_file_is_kept(site: Site) -> None:
    first = await a_test(site)
    second = await a_test(site, people("cy"))
    await eventually(lambda: site.stored.copy("acme", 1) is None)
    await refused(site, first, "The file of this test is no longer kept. Test the file again.")
    assert (await send(site, second)).status_code == 303
    assert visible(site) == people("cy")


async def test_a_tested_file_takes_nothing_of_the_storage_for_past_files(site: Site) -> None:
    earlier = [await site.imported(people(*names)) for names in ("a", "ab")]
    sizes = [len(site.stored.copy("acme", number) or b"") for number in earlier]
    test = await a_test(site)
    at = (site.office.queue, "acme", site.office.tenants.folder("acme"))
    await trim_copies(*at, kept_bytes=sum(sizes), archive=site.office.tenants.archive)
    assert [site.stored.copy("acme", number) is not None for number in (*earlier, 3)] == [True, True, True]
    await trim_copies(*at, kept_bytes=0, archive=site.office.tenants.archive)
    assert [site.stored.copy("acme", number) is not None for number in (*earlier, 3)] == [False, True, True]
    assert (await send(site, test)).status_code == 303
    assert visible(site) == FILE


async def test_a_changed_copy_is_not_sent(site: Site) -> None:
    test = await a_test(site)
    site.stored.keep_copy("acme", 1, people("eve"))
    answer = await send(site, test)
    assert answer.status_code == 409
    assert "The file of this test is no longer kept. Test the file again." in seen(answer.text)
    assert visible(site) is None
    assert [each.id for each in await site.office.reader.page("acme")] == [1]


async def test_a_test_of_settings_or_over_sftp_has_no_button(site: Site) -> None:
    await site.imported(FILE)
    over_sftp = await site.imported(FILE, dry_run=True)
    of_settings = await site.office.trials.of_settings("acme", {"blank_cells": "keep"}, "Ann")
    await site.run()
    for number in (1, over_sftp, of_settings):
        assert "Send this file" not in await page(site, f"{IMPORTS}/{number}")
        answer = await send(site, f"{IMPORTS}/{number}")
        assert answer.status_code == 409
        assert f"Import {number} of acme is not the test of a file: there is nothing to send." in seen(answer.text)
    assert site.stored.copy("acme", over_sftp) is None
    assert site.stored.copy("acme", of_settings) is None


async def test_limits_hold_for_a_tested_file(site: Site) -> None:
    test = await a_test(site)
    await site.office.tenants.change_settings("acme", {"quota_bytes": 20})
    answer = await send(site, test)
    assert (answer.status_code, visible(site)) == (507, None)
    assert "The file exceeds the storage quota of 20 B" in seen(answer.text)
    await site.office.tenants.change_settings("acme", {"quota_bytes": None})
    assert (await send(site, test)).status_code == 303


async def test_a_tested_file_needs_no_checksum_file(site: Site) -> None:
    await site.office.tenants.change_settings("acme", {"require_checksum": True})
    test = await a_test(site)
    assert (await send(site, test)).status_code == 303
    await site.run()
    assert (await entry(site, 2)).state is ImportState.COMPLETED


async def test_an_unknown_import_is_not_found(site: Site) -> None:
    assert (await send(site, f"{IMPORTS}/77")).status_code == 404
