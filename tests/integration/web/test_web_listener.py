"""The HTTP listener: how long a client may stall, and which clients have a place."""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, suppress
from ipaddress import ip_network

import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import Route

from server.web import listener as listener_module
from server.web import slow_clients
from server.web.crowd import SPARE, Caps
from server.web.door import caller_of
from server.web.downloads import Streamed
from server.web.http_problem import HttpProblem, as_http_problem
from server.web.listener import WebListener, _listening
from tests.support.waiting import DEADLINE_S, eventually

ASKED = b"GET / HTTP/1.1\r\nHost: here\r\n\r\n"
LONG = 32 * 1024 * 1024
NOT_YET_S = 0.6 * slow_clients.STALLED_S


def test_connections_use_tcp_nodelay() -> None:
    with _listening("127.0.0.1", 0) as listening, socket.create_connection(listening.getsockname()):
        accepted, _ = listening.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)


class Client:
    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    def say(self, text: bytes) -> None:
        self._writer.write(text)

    async def hears(self, text: bytes) -> None:
        await asyncio.wait_for(self._reader.readuntil(text), DEADLINE_S)

    async def takes(self, count: int) -> None:
        await asyncio.wait_for(self._reader.readexactly(count), DEADLINE_S)

    async def is_disconnected(self) -> None:
        """Read until the connection ends."""
        with suppress(ConnectionError):
            await asyncio.wait_for(self._reader.read(), DEADLINE_S)

    async def go(self) -> None:
        self._writer.close()
        with suppress(ConnectionError):
            await self._writer.wait_closed()


class Scene:
    """A listener that answers `hello`, the request's body, or a long text; and its clients."""

    def __init__(self, where: tuple[str, int], listener: WebListener, clients: AsyncExitStack) -> None:
        self._where = where
        self._listener = listener
        self._clients = clients
        self.taken: int | None = None
        """The bytes of a body that have arrived; None before its head."""
        self.largest = 0

    async def take(self, request: Request) -> Response:
        self.taken = 0
        async for piece in request.stream():
            self.taken += len(piece)
            self.largest = max(self.largest, len(piece))
        return PlainTextResponse("taken")

    async def client(self, source: str = "127.0.0.1") -> Client:
        client = Client(*await asyncio.open_connection(*self._where, local_addr=(source, 0)))
        self._clients.push_async_callback(client.go)
        return client

    def connections(self) -> int:
        return len(self._listener._server.server_state.connections)

    def there_are(self, count: int) -> Callable[[], bool]:
        return lambda: self.connections() == count


async def hello(request: Request) -> Response:
    return PlainTextResponse("hello")


async def echo(request: Request) -> Response:
    return PlainTextResponse(await request.body())


async def long(request: Request) -> Response:
    return PlainTextResponse("x" * LONG)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    app = Starlette(routes=[Route("/", hello), Route("/echo", echo, methods=["POST"]), Route("/long", long)])
    listener = WebListener(app, "127.0.0.1", 0)
    where = await listener.start()
    async with AsyncExitStack() as clients:
        scene = Scene(where, listener, clients)
        app.add_route("/taken", scene.take, methods=["POST"])
        yield scene
    await listener.close()


@pytest.fixture
async def pass_time() -> Callable[[float], None]:
    """Return a function that moves the clock of this test's loop forward by some seconds."""
    loop = asyncio.get_running_loop()
    of_loop, ahead = loop.time, 0.0

    def ahead_of_it(seconds: float) -> None:
        nonlocal ahead
        ahead += seconds

    # The clock is not reset: timers set after the move would then wait in real time.
    loop.time = lambda: of_loop() + ahead  # type: ignore[method-assign]
    return ahead_of_it


@pytest.fixture
def hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_clients, "HEAD_S", 0.2)
    monkeypatch.setattr(slow_clients, "STALLED_S", 0.2)


