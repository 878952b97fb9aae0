"""Answers too big to be made at once: sent as fast as they are read, and not a byte ahead.

What is sent is made in threads and in small pieces, so that nobody's upload waits for somebody's download. Whoever
breaks off, or reads nothing for a while, ends the work.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from pathlib import Path
from typing import BinaryIO
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Message, Receive, Scope, Send

from server.web.not_done import NotDone

CHUNK_BYTES = 256 * 1024
STALLED_S = 60.0
"""So long a reader may take nothing before we are done with them."""

Pieces = AsyncGenerator[str | bytes, None]


class Streamed(StreamingResponse):
    """What `pieces` give, piece by piece. They are closed at the end, whatever it is."""

    def __init__(self, pieces: Pieces, media_type: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(pieces, headers=headers, media_type=media_type)
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Cancelled once and no more, unlike in the parent's way: closing what was open has to be waited for.
        sending = asyncio.ensure_future(self.stream_response(send))
        leaving = asyncio.ensure_future(self.listen_for_disconnect(receive))
        try:
            await asyncio.wait({sending, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            sending.cancel()
            leaving.cancel()
            await asyncio.wait({sending, leaving})
        if not sending.cancelled():
            sending.result()

    async def stream_response(self, send: Send) -> None:
        async def send_soon(message: Message) -> None:
            try:
                async with asyncio.timeout(STALLED_S):
                    await send(message)
            except TimeoutError:
                raise asyncio.CancelledError from None  # as if they had gone

        async with aclosing(self._pieces):
            await super().stream_response(send_soon)


def download(
    request: Request, pieces: Pieces, name: str, media_type: str, *, headers: Mapping[str, str] | None = None
) -> Response:
    """`pieces` as a file that a browser saves under `name`."""
    return streamed(request, pieces, media_type, {"content-disposition": disposition(name), **(headers or {})})


def streamed(request: Request, pieces: Pieces, media_type: str, headers: Mapping[str, str] | None = None) -> Response:
    """The answer of these pieces; to HEAD its headers, and nothing is begun."""
    answer = Streamed(pieces, media_type, headers)
    return Response(headers=answer.headers) if request.method == "HEAD" else answer


async def file_download(request: Request, path: Path, name: str, media_type: str = "text/csv") -> Response:
    """The file at `path` as it is now. Raises NotDone 404 if there is none (any more)."""
    try:
        file = await asyncio.to_thread(path.open, "rb")
    except FileNotFoundError:
        raise NotDone(404, "This file is not kept any more, or there never was one.", code="no_file") from None
    size = os.fstat(file.fileno()).st_size
    if request.method == "HEAD":
        file.close()
    # Bytes are sent as they came: in which letters, their own header or mark has to say.
    headers = {"content-length": str(size), "content-type": media_type}
    return download(request, _chunks(file), name, media_type, headers=headers)


async def _chunks(file: BinaryIO) -> Pieces:
    with file:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk


def disposition(name: str) -> str:
    """Content-Disposition for a file called `name` (RFC 6266): in ASCII for the old, in full for all others. Pure."""
    plain = "".join(letter if " " <= letter <= "~" and letter not in '"\\%' else "_" for letter in name)
    full = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}"
    return f'attachment; filename="{plain}"{full}'
