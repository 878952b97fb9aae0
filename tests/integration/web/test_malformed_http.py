"""Interrupted and malformed requests: at any moment, they cause no error in the server."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from starlette.applications import Starlette
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from server.logs import set_up
from server.web import lingering
from server.web.listener import WebListener
from tests.support.waiting import DEADLINE_S, eventually

CHUNKED = b"POST %b HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n"
NO_CHUNK = b"zz\r\n"
INVALID = b"GET / HTTP/1.1\r\nHost: a\r\nHost: b\r\n\r\n"


@dataclass
class Scene:
    """A listener whose app answers at once, late, without an end, or after the body."""

    port: int
    listener: WebListener
    may_answer: asyncio.Event
    asked: asyncio.Event
    failed: list[dict[str, Any]] = field(default_factory=list)

    def faults(self, caplog: pytest.LogCaptureFixture) -> list[str]:
        said = [each.getMessage() for each in caplog.records if each.levelno >= logging.ERROR or each.exc_info]
        return [*said, *(str(context.get("message")) for context in self.failed)]

    async def empty(self) -> None:
        await eventually(lambda: not self.listener._server.server_state.connections, what="all connections to end")
        await eventually(lambda: not self.listener._server.server_state.tasks, what="all answers to end")


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    may_answer, asked = asyncio.Event(), asyncio.Event()

    async def at_once(request: Request) -> Response:
        return PlainTextResponse("hello")

    async def late(request: Request) -> Response:
        asked.set()
        await may_answer.wait()
        return PlainTextResponse("hello")

    async def endless(request: Request) -> Response:
        async def pieces() -> AsyncIterator[bytes]:
            while True:
                yield b"x" * 1000
                await asyncio.sleep(0.01)

        return StreamingResponse(pieces())

    async def body(request: Request) -> Response:
        asked.set()
        with suppress(ClientDisconnect):
            await request.body()
        return PlainTextResponse("taken")

    async def too_large(request: Request) -> Response:
        return PlainTextResponse("too large", 413, {"connection": "close"})

    routes = [Route(path, to, methods=["GET", "POST"]) for path, to in
              (("/", at_once), ("/late", late), ("/endless", endless), ("/body", body),
               ("/large", too_large))]  # fmt: skip
    listener = WebListener(Starlette(routes=routes), "127.0.0.1", 0)
    _, port = await listener.start()
    scene = Scene(port, listener, may_answer, asked)
    asyncio.get_running_loop().set_exception_handler(lambda _, context: scene.failed.append(context))
    yield scene
    await listener.close()


async def all_heard(reader: asyncio.StreamReader) -> bytes:
    heard = b""
    with suppress(ConnectionError):
        while data := await asyncio.wait_for(reader.read(65536), 2 * DEADLINE_S):
            heard += data
    return heard


async def test_a_broken_body_in_the_packet_of_its_head_is_answered_with_400(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", scene.port)
    writer.write(CHUNKED % b"/" + NO_CHUNK)
    assert (await all_heard(reader)).startswith(b"HTTP/1.1 400 ")
    writer.close()
    await scene.empty()
    assert not scene.faults(caplog)


LONG = 4 * 1024**2
"""More than the sockets of both sides hold."""


@pytest.mark.parametrize(
    ("begun", "answer"),
    [
        (CHUNKED % b"/" + NO_CHUNK, b"HTTP/1.1 400 "),
        (b"POST /large HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n" % LONG, b"HTTP/1.1 413 "),
    ],
    ids=["400", "413"],
)
async def test_a_client_that_keeps_sending_receives_the_refusal(
    scene: Scene, begun: bytes, answer: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lingering, "LINGER_S", DEADLINE_S)
    reader, writer = await asyncio.open_connection("127.0.0.1", scene.port)
    writer.write(begun)
    for _ in range(LONG // 65536):
        writer.write(b"x" * 65536)
        await writer.drain()
    assert (await reader.read(65536)).startswith(answer)
    await all_heard(reader)
    writer.close()
    await scene.empty()


async def test_a_client_that_keeps_sending_too_long_is_disconnected(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(lingering, "LINGER_S", 0.05)
    reader, writer = await asyncio.open_connection("127.0.0.1", scene.port)
    writer.write(CHUNKED % b"/" + NO_CHUNK)
    assert (await all_heard(reader)).startswith(b"HTTP/1.1 400 ")
    await scene.empty()
    writer.close()


async def test_a_client_that_sends_too_much_is_read_no_more_and_gets_the_refusal(
    scene: Scene, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy sends as fast as it can, and reads the answer when it cannot send. A reset would lose the answer."""
    monkeypatch.setattr(lingering, "LINGER_BYTES", 100_000)
    monkeypatch.setattr(lingering, "LINGER_S", 1)
    reader, writer = await asyncio.open_connection("127.0.0.1", scene.port)
    writer.write(CHUNKED % b"/" + NO_CHUNK + bytes(5 * LONG))
    answer = asyncio.create_task(reader.read(65536))
    connections = scene.listener._server.server_state.connections
    await eventually(lambda: connections, what="the connection")
    (connection,) = connections
    await eventually(lambda: not connection.transport.is_reading())  # type: ignore[union-attr]
    assert (await answer).startswith(b"HTTP/1.1 400 ")
    await scene.empty()
    writer.close()


