"""The page of one import: its outcome and the decisions about it."""

from __future__ import annotations

import html
import re
from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from tests.support.importing import people, sheet
from tests.support.pages import IMPORTS, done, page, seen, settings
from tests.support.site import Site, open_site

NASTY = "<img src=x onerror=alert(1)>"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other") as opened:
        yield opened


async def hold(site: Site, people_before: int = 20, people_after: int = 9) -> int:
    """Import a complete list that would deactivate too many users."""
    await settings(site, deactivate_missing=True)
    await site.imported(people(*(f"p{number}" for number in range(people_before))))
    return await site.imported(people(*(f"p{number}" for number in range(people_after))))


async def post(site: Site, path: str, role: str = "owner", **form: str) -> httpx.Response:
    return await (await site.browser(role)).post(path, data=form)


async def held_at(site: Site, number: int) -> str:
    """Return the time in the form that approves it."""
    found = re.search(r'name="held_at" value="([^"]+)"', await page(site, f"{IMPORTS}/{number}"))
    assert found
    return found[1]


@pytest.mark.parametrize("number", ["9", "9" * 19, "9" * 5000, "one", "-1"])
async def test_an_unknown_import_is_not_found(site: Site, number: str) -> None:
    await page(site, f"{IMPORTS}/{number}", status=404)


async def test_an_event_number_that_is_too_large_is_ignored(site: Site) -> None:
    owner = await site.browser("owner")
    async with owner.stream("GET", f"{IMPORTS}/events", params={"after": "9" * 5000}) as answer:
        assert answer.status_code == 200


async def test_the_page_of_an_import_shows_its_outcome_then_counts(site: Site) -> None:
    await site.imported(people("ann", "bo"))
    text = seen(await page(site, f"{IMPORTS}/1"))
    assert "Import #1 Completed 2 users created." in text
    assert "Created 2" in text
    assert "sync_users.csv" in text


async def test_a_held_import_shows_why_and_lists_the_users_to_deactivate(site: Site) -> None:
    number = await hold(site, 60, 20)
    first = await page(site, f"{IMPORTS}/{number}")
    held = "Held: this file may be incomplete and would deactivate 40 of 60 active users. Approve or discard it."
    assert held in seen(first)
    assert "Approve: deactivate 40 users" in first
    following = re.search(r'<a href="([^"]+)#touched" rel="next"', first)
    assert following
    second = await page(site, f"{IMPORTS}/{number}{html.unescape(following[1])}")
    named = re.findall(r"/users/(p\d+)%40example.com", first + second)
    assert sorted(named) == sorted(f"p{each}" for each in range(20, 60))


async def test_an_approval_records_the_owner(site: Site) -> None:
    number = await hold(site)
    answer = await post(site, f"{IMPORTS}/{number}/approve", held_at=await held_at(site, number))
    assert done(answer) == (f"{IMPORTS}/{number}", "approved")
    await site.run()
    text = seen(await page(site, f"{IMPORTS}/{number}"))
    assert "11 users deactivated." in text
    assert "Decided by owner, token" in text


async def test_an_owner_discards_a_held_import(site: Site) -> None:
    number = await hold(site)
    answer = await post(site, f"{IMPORTS}/{number}/discard")
    assert done(answer) == (f"{IMPORTS}/{number}", "discarded")
    text = seen(await page(site, f"{IMPORTS}/{number}"))
    assert re.search(r"Discarded by owner, token \d+; nothing was changed\. Expected result", text)


async def test_a_viewer_sees_a_held_import_and_that_an_owner_decides(site: Site) -> None:
    number = await hold(site)
    text = await page(site, f"{IMPORTS}/{number}", role="viewer")
    assert "Only an owner can approve or discard." in text
    assert "/approve" not in text
    assert "/discard" not in text
    assert "p19@example.com" in text


async def test_a_decision_made_meanwhile_is_shown(site: Site) -> None:
    number = await hold(site)
    seen_at = await held_at(site, number)
    await site.office.queue.discard("acme", number, by="operator")
    answer = await post(site, f"{IMPORTS}/{number}/approve", held_at=seen_at)
    assert answer.status_code == 409
    assert "is discarded: only a held import can be approved" in seen(answer.text)
    assert "Discarded by operator" in seen(answer.text)


async def test_an_approval_of_a_list_that_was_not_shown_is_refused(site: Site) -> None:
    number = await hold(site)
    answer = await post(site, f"{IMPORTS}/{number}/approve", held_at="2026-01-01T00:00:00.000Z")
    assert answer.status_code == 409
    assert "The import was held again meanwhile: review its users again" in seen(answer.text)
    assert "Approve: deactivate 11 users" in answer.text


