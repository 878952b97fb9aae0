"""Sending a file over the API: it lands at `/sync_users.csv` as over SFTP, completely or not at all."""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from engine.tokens import Role
from ground.moments import rfc3339, utc_now
from importer.queue.entry import Entry
from server.hooks import receiving
from tests.support.importing import people
from tests.support.site import Site, open_site
from tests.support.waiting import eventually

IMPORTS = "/api/v1/tenants/acme/imports"
CSV = {"content-type": "text/csv"}
FILE = people("ann", "ben")


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other") as opened:
        yield opened


def visible(site: Site) -> bytes | None:
    """Return the content of the file that the tenant sees over SFTP; None if there is none."""
    return site.stored.visible("acme", "/sync_users.csv")


async def send(
    site: Site, content: Any = FILE, role: str = "owner", headers: dict[str, str] | None = None, **asked: str
) -> httpx.Response:
    params = {"dry_run": "false", **asked}
    return await site.api(role).post(IMPORTS, params=params, content=content, headers={**CSV, **(headers or {})})


async def listed(site: Site) -> list[Entry]:
    return await site.office.reader.page("acme")


async def states(site: Site) -> list[tuple[int, str]]:
    return [(each.id, each.state.value) for each in reversed(await listed(site))]


def digest(content: bytes) -> dict[str, str]:
    found = base64.b64encode(hashlib.sha256(content).digest()).decode()
    return {"content-digest": f"sha-512=:AAAA:, sha-256=:{found}:"}


async def test_a_file_sent_over_the_api_is_imported_and_its_report_says_who_sent_it(site: Site) -> None:
    _, ann = await site.office.tokens.create("acme", Role.OWNER, comment="Ann")
    client = site.anybody(authorization=f"Bearer {ann}", **CSV)
    answer = await client.post(IMPORTS, params={"dry_run": "false"}, content=FILE)
    assert (answer.status_code, answer.headers["location"]) == (202, f"{IMPORTS}/1")
    report = answer.json()
    assert (report["state"], report["dry_run"], report["sent_by"]) == ("queued", False, "Ann")
    assert report["file"] == {"name": "sync_users.csv", "size": len(FILE), "sha256": None, "rows": None}
    assert visible(site) == FILE
    assert site.stored.shares("acme", "/sync_users.csv", 1)
    await site.run()
    ended = (await client.get(answer.headers["location"])).json()
    assert (ended["state"], ended["counts"]["created"], ended["sent_by"]) == ("completed", 2, "Ann")
    assert b'"sent_by": "Ann"' in (site.stored.visible("acme", "/results/sync_users-1.json") or b"")
    assert not site.stored.unfinished("acme")


async def test_the_sender_without_a_comment_is_named_by_role_and_token(site: Site) -> None:
    assert (await send(site, role="operator")).json()["sent_by"] == "operator, token 1"


async def test_a_file_over_sftp_has_no_sender(site: Site) -> None:
    number = await site.upload(FILE)
    assert (await site.api("viewer").get(f"{IMPORTS}/{number}")).json()["sent_by"] is None


async def test_a_test_names_its_sender_too(site: Site) -> None:
    answer = await send(site, dry_run="true")
    assert (answer.json()["dry_run"], answer.json()["sent_by"]) == (True, "owner, token 2")
    assert visible(site) is None


@pytest.mark.parametrize("dry_run", ["true", "false"])
@pytest.mark.parametrize(
    ("role", "status"), [("owner", 202), ("operator", 202), ("viewer", 403), ("elsewhere", 404), ("", 401)]
)
async def test_only_owners_and_the_operator_send_a_file(site: Site, role: str, status: int, dry_run: str) -> None:
    client = site.api(role) if role else site.anybody()
    answer = await client.post(IMPORTS, params={"dry_run": dry_run}, content=FILE, headers=CSV)
    assert answer.status_code == status
    assert len(await listed(site)) == (1 if status == 202 else 0)
    assert visible(site) == (FILE if status == 202 and dry_run == "false" else None)


@pytest.mark.parametrize("query", ["", "?dry_run=", "?dry_run=no", "?dry_run=false&dry_run=true", "?dryrun=false"])
async def test_a_file_without_a_clear_dry_run_is_refused(site: Site, query: str) -> None:
    answer = await site.api("owner").post(f"{IMPORTS}{query}", content=FILE, headers=CSV)
    assert (answer.status_code, answer.json()["code"]) == (422, "bad_request")
    assert (await listed(site), visible(site)) == ([], None)


