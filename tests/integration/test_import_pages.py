"""The pages about imports: the list of them, one of them, and what may be done there."""

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

from server.tenants import open_users
from server.web.pages import events as events_module
from tests.support.importing import people, sheet
from tests.support.site import Site, open_site
from tests.support.waiting import eventually

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


# One import


async def hold(site: Site, people_before: int = 20, people_after: int = 9) -> int:
    """A whole list that would deactivate too many."""
    await settings(site, deactivate_missing=True)
    await site.imported(people(*(f"p{number}" for number in range(people_before))))
    return await site.imported(people(*(f"p{number}" for number in range(people_after))))


async def post(site: Site, path: str, role: str = "owner", **form: str) -> httpx.Response:
    return await (await site.browser(role)).post(path, data=form)


async def held_at(site: Site, number: int) -> str:
    """What the form to approve it has in it."""
    found = re.search(r'name="held_at" value="([^"]+)"', await page(site, f"{HOME}/{number}"))
    assert found
    return found[1]


@pytest.mark.parametrize("number", ["9", "99999999999999999999", "one", "-1"])
async def test_an_import_that_is_not_there_is_not_found(site: Site, number: str) -> None:
    await page(site, f"{HOME}/{number}", status=404)


async def test_one_import_says_first_what_became_of_it_and_then_counts(site: Site) -> None:
    await site.imported(people("ann", "bo"))
    text = seen(await page(site, f"{HOME}/1"))
    assert "Import #1 Completed 2 people joined." in text
    assert "Joined 2" in text
    assert "sync_users.csv" in text


async def test_a_held_import_says_why_and_lists_who_would_be_deactivated(site: Site) -> None:
    number = await hold(site, 60, 20)
    first = await page(site, f"{HOME}/{number}")
    assert "would deactivate 40 of 60 people, so it waits for you" in seen(first)
    assert "Approve: 40 people lose access" in first
    following = re.search(r'<a href="([^"]+)#touched" rel="next"', first)
    assert following
    second = await page(site, f"{HOME}/{number}{html.unescape(following[1])}")
    named = re.findall(r"/users/(p\d+)%40example.com", first + second)
    assert sorted(named) == sorted(f"p{each}" for each in range(20, 60))


async def test_an_owner_approves_and_it_is_written_down_who(site: Site) -> None:
    number = await hold(site)
    answer = await post(site, f"{HOME}/{number}/approve", held_at=await held_at(site, number))
    assert (answer.status_code, answer.headers["location"]) == (303, f"{HOME}/{number}?done=approved")
    assert "Approved: it runs" in seen(await page(site, answer.headers["location"]))
    await site.run()
    text = seen(await page(site, f"{HOME}/{number}"))
    assert "11 people left." in text
    assert "Decided by owner, token" in text


async def test_an_owner_discards(site: Site) -> None:
    number = await hold(site)
    answer = await post(site, f"{HOME}/{number}/discard")
    assert "Discarded: nothing was changed." in seen(await page(site, answer.headers["location"]))
    text = seen(await page(site, f"{HOME}/{number}"))
    assert re.search(r"Discarded by owner, token \d+; nothing was changed\. What would have happened", text)


async def test_a_viewer_sees_all_of_it_and_why_they_cannot_decide(site: Site) -> None:
    number = await hold(site)
    text = await page(site, f"{HOME}/{number}", role="viewer")
    assert "You may only look: an owner decides this." in text
    assert "/approve" not in text
    assert "/discard" not in text
    assert "p19@example.com" in text


async def test_what_somebody_else_has_decided_is_told_on_the_page(site: Site) -> None:
    number = await hold(site)
    seen_at = await held_at(site, number)
    await site.office.queue.discard("acme", number, by="operator")
    answer = await post(site, f"{HOME}/{number}/approve", held_at=seen_at)
    assert answer.status_code == 409
    assert "is discarded: only a held import can be approved" in seen(answer.text)
    assert "Discarded by operator" in seen(answer.text)


async def test_a_list_that_nobody_has_seen_cannot_be_approved(site: Site) -> None:
    number = await hold(site)
    answer = await post(site, f"{HOME}/{number}/approve", held_at="2026-01-01T00:00:00.000Z")
    assert answer.status_code == 409
    assert "It is not as it was when you looked" in seen(answer.text)
    assert "Approve: 11 people lose access" in answer.text