async def test_the_newest_applied_import_can_be_undone_and_shows_the_effect(site: Site) -> None:
    await site.imported(people("ann", "bo"))
    await site.imported(people("ann", "cy", job_title="Head"))
    assert "Import 2 was applied after import 1 of acme: undo that one first." in seen(
        await page(site, f"{IMPORTS}/1")
    )
    assert "The undo deactivates 1 created user and sets back 1 updated user." in seen(
        await page(site, f"{IMPORTS}/2")
    )
    assert "Only an owner can undo this import." in seen(await page(site, f"{IMPORTS}/2", role="viewer"))
    answer = await post(site, f"{IMPORTS}/2/undo")
    assert done(answer) == (f"{IMPORTS}/2", "undoing")
    assert "The undo is queued." in seen(await page(site, f"{IMPORTS}/2"))
    await site.run()
    text = seen(await page(site, f"{IMPORTS}/2"))
    assert "Undone by owner, token" in text
    assert "Undo Creation undone" in text
    assert 'action="/tenants/acme/imports/2/undo"' not in await page(site, f"{IMPORTS}/2")


async def test_values_that_an_undo_did_not_restore_are_listed(site: Site) -> None:
    await site.imported(people("ann"))
    await site.imported(people("ann", job_title="Head"))
    site.stored.change_users("acme", "UPDATE users SET job_title = 'Chief'")
    await post(site, f"{IMPORTS}/2/undo")
    await site.run()
    text = seen(await page(site, f"{IMPORTS}/2"))
    assert "Not restored Ann Smith (ann@example.com): job_title changed after this import" in text
    assert text.count("changed after this import") == 1


async def test_a_refused_undo_says_why_on_the_page(site: Site) -> None:
    await site.imported(people("ann"))
    await site.upload(people("bo"))
    answer = await post(site, f"{IMPORTS}/1/undo")
    assert answer.status_code == 409
    assert "Import 2 is queued: wait until it ends, then undo." in seen(answer.text)


async def test_without_a_script_a_queued_import_reloads_its_own_page(site: Site) -> None:
    await site.imported(people("ann"))
    await post(site, f"{IMPORTS}/1/undo")
    refused = await post(site, f"{IMPORTS}/1/undo")
    assert refused.status_code == 409
    assert f'<noscript><meta http-equiv="refresh" content="3; url={IMPORTS}/1">' in refused.text


def lines_of(text: str) -> list[int]:
    return [int(found) for found in re.findall(r'data-label="Line">(\d+)', text)]


async def test_messages_are_filtered_by_severity_and_code_page_by_page(site: Site) -> None:
    bad = [("Bad", "Row", f"nowhere{number}", "") for number in range(40)]
    rest = [("Ann", "Lee", "ann@example.com", "nobody@example.com"), ("", "Lee", "bo@example.com", "")]
    await site.imported(sheet(*bad, *rest, header=("first_name", "last_name", "email", "manager")))
    address, lines = f"{IMPORTS}/1?severity=error&code=invalid_email", []
    while address:
        text = await page(site, address)
        lines += lines_of(text)
        found = re.search(r'<a href="([^"]+)#messages" rel="next"', text)
        address = f"{IMPORTS}/1{html.unescape(found[1])}" if found else ""
    assert lines == list(range(2, 42))
    assert lines_of(await page(site, f"{IMPORTS}/1?severity=warning")) == [42]
    everything = seen(await page(site, f"{IMPORTS}/1"))
    assert "Error 41" in everything
    assert "invalid_email 40" in everything
    assert "No messages of this kind." in seen(await page(site, f"{IMPORTS}/1?code=odd"))


async def test_messages_deleted_by_retention_are_read_from_the_report(site: Site) -> None:
    await site.imported(sheet(("Ann", "Lee", "nowhere"), ("Bo", "Lee", "bo@example.com")))
    site.stored.drop("acme", "messages/1.jsonl")
    assert lines_of(await page(site, f"{IMPORTS}/1?severity=error")) == [2]
    assert lines_of(await page(site, f"{IMPORTS}/1?severity=warning")) == []


