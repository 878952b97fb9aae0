"""Bound the size of forms, and read them piece by piece, so that no form blocks the event loop.

A form is read before the route checks the token. Without a bound, a client without a token could fill the memory.
"""

from __future__ import annotations

import asyncio

from fastapi import HTTPException, Request
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

FORM_BYTES_MOST = 1024 * 1024

PIECE_BYTES = 4096
"""The bytes parsed at once. The parser is Python: with tiny fields, this takes a few milliseconds."""

TYPES = frozenset({"application/x-www-form-urlencoded", "multipart/form-data"})


class Forms:
    """ASGI middleware around all routes."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and _media_type(scope) in TYPES:
            form = _Form(receive)
            scope.setdefault("state", {})["form"] = form
            receive = form.receive
        await self._app(scope, receive, send)


class _Form:
    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._message: Message = {}
        self._left = b""
        self._size = 0
        self.is_bounded = True

    async def receive(self) -> Message:
        """Return the next piece. Raises HTTPException 413 above the bound."""
        if self._left:
            await asyncio.sleep(0)
        else:
            self._message = await self._receive()
            self._left = self._message.get("body", b"")
            self._size += len(self._left)
        if not self.is_bounded:
            message, self._left = {**self._message, "body": self._left}, b""
            return message
        if self._size > FORM_BYTES_MOST:
            sentence = f"This form is too large: the limit is {FORM_BYTES_MOST // 1024:,} KiB."
            raise HTTPException(413, sentence, {"connection": "close"})
        if not self._left:
            return self._message
        piece, self._left = self._left[:PIECE_BYTES], self._left[PIECE_BYTES:]
        more = bool(self._left) or self._message.get("more_body", False)
        return {**self._message, "body": piece, "more_body": more}


def remove_size_limit(request: Request) -> None:
    """Remove the size bound, for a route that has checked the token and keeps nothing of the form in memory."""
    form: _Form | None = getattr(request.state, "form", None)
    if form:
        form.is_bounded = False


def _media_type(scope: Scope) -> str:
    return Headers(scope=scope).get("content-type", "").partition(";")[0].strip().lower()
