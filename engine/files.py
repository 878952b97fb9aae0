"""Files in the database, for nodes without a data folder: contents that never change, and what refers to them.

A content is the bytes of one file. It is written once, and sealed. Names in a tenant's folder and kept files refer to
contents, so a copy is one more reference, and a file is replaced by referring to another content. A content that
nothing refers to is deleted after `UNNEEDED_S`, because a client may still read it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Protocol

CHUNK = 256 * 1024
"""Bytes. A content is stored in chunks of this length; the last one may be shorter."""

UNNEEDED_S = 3600.0
"""A content is deleted so many seconds after the last name, the last kept file and the last read of it."""


class ContentGone(Exception):  # noqa: N818 - what it is
    """The content is not stored any more: nothing refers to it, or its tenant was removed."""


class Contents(Protocol):
    """The contents of all tenants, each by its own name only. Every method raises TryAgain as a `Store` does."""

    async def store(self, tenant: str, fd: int, size: int) -> int:
        """Store the first `size` bytes of an open file as a sealed content; return its id.

        It is on disk as soon as a later transaction is, and needed as soon as one refers to it. Raises Refused
        (`unknown_tenant`), and OSError if the file cannot be read or is shorter.
        """

    async def read(self, tenant: str, content: int, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from `offset`, fewer only at the end. Raises ContentGone."""

    async def fetch(self, tenant: str, content: int, fd: int) -> int:
        """Write a whole content to the beginning of an open file; return its size. Raises ContentGone, OSError."""

    async def keep_for_reader(self, tenant: str, content: int) -> bool:
        """Put off the deletion of a content that is read; return whether it is still stored. Not flushed to disk."""

    async def collect(self, limit: int) -> int:
        """Delete up to `limit` contents that are not needed any more, of any tenant; return how many."""


@dataclass(frozen=True, slots=True)
class KeptFile:
    """A file of a tenant's imports and runs. `name` is its path in the tenant's folder, such as `uploads/7.csv`.

    `kept_at` is in seconds since 1970, by the clock of the database.
    """

    name: str
    content: int
    size: int
    kept_at: float


class KeptFiles(Protocol):
    """The files of tenants that clients do not see: copies, messages and reports of imports and runs."""

    async def keep(self, tenant: str, files: Iterable[tuple[str, int]]) -> None:
        """Let each name refer to a sealed content, whatever it was before. Durable on return.

        Raises Refused (`unknown_tenant`) and ContentGone.
        """

    async def drop(self, tenant: str, names: Iterable[str]) -> None:
        """Remove these names, if they are there. Durable on return."""

    async def find(self, tenant: str, names: Iterable[str]) -> list[KeptFile]:
        """Return those of these files that are there, by name."""

    async def list(self, tenant: str, start: str) -> list[KeptFile]:
        """Return all files whose names begin with `start`, such as `messages/`, by name."""