async def test_every_change_shows_the_old_and_the_new_value(site: Site) -> None:
    names = [f"p{number:02}" for number in range(60)]
    await site.imported(people(*names, job_title="Clerk"))
    await site.imported(people(*names, job_title="Head"))
    first = await page(site, f"{IMPORTS}/2")
    assert "Job title Clerk → changed to Head" in seen(first)
    following = re.search(r'<a href="([^"]+)#changes" rel="next"', first)
    assert following
    second = await page(site, f"{IMPORTS}/2{html.unescape(following[1])}")
    assert [*re.findall(r"/users/(p\d\d)%40", first), *re.findall(r"/users/(p\d\d)%40", second)] == names
    assert "p00@example.com Created" in seen(await page(site, f"{IMPORTS}/1"))


async def test_a_dry_run_shows_the_expected_counts_and_users(site: Site) -> None:
    await settings(site, deactivate_missing=True)
    await site.imported(people("ann", "bo", "cy", "dee", "eve"))
    await site.imported(people("zoe", "ann", "bo", "cy", "eve"), dry_run=True)
    text = await page(site, f"{IMPORTS}/2")
    assert "1 user would be created and 1 deactivated." in seen(text)
    assert "nothing was changed" in text
    assert "Users to deactivate" in text
    assert "dee@example.com" in text
    assert "zoe@example.com" not in text
    assert "zoe@example.com" in await page(site, f"{IMPORTS}/2?action=created")
    assert "/approve" not in text
    assert "/undo" not in text


async def test_file_rejected_rows_report_and_changes_can_be_downloaded(site: Site) -> None:
    await site.imported(people("ann"))
    content = sheet(("Ann", "Jones", "ann@example.com"), ("'=1+1", "Lee", "bo@example.com"), ("X", "Y", "nowhere"))
    await site.imported(content)
    text = await page(site, f"{IMPORTS}/2")
    browser = await site.browser("viewer")
    found = {
        name: await browser.get(f"{IMPORTS}/2/{name}")
        for name in ("file", "errors.csv", "report.json", "changes.csv")
    }
    for name, answer in found.items():
        assert f'href="{IMPORTS}/2/{name}"' in text
        assert answer.status_code == 200
        assert answer.headers["content-disposition"].startswith("attachment;")
    assert found["file"].content == content
    assert "nowhere" in found["errors.csv"].text
    assert found["report.json"].json()["id"] == 2
    lines = found["changes.csv"].content.decode("utf-8-sig").splitlines()
    assert lines[0] == "at,identifier,name,field,old,new,undo"
    assert any(line.endswith("ann@example.com,Ann Jones,last_name,Smith,Jones,no") for line in lines)
    assert any(",'=1+1 Lee," in line for line in lines), "a name is not a formula"


async def test_a_file_that_is_not_kept_is_not_offered(site: Site) -> None:
    await site.imported(people("ann"), dry_run=True)
    text = await page(site, f"{IMPORTS}/1")
    assert "/1/file" not in text
    assert "/1/errors.csv" not in text
    await page(site, f"{IMPORTS}/1/file", status=404)


async def test_tested_settings_can_be_saved(site: Site) -> None:
    await site.imported(people("ann"))
    await site.office.trials.of_settings("acme", {"deactivate_missing": True, "retention_days": 30}, "owner, token 2")
    await site.run()
    text = await page(site, f"{IMPORTS}/2")
    assert "Every file is a complete list" in text
    assert f'action="{IMPORTS}/2/save"' in text
    assert "/save" not in await page(site, f"{IMPORTS}/2", role="viewer")
    answer = await post(site, f"{IMPORTS}/2/save")
    assert done(answer) == ("/tenants/acme/settings", "settings-saved")
    now = await site.office.tenants.settings("acme")
    assert (now.deactivate_missing, now.retention_days) == (True, 30)
    refused = await post(site, f"{IMPORTS}/1/save")
    assert refused.status_code == 409
    assert "did not test settings" in refused.text


async def test_file_content_stays_text_on_every_page_of_an_import(site: Site) -> None:
    header = ("first_name", "last_name", "email", "primary_team", "manager", NASTY)
    rows = [
        (NASTY, "Lee", "ann@example.com", f"{NASTY} team", NASTY, ""),
        ("Bo", "Lee", NASTY, "", "", ""),
        *((f"P{number}", "Lee", f"p{number}@example.com", "", "", "") for number in range(8)),
    ]
    await settings(site, deactivate_missing=True)
    await site.imported(sheet(*rows, header=header), name=f"{NASTY}.csv")
    await site.imported(sheet(*rows[3:5], header=header), name=f"{NASTY}.csv")
    await site.imported(sheet((NASTY, "Lee"), header=("first_name", NASTY)), name=f"{NASTY}.csv")
    await site.imported(sheet(*rows, header=header), dry_run=True, name=f"{NASTY}.csv")
    for path in (
        "",
        "/1",
        "/1?severity=error",
        "/2",
        "/2?action=deactivated",
        "/3",
        "/4",
        f"/1?code={NASTY}&action={NASTY}",
    ):
        text = await page(site, f"{IMPORTS}{path}")
        assert "<img src=x" not in text, path
        assert "&lt;img src=x onerror" in text, path