@pytest.mark.usefixtures("hurried")
@pytest.mark.parametrize(
    "said",
    [
        b"",
        b"GET / HT",
        ASKED[:-2],
        ASKED + b"GET /",
        b"POST /echo HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\n\r\nhel",
        ASKED + b"POST /echo HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\n\r\nhel",
        b"GET /long HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n",
    ],
)
async def test_a_client_that_stalls_is_disconnected(scene: Scene, said: bytes) -> None:
    client = await scene.client()
    client.say(said)
    await eventually(scene.there_are(1))
    await eventually(scene.there_are(0))
    await client.is_disconnected()


async def test_a_head_sent_byte_by_byte_gets_no_more_time(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slow_clients, "HEAD_S", 0.3)
    client = await scene.client()
    await eventually(scene.there_are(1))

    async def gone() -> bool:
        client.say(b"G")
        return scene.connections() == 0

    await eventually(gone)


async def test_a_slow_body_that_makes_progress_is_read(scene: Scene, pass_time: Callable[[float], None]) -> None:
    client = await scene.client()
    client.say(b"POST /taken HTTP/1.1\r\nHost: here\r\nContent-Length: 5\r\n\r\n")
    for count in range(5):
        await eventually(lambda count=count: scene.taken == count)  # type: ignore[misc]
        pass_time(NOT_YET_S)  # in total much longer than a stall may last
        client.say(b"x")
    await client.hears(b"taken")


