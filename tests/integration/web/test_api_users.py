"""Users in the API: lists, one user by any identifier, history, and downloads of all users."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import sqlite3
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from server.web import downloads
from tests.support.importing import people, sheet
from tests.support.site import Site, open_site
from tests.support.waiting import DEADLINE_S, eventually

USERS = "/api/v1/tenants/acme/users"
ODD = ["a/b", "/", "50%", "%2F", "a b+c", "Zoë/Ø", "history", "a/history", "?x=1#;", "users.csv", "a%00b"]


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other") as opened:
        yield opened


@pytest.fixture
async def by_number(site: Site) -> Site:
    """Users with a custom identifier, with unusual values."""
    await site.office.tenants.change_settings("acme", {"custom_fields": [{"key": "number"}], "identifier": "number"})
    rows = [(f"User{place}", "Smith", f"user{place}@example.com", number) for place, number in enumerate(ODD)]
    await site.imported(sheet(*rows, header=("first_name", "last_name", "email", "number")))
    return site


async def test_pages_of_users_miss_no_user(site: Site) -> None:
    await site.imported(people(*(f"user{number}" for number in range(7))))
    client, found, after = site.api("viewer"), [], 0
    while after is not None:
        page = (await client.get(USERS, params={"limit": 3, "after": after})).json()
        found += [user["first_name"] for user in page["users"]]
        after = page["next"]
    assert found == [f"User{number}" for number in range(7)]


async def test_users_are_found_by_text_and_state(site: Site) -> None:
    await site.imported(
        sheet(
            ("Ann", "Lee", "ann@example.com", ""),
            ("Bob", "Lee", "bob@example.com", ""),
            header=("first_name", "last_name", "email", "deactivate"),
        )
    )
    await site.imported(
        sheet(("Bob", "Lee", "bob@example.com", "1"), header=("first_name", "last_name", "email", "deactivate"))
    )

    async def found(**asked: str) -> list[str]:
        users = (await site.api("viewer").get(USERS, params=asked)).json()["users"]
        return [user["first_name"] for user in users]

    assert await found(search="LEE") == ["Ann", "Bob"]
    assert await found(search="bob@") == ["Bob"]
    assert await found(search="lee", state="deactivated") == ["Bob"]


@pytest.mark.parametrize("identifier", ODD)
async def test_a_user_is_found_by_any_valid_identifier(by_number: Site, identifier: str) -> None:
    path = f"{USERS}/{quote(identifier, safe='')}"
    user = (await by_number.api("viewer").get(path)).json()
    assert user["custom"] == {"number": identifier}
    history = (await by_number.api("viewer").get(f"{path}/history")).json()
    assert [(each["identifier"], each["field"]) for each in history["changes"]] == [(identifier, "created")]


async def test_an_unknown_user_is_404(site: Site) -> None:
    for path in ("/nobody%2Fhere", "/nobody@example.com/history"):
        answer = await site.api("viewer").get(USERS + path)
        assert (answer.status_code, answer.json()["code"]) == (404, "no_user")


async def test_history_is_newest_first_and_in_pages(site: Site) -> None:
    for title in ("", "Clerk", "Chief"):
        await site.imported(people("ann", job_title=title))
    client = site.api("viewer")
    first = (await client.get(f"{USERS}/ann@example.com/history", params={"limit": 2})).json()
    assert [(each["field"], each["new"]) for each in first["changes"]] == [
        ("job_title", "Chief"),
        ("job_title", "Clerk"),
    ]
    rest = (await client.get(f"{USERS}/ann@example.com/history", params={"before": first["next"]})).json()
    assert ([each["field"] for each in rest["changes"]], rest["next"]) == (["created"], None)


async def test_importing_the_download_of_all_users_changes_none(site: Site) -> None:
    content = people(*(f"user{number}" for number in range(600)), job_title="=1+1", location='Bonn, "Süd"')
    await site.imported(content)
    answer = await site.api("viewer").get(f"{USERS}.csv")
    assert answer.headers["content-disposition"] == 'attachment; filename="sync_users.csv"'
    assert len(list(csv.reader(io.StringIO(answer.text)))) == 601
    number = await site.imported(answer.content)
    report = (await site.api("viewer").get(f"/api/v1/tenants/acme/imports/{number}")).json()
    assert (report["state"], report["counts"]["unchanged"]) == ("unchanged", 600)


async def test_all_users_are_downloaded_as_json_lines(site: Site) -> None:
    await site.imported(people(*(f"user{number}" for number in range(600))))
    answer = await site.api("viewer").get(f"{USERS}.jsonl")
    users = [json.loads(line) for line in answer.text.splitlines()]
    listed: list[Any] = (await site.api("viewer").get(USERS, params={"limit": 1000})).json()["users"]
    assert users == listed


async def test_a_download_that_the_client_interrupts_ends_its_work(
    site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended = asyncio.Event()

    async def endless() -> downloads.Pieces:
        try:
            while True:
                yield b"x" * 65536
                await asyncio.sleep(0)
        finally:
            await asyncio.sleep(0)  # as closing a database takes a moment
            ended.set()

    monkeypatch.setattr("server.web.exports.users_as_csv", lambda *_: endless())
    async with site.api("viewer").stream("GET", f"{USERS}.csv") as answer:
        await anext(answer.aiter_raw())
        assert not ended.is_set()
    await asyncio.wait_for(ended.wait(), DEADLINE_S)


async def test_a_download_whose_client_stops_reading_is_ended(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(downloads, "STALLED_S", 0.2)
    made = 0
    ended = asyncio.Event()

    async def endless() -> downloads.Pieces:
        nonlocal made
        try:
            while True:
                made += 1
                yield b"x" * 65536
        finally:
            ended.set()

    monkeypatch.setattr("server.web.exports.users_as_csv", lambda *_: endless())
    async with site.api("viewer").stream("GET", f"{USERS}.csv"):
        await asyncio.wait_for(ended.wait(), DEADLINE_S)
    assert made < 1000


@pytest.mark.only_on("sqlite", "no other engine has checkpoints that a reader could hold up")
async def test_a_download_does_not_block_a_checkpoint_of_the_database(site: Site) -> None:
    await site.imported(people(*(f"user{number}" for number in range(600))))
    async with site.api("viewer").stream("GET", f"{USERS}.jsonl") as answer:
        await anext(answer.aiter_raw())

        async def emptied() -> bool:
            with closing(sqlite3.connect(site.office.tenants.folder("acme").users_db)) as db, db:
                busy = db.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchone()[0]
            db.close()
            return not busy

        await eventually(emptied)


@pytest.mark.logs("user_protected")
@pytest.mark.logs("user_unprotected")
async def test_an_owner_protects_a_user_and_ends_that(site: Site) -> None:
    await site.imported(people("ann"))
    client, path = site.api("owner"), f"{USERS}/ann@example.com/protection"
    protected = await client.put(path)
    assert (protected.status_code, protected.json()["protected"]) == (200, True)
    assert (await client.get(f"{USERS}/ann@example.com")).json() == protected.json()
    ended = await client.delete(path)
    assert (ended.status_code, ended.content) == (204, b"")
    assert not (await client.get(f"{USERS}/ann@example.com")).json()["protected"]


async def test_users_with_unusual_identifiers_are_protected(by_number: Site) -> None:
    for identifier in ODD:
        answer = await by_number.api("owner").put(f"{USERS}/{quote(identifier, safe='')}/protection")
        assert (answer.status_code, answer.json()["protected"]) == (200, True), identifier


@pytest.mark.parametrize("method", ["PUT", "DELETE"])
async def test_protecting_an_unknown_user_is_404(site: Site, method: str) -> None:
    answer = await site.api("owner").request(method, f"{USERS}/nobody@example.com/protection")
    assert (answer.status_code, answer.json()["code"]) == (404, "no_user")


async def test_the_next_page_has_a_complete_address_whatever_the_identifier(by_number: Site) -> None:
    rows = [(f"User{place}", "Jones", f"user{place}@example.com", number) for place, number in enumerate(ODD)]
    await by_number.imported(sheet(*rows, header=("first_name", "last_name", "email", "number")))
    for identifier in ODD:
        path = f"{USERS}/{quote(identifier, safe='')}/history"
        first = await by_number.api("viewer").get(path, params={"limit": 1})
        link = first.links["next"]["url"]
        assert link.startswith(f"{by_number.url}{path}?"), identifier
        assert len((await by_number.api("viewer").get(link)).json()["changes"]) == 1, identifier


async def test_links_begin_with_the_public_address_or_that_of_a_trusted_proxy(site: Site) -> None:
    await site.imported(people("ann", "ben"))
    client, proxied = site.api("viewer"), {"x-forwarded-proto": "https", "host": "hr.example.com"}
    answer = await client.get(USERS, params={"limit": 1}, headers=proxied)
    assert answer.links["next"]["url"] == f"https://hr.example.com{USERS}?limit=1&after=1"
    document = (await client.get("/api/v1/openapi.json", headers=proxied)).json()
    assert [each["url"] for each in document["servers"]] == ["https://hr.example.com"]
    settings = site.office.settings.model_copy(update={"http_public_url": "https://public.example.com/hr/"})
    site.app.state.office = replace(site.office, settings=settings)
    answer = await client.get(USERS, params={"limit": 1}, headers=proxied)
    assert answer.links["next"]["url"] == f"https://public.example.com/hr{USERS}?limit=1&after=1"
    await site.imported(people("ann", "ben", job_title="Clerk"))
    for path, cursor in (
        ("/imports", "before=2"),
        ("/changes", "after="),
        ("/users/ann%40example.com/history", "before="),
        ("/imports/2/changes", "after="),
    ):
        path = USERS.removesuffix("/users") + path
        answer = await client.get(path, params={"limit": 1}, headers=proxied)
        assert answer.headers["link"].startswith(f"<https://public.example.com/hr{path}?limit=1&{cursor}"), path
        assert answer.headers["link"].endswith('>; rel="next"')