async def test_the_newest_applied_import_can_be_undone_and_says_what_that_means(site: Site) -> None:
    await site.imported(people("ann", "bo"))
    await site.imported(people("ann", "cy", job_title="Head"))
    assert "Import 2 was applied after import 1 of acme: undo that one first." in seen(await page(site, f"{HOME}/1"))
    assert "1 person who joined with it loses access and 1 person is as before." in seen(
        await page(site, f"{HOME}/2")
    )
    assert "It could be undone, by an owner." in seen(await page(site, f"{HOME}/2", role="viewer"))
    answer = await post(site, f"{HOME}/2/undo")
    assert answer.headers["location"] == f"{HOME}/2?done=undoing"
    assert "This import is about to be undone." in seen(await page(site, f"{HOME}/2"))
    await site.run()
    text = seen(await page(site, f"{HOME}/2"))
    assert "Undone by owner, token" in text
    assert "Undo Taken back" in text
    assert 'action="/tenants/acme/imports/2/undo"' not in await page(site, f"{HOME}/2")


async def test_what_an_undo_had_to_leave_is_listed(site: Site) -> None:
    await site.imported(people("ann"))
    await site.imported(people("ann", job_title="Head"))
    async with open_users(site.office.tenants.folder("acme")) as db:
        await db.execute("UPDATE users SET job_title = 'Chief'")
    await post(site, f"{HOME}/2/undo")
    await site.run()
    text = seen(await page(site, f"{HOME}/2"))
    assert "What the undo left as it was Ann Smith (ann@example.com): job_title was changed by something else" in text
    assert text.count("was changed by something else") == 1


async def test_an_undo_that_is_refused_says_why_on_the_page(site: Site) -> None:
    await site.imported(people("ann"))
    await site.upload(people("bo"))
    answer = await post(site, f"{HOME}/1/undo")
    assert answer.status_code == 409
    assert "Import 2 is queued: wait for its end, then undo." in seen(answer.text)


async def test_without_a_script_an_import_that_waits_is_asked_for_again_at_its_own_address(site: Site) -> None:
    await site.imported(people("ann"))
    await post(site, f"{HOME}/1/undo")
    refused = await post(site, f"{HOME}/1/undo")
    assert refused.status_code == 409
    assert f'<noscript><meta http-equiv="refresh" content="3; url={HOME}/1">' in refused.text


def told_lines(text: str) -> list[int]:
    return [int(found) for found in re.findall(r'data-label="Line">(\d+)', text)]


async def test_messages_are_found_by_severity_and_code_page_after_page(site: Site) -> None:
    bad = [("Bad", "Row", f"nowhere{number}", "") for number in range(40)]
    rest = [("Ann", "Lee", "ann@example.com", "nobody@example.com"), ("", "Lee", "bo@example.com", "")]
    await site.imported(sheet(*bad, *rest, header=("first_name", "last_name", "email", "manager")))
    address, lines = f"{HOME}/1?severity=error&code=invalid_email", []
    while address:
        text = await page(site, address)
        lines += told_lines(text)
        found = re.search(r'<a href="([^"]+)#messages" rel="next"', text)
        address = f"{HOME}/1{html.unescape(found[1])}" if found else ""
    assert lines == list(range(2, 42))
    assert told_lines(await page(site, f"{HOME}/1?severity=warning")) == [42]
    everything = seen(await page(site, f"{HOME}/1"))
    assert "Error 41" in everything
    assert "invalid_email 40" in everything
    assert "There is no message of this kind." in seen(await page(site, f"{HOME}/1?code=odd"))


async def test_messages_that_are_not_kept_any_more_are_told_from_the_report(site: Site) -> None:
    await site.imported(sheet(("Ann", "Lee", "nowhere"), ("Bo", "Lee", "bo@example.com")))
    site.office.tenants.folder("acme").said(1).unlink()
    assert told_lines(await page(site, f"{HOME}/1?severity=error")) == [2]
    assert told_lines(await page(site, f"{HOME}/1?severity=warning")) == []


async def test_every_change_is_shown_from_what_to_what(site: Site) -> None:
    names = [f"p{number:02}" for number in range(60)]
    await site.imported(people(*names, job_title="Clerk"))
    await site.imported(people(*names, job_title="Head"))
    first = await page(site, f"{HOME}/2")
    assert "Job title Clerk → became Head" in seen(first)
    following = re.search(r'<a href="([^"]+)#changes" rel="next"', first)
    assert following
    second = await page(site, f"{HOME}/2{html.unescape(following[1])}")
    assert [*re.findall(r"/users/(p\d\d)%40", first), *re.findall(r"/users/(p\d\d)%40", second)] == names
    assert "Joined" in seen(await page(site, f"{HOME}/1"))


