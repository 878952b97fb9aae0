"""Identifiers in paths: an encoded `/` or `%` belongs to its segment.

Servers decode a path before routing. Then the user `a/history` and the history of the user `a` have the same path. So
these two characters stay encoded until a route is found, and the convertors below decode them. A line break stays
encoded too: the patterns of Starlette end with `$`, so `/metrics%0A` would find the route of `/metrics`, which
proxies hide. `{identifier:segment}` takes one segment, `{fingerprint:segments}` takes all that are left.
`{import_id:number}` takes at most 19 digits, as many as a database id may have: Python refuses to read numbers of
thousands of digits.
"""

from __future__ import annotations

import re
from urllib.parse import quote, unquote

from starlette.convertors import Convertor, register_url_convertor
from starlette.types import ASGIApp, Receive, Scope, Send

_KEPT = re.compile("%(2[fF]|25|0[aA])")


def routed(raw_path: str) -> str:
    """Return a raw path decoded, except `%2F`, `%25` and `%0A`. Pure."""
    return unquote(_KEPT.sub(lambda found: f"%25{found[1].upper()}", raw_path))


def segment(text: object) -> str:
    """Return `text` encoded as one segment of a path. Pure."""
    return quote(str(text), safe="")


class Segments:
    """ASGI middleware around the router."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        raw_path = scope.get("raw_path", b"").decode("ascii", "replace")
        if _KEPT.search(raw_path):
            scope = {**scope, "path": routed(raw_path)}
        await self._app(scope, receive, send)


class _Segment(Convertor[str]):
    regex = "[^/]+"

    def convert(self, value: str) -> str:
        return unquote(value)

    def to_string(self, value: str) -> str:
        return segment(value)


class _Segments(_Segment):
    regex = ".+"


class _Number(Convertor[int]):
    regex = "[0-9]{1,19}"

    def convert(self, value: str) -> int:
        return int(value)

    def to_string(self, value: int) -> str:
        return str(value)


register_url_convertor("segment", _Segment())
register_url_convertor("segments", _Segments())
register_url_convertor("number", _Number())
