"""Imports in the API: lists, reports, messages, files and decisions."""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from importer.model import ImportState
from server.web.api import models
from tests.support.importing import people, sheet
from tests.support.site import Site, open_site
from tests.support.waiting import DEADLINE_S, eventually

IMPORTS = "/api/v1/tenants/acme/imports"
NAMES = [f"user{number}" for number in range(20)]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other") as opened:
        yield opened


async def held(site: Site) -> int:
    """An import that would deactivate fifteen of twenty."""
    await site.imported(people(*NAMES))
    await site.office.tenants.change_settings("acme", {"deactivate_missing": True})
    return await site.imported(people(*NAMES[:5]))


async def everything(site: Site, path: str, noun: str, **asked: Any) -> list[Any]:
    """All pages of a list, by its Link headers."""
    client, found = site.api("viewer"), []
    answer = await client.get(path, params=asked)
    while True:
        assert answer.status_code == 200, answer.text
        page = answer.json()
        found += page[noun]
        assert ("next" in answer.links) is (page["next"] is not None)
        if "next" not in answer.links:
            return found
        answer = await client.get(str(answer.url.join(answer.links["next"]["url"])))


async def test_imports_are_listed_newest_first_and_in_pages(site: Site) -> None:
    for number in range(5):
        await site.imported(people("ann", job_title=f"Title {number}"), dry_run=number == 3)
    found = await everything(site, IMPORTS, "imports", limit=2)
    assert [each["id"] for each in found] == [5, 4, 3, 2, 1]
    assert [each["dry_run"] for each in found] == [False, True, False, False, False]


async def test_imports_are_found_by_state(site: Site) -> None:
    await site.imported(people("ann"))
    await site.imported(b"")
    found = await everything(site, IMPORTS, "imports", state="failed")
    assert [each["id"] for each in found] == [2]


async def test_imports_are_found_by_checksum_kind_and_time(site: Site) -> None:
    content = people("ann")
    await site.imported(content)
    await site.imported(people("ben"), dry_run=True)
    await site.imported(content)
    third = (await site.api("viewer").get(f"{IMPORTS}/3")).json()
    checksum = hashlib.sha256(content).hexdigest()

    async def ids(**asked: str) -> list[int]:
        return [each["id"] for each in await everything(site, IMPORTS, "imports", limit=1, **asked)]

    assert (await ids(sha256=checksum), await ids(sha256=checksum.upper())) == ([3, 1], [3, 1])
    assert (await ids(dry_run="true"), await ids(dry_run="false")) == ([2], [3, 1])
    assert await ids(since=third["uploaded_at"]) == [3]
    assert await ids(since=third["uploaded_at"].replace("Z", "+00:00")) == [3]
    assert await ids(since="9999-12-31T23:59:59Z") == []


@pytest.mark.parametrize("since", ["2026-03-02", "2026-03-02T06:00:04", "yesterday", "0001-01-01T00:00:00+14:00"])
async def test_a_time_that_is_not_one_is_named(site: Site, since: str) -> None:
    answer = await site.api("viewer").get(IMPORTS, params={"since": since})
    assert (answer.status_code, answer.json()["errors"][0]["name"]) == (422, "since")
    assert "RFC 3339" in answer.json()["detail"]


async def test_a_misspelled_filter_is_refused(site: Site) -> None:
    answer = await site.api("viewer").get(IMPORTS, params={"sate": "failed"})
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"name": "sate", "detail": "is unknown"}]


@pytest.mark.parametrize(
    "asked", [{"limit": "0"}, {"limit": "1001"}, {"limit": "x"}, {"before": "-1"}, {"state": "x"}]
)
async def test_an_invalid_parameter_is_named(site: Site, asked: dict[str, str]) -> None:
    answer = await site.api("viewer").get(IMPORTS, params=asked)
    assert answer.status_code == 422
    assert answer.json()["code"] == "bad_request"
    assert answer.json()["errors"][0]["name"] in asked


async def test_an_import_has_its_complete_report(site: Site) -> None:
    number = await site.imported(people("ann") + b"Bob,,bob@example.com\n")
    answer = await site.api("viewer").get(f"{IMPORTS}/{number}")
    entry = await site.office.reader.get("acme", number)
    assert entry
    assert answer.json() == entry.report().to_json()
    assert answer.json()["messages"][0]["code"] == "missing_value"


def test_the_document_has_every_state_of_an_import() -> None:
    assert set(models.State.__args__) == {state.value for state in ImportState} - {"arriving"}


async def test_messages_are_found_by_severity_and_code(site: Site) -> None:
    rows = [("Ann", "", f"ann{number}@example.com", "nobody@example.com") for number in range(3)]
    rows.append(("Bob", "Smith", "bob@example.com", "nobody@example.com"))
    number = await site.imported(sheet(*rows, header=("first_name", "last_name", "email", "manager")))
    path = f"{IMPORTS}/{number}/messages"
    found = await everything(site, path, "messages", limit=1)
    errors = await everything(site, path, "messages", severity="error", limit=2)
    assert [each["line"] for each in errors] == [2, 3, 4]
    warnings = await everything(site, path, "messages", severity="warning")
    assert len(found) == len(errors) + len(warnings)
    assert await everything(site, path, "messages", code=warnings[0]["code"]) == warnings


