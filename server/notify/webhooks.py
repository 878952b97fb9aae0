"""Webhooks as Standard Webhooks specifies them: signed, one POST a try, no redirect followed.

The address is checked where the connection is made, on what the name resolves to at that moment: a name that points
somewhere else a second later leads nowhere else.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import hmac
import json
import socket
import ssl
from collections.abc import Iterable
from contextlib import suppress
from functools import partial
from threading import Thread

import httpcore

from ground.moments import Clock, utc_now
from server.notify.addresses import is_public
from server.notify.secret import key_of

TIMEOUT_S = 20.0
"""How long one try may take, from looking up the name to the status of the answer."""

USER_AGENT = "Headcount"


class WebhookFailed(Exception):  # noqa: N818 - what is the case
    """The receiver did not take it. `for_good`: it said that it never will again (410)."""

    def __init__(self, reason: str, *, for_good: bool = False) -> None:
        super().__init__(reason)
        self.for_good = for_good


class NotPublic(Exception):  # noqa: N818 - what is the case
    """The name leads to an address that webhooks must not reach."""


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """What `webhook-signature` says: HMAC-SHA256 over id, time and body."""
    signed = b".".join([message_id.encode(), str(timestamp).encode(), body])
    return "v1," + base64.b64encode(hmac.new(key_of(secret), signed, hashlib.sha256).digest()).decode()


class Webhooks:
    """Sends webhooks. Every one has a connection of its own: tenants share nothing here."""

    def __init__(self, *, allow_private: bool, timeout_s: float = TIMEOUT_S, clock: Clock = utc_now) -> None:
        self._backend = GuardedBackend(allow_private=allow_private)
        self._timeout_s = timeout_s
        self._clock = clock
        self._tls = ssl.create_default_context()

    async def send(self, url: str, secret: str, message_id: str, content: dict[str, object]) -> None:
        """POST `content` to `url`; it was answered with 2xx when this returns. Raises WebhookFailed."""
        body = json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()
        webhook_id = f"msg_{message_id}"
        timestamp = int(self._clock().timestamp())
        headers = {
            "content-type": "application/json",
            "user-agent": USER_AGENT,
            "webhook-id": webhook_id,
            "webhook-timestamp": str(timestamp),
            "webhook-signature": signature(secret, webhook_id, timestamp, body),
        }
        try:
            async with asyncio.timeout(self._timeout_s):
                status = await self._post(url, headers, body)
        except TimeoutError as error:
            raise WebhookFailed("there was no answer in time") from error
        except NotPublic as error:
            raise WebhookFailed("its address is not a public one, and the operator allows no others") from error
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError) as error:
            raise WebhookFailed(f"it can't be reached ({type(error).__name__})") from error
        except (httpcore.UnsupportedProtocol, ValueError, TypeError) as error:  # TypeError: it is not ASCII
            raise WebhookFailed("its address makes no sense") from error
        if not 200 <= status < 300:
            raise WebhookFailed(f"it answered {status}", for_good=status == 410)

    async def _post(self, url: str, headers: dict[str, str], body: bytes) -> int:
        """The status of the answer; what else it says is not read."""
        pool = httpcore.AsyncConnectionPool(ssl_context=self._tls, network_backend=self._backend)
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
        """Look the name up, check what it leads to, and connect to just that. Raises NotPublic."""
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
    """The addresses of a name, from a thread of its own.

    It can't be stopped: so one that takes long takes no thread from imports, and a server that ends leaves it behind.
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