async def test_a_body_of_tiny_chunks_is_parsed_in_pieces(scene: Scene) -> None:
    client, most = await scene.client(), slow_clients.READ_BYTES
    client.say(b"POST /taken HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n")
    client.say(b"1\r\nx\r\n" * most + b"0\r\n\r\n")
    await client.hears(b"taken")
    assert (scene.taken, scene.largest < most // 2) == (most, True)


async def test_a_slow_reader_that_makes_progress_gets_its_answer(
    scene: Scene, pass_time: Callable[[float], None]
) -> None:
    client = await scene.client()
    client.say(b"GET /long HTTP/1.1\r\nHost: here\r\nConnection: close\r\n\r\n")
    await client.hears(b"\r\n\r\n")
    rest = LONG
    for piece in (LONG // 2, LONG // 4, LONG // 8):  # the first piece is larger than the kernel's buffers
        await client.takes(piece)
        rest -= piece
        pass_time(NOT_YET_S)
    await client.takes(rest)
    await client.is_disconnected()


async def test_one_connection_may_send_several_requests(scene: Scene) -> None:
    client = await scene.client()
    for _ in range(3):
        client.say(ASKED)
        await client.hears(b"hello")


async def shown(request: Request) -> Response:
    caller = caller_of(request)
    assert caller
    caller.shows(int(request.path_params["token"]))
    return PlainTextResponse("shown")


async def held(request: Request) -> Response:
    await shown(request)

    async def pieces() -> AsyncGenerator[str | bytes, None]:
        while True:
            yield "more"
            await asyncio.sleep(0.05)

    return Streamed(pieces(), "text/plain")


async def refused(request: Request, error: Exception) -> Response:
    return as_http_problem(error).answer()


def ask(path: str, **headers: str) -> bytes:
    lines = [f"GET {path} HTTP/1.1", "Host: here", *(f"{name}: {value}" for name, value in headers.items())]
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


CAPS = Caps(connections=16)


@pytest.fixture
async def crowded() -> AsyncIterator[Scene]:
    """Start a listener with few connections, behind a proxy at 127.0.0.1."""
    routes = [
        Route("/healthz", hello),
        Route("/", hello),
        Route("/shown/{token}", shown),
        Route("/held/{token}", held),
    ]
    app = Starlette(routes=routes, exception_handlers={HttpProblem: refused})
    listener = WebListener(app, "127.0.0.1", 0, [ip_network("127.0.0.1")], CAPS)
    async with AsyncExitStack() as clients:
        yield Scene(await listener.start(), listener, clients)
    await listener.close()


async def hold(scene: Scene, token: int, source: str) -> None:
    client = await scene.client(source)
    client.say(ask(f"/held/{token}"))
    await client.hears(b"more")


async def test_idle_connections_block_no_new_client(crowded: Scene, caplog: pytest.LogCaptureFixture) -> None:
    idle = [await crowded.client() for _ in range(CAPS.strangers + 1)]
    await idle[0].is_disconnected()
    assert crowded.connections() <= CAPS.strangers
    client = await crowded.client()
    client.say(ask("/"))
    await client.hears(b"hello")
    said = [getattr(record, "event", "") for record in caplog.records if record.levelno >= logging.WARNING]
    assert said == ["http_crowded"], "once a minute"


async def test_idle_connections_disconnect_no_client_with_a_token(crowded: Scene) -> None:
    known = await crowded.client("127.0.0.2")
    known.say(ask("/shown/1"))
    await known.hears(b"shown")
    idle = [await crowded.client(f"127.0.0.{3 + number % 5}") for number in range(3 * CAPS.connections)]
    await idle[0].is_disconnected()
    known.say(ask("/shown/1"))
    await known.hears(b"shown")


async def test_a_token_above_its_share_is_refused_and_another_is_answered(crowded: Scene) -> None:
    for number in range(CAPS.share):
        await hold(crowded, 1, f"127.0.0.{2 + number}")
    client = await crowded.client("127.0.1.1")
    client.say(ask("/shown/1"))
    await client.hears(b"too_many_connections")
    client.say(ask("/shown/2"))
    await client.hears(b"shown")


async def test_above_the_cap_only_health_checks_are_answered(crowded: Scene) -> None:
    for number in range(CAPS.connections):
        await hold(crowded, number // CAPS.share, f"127.0.0.{2 + number}")
    waiting = await crowded.client("127.0.1.1")
    waiting.say(ask("/"))
    await waiting.hears(b"503 Service Unavailable")
    await waiting.hears(b"retry-after: ")
    await waiting.is_disconnected()
    for _ in range(SPARE + 1):
        await crowded.client("127.0.1.1")
    checking = await crowded.client("127.0.1.2")
    checking.say(ask("/healthz"))
    await checking.hears(b"hello")


async def test_behind_a_proxy_the_forwarded_address_is_counted(crowded: Scene) -> None:
    for _ in range(CAPS.share):
        client = await crowded.client()
        client.say(ask("/held/1", **{"X-Forwarded-For": "192.0.2.1"}))
        await client.hears(b"more")
    client = await crowded.client()
    client.say(ask("/", **{"X-Forwarded-For": "192.0.2.1"}))
    await client.hears(b"503 Service Unavailable")
    for forwarded in ("192.0.2.2", "no address"):
        client = await crowded.client()
        client.say(ask("/", **{"X-Forwarded-For": forwarded}))
        await client.hears(b"hello")


async def test_a_client_that_does_not_read_is_disconnected_at_the_stop(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(listener_module, "CLOSE_S", 0.05)
    begun, ended = asyncio.Event(), asyncio.Event()

    async def pieces() -> AsyncGenerator[str | bytes, None]:
        try:
            while True:
                begun.set()
                yield b"x" * 1024 * 1024
                await asyncio.sleep(0)  # like a read of a file or a database
        finally:
            ended.set()

    async def endless(request: Request) -> Response:
        return Streamed(pieces(), "text/plain")

    listener = WebListener(Starlette(routes=[Route("/", endless)]), "127.0.0.1", 0)
    where = await listener.start()
    with socket.create_connection(where) as silent, caplog.at_level(logging.INFO):
        silent.sendall(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")
        await asyncio.wait_for(begun.wait(), DEADLINE_S)
        await asyncio.wait_for(listener.close(), DEADLINE_S)
    assert ended.is_set()
    assert [record.getMessage() for record in caplog.records if record.levelno > logging.INFO] == []