async def test_the_users_that_a_held_import_would_change_are_listed(site: Site) -> None:
    number = await held(site)
    gone = await everything(site, f"{IMPORTS}/{number}/touched", "touched", action="deactivated", limit=10)
    assert [each["identifier"] for each in gone] == [f"{name}@example.com" for name in NAMES[5:]]
    assert all(each["absent"] for each in gone)


async def test_the_users_that_a_dry_run_would_change_are_a_csv(site: Site) -> None:
    await site.office.tenants.change_settings("acme", {"delimiter": ";"})
    rows = [("Ann", "Lee", "ann@example.com", "Clerk"), ("Zoë", "Day", "zoe@example.com", "Clerk")]
    header = ("first_name", "last_name", "email", "job_title")
    await site.imported(sheet(rows[0], header=header).replace(b",", b";"))
    next_file = sheet(("Ann", "Lee", "ann@example.com", "Chief"), rows[1], header=header)
    number = await site.imported(next_file.replace(b",", b";"), dry_run=True)
    name = f"messages/{number}.touched.jsonl"
    touched = (site.stored.kept("acme", name) or b"").decode()
    site.stored.keep("acme", name, touched.replace("Zoë Day", "=1+1 Zoë").encode())
    answer = await site.api("viewer").get(f"{IMPORTS}/{number}/touched.csv")
    assert answer.headers["content-disposition"] == f'attachment; filename="sync_users-{number}.touched.csv"'
    assert (
        answer.content
        == (
            "\ufeffidentifier;name;email;action;line\r\n"
            "ann@example.com;Ann Lee;ann@example.com;updated;2\r\n"
            "zoe@example.com;'=1+1 Zoë;zoe@example.com;created;3\r\n"
        ).encode()
    )
    head = await site.api("viewer").head(f"{IMPORTS}/{number}/touched.csv")
    assert (head.status_code, head.content) == (200, b"")


async def test_an_applied_import_has_no_csv_of_users_to_change(site: Site) -> None:
    number = await site.imported(people("ann"))
    answer = await site.api("viewer").get(f"{IMPORTS}/{number}/touched.csv")
    assert (answer.status_code, answer.json()["code"]) == (404, "no_file")


async def test_the_list_of_a_held_import_is_kept_when_it_is_discarded_or_superseded(site: Site) -> None:
    superseded = await held(site)
    discarded = await site.imported(people(*NAMES[:6]))
    assert (await site.api("owner").post(f"{IMPORTS}/{discarded}/discard")).json()["state"] == "discarded"
    assert (await site.api("viewer").get(f"{IMPORTS}/{superseded}")).json()["state"] == "superseded"
    for number, count in ((superseded, 15), (discarded, 14)):
        answer = await site.api("viewer").get(f"{IMPORTS}/{number}/touched.csv")
        assert (answer.status_code, len(answer.text.splitlines())) == (200, count + 1)
        assert len(await everything(site, f"{IMPORTS}/{number}/touched", "touched")) == count


async def test_an_approved_import_has_no_csv_of_users_to_change(site: Site) -> None:
    number = await held(site)
    await site.api("owner").post(f"{IMPORTS}/{number}/approve")
    await site.run()
    assert (await site.api("viewer").get(f"{IMPORTS}/{number}")).json()["state"] == "completed"
    answer = await site.api("viewer").get(f"{IMPORTS}/{number}/touched.csv")
    assert (answer.status_code, answer.json()["code"]) == (404, "no_file")


async def test_an_absent_user_has_no_line_in_the_csv(site: Site) -> None:
    number = await held(site)
    answer = await site.api("viewer").get(f"{IMPORTS}/{number}/touched.csv")
    rows = answer.content.decode("utf-8-sig").splitlines()
    assert len(rows) == 16
    assert rows[1] == "user5@example.com,User5 Smith,user5@example.com,deactivated,"


async def test_the_changes_of_an_import_are_listed(site: Site) -> None:
    await site.imported(people("ann", "bob", "cid", job_title="Clerk"))
    number = await site.imported(people("ann", "bob", "cid", job_title="Chief"))
    changes = await everything(site, f"{IMPORTS}/{number}/changes", "changes", limit=2)
    assert [(each["identifier"], each["field"], each["old"], each["new"]) for each in changes] == [
        (f"{name}@example.com", "job_title", "Clerk", "Chief") for name in ("ann", "bob", "cid")
    ]


