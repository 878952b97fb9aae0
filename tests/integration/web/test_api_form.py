"""Every route of the API: methods, bodies and problems; and its document and page."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from server.web.api.asking import BODY_BYTES_MOST
from server.web.api.document import document
from server.web.http_problem import MEDIA_TYPE
from tests.support.importing import people
from tests.support.site import Site, open_site

ACME = "/api/v1/tenants/acme"


@pytest.fixture
async def site(tmp_path: Path) -> AsyncIterator[Site]:
    async with open_site(tmp_path, "acme", "other") as opened:
        yield opened


def is_problem(answer: httpx.Response, status: int, code: str) -> None:
    assert answer.headers["content-type"] == MEDIA_TYPE
    problem = answer.json()
    assert (answer.status_code, problem["status"], problem["code"]) == (status, status, code)
    assert problem["detail"].endswith(".")


@pytest.mark.parametrize(
    "path",
    ["imports", "imports/1", "imports/1/file", "users", "users.csv", "users.jsonl", "settings", "keys"],
)
async def test_head_answers_like_get_without_a_body(site: Site, path: str) -> None:
    await site.imported(people("ann"))
    client = site.api("viewer")
    got, asked = await client.get(f"{ACME}/{path}"), await client.head(f"{ACME}/{path}")
    assert (asked.status_code, asked.content) == (200, b"")
    kept = ("content-type", "content-disposition", "etag")
    assert [asked.headers.get(name) for name in kept] == [got.headers.get(name) for name in kept]


async def test_head_of_an_event_stream_ends(site: Site) -> None:
    answer = await site.api("viewer").head(f"{ACME}/events")
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert not site.office.live._followers


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PUT", "imports", "GET, HEAD, POST"),
        ("DELETE", "settings", "GET, HEAD, PATCH"),
        ("POST", "keys/SHA256:a%2Fb", "DELETE, GET, HEAD"),
        ("OPTIONS", "users/ann@example.com", "GET, HEAD"),
        ("GET", "imports/1/undo", "POST"),
    ],
)
async def test_an_unsupported_method_is_refused_with_the_supported_ones(
    site: Site, method: str, path: str, allowed: str
) -> None:
    answer = await site.api("owner").request(method, f"{ACME}/{path}")
    is_problem(answer, 405, "bad_method")
    assert answer.headers["allow"] == allowed


@pytest.mark.parametrize("path", ["/api/v1", "/api/v1/nothing", "/api/v2/tenants", f"{ACME}/imports/1/nothing"])
async def test_an_unknown_path_is_a_problem(site: Site, path: str) -> None:
    is_problem(await site.api("owner").get(path), 404, "not_found")


async def test_a_body_of_invalid_json_is_refused(site: Site) -> None:
    for body in (b"", b"{", b'{"key": NaN}', b'"\xff"', b'"\\ud800"', b"[" * 100_000):
        answer = await site.api("owner").post(
            f"{ACME}/keys", content=body, headers={"content-type": "application/json"}
        )
        is_problem(answer, 400, "bad_json")


@pytest.mark.parametrize("body", [b"[]", b"1", b"null", b'"a"'])
async def test_a_body_that_is_not_an_object_is_refused(site: Site, body: bytes) -> None:
    for method, path in (("POST", "keys"), ("PATCH", "settings")):
        answer = await site.api("owner").request(
            method, f"{ACME}/{path}", content=body, headers={"content-type": "application/json"}
        )
        is_problem(answer, 422, "bad_request")


async def test_an_unsupported_media_type_is_refused_with_the_supported_ones(site: Site) -> None:
    client = site.api("owner")
    answer = await client.patch(f"{ACME}/settings", content=b"a=1", headers={"content-type": "text/plain"})
    is_problem(answer, 415, "unsupported_type")
    assert answer.headers["accept-patch"] == "application/json, application/merge-patch+json"
    is_problem(await client.post(f"{ACME}/keys", content=b"{}"), 415, "unsupported_type")
    answer = await client.post(f"{ACME}/imports", params={"dry_run": "true"}, files={"file": b"x"})
    is_problem(answer, 415, "unsupported_type")


@pytest.mark.parametrize("chunked", [True, False])
async def test_a_body_that_is_too_large_is_refused(site: Site, chunked: bool) -> None:
    async def pieces() -> AsyncIterator[bytes]:
        for _ in range(BODY_BYTES_MOST // 65536 + 1):
            yield b" " * 65536

    content = pieces() if chunked else b" " * (BODY_BYTES_MOST + 1)
    answer = await site.api("owner").post(
        f"{ACME}/keys", content=content, headers={"content-type": "application/json"}
    )
    is_problem(answer, 413, "too_large")


async def test_a_request_without_a_token_is_refused_unread(site: Site) -> None:
    answer = await site.anybody().post(f"{ACME}/keys", content=b"{", headers={"content-type": "application/json"})
    is_problem(answer, 401, "no_token")
    assert answer.headers["www-authenticate"] == "Bearer"


async def test_the_operator_sees_all_tenants(site: Site) -> None:
    await site.imported(people("ann"))
    await site.imported(b"")
    answer = await site.api("operator").get("/api/v1/tenants")
    acme, other = answer.json()["tenants"]
    assert (acme["name"], other["name"]) == ("acme", "other")
    assert (acme["users"], other["users"]) == ({"active": 1, "deactivated": 0}, {"active": 0, "deactivated": 0})
    assert (acme["last_import"]["state"], other["last_import"]) == ("failed", None)
    assert "messages" not in acme["last_import"]


async def test_the_document_needs_no_token(site: Site) -> None:
    answer = await site.anybody().get("/api/v1/openapi.json")
    assert {name: part for name, part in answer.json().items() if name != "servers"} == document()
    assert answer.json()["openapi"].startswith("3.1")


async def test_the_page_has_every_operation_of_the_document(site: Site) -> None:
    answer = await site.anybody().get("/api")
    assert answer.headers["content-type"].startswith("text/html")
    for path, item in document()["paths"].items():
        assert path in answer.text
        for operation in item.values():
            assert isinstance(operation, list) or f'id="{operation["operationId"]}"' in answer.text


def test_the_document_has_no_errors_of_the_library() -> None:
    assert "HTTPValidationError" not in str(document())