async def test_a_dry_run_shows_what_would_happen_and_to_whom(site: Site) -> None:
    await settings(site, deactivate_missing=True)
    await site.imported(people("ann", "bo", "cy", "dee", "eve"))
    await site.imported(people("zoe", "ann", "bo", "cy", "eve"), dry_run=True)
    text = await page(site, f"{HOME}/2")
    assert "1 person would join and 1 would leave." in seen(text)
    assert "nothing was changed" in text
    assert "Who would lose access" in text
    assert "dee@example.com" in text
    assert "zoe@example.com" not in text
    assert "zoe@example.com" in await page(site, f"{HOME}/2?who=created")
    assert "/approve" not in text
    assert "/undo" not in text


async def test_everything_can_be_downloaded(site: Site) -> None:
    await site.imported(people("ann"))
    content = sheet(("Ann", "Jones", "ann@example.com"), ("=1+1", "Lee", "bo@example.com"), ("X", "Y", "nowhere"))
    await site.imported(content)
    text = await page(site, f"{HOME}/2")
    browser = await site.browser("viewer")
    found = {
        name: await browser.get(f"{HOME}/2/{name}") for name in ("file", "errors.csv", "report.json", "changes.csv")
    }
    for name, answer in found.items():
        assert f'href="{HOME}/2/{name}"' in text
        assert answer.status_code == 200
        assert answer.headers["content-disposition"].startswith("attachment;")
    assert found["file"].content == content
    assert "nowhere" in found["errors.csv"].text
    assert found["report.json"].json()["id"] == 2
    lines = found["changes.csv"].content.decode("utf-8-sig").splitlines()
    assert lines[0] == "at,identifier,name,field,old,new,undo"
    assert any(line.endswith("ann@example.com,Ann Jones,last_name,Smith,Jones,no") for line in lines)
    assert any(",'=1+1 Lee," in line for line in lines), "no spreadsheet runs a name"


async def test_what_is_not_kept_can_not_be_downloaded_and_is_not_offered(site: Site) -> None:
    await site.imported(people("ann"), dry_run=True)
    text = await page(site, f"{HOME}/1")
    assert "/1/file" not in text
    assert "/1/errors.csv" not in text
    await page(site, f"{HOME}/1/file", status=404)


async def test_settings_that_were_tried_can_be_saved(site: Site) -> None:
    await site.imported(people("ann"))
    await site.office.trials.of_settings("acme", {"deactivate_missing": True, "retention_days": 30}, "owner, token 2")
    await site.run()
    text = await page(site, f"{HOME}/2")
    assert "Every file is a complete list" in text
    assert f'action="{HOME}/2/save"' in text
    assert "/save" not in await page(site, f"{HOME}/2", role="viewer")
    answer = await post(site, f"{HOME}/2/save")
    assert answer.headers["location"] == f"{HOME}/2?done=settings-saved"
    now = await site.office.tenants.settings("acme")
    assert (now.deactivate_missing, now.retention_days) == (True, 30)
    refused = await post(site, f"{HOME}/1/save")
    assert refused.status_code == 409
    assert "was no trial of settings" in refused.text


async def test_what_others_wrote_stays_text(site: Site) -> None:
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
        "/2?who=deactivated",
        "/3",
        "/4",
        f"/1?code={NASTY}&who={NASTY}",
    ):
        text = await page(site, f"{HOME}{path}")
        assert "<img src=x" not in text, path
        assert "&lt;img src=x onerror" in text, path


# What happens, as it happens


@asynccontextmanager
async def following(
    site: Site, path: str = f"{HOME}/events", role: str = "owner", **headers: str
) -> AsyncIterator[Any]:
    """The events of a stream, as they come."""
    client = await site.browser(role)
    async with client.stream("GET", path, headers=headers) as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _events(answer)


async def _events(answer: httpx.Response) -> AsyncIterator[dict[str, Any]]:
    event: dict[str, Any] = {}
    async for line in answer.aiter_lines():
        name, _, value = line.partition(": ")
        if name == "data":
            yield {**event, **json.loads(value)}
        elif name in {"id", "event"}:
            event[name] = value