async def test_rejected_rows_are_a_file(site: Site) -> None:
    number = await site.imported(people("ann") + b"Bob,,bob@example.com\n")
    answer = await site.api("viewer").get(f"{IMPORTS}/{number}/errors.csv")
    assert answer.headers["content-disposition"] == f'attachment; filename="sync_users-{number}.errors.csv"'
    assert answer.headers["content-type"] == "text/csv"
    assert answer.content == site.stored.kept("acme", f"messages/{number}.errors.csv")


async def test_an_upload_is_downloaded_byte_by_byte_under_its_name(site: Site) -> None:
    content = people("ann") + f"{'Zoë' * 80},Smith,zoe@example.com\r\n".encode() * 3_000
    number = await site.imported(content, dry_run=False, name="Zoë.csv")
    answer = await site.api("viewer").get(f"{IMPORTS}/{number}/file")
    assert answer.content == content
    assert answer.headers["content-length"] == str(len(content))
    assert answer.headers["content-disposition"] == "attachment; filename=\"Zo_.csv\"; filename*=UTF-8''Zo%C3%AB.csv"


@pytest.mark.parametrize("what", ["file", "errors.csv"])
async def test_a_file_that_is_no_longer_kept_is_404(site: Site, what: str) -> None:
    number = await site.imported(people("ann"), dry_run=True)
    answer = await site.api("viewer").get(f"{IMPORTS}/{number}/{what}")
    assert (answer.status_code, answer.json()["code"]) == (404, "no_file")


async def test_an_owner_approves_a_held_import(site: Site) -> None:
    number = await held(site)
    answer = await site.api("owner").post(f"{IMPORTS}/{number}/approve")
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")
    await site.run()
    report = (await site.api("owner").get(f"{IMPORTS}/{number}")).json()
    assert (report["state"], report["counts"]["deactivated"]) == ("completed", 15)
    assert report["decided_by"].startswith("owner, token ")


async def test_an_owner_discards_a_held_import(site: Site) -> None:
    number = await held(site)
    answer = await site.api("owner").post(f"{IMPORTS}/{number}/discard")
    assert (answer.status_code, answer.json()["state"]) == (200, "discarded")
    again = await site.api("owner").post(f"{IMPORTS}/{number}/discard")
    assert (again.status_code, again.json()["code"]) == (409, "not_held")


async def test_an_owner_undoes_an_import(site: Site) -> None:
    number = await site.imported(people("ann"))
    answer = await site.api("owner").post(f"{IMPORTS}/{number}/undo")
    assert (answer.status_code, answer.json()["state"]) == (202, "queued")
    await site.run()
    assert (await site.api("owner").get(f"{IMPORTS}/{number}")).json()["state"] == "undone"


async def test_testing_a_file_changes_no_user(site: Site) -> None:
    client = site.api("owner")
    answer = await client.post(
        IMPORTS, params={"dry_run": "true"}, content=people("ann"), headers={"content-type": "text/csv"}
    )
    assert answer.status_code == 202, answer.text
    await site.run()
    report = (await client.get(answer.headers["location"])).json()
    assert (report["state"], report["dry_run"], report["counts"]["created"]) == ("completed", True, 1)
    assert (await client.get("/api/v1/tenants/acme/users")).json()["users"] == []


async def test_a_file_that_is_too_large_is_refused_and_leaves_nothing(site: Site) -> None:
    await site.office.tenants.change_settings("acme", {"max_file_bytes": 10})
    answer = await site.api("owner").post(
        IMPORTS, params={"dry_run": "true"}, content=people("ann"), headers={"content-type": "text/csv"}
    )
    assert (answer.status_code, answer.json()["code"]) == (413, "file_too_large")
    assert await site.office.reader.page("acme") == []


async def test_events_follow_the_states_of_imports(site: Site) -> None:
    async with site.api("viewer").stream("GET", "/api/v1/tenants/acme/events") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["x-accel-buffering"] == "no"
        lines = answer.aiter_lines()
        followers = site.office.live._followers
        await eventually(lambda: followers and not any(each.fresh for each in followers))
        number = await site.imported(people("ann"))
        heard = []
        while "completed" not in heard:
            line = await asyncio.wait_for(anext(lines), DEADLINE_S)
            if line.startswith("data: "):
                event = json.loads(line.removeprefix("data: "))
                assert (event["tenant"], event["import"]) == ("acme", number)
                heard.append(event["state"])


async def test_a_client_that_reconnects_gets_the_events_it_missed(site: Site) -> None:
    number = await site.imported(people("ann"))
    headers = {"last-event-id": "0"}
    async with site.api("viewer").stream("GET", "/api/v1/tenants/acme/events", headers=headers) as answer:
        found = [line async for line in _until(answer.aiter_lines(), "data: ")]
    assert json.loads(found[-1].removeprefix("data: "))["import"] == number


async def _until(lines: AsyncIterator[str], beginning: str) -> AsyncIterator[str]:
    async for line in lines:
        yield line
        if line.startswith(beginning):
            return