async def test_only_a_tested_file_has_a_name_of_its_own(site: Site) -> None:
    answer = await send(site, name="march.csv")
    assert answer.status_code == 422
    assert answer.json()["errors"] == [
        {"name": "name", "detail": "must be sync_users.csv, or left out, unless dry_run is true"}
    ]
    assert (await send(site, name="sync_users.csv")).status_code == 202


async def test_a_form_is_refused(site: Site) -> None:
    client = site.api("owner")
    answer = await client.post(IMPORTS, params={"dry_run": "false"}, files={"file": FILE})
    assert (answer.status_code, answer.json()["code"]) == (415, "unsupported_type")


@pytest.mark.parametrize("dry_run", ["true", "false"])
@pytest.mark.parametrize(
    ("headers", "status", "code"),
    [
        ({"content-encoding": "gzip"}, 415, "unsupported_coding"),
        ({"content-encoding": "identity, BR"}, 415, "unsupported_coding"),
        ({"content-range": "bytes 0-3/100"}, 400, "partial_body"),
    ],
)
async def test_a_packed_file_or_a_part_of_one_is_refused_unread(
    site: Site, headers: dict[str, str], status: int, code: str, dry_run: str
) -> None:
    answer = await send(site, headers=headers, dry_run=dry_run)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers.get("accept-encoding") == ("identity" if status == 415 else None)
    reader, writer = await asyncio.open_connection(*site.url.removeprefix("http://").split(":"))
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    writer.write((HEAD % site.tokens["owner"] + lines).encode() + b"Content-Length: 1000\r\n\r\n")
    assert (await reader.readline()).startswith(b"HTTP/1.1 %d " % status)
    writer.close()
    assert (await listed(site), visible(site)) == ([], None)


async def test_a_file_that_is_said_to_be_as_it_is_lands(site: Site) -> None:
    assert (await send(site, headers={"content-encoding": "Identity"})).status_code == 202
    assert visible(site) == FILE


@pytest.mark.parametrize(
    ("settings", "status", "code"),
    [
        ({"max_file_bytes": 10}, 413, "file_too_large"),
        ({"quota_bytes": 60}, 507, "quota_exceeded"),
        ({"quota_files": 1}, 507, "quota_exceeded"),
    ],
)
async def test_a_file_above_a_limit_is_refused_and_the_old_file_stays(
    site: Site, settings: dict[str, int], status: int, code: str
) -> None:
    if "quota_files" in settings:
        site.stored.publish("acme", "/other.csv", b"x")
    else:
        site.stored.publish("acme", "/sync_users.csv", b"old")
    before = visible(site)
    await site.office.tenants.change_settings("acme", settings)
    answer = await send(site)
    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert visible(site) == before
    assert not site.stored.unfinished("acme")
    await site.office.tenants.change_settings("acme", dict.fromkeys(settings))
    assert (await send(site)).status_code == 202  # what the refused file took of the quota is free again


async def test_a_file_is_refused_while_too_many_imports_wait(site: Site) -> None:
    await site.office.tenants.change_settings("acme", {"max_waiting_imports": 1})
    assert (await send(site)).status_code == 202
    answer = await send(site, people("cy"))
    assert (answer.status_code, answer.json()["code"]) == (409, "too_many_waiting")
    assert (await states(site), visible(site)) == ([(1, "queued")], FILE)


async def test_one_file_too_many_is_refused_when_several_come_at_once(site: Site) -> None:
    await site.office.tenants.change_settings("acme", {"max_waiting_imports": 1})
    answers = await asyncio.gather(send(site), send(site, FILE), send(site, FILE))
    assert sorted(each.status_code for each in answers) == [202, 409, 409]
    assert {each.json()["code"] for each in answers if each.status_code == 409} == {"too_many_waiting"}
    assert [state for _, state in await states(site)].count("queued") == 1


async def test_a_paused_feed_keeps_a_sent_file_waiting(site: Site) -> None:
    until = rfc3339(utc_now() + timedelta(days=1))
    await site.office.tenants.change_settings("acme", {"paused_until": until})
    assert (await send(site)).status_code == 202
    async with site.working():
        await eventually(lambda: _message(site, 1, "Paused until "))
    assert await states(site) == [(1, "queued")]
    await site.office.tenants.change_settings("acme", {"paused_until": None})
    await site.run()
    assert await states(site) == [(1, "completed")]


