"""Storage of objects outside of the database: bytes by key, each written once. Pure."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

BLOCK = 8 * 1024 * 1024
"""Bytes. A longer object is put in blocks of this length; the last one may be shorter."""

MOST_BLOCKS = 10_000
"""S3 takes no more blocks of one object."""


class Objects(Protocol):
    """The objects in one place. Every method raises FilesAway if the storage cannot be used now.

    A key is a path, such as `0a1b/7/2c3d`. Nothing in an error is a secret.
    """

    @property
    def name(self) -> str:
        """The place in words: `s3://bucket/folder`."""

    async def put(self, key: str, data: bytes) -> None:
        """Store an object, completely or not at all. It is stored on return."""

    async def put_blocks(self, key: str, blocks: AsyncIterator[bytes]) -> None:
        """Do the same with an object that comes in blocks of `BLOCK` bytes. Raises what `blocks` raises."""

    async def size(self, key: str) -> int | None:
        """Return the bytes of an object; None if there is none."""

    async def read(self, key: str, start: int, end: int) -> bytes | None:
        """Return the bytes from `start` up to `end`, which is higher; None if there is no such object.

        They are as many as were asked for, if the object is as long.
        """

    async def tagged(self, key: str) -> tuple[bytes, str] | None:
        """Return a short object, and the tag of this state of it; None if there is no such object."""

    async def create(self, key: str, data: bytes) -> bool:
        """Store an object, unless there is one of this key. Return False if there may be one.

        If its answer is lost, it may be stored although this returns False. A storage that does not know conditions
        stores it in any case.
        """

    async def replace(self, key: str, data: bytes, tag: str) -> bool:
        """Store an object in place of its state with this tag. Return False if it may be in another state.

        If its answer is lost, it may be stored although this returns False. A storage that does not know conditions
        stores it in any case.
        """

    async def delete(self, keys: Sequence[str]) -> None:
        """Delete objects. Those that are not there count as deleted."""

    async def list(self, start: str, after: str, limit: int) -> list[tuple[str, int]]:
        """Return up to `limit` keys in the folder `start` that are above `after`, in order, each with its bytes.

        An object that was just put or deleted may still be missing, or still be listed.
        """
