"""Files in the database, for nodes without a data folder: contents that never change, and what refers to them.

A content is the bytes of one file. It is written once, and sealed. Names in a tenant's folder and kept files refer to
contents, so a copy is one more reference, and a file is replaced by referring to another content. A content that
nothing refers to is deleted after `UNNEEDED_S`, because a client may still read it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import Protocol

from importer.model import Written

CHUNK = 256 * 1024
"""Bytes. A content is stored in chunks of this length; the last one may be shorter."""

UNNEEDED_S = 3600.0
"""A content is deleted so many seconds after the last name, the last kept file and the last read of it."""


class ContentGone(Exception):  # noqa: N818 - what it is
    """The content is not stored any more: nothing refers to it, or its tenant was removed."""


class TenantGone(Exception):  # noqa: N818 - what it is
    """The tenant was removed. Another one may have its name."""


class Contents(Protocol):
    """The contents of all tenants, each by its own name only. Every method raises TryAgain as a `Store` does."""

    @property
    def most_bytes(self) -> int | None:
        """The most bytes of one file; None: there is no limit."""

    async def store(self, tenant: str, fd: int, size: int) -> int:
        """Store the first `size` bytes of an open file as a sealed content; return its id.

        It is on disk as soon as a later transaction is, and needed as soon as one refers to it. Raises Refused
        (`unknown_tenant`), and OSError if the file cannot be read or is shorter.
        """

    async def read(self, tenant: str, content: int, offset: int, size: int) -> bytes:
        """Return up to `size` bytes from `offset`, fewer only at the end, in one statement. Raises ContentGone."""

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


ROOT = 0
"""The id of the folder "/"."""


@dataclass(frozen=True, slots=True)
class Entry:
    """A file or folder that a client sees: `name` in the folder with the id `folder`. A folder has no content.

    Times are in nanoseconds since 1970. `written` is None if it is unknown how the file was written.
    """

    id: int
    folder: int
    name: bytes
    content: int | None
    size: int
    accessed: int
    modified: int
    written: Written | None = None


@dataclass(frozen=True, slots=True)
class Place:
    """A path in a folder that exists. Nothing is there, or `entry`; for "/", that is the folder itself."""

    folder: int
    entry: Entry | None


@dataclass(frozen=True, slots=True)
class Taken:
    """The visible bytes and files that count against the quota, and the bytes of waiting copies without a name."""

    size: int
    files: int
    waiting: int


class Names(Protocol):
    """The files and folders of one tenant as its client sees them, and their usage of the quota.

    It belongs to the tenant that had this name when it was opened. Call the methods that change something in a block
    of `together`, after `hold`. If one raises, leave the block by an exception. Every method raises TryAgain as a
    `Store` does.
    """

    @property
    def tenant_id(self) -> int: ...

    def together(self) -> AbstractAsyncContextManager[None]:
        """Run the block as one transaction, together with calls of the store in it by the same task.

        Durable when the block is left. If it raises, nothing has changed.
        """

    async def hold(self) -> None:
        """Let no other transaction change the tenant until this one ends. Raises TenantGone."""

    async def taken(self, offered: Collection[int] = (), before: Taken | None = None) -> Taken:
        """Return what counts against the quota. The contents `offered` count as copies that imports need do.

        Only a few waiting copies are looked at if `before` is given. If there are more, they count as before, with
        the visible bytes that are gone since: these may be theirs.
        """

    async def keep(self, files: Iterable[tuple[str, int]]) -> None:
        """Let each name of a kept file refer to a content, as `KeptFiles.keep`. Raises ContentGone."""

    async def look(self, parts: Sequence[bytes]) -> Place:
        """Return what is at a path. Raises OSError (ENOENT, ENOTDIR) if there is no folder that it may be in."""

    async def page(self, folder: int, after: bytes, limit: int) -> list[Entry]:
        """Return up to `limit` entries of a folder with names above `after`, in the order of their bytes."""

    async def put(
        self,
        place: Place,
        name: bytes,
        content: int,
        size: int,
        times: tuple[int, int],
        written: Written | None,
        *,
        counts: bool = True,
    ) -> None:
        """Let the name of a file refer to this content; another file at the place is replaced. Raises ContentGone.

        `counts`: against the quota.
        """

    async def move(self, entry: Entry, place: Place, name: bytes) -> None:
        """Give an entry another place and name; what is there is removed."""

    async def delete(self, entry: Entry) -> None:
        """Remove a file, or a folder without entries."""

    async def make_folder(self, folder: int, name: bytes, *, counts: bool = True) -> None:
        """Make a folder where nothing is."""

    async def let_count(self, entry: Entry, *, counts: bool) -> None:
        """Let an entry count against the quota, or not."""

    async def uncounted(self) -> list[Entry]:
        """Return the folders that do not count against the quota."""

    async def depth(self, folder: int) -> int:
        """Return the levels of entries below a folder: 0 if it has none."""

    async def set_times(self, entry: Entry, times: tuple[int, int]) -> None:
        """Set access and modification time of an entry; nothing happens if it was removed meanwhile."""


class AllNames(Protocol):
    """The names of all tenants."""

    def of(self, tenant: str, tenant_id: int) -> Names:
        """Return the names of the tenant with this id, as long as it has this name."""

    async def open(self, tenant: str) -> Names:
        """Return the names of the tenant that has this name now. Raises TenantGone."""


@dataclass(frozen=True, slots=True)
class LeftDraft:
    """An unfinished upload of a server that has gone: its bytes as far as noted, at `noted_at` (RFC 3339)."""

    path: str
    size: int
    noted_at: str


class DraftStore(Protocol):
    """Unfinished uploads to hooks, so that they are reported if their process is killed. Not flushed to disk."""

    async def add(self, tenant_id: int, path: str, at: str) -> int:
        """Note an upload of this process; return its id."""

    async def note(self, tenant_id: int, draft: int, path: str, size: int, at: str) -> None:
        """Note the path of an upload and how many bytes were received."""

    async def remove(self, tenant_id: int, draft: int) -> bool:
        """Remove the note: the upload has landed or its end was reported. In a block of `together`, with it.

        False if there is none: another server took this one for gone, and has reported the upload.
        """

    async def left(self) -> set[str]:
        """Return the tenants with notes by servers that have gone."""

    async def take_left(self, tenant: str) -> list[LeftDraft]:
        """Remove and return the notes of a tenant by servers that have gone."""


@dataclass(frozen=True, slots=True)
class FileStore:
    """All that files need of a database."""

    names: AllNames
    contents: Contents
    kept: KeptFiles
    drafts: DraftStore