async def _message(site: Site, number: int, beginning: str) -> bool:
    entry = await site.office.reader.require("acme", number)
    return (entry.message or "").startswith(beginning)


async def test_a_folder_in_the_place_of_the_file_is_named(site: Site) -> None:
    site.stored.make_folder("acme", "/sync_users.csv")
    answer = await send(site)
    assert (answer.status_code, answer.json()["code"]) == (409, "not_landed")
    assert "/sync_users.csv" in answer.json()["detail"]


async def test_the_later_of_two_complete_lists_wins(site: Site) -> None:
    await site.office.tenants.change_settings("acme", {"deactivate_missing": True})
    for each in (FILE, people("ann")):
        assert (await send(site, each)).status_code == 202
    await site.run()
    assert await states(site) == [(1, "superseded"), (2, "completed")]
    assert visible(site) == people("ann")


# Content-Digest


async def test_a_file_that_matches_its_digest_is_proven_complete(site: Site) -> None:
    many = [f"user{number}" for number in range(30)]
    for settings in ({"deactivate_missing": True, "max_deactivations_percent": 100}, {"require_checksum": True}):
        await site.office.tenants.change_settings("acme", settings)
    full, short = people(*many), people(*many[:2])
    assert (await send(site, full, headers=digest(full))).status_code == 202
    await site.run()
    assert (await send(site, short, headers=digest(short))).status_code == 202
    await site.run()
    assert await states(site) == [(1, "completed"), (2, "completed")]


async def test_a_file_without_a_digest_is_not_proven_complete(site: Site) -> None:
    many = [f"user{number}" for number in range(30)]
    settings = {"deactivate_missing": True, "max_deactivations_percent": 100}
    await site.office.tenants.change_settings("acme", settings)
    for each in (people(*many), people(*many[:2])):
        assert (await send(site, each)).status_code == 202
        await site.run()
    assert await states(site) == [(1, "completed"), (2, "held")]


@pytest.mark.parametrize("dry_run", ["true", "false"])
@pytest.mark.parametrize(
    ("given", "code"),
    [
        (digest(b"other"), "digest_differs"),
        ({"content-digest": "sha-256=:AAAA:"}, "bad_digest"),
        ({"content-digest": "sha-512=:AAAA:"}, "bad_digest"),
        ({"content-digest": "sha-256=:A:"}, "bad_digest"),
        ({"content-digest": hashlib.sha256(FILE).hexdigest()}, "bad_digest"),
    ],
)
async def test_a_file_that_differs_from_its_digest_lands_nothing(
    site: Site, given: dict[str, str], code: str, dry_run: str
) -> None:
    answer = await send(site, headers=given, dry_run=dry_run)
    assert (answer.status_code, answer.json()["code"]) == (400, code)
    assert visible(site) is None
    assert {state for _, state in await states(site)} <= {"aborted"}


async def test_a_file_without_a_digest_is_refused_if_a_checksum_is_required(site: Site) -> None:
    await site.office.tenants.change_settings("acme", {"require_checksum": True})
    answer = await send(site)
    assert (answer.status_code, answer.json()["code"]) == (422, "digest_missing")
    assert "Content-Digest" in answer.json()["detail"]
    assert (await send(site, dry_run="true")).status_code == 202
    assert (await send(site, headers=digest(FILE))).status_code == 202
    await site.run()
    assert (await states(site))[-1] == (2, "completed")


# Bodies that end too early

HEAD = (
    f"POST {IMPORTS}?dry_run=false HTTP/1.1\r\nHost: here\r\nContent-Type: text/csv\r\nAuthorization: Bearer %s\r\n"
)
SHORT = b"Content-Length: 1000\r\n\r\n" + FILE
UNENDED = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b\r\n" % (len(FILE), FILE)
CUT_CHUNK = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%b" % (len(FILE), FILE[:10])
NO_CHUNK = b"zz\r\n"


async def raw(site: Site, rest: bytes, more: bytes = b"", *, reset: bool = False) -> bytes:
    """Send a request whose body ends too early; return the answer, if the client waits for one.

    `more` is sent once the server writes the file.
    """
    reader, writer = await asyncio.open_connection(*site.url.removeprefix("http://").split(":"))
    try:
        writer.write((HEAD % site.tokens["owner"]).encode() + rest)
        await eventually(lambda: any(site.stored.unfinished("acme")))
        if reset:
            writer.transport.abort()
            return b""
        writer.write(more)
        writer.write_eof()
        return await reader.read()
    finally:
        writer.close()