async def test_a_failed_import_names_its_line_once(site: Site) -> None:
    number = await site.imported("first_name,last_name,email\nZoë,Lee,zoe@acme.test\n".encode("latin-1"))
    assert "Nothing was changed. Line 2 (byte offset" in seen(await page(site, f"{IMPORTS}/{number}"))


async def test_the_summary_is_shown_only_with_counts_above_0(site: Site) -> None:
    failed = await site.imported(b"first_name,email\nAnn,ann@example.com\n")
    assert "Summary" not in await page(site, f"{IMPORTS}/{failed}")
    rejected = await site.imported(b"first_name,last_name,email\nAnn,Lee,nowhere\n")
    assert "Summary" in await page(site, f"{IMPORTS}/{rejected}")


async def test_the_page_says_when_not_all_messages_are_kept(site: Site) -> None:
    rows = "".join(f"Ann,Lee,nowhere{number}\n" for number in range(10_001))
    number = await site.imported(f"first_name,last_name,email\n{rows}".encode())
    assert "Only the first 10,000 messages are kept." in await page(site, f"{IMPORTS}/{number}")
    number = await site.imported(b"first_name,last_name,email\nAnn,Lee,nowhere\n")
    assert "are kept" not in await page(site, f"{IMPORTS}/{number}")


async def test_the_same_message_of_many_rows_is_shown_once_with_a_count(site: Site) -> None:
    bad = [("Bad", "Row", f"p{number}@example.com", f"{number}th") for number in range(29)]
    good = [("Ann", "Lee", "ann@example.com", "2026-01-02")]
    await site.imported(sheet(*bad, *good, header=("first_name", "last_name", "email", "hire_date")))
    text = seen(await page(site, f"{IMPORTS}/1"))
    assert "2, 3, 4, 5, 6, … hire_date Error 29 rows: Write the date" in text
    assert "0th 1th 2th …" in text
    assert text.count("Write the date") == 1
    assert "show each" in text
    each = await page(site, f"{IMPORTS}/1?severity=error&code=bad_date")
    assert lines_of(each) == list(range(2, 27))
    assert "29 rows:" not in seen(each)


async def test_kinds_of_messages_are_paged(site: Site) -> None:
    header = ("first_name", "last_name", "email", *(f"choice{number}" for number in range(30)))
    custom = [{"key": f"choice{number}", "type": "choice", "choices": ["a", "b"]} for number in range(30)]
    await settings(site, custom_fields=custom)
    rows = [("Bad", "Row", f"p{number}@example.com", *["c"] * 30) for number in range(2)]
    await site.imported(sheet(*rows, ("Ann", "Lee", "ann@example.com", *["a"] * 30), header=header))
    first = await page(site, f"{IMPORTS}/1")
    assert seen(first).count("2 rows: No such choice.") == 25
    following = re.search(r'<a href="([^"]+)#messages" rel="next"', first)
    assert following
    second = await page(site, f"{IMPORTS}/1{html.unescape(following[1])}")
    assert seen(second).count("2 rows: No such choice.") == 5
    assert 'rel="next"' not in second


@pytest.mark.parametrize("dry_run", [False, True])
async def test_a_page_shows_a_warning_about_the_file_before_the_counts(site: Site, dry_run: bool) -> None:
    await settings(site, encoding="cp1252")
    number = await site.imported(sheet(("Zoë", "Lee", "zoe@example.com")), dry_run=dry_run)
    text = seen(await page(site, f"{IMPORTS}/{number}"))
    what = "1 user would be created." if dry_run else "1 user created."
    assert text.index("Look at this first: Read as Windows-1252") < text.index(what)
    listing = seen(await page(site, IMPORTS))
    assert "Look at this first" in listing


async def test_the_list_marks_only_imports_with_a_warning_about_the_file(site: Site) -> None:
    await site.imported(people("ann"))
    assert "Look at this first" not in seen(await page(site, IMPORTS))