async def test_a_stop_does_not_wait_for_a_client_that_keeps_sending(scene: Scene) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", scene.port)
    writer.write(CHUNKED % b"/" + NO_CHUNK)
    assert (await all_heard(reader)).startswith(b"HTTP/1.1 400 ")
    (connection,) = scene.listener._server.server_state.connections
    await scene.listener.close()
    assert connection.transport.is_closing()  # type: ignore[union-attr]
    await scene.empty()
    writer.close()


async def test_a_body_that_breaks_after_its_answer_ends_the_connection(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", scene.port)
    writer.write(CHUNKED % b"/")
    await reader.readuntil(b"hello")
    writer.write(NO_CHUNK)
    assert await all_heard(reader) == b""
    writer.close()
    await scene.empty()
    assert not scene.faults(caplog)


async def test_a_body_that_breaks_during_its_answer_ends_the_connection(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", scene.port)
    writer.write(CHUNKED % b"/endless")
    await reader.readuntil(b"xxx")
    writer.write(NO_CHUNK)
    assert b"HTTP/1.1 400" not in await all_heard(reader), "an answer in the middle of another"
    writer.close()
    await scene.empty()
    assert not scene.faults(caplog)


@pytest.mark.parametrize("path", [b"/late", b"/body"])
async def test_a_body_that_breaks_before_its_answer_is_answered_with_400(
    scene: Scene, caplog: pytest.LogCaptureFixture, path: bytes
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", scene.port)
    writer.write(CHUNKED % path)
    await scene.asked.wait()
    writer.write(NO_CHUNK)
    heard = await all_heard(reader)
    scene.may_answer.set()
    writer.close()
    await scene.empty()
    assert heard.count(b"HTTP/1.1 ") == 1
    assert heard.startswith(b"HTTP/1.1 400 ")
    assert not scene.faults(caplog)


async def test_an_invalid_request_after_a_valid_one_is_answered_with_400(
    scene: Scene, caplog: pytest.LogCaptureFixture
) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", scene.port)
    writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n" + INVALID)
    heard = await all_heard(reader)
    assert [each[:3] for each in heard.split(b"HTTP/1.1 ")[1:]] == [b"200", b"400"]
    writer.close()
    await scene.empty()
    assert not scene.faults(caplog)


async def test_invalid_requests_leave_no_line_in_the_log(scene: Scene, capsys: pytest.CaptureFixture[str]) -> None:
    before = logging.getLogger().handlers[:], logging.getLogger().level
    try:
        set_up("text", "info")
        for said in (INVALID, b"GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n"):
            reader, writer = await asyncio.open_connection("127.0.0.1", scene.port)
            writer.write(said)
            await reader.readuntil(b"\r\n\r\n")
            writer.close()
        await scene.empty()
    finally:
        logging.getLogger().handlers[:] = before[0]
        logging.getLogger().setLevel(before[1])
    assert capsys.readouterr().err == ""