async def test_a_page_hears_of_what_happened_since_it_was_made(site: Site) -> None:
    text = await page(site)
    after = re.search(r'data-after="(\d+)"', text)
    assert after
    await site.upload(people("ann"))
    await site.upload(people("ann"), "other")
    async with following(site, f"{HOME}/events?after={after[1]}") as events, asyncio.timeout(10):
        first = await anext(events)
        assert (first["event"], first["tenant"], first["import"], first["state"]) == ("state", "acme", 1, "queued")
        await site.run()
        async for event in events:
            if event["state"] == "completed":
                break
    number = {"last-event-id": first["id"]}
    async with following(site, **number) as events, asyncio.timeout(10):
        assert (await anext(events))["state"] != "queued", "what the browser has had is not told again"


async def test_the_operator_hears_of_everybody(site: Site) -> None:
    await site.upload(people("ann"))
    await site.upload(people("ann"), "other")
    async with following(site, "/tenants/events?after=0", "operator") as events, asyncio.timeout(10):
        assert {(await anext(events))["tenant"] for _ in range(2)} == {"acme", "other"}


async def test_whoever_signs_out_hears_no_more(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events_module, "BEAT_S", 0.05)
    client = await site.browser("owner")
    async with client.stream("GET", f"{HOME}/events") as answer, asyncio.timeout(10):
        await client.post("/sign-out")
        async for _ in answer.aiter_lines():
            pass


@pytest.mark.parametrize("after", ["odd", "-1", "99999999999999999999", "²"])
async def test_a_number_of_an_event_that_is_none_does_no_harm(site: Site, after: str) -> None:
    client = await site.browser("owner")
    async with client.stream("GET", f"{HOME}/events", params={"after": after}) as answer:
        assert answer.status_code == 200


# Trying a file


async def try_file(site: Site, content: bytes, name: str = "people.csv", role: str = "owner") -> httpx.Response:
    return await (await site.browser(role)).post("/tenants/acme/try", files={"file": (name, content, "text/csv")})


async def test_a_file_is_tried_and_changes_nothing(site: Site) -> None:
    await site.imported(people("ann"))
    answer = await try_file(site, people("ann", "bo"), "New people.csv")
    assert (answer.status_code, answer.headers["location"]) == (303, f"{HOME}/2?done=trying")
    assert "Your file has arrived" in seen(await page(site, answer.headers["location"]))
    await site.run()
    text = seen(await page(site, f"{HOME}/2"))
    assert "1 person would join. This was only tried: nothing was changed." in text
    assert "New people.csv" in text
    assert "Tried by owner, token" in text
    async with open_users(site.office.tenants.folder("acme")) as db:
        assert [tuple(row) for row in await db.execute_fetchall("SELECT count(*) FROM users")] == [(1,)]


async def test_a_file_that_is_too_large_is_refused_with_a_sentence_while_it_comes(site: Site) -> None:
    await settings(site, max_file_bytes=1000)
    staging = site.office.tenants.folder("acme").staging

    async def endless() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.csv"\r\n\r\n'
        for _ in range(100):
            yield b"x" * 10_000
        yield b"\r\n--b--\r\n"

    browser = await site.browser("owner")
    chunked = await browser.post(
        "/tenants/acme/try", content=endless(), headers={"content-type": "multipart/form-data; boundary=b"}
    )
    for answer in (chunked, await try_file(site, b"x" * 5000)):
        assert answer.status_code == 413
        assert "The file is too large: it may have" in seen(answer.text)
        assert 'type="file"' in answer.text
    assert not [*staging.iterdir()]
    assert numbers(await page(site)) == []


async def test_without_a_file_the_form_says_so(site: Site) -> None:
    answer = await try_file(site, b"", "")
    assert answer.status_code == 422
    assert "Choose a file first." in seen(answer.text)


async def test_a_viewer_is_told_who_can_try_a_file(site: Site) -> None:
    text = await page(site, "/tenants/acme/try", role="viewer")
    assert "An owner can do this" in text
    assert '<form method="post" action="/tenants/acme/try"' not in text
    assert (await try_file(site, people("ann"), role="viewer")).status_code == 403


async def test_a_browser_that_goes_away_leaves_nothing_behind(site: Site) -> None:
    async def half() -> AsyncIterator[bytes]:
        yield b'--b\r\nContent-Disposition: form-data; name="file"; filename="x.csv"\r\n\r\nfirst_name'
        raise OSError("the cable was pulled")

    browser = await site.browser("owner")
    kind = {"content-type": "multipart/form-data; boundary=b"}
    with pytest.raises(OSError, match="cable"):
        await browser.post("/tenants/acme/try", content=half(), headers=kind)
    staging = site.office.tenants.folder("acme").staging
    await eventually(lambda: not [*staging.iterdir()])
    assert numbers(await page(site)) == []