@pytest.mark.parametrize(
    ("rest", "more", "code"),
    [
        (SHORT, b"", b'"code":"broken_body"'),
        (UNENDED, b"", b'"code":"broken_body"'),
        (CUT_CHUNK, b"", b'"code":"broken_body"'),
        (UNENDED, NO_CHUNK, b"Invalid HTTP request received."),
    ],
)
async def test_a_body_that_ends_too_early_lands_nothing_and_is_answered_with_400(
    site: Site, rest: bytes, more: bytes, code: bytes
) -> None:
    site.stored.publish("acme", "/sync_users.csv", b"old")
    answer = await raw(site, rest, more)
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert code in answer
    await eventually(lambda: _is_listed(site, "aborted"))
    assert visible(site) == b"old"
    assert not site.stored.unfinished("acme")
    (entry,) = await listed(site)
    assert (entry.message or "").startswith(f"The upload was interrupted after {entry.file.size} bytes (the client ")
    assert entry.sent_by == "owner, token 2"


@pytest.mark.parametrize("rest", [b"Content-Length: %d\r\n\r\n%b" % (len(FILE), FILE), UNENDED + b"0\r\n\r\n"])
async def test_a_complete_body_lands_though_its_client_ends_its_side(site: Site, rest: bytes) -> None:
    reader, writer = await asyncio.open_connection(*site.url.removeprefix("http://").split(":"))
    writer.write((HEAD % site.tokens["owner"]).encode() + rest)
    writer.write_eof()
    answer = await reader.read()  # to the end: the server closes the connection
    writer.close()
    assert answer.startswith(b"HTTP/1.1 202 ")
    assert (await states(site), visible(site)) == ([(1, "queued")], FILE)


@pytest.mark.parametrize("rest", [SHORT, UNENDED])
async def test_a_reset_connection_lands_nothing(site: Site, rest: bytes) -> None:
    await raw(site, rest, reset=True)
    await eventually(lambda: _is_listed(site, "aborted"))
    assert visible(site) is None
    assert not site.stored.unfinished("acme")


async def _is_listed(site: Site, state: str) -> bool:
    return [each.state.value for each in await listed(site)] == [state]


async def test_a_file_that_stops_coming_is_refused(site: Site, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(receiving, "STALLED_S", 0.05)
    reader, writer = await asyncio.open_connection(*site.url.removeprefix("http://").split(":"))
    writer.write((HEAD % site.tokens["owner"]).encode() + SHORT)
    assert (await reader.readline()).startswith(b"HTTP/1.1 408 ")
    writer.close()
    await eventually(lambda: _is_listed(site, "aborted"))
    assert visible(site) is None


@pytest.mark.parametrize("dry_run", ["true", "false"])
async def test_a_token_that_is_revoked_during_its_body_lands_nothing(site: Site, dry_run: str) -> None:
    site.stored.publish("acme", "/sync_users.csv", b"old")
    token, text = await site.office.tokens.create("acme", Role.OWNER, comment="Ann")

    async def body() -> AsyncIterator[bytes]:
        yield FILE[:10]
        await eventually(lambda: any(site.stored.unfinished("acme")))
        await site.office.tokens.revoke(token.id)
        yield FILE[10:]

    client = site.anybody(authorization=f"Bearer {text}", **CSV)
    answer = await client.post(IMPORTS, params={"dry_run": dry_run}, content=body())
    assert (answer.status_code, answer.json()["code"]) == (401, "no_token")
    assert answer.headers["www-authenticate"] == "Bearer"
    assert visible(site) == b"old"
    assert not site.stored.unfinished("acme")
    entries = await listed(site)
    assert [each.state.value for each in entries] == ["aborted"] * (dry_run == "false")
    for each in entries:
        assert "(the token was revoked or expired before the file was complete)" in (each.message or "")


async def test_an_empty_body_lands_as_an_empty_file(site: Site) -> None:
    assert (await send(site, b"")).status_code == 202
    await site.run()
    (entry,) = await listed(site)
    assert (entry.state.value, entry.file.size, visible(site)) == ("failed", 0, b"")
