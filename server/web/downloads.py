"""Large answers, sent piece by piece: a piece is made only when the client has taken the one before.

Pieces are small and made in threads, so that a download does not delay uploads. A client that disconnects, or takes
nothing for STALLED_S, ends the download.
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

from server.web.http_problem import HttpProblem

CHUNK_BYTES = 256 * 1024
STALLED_S = 60.0
"""A client that takes nothing for so long is disconnected."""

Pieces = AsyncGenerator[str | bytes, None]


class Streamed(StreamingResponse):
    """An answer made of `pieces`. They are closed at the end, also after an error."""

    def __init__(self, pieces: Pieces, media_type: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(pieces, headers=headers, media_type=media_type)
        self._pieces = pieces

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        # Canceled only once, unlike in the parent class: closing the pieces must be awaited.
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
                raise asyncio.CancelledError from None  # as if the client had disconnected

        async with aclosing(self._pieces):
            await super().stream_response(send_soon)


def download(
    request: Request, pieces: Pieces, name: str, media_type: str, *, headers: Mapping[str, str] | None = None
) -> Response:
    """Return `pieces` as a file that a browser saves under `name`."""
    return streamed(request, pieces, media_type, {"content-disposition": disposition(name), **(headers or {})})


def streamed(request: Request, pieces: Pieces, media_type: str, headers: Mapping[str, str] | None = None) -> Response:
    """Return the answer made of these pieces; for HEAD only its headers, and no piece is made."""
    answer = Streamed(pieces, media_type, headers)
    return Response(headers=answer.headers) if request.method == "HEAD" else answer


async def file_download(request: Request, path: Path, name: str, media_type: str = "text/csv") -> Response:
    """Return the file at `path`. Raises HttpProblem 404 if there is none."""
    return opened_download(request, await asyncio.to_thread(opened, path), name, media_type)


def opened_download(request: Request, file: BinaryIO, name: str, media_type: str) -> Response:
    """Return this open file as a download; it is closed at the end."""
    size = os.fstat(file.fileno()).st_size
    if request.method == "HEAD":
        file.close()
    # No charset: the bytes are sent as uploaded, in any encoding.
    headers = {"content-length": str(size), "content-type": media_type}
    return download(request, _chunks(file), name, media_type, headers=headers)


def opened(path: Path) -> BinaryIO:
    """Open the file at `path`. Raises HttpProblem 404 if there is none. Blocks."""
    try:
        return path.open("rb")
    except FileNotFoundError:
        raise no_file() from None


def no_file() -> HttpProblem:
    """Return the problem of a file that there is none of."""
    return HttpProblem(404, "This file does not exist, or is no longer kept.", code="no_file")


async def _chunks(file: BinaryIO) -> Pieces:
    with file:
        while chunk := await asyncio.to_thread(file.read, CHUNK_BYTES):
            yield chunk


def disposition(name: str) -> str:
    """Return Content-Disposition for the file `name` (RFC 6266): in ASCII, and in full for newer clients. Pure."""
    plain = "".join(letter if " " <= letter <= "~" and letter not in '"\\%' else "_" for letter in name)
    full = "" if plain == name else f"; filename*=UTF-8''{quote(name, safe='')}"
    return f'attachment; filename="{plain}"{full}'
