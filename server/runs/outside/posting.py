"""A hook that is a URL: each delivery is one POST of the file, signed as webhooks are, to a checked address."""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import AsyncGenerator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlsplit

from ground.moments import Clock, utc_now
from ground.words import as_sentence
from headcount.hooks import Result
from importer.errors import TryAgain
from keys.errors import SecretRefused
from server.guarded import NoAnswer, Poster
from server.runs.ends import Again, Done, End, Failed
from server.runs.outside import facts
from server.runs.registry import Attempt
from server.signing import WebhookSecrets, signed_headers

PIECE = 256 * 1024
ANSWERS_TO_REPEAT = frozenset({408, 425, 429})


log = logging.getLogger(__name__)


class CannotRead(Exception):  # noqa: N818 - what is the case
    """The copy of the file, or the secret, cannot be read; the message says why."""


class UrlHook:
    """Posts files to one URL, with the secret of each tenant's webhooks. Has no `accept`."""

    def __init__(
        self, url: str, poster: Poster, secrets: WebhookSecrets, timeout_s: float, clock: Clock = utc_now
    ) -> None:
        self._url = url
        self._poster = poster
        self._secrets = secrets
        self._timeout_s = timeout_s
        self._clock = clock

    asks = False

    async def accept(self, tenant: str, path: str, size: int, file: Path) -> None:
        """Accept every file."""

    async def deliver(self, attempt: Attempt) -> End:
        """POST the file once. 2xx is the only success; some answers, and none, lead to another attempt."""
        try:
            end = end_of(await self._post(attempt), self._host)
        except NoAnswer as error:
            end = Again(as_sentence(str(error)), f"{self._host}: {error}")
        except CannotRead as error:
            end = Again("The server cannot read its copy of the file. Tell the operator.", str(error))
        if not isinstance(end, Done):
            facts.tell_failure(log, attempt, end.error or end.message)
        return end

    async def _post(self, attempt: Attempt) -> int:
        """Return the status of the answer. Raises NoAnswer and CannotRead."""
        signed = await asyncio.to_thread(self._signed, attempt, await self._secret_of(attempt.tenant))
        headers = {
            "content-type": "application/octet-stream",
            "content-length": str(attempt.size),
            **facts.headers(attempt),
            **signed,
        }
        async with aclosing(_sent(attempt.copy)) as body:
            return await self._poster.post(self._url, headers, body, self._timeout_s)

    async def _secret_of(self, tenant: str) -> str:
        try:
            return await self._secrets.webhook_secret(tenant)
        except OSError as error:
            raise CannotRead(f"{type(error).__name__}: {error}") from error
        except (SecretRefused, TryAgain) as error:
            raise CannotRead(str(error)) from error

    def _signed(self, attempt: Attempt, secret: str) -> dict[str, str]:
        try:
            with attempt.copy.open("rb") as file:
                if (size := os.fstat(file.fileno()).st_size) != attempt.size:
                    raise CannotRead(f"the copy of the file has {size:,} bytes, not {attempt.size:,}")
                return signed_headers(secret, facts.delivery_id(attempt), self._clock(), _pieces(file))
        except OSError as error:
            raise CannotRead(f"{type(error).__name__}: {error}") from error

    @property
    def _host(self) -> str:
        """The receiver without path and query, which may hold a password."""
        parts = urlsplit(self._url)
        return f"{parts.scheme}://{parts.netloc}"


def end_of(status: int, host: str) -> Done | Again | Failed:
    """Return how an attempt ends that got this answer."""
    if 200 <= status < 300:
        return Done(Result())
    error = f"{host}: the receiver answered {status}"
    if status in ANSWERS_TO_REPEAT or status >= 500:
        return Again(f"The receiver answered {status}.", error)
    return Failed(f"The receiver answered {status}. Tell the operator.", error)


def _pieces(file: BinaryIO) -> Iterator[bytes]:
    while piece := file.read(PIECE):
        yield piece


async def _sent(copy: Path) -> AsyncGenerator[bytes]:
    """Yield the file in pieces, read in a thread as the receiver takes them. Raises CannotRead."""
    try:
        with await asyncio.to_thread(copy.open, "rb") as file:
            while piece := await asyncio.to_thread(file.read, PIECE):
                yield piece
    except OSError as error:
        raise CannotRead(f"{type(error).__name__}: {error}") from error
