"""POSTs to addresses that the server did not choose: each over its own connection, without redirects.

The address is checked when the connection is made, and the connection goes to exactly the address that was checked. A
name that resolves to another address later has no effect.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import suppress
from functools import cached_property, partial
from threading import Thread

import httpcore

from ground.addresses import is_public

USER_AGENT = "Headcount"


class NoAnswer(Exception):  # noqa: N818 - what is the case
    """The receiver did not answer; the message is the reason, as the rest of a sentence."""


class NotPublic(Exception):  # noqa: N818 - what is the case
    """The name resolves only to addresses that the server must not reach."""


class Poster:
    """Makes POST requests, to public addresses only unless `allow_private`."""

    def __init__(self, *, allow_private: bool) -> None:
        self._backend = GuardedBackend(allow_private=allow_private)

    @cached_property
    def _tls(self) -> ssl.SSLContext:
        """The trusted certificates. Reading them takes longer than most starts of a server can spare."""
        return ssl.create_default_context()

    async def post(
        self, url: str, headers: Mapping[str, str], body: bytes | AsyncIterator[bytes], timeout_s: float
    ) -> int:
        """POST `body` once, and return the status of the answer; its body is not read. Raises NoAnswer.

        `timeout_s` is for all of it, from the name look-up to the status. A `body` in pieces needs a content-length.
        """
        try:
            async with asyncio.timeout(timeout_s):
                return await self._post(url, {"user-agent": USER_AGENT, **headers}, body)
        except TimeoutError as error:
            raise NoAnswer(f"the receiver did not answer within {timeout_s:g} seconds") from error
        except NotPublic as error:
            raise NoAnswer("the address is not public, and the operator allows only public ones") from error
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError) as error:
            raise NoAnswer(f"the receiver cannot be reached ({type(error).__name__})") from error
        except (httpcore.UnsupportedProtocol, ValueError, TypeError) as error:  # TypeError: the address is not ASCII
            raise NoAnswer("the address is not valid") from error

    async def _post(self, url: str, headers: Mapping[str, str], body: bytes | AsyncIterator[bytes]) -> int:
        tls = None if url.startswith("http:") else await asyncio.to_thread(lambda: self._tls)
        pool = httpcore.AsyncConnectionPool(ssl_context=tls, network_backend=self._backend)
        async with pool, pool.stream("POST", url, headers=list(headers.items()), content=body) as answer:
            return int(answer.status)


class GuardedBackend(httpcore.AnyIOBackend):
    """Connects to public addresses only, unless `allow_private`."""

    def __init__(self, *, allow_private: bool) -> None:
        self._allow_private = allow_private

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve the name, check its addresses, and connect to one that was checked. Raises NotPublic."""
        addresses = await _looked_up(host, port)
        allowed = [address for address in addresses if self._allow_private or is_public(address)]
        if not allowed:
            raise NotPublic(host)
        failure: Exception | None = None
        for address in allowed:
            try:
                return await super().connect_tcp(address, port, timeout, local_address, socket_options)
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure or httpcore.ConnectError()

    async def connect_unix_socket(
        self, path: str, timeout: float | None = None, socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None
    ) -> httpcore.AsyncNetworkStream:
        raise NotPublic(path)


async def _looked_up(host: str, port: int) -> list[str]:
    """Resolve a name in its own thread.

    A look-up cannot be stopped. In its own thread it takes none from imports, and a stopping server does not wait.
    """
    loop = asyncio.get_running_loop()
    found: asyncio.Future[list[str]] = loop.create_future()

    def look_up() -> None:
        try:
            settle = partial(found.set_result, _addresses_of(host, port))
        except Exception as error:
            settle = partial(found.set_exception, error)
        with suppress(RuntimeError):  # the loop is closed
            loop.call_soon_threadsafe(lambda: None if found.done() else settle())

    Thread(target=look_up, name="webhook name", daemon=True).start()
    return await found


def _addresses_of(host: str, port: int) -> list[str]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(where[4][0]) for where in found))
