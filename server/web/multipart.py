"""Read the file in a browser's form (RFC 7578) and pass its bytes on as they arrive; keep nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress

from python_multipart.exceptions import FormParserError
from python_multipart.multipart import MultipartParser, parse_options_header
from starlette.requests import ClientDisconnect, Request

from server.web.forms import remove_size_limit
from server.web.http_problem import HttpProblem

BEGIN_S = 60.0
"""A form whose file has not begun after so long is refused."""

DRAIN_S = 10.0
"""The time to read and drop the rest of a refused form: browsers show no answer before they have sent everything."""

PIECE_BYTES = 32 * 1024
"""The bytes parsed at once: a few milliseconds in the worst case, a file full of near-boundaries."""

PARTS_MOST = 16
HEADERS_MOST = 8
HEADER_BYTES_MOST = 4096
"""Bounds of a form. The page's form has one part with two headers; many more would block the event loop, because the
parser is Python."""


class FormFile:
    """The file in the field `field` of a form. `name()` once, then `chunks()` once."""

    def __init__(self, request: Request, field: str) -> None:
        """Raises HttpProblem if the body is not a multipart form."""
        remove_size_limit(request)
        self._stream = request.stream()
        self._field = field.encode()
        self._parser = _parser(request, self)
        self._header: tuple[bytearray, bytearray] = (bytearray(), bytearray())
        self._headers: dict[bytes, bytes] = {}
        self._name: str | None = None
        self._parts = 0
        self._inside = self._over = False
        self._came: list[bytes] = []

    async def name(self) -> str:
        """Read the form up to the file, and return the file's name on the client.

        Raises HttpProblem if no file was chosen, or the file does not begin within BEGIN_S.
        """
        try:
            async with asyncio.timeout(BEGIN_S):
                while self._name is None and await self._read():
                    pass
        except TimeoutError:
            raise _broken() from None
        if not self._name:
            raise HttpProblem(422, "Choose a file first.", code="no_file_chosen")
        return self._name

    async def chunks(self) -> AsyncIterator[bytes]:
        """Yield the bytes of the file. Raises HttpProblem if the form ends before the file does."""
        while True:
            if self._came:
                came, self._came = self._came, []
                yield b"".join(came)
            if self._over:
                return
            if not await self._read():
                raise _broken()

    async def drain(self) -> None:
        """Read and drop the rest of the form, for at most DRAIN_S, so that the client receives the answer."""
        with suppress(TimeoutError, ClientDisconnect):
            async with asyncio.timeout(DRAIN_S):
                async for _ in self._stream:
                    pass

    async def _read(self) -> bool:
        """Read and parse the next bytes; return whether there were any."""
        data = await anext(self._stream, b"")
        for at in range(0, len(data), PIECE_BYTES):
            if at:
                await asyncio.sleep(0)
            try:
                self._parser.write(data[at : at + PIECE_BYTES])
            except FormParserError:
                raise _broken() from None
        return bool(data)

    # Callbacks of the parser

    def on_part_begin(self) -> None:
        self._parts += 1
        if self._parts > PARTS_MOST:
            raise FormParserError("too many parts")
        self._headers = {}

    def on_header_begin(self) -> None:
        self._header = (bytearray(), bytearray())

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header[0].extend(data[start:end])

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1].extend(data[start:end])

    def on_header_end(self) -> None:
        name, value = self._header
        self._headers[bytes(name).lower()] = bytes(value)

    def on_headers_finished(self) -> None:
        _, options = parse_options_header(self._headers.get(b"content-disposition", b""))
        if options.get(b"name") == self._field and b"filename" in options and self._name is None:
            self._name = options[b"filename"].decode("utf-8", "replace")
            self._inside = True

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        if self._inside:
            self._came.append(data[start:end])

    def on_part_end(self) -> None:
        self._over = self._over or self._inside
        self._inside = False


def _parser(request: Request, called: FormFile) -> MultipartParser:
    kind, options = parse_options_header(request.headers.get("content-type", ""))
    if kind != b"multipart/form-data" or b"boundary" not in options:
        raise HttpProblem(415, "Send the file with the form on the page.", code="unsupported_type")
    try:
        return MultipartParser(
            options[b"boundary"],
            {
                "on_part_begin": called.on_part_begin,
                "on_header_begin": called.on_header_begin,
                "on_header_field": called.on_header_field,
                "on_header_value": called.on_header_value,
                "on_header_end": called.on_header_end,
                "on_headers_finished": called.on_headers_finished,
                "on_part_data": called.on_part_data,
                "on_part_end": called.on_part_end,
            },
            max_header_count=HEADERS_MOST,
            max_header_size=HEADER_BYTES_MOST,
        )
    except FormParserError:
        raise _broken() from None


def _broken() -> HttpProblem:
    return HttpProblem(400, "The file did not arrive completely. Send it again.", code="broken_form")
