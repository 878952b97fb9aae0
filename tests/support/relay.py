"""A relay between a server and PostgreSQL, in which connections may hang: nothing passes, and nothing is closed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from urllib.parse import parse_qs, urlsplit


class Relay:
    """Passes on what comes over TCP. The first message of a connection contains its name."""

    def __init__(self, url: str) -> None:
        """`url` is that of a database, by a socket of this machine."""
        parts = urlsplit(url)
        facts = parse_qs(parts.query)
        self._path = parts.path
        self._socket = f"{facts['host'][0]}/.s.PGSQL.{facts['port'][0]}"
        self._open: dict[asyncio.Event, bytes] = {}
        self.port = 0
        self.delay_s = 0.0
        """A new connection gets no answer for so long."""

    @property
    def url(self) -> str:
        """The URL of the same database, through the relay."""
        return f"postgresql://headcount@127.0.0.1:{self.port}{self._path}?sslmode=disable"

    def hang(self, name: str) -> None:
        """Let nothing pass any more over the connections with this name that are open now."""
        for passing, first in self._open.items():
            if name.encode() in first:
                passing.clear()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await asyncio.sleep(self.delay_s)
        behind, to = await asyncio.open_unix_connection(self._socket)
        first, passing = await reader.read(65536), asyncio.Event()
        to.write(first)
        self._open[passing] = first
        passing.set()
        try:
            ways = {asyncio.ensure_future(_pass(*way, passing)) for way in ((reader, to), (behind, writer))}
            await asyncio.wait(ways, return_when=asyncio.FIRST_COMPLETED)
            for each in ways:
                each.cancel()
        finally:
            del self._open[passing]
            for each in (to, writer):
                each.close()


async def _pass(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, passing: asyncio.Event) -> None:
    with suppress(OSError):
        while data := await reader.read(65536):
            await passing.wait()
            writer.write(data)
            await writer.drain()


@asynccontextmanager
async def relay(url: str) -> AsyncIterator[Relay]:
    """Yield a relay to the database at `url`."""
    between = Relay(url)
    server = await asyncio.start_server(between.serve, "127.0.0.1", 0)
    between.port = server.sockets[0].getsockname()[1]
    try:
        yield between
    finally:
        server.close()
