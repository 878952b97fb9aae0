"""Forms have a size limit for every client, and do not block the event loop while they are read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from server.web.forms import FORM_BYTES_MOST, PIECE_BYTES, Forms, remove_size_limit
from tests.unit.web.test_multipart import KIND, form, part

URLENCODED = "application/x-www-form-urlencoded"
PIECES = 30


async def fields(request: Request) -> Response:
    async with request.form(max_fields=10_000) as found:
        return PlainTextResponse(str(len(found.multi_items())))


async def size(request: Request) -> Response:
    if "unbound" in request.query_params:
        remove_size_limit(request)
    return PlainTextResponse(str(sum([len(piece) async for piece in request.stream()])))


def site() -> httpx.AsyncClient:
    app = Starlette(routes=[Route("/", size, methods=["POST"]), Route("/fields", fields, methods=["POST"])])
    app.add_middleware(Forms)
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://here")


async def post(path: str, body: bytes, kind: str) -> httpx.Response:
    async with site() as client:
        return await client.post(path, content=body, headers={"content-type": kind})


@pytest.mark.parametrize(
    ("path", "length", "kind", "status"),
    [
        ("/", FORM_BYTES_MOST, URLENCODED, 200),
        ("/", FORM_BYTES_MOST + 1, URLENCODED, 413),
        ("/", FORM_BYTES_MOST + 1, KIND, 413),
        ("/", FORM_BYTES_MOST + 1, KIND.upper(), 413),
        ("/", FORM_BYTES_MOST + 1, "text/csv", 200),
        ("/?unbound", FORM_BYTES_MOST + 1, KIND, 200),
    ],
)
async def test_a_form_has_a_size_limit_unless_its_route_removes_it(
    path: str, length: int, kind: str, status: int
) -> None:
    answer = await post(path, b"x" * length, kind)
    assert answer.status_code == status
    assert status != 200 or answer.text == str(length)


async def test_an_endless_form_is_refused_before_it_ends() -> None:
    async def endless() -> AsyncIterator[bytes]:
        while True:
            yield b"x" * 65_536

    async with site() as client:
        answer = await client.post("/", content=endless(), headers={"content-type": KIND})
    assert answer.status_code == 413
    assert answer.headers["connection"] == "close"


@pytest.mark.parametrize("kind", [URLENCODED, KIND])
async def test_the_event_loop_runs_while_a_form_is_read(kind: str) -> None:
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    entries = PIECES * PIECE_BYTES // len(part("a", b"b"))
    body = form(*[part("a", b"b")] * entries) if kind == KIND else b"&".join([b"a=b" + b"x" * 60] * entries)
    turning = asyncio.create_task(turn())
    answer = await post("/fields", body, kind)
    turning.cancel()
    assert answer.text == str(entries)
    assert turns >= len(body) // PIECE_BYTES
