"""The sign-ins on the page, as stored: a page session belongs to a token and ends with it."""

from __future__ import annotations

from typing import Protocol

from engine.tokens import Token


class SignInStore(Protocol):
    """The sessions of browsers. Times are RFC 3339 in UTC.

    A session or link that ends after `latest` counts as over: it was made before the clock was set back.
    """

    async def open(self, secret_hash: bytes, token: Token, *, now: str, ends: str, latest: str) -> bool:
        """Store a session of `token` from `now` to `ends`, and remove those that are over: both or neither.

        Return False if the token does not exist any more; then no session is stored.
        """

    async def find(self, secret_hash: bytes, *, now: str, latest: str) -> Token | None:
        """Return the token of a session, expired or not. None if there is no such session or it is over."""

    async def close(self, secret_hash: bytes) -> None:
        """Remove a session, if there is one."""

    async def add_link(self, secret_hash: bytes, token: Token, *, now: str, ends: str, latest: str) -> bool:
        """Store a link of `token` that ends at `ends`, and remove those that are over: both or neither.

        Return False if the token does not exist any more, or has another address now; then no link is stored.
        """

    async def find_link(self, secret_hash: bytes, *, now: str, latest: str) -> Token | None:
        """Return the token of a link, expired or not. None if there is no such link or it is over."""

    async def open_by_link(
        self, link_hash: bytes, secret_hash: bytes, *, now: str, link_latest: str, ends: str, latest: str
    ) -> Token | None:
        """Remove a link and store a session of its token until `ends`: both or neither, for one of several callers.

        Return its token, expired or not. None if `find_link` finds none until `link_latest`; then nothing is stored.
        """
