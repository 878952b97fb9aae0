"""Webhooks as Standard Webhooks specifies them: signed, one POST an attempt, no redirects.

The address is checked when the connection is made, and the connection goes to exactly the address that was checked. A
name that resolves to another address later has no effect.
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
"""Seconds of one attempt, from the name look-up to the status of the answer."""

USER_AGENT = "Headcount"


class WebhookFailed(Exception):  # noqa: N818 - what is the case
    """The receiver did not accept the webhook. `for_good`: it answered 410, so it never will."""

    def __init__(self, reason: str, *, for_good: bool = False) -> None:
        super().__init__(reason)
        self.for_good = for_good


class NotPublic(Exception):  # noqa: N818 - what is the case
    """The name resolves only to addresses that webhooks must not reach."""


def signature(secret: str, message_id: str, timestamp: int, body: bytes) -> str:
    """Return the value of `webhook-signature`: HMAC-SHA256 over id, time and body."""
    signed = b".".join([message_id.encode(), str(timestamp).encode(), body])
    return "v1," + base64.b64encode(hmac.new(key_of(secret), signed, hashlib.sha256).digest()).decode()


class Webhooks:
    """Sends webhooks. Each has its own connection, so tenants share nothing."""

    def __init__(self, *, allow_private: bool, timeout_s: float = TIMEOUT_S, clock: Clock = utc_now) -> None:
        self._backend = GuardedBackend(allow_private=allow_private)
        self._timeout_s = timeout_s
        self._clock = clock
        self._tls = ssl.create_default_context()

    async def send(self, url: str, secret: str, message_id: str, content: dict[str, object]) -> None:
        """POST `content` to `url`. Raises WebhookFailed unless the answer is 2xx."""
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
            raise WebhookFailed(f"the receiver did not answer within {self._timeout_s:g} seconds") from error
        except NotPublic as error:
            raise WebhookFailed("the address is not public, and the operator allows only public ones") from error
        except (httpcore.NetworkError, httpcore.ProtocolError, httpcore.TimeoutException, OSError) as error:
            raise WebhookFailed(f"the receiver cannot be reached ({type(error).__name__})") from error
        except (httpcore.UnsupportedProtocol, ValueError, TypeError) as error:  # TypeError: the address is not ASCII
            raise WebhookFailed("the address is not valid") from error
        if not 200 <= status < 300:
            raise WebhookFailed(f"the receiver answered {status}", for_good=status == 410)

    async def _post(self, url: str, headers: dict[str, str], body: bytes) -> int:
        """Return the status of the answer; its body is not read."""
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
