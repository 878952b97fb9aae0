"""Health checks, metrics, trusted proxies and the listener, over real HTTP."""

from __future__ import annotations

import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from keys.ring import parse_network
from server import process
from server.web.access import bearer
from server.web.health import Check, Health, MayRead
from server.web.listener import WebListener
from tests.support.waiting import DEADLINE_S


async def up() -> bool:
    return True


async def down() -> bool:
    return False


async def broken() -> bool:
    raise OSError("gone")


async def numbers() -> bytes:
    return b"headcount_x 1\n"


@asynccontextmanager
async def served(may_read: MayRead | None = None, **checks: Check) -> AsyncIterator[httpx.AsyncClient]:
    async def allow_all(token: str | None) -> bool:
        return True

    listener = WebListener(Starlette(routes=Health(checks, numbers, may_read or allow_all).routes()), "127.0.0.1", 0)
    host, port = await listener.start()
    try:
        async with httpx.AsyncClient(base_url=f"http://{host}:{port}", timeout=DEADLINE_S) as client:
            yield client
    finally:
        await listener.close()


async def test_a_process_that_answers_is_alive_even_if_not_ready() -> None:
    async with served(sftp=down) as client:
        assert (await client.get("/healthz")).status_code == 200


async def test_ready_means_that_every_part_is_up() -> None:
    async with served(sftp=up, worker=up, database=up) as client:
        answer = await client.get("/readyz")
        assert (answer.status_code, answer.json()["ready"]) == (200, True)


@pytest.mark.parametrize("part", [down, broken])
async def test_a_part_that_is_down_is_named(part: Callable[[], Awaitable[bool]]) -> None:
    async with served(sftp=up, worker=part) as client:
        answer = await client.get("/readyz")
        assert answer.status_code == 503
        assert answer.json() == {
            "ready": False,
            "sftp": True,
            "worker": False,
            "tenants_broken": 0,
            "hooks_broken": 0,
        }


async def test_metrics_are_text_that_prometheus_reads() -> None:
    async with served() as client:
        answer = await client.get("/metrics")
        assert answer.text == "headcount_x 1\n"
        assert answer.headers["content-type"].startswith("text/plain; version=0.0.4")


async def test_metrics_can_require_the_operators_token() -> None:
    async def operator(token: str | None) -> bool:
        return token == "right"

    async with served(operator) as client:
        refused = await client.get("/metrics")
        assert refused.status_code == 401
        assert refused.headers["content-type"] == "application/problem+json"
        assert refused.headers["www-authenticate"] == "Bearer"
        assert (await client.get("/metrics", headers={"Authorization": "Bearer wrong"})).status_code == 401
        assert (await client.get("/metrics", headers={"Authorization": "Bearer right"})).status_code == 200


@pytest.mark.parametrize(
    ("trusted", "sent", "seen"),
    [
        (["127.0.0.1"], {"x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "https"}, "192.0.2.7 https"),
        (["127.0.0.0/8"], {"x-forwarded-for": "6.6.6.6, 192.0.2.7"}, "192.0.2.7 http"),
        (["10.0.0.0/8"], {"x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "https"}, "127.0.0.1 http"),
        ([], {"x-forwarded-for": "192.0.2.7", "x-forwarded-proto": "https"}, "127.0.0.1 http"),
    ],
)
async def test_only_trusted_proxies_set_the_client_address(
    trusted: list[str], sent: dict[str, str], seen: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORWARDED_ALLOW_IPS", "*")

    async def whoami(request: Request) -> Response:
        return PlainTextResponse(f"{request.client.host if request.client else ''} {request.url.scheme}")

    networks = [parse_network(text) for text in trusted]
    listener = WebListener(Starlette(routes=[Route("/", whoami)]), "127.0.0.1", 0, networks)
    host, port = await listener.start()
    try:
        async with httpx.AsyncClient(timeout=DEADLINE_S) as client:
            assert (await client.get(f"http://{host}:{port}/", headers=sent)).text == seen
    finally:
        await listener.close()


async def test_a_port_in_use_fails_the_start() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        listener = WebListener(Starlette(), "127.0.0.1", taken.getsockname()[1])
        with pytest.raises(OSError, match="in use"):
            await listener.start()


@pytest.mark.parametrize(
    ("header", "token"),
    [("Bearer abc", "abc"), ("bearer abc ", "abc"), ("Basic abc", None), ("Bearer ", None), ("", None), (None, None)],
)
def test_a_bearer_token_is_found_in_its_header(header: str | None, token: str | None) -> None:
    assert bearer(header) == token


def test_a_data_folder_has_one_server(tmp_path: Path) -> None:
    assert not process.server_runs(tmp_path)
    with process.hold(tmp_path):
        assert process.server_runs(tmp_path)
        with pytest.raises(process.InUse, match="already runs"), process.hold(tmp_path):
            raise AssertionError("two servers")
    assert not process.server_runs(tmp_path)
    with process.hold(tmp_path):
        assert process.server_runs(tmp_path)
