"""The files of a tenant, wherever their bytes are: protocols for sessions, pages and hooks. Pure.

`AllFiles` opens the `Files` of one tenant. These give a `Reading`, a `Writing` (a draft) or a `Listed`. Only code
that implements these protocols knows descriptors, folders of the server or SQL. All paths are a client's
(`ClientPath`), and no method follows a link.

**Errors.** Each method raises OSError: its `errno` is the one that a kernel would give (ENOENT, EEXIST, EACCES,
EISDIR, ENOTDIR, ENOTEMPTY, ENAMETOOLONG, EINVAL, EDQUOT, ENOSPC, EIO), because the answer to an SFTP client and the
refusal of a page are made of it. Its `strerror` is for the client: `os.strerror`, or a sentence of `server.files`,
the same for every implementation. It never names a folder, a table or a host of the server. If the storage cannot be
reached now, that is an OSError with TryAgain as its cause. Any other exception is a bug.

**Steps.** Each method is one step: other sessions see all of its effect or none. After an OSError nothing has changed
and nothing more counts against the quota. The embedded files wait only where a docstring says so, so no other code
runs during their other steps. A caller must not rely on that: between two calls another session may change any name.
A canceled call has happened or not, and holds no lock afterwards.

**Durability.** `finish` and `rename` at a hook's path return when the bytes, the name, the kept copy and the row of
the hook are on disk (the theory is in `server/files/local/landing.py`). Other changes of names need not be: a crash
may undo the newest ones, but never leaves half a file.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Protocol

from engine.landing import LandedFile
from importer.requests import Sender
from server.files.contracts import TenantLimits
from server.files.hooks import Origin
from server.files.paths import ClientPath

Limits = Callable[[], TenantLimits]
"""Return the limits of the tenant as they are now. They may change while a file is written."""

Gone = Callable[[], Awaitable[object]]
"""Wait until the client has gone, so that it gets no answer."""

Times = tuple[int, int]
"""Access and modification time, in nanoseconds since 1970."""


class Stat(Protocol):
    """The facts of a file or folder; `os.stat_result` has them. Only the kind counts in `st_mode`.

    A link and other kinds may be there only because an operator made them.
    """

    @property
    def st_mode(self) -> int: ...
    @property
    def st_size(self) -> int: ...
    @property
    def st_atime(self) -> float: ...
    @property
    def st_mtime(self) -> float: ...


@dataclass(frozen=True, slots=True)
class Room:
    """Free space for a tenant: `size` in bytes and a number of files, by its quota and by the storage. At least 0."""

    size: int
    files: int


@dataclass(frozen=True, slots=True)
class Named:
    """One entry of a folder."""

    name: bytes
    stat: Stat


class Reading(Protocol):
    """A file open for reading: the bytes that it had when it was opened, whatever happens to its name meanwhile."""

    @property
    def path(self) -> ClientPath: ...

    @property
    def size(self) -> int:
        """The length in bytes: a file is never changed in place."""

    def read(self, offset: int, size: int) -> bytes | Awaitable[bytes]:
        """Return up to `size` bytes from `offset`, fewer before the end; at once if they are in memory.

        No bytes mean that `offset` is at the end or behind it. One answer is never longer than the
        `max_read_bytes` of the settings.
        """

    async def stat(self) -> Stat: ...

    async def set_times(self, times: Times) -> None:
        """Set the times of the file that is open, also if it has another name now. The caller checks the path."""

    async def flush(self) -> None:
        """Return when the bytes are on disk. May wait."""

    async def close(self) -> None:
        """Close it once. Raises nothing."""


class Writing(Protocol):
    """A draft: a file that is being written, invisible until `Files.finish`. One task at a time uses it.

    Its length, holes included, counts against the quota from the moment it grows until it is finished or discarded.
    If its path did not exist when it was opened, it also counts as one file.
    """

    append: bool
    """Each write goes to the end, whatever its offset. Set by the caller."""
    readable: bool
    """The client may read it too. Set and checked by the caller."""

    @property
    def path(self) -> ClientPath:
        """Where it will be published: `Files.move_open` changes it."""

    @property
    def size(self) -> int: ...

    @property
    def changed(self) -> bool:
        """Whether there is something to publish. False for a copy of the existing file without a write."""

    @property
    def failure(self) -> str | None:
        """Why it must not be published: a write or a change of its size has failed. Nothing more is written then."""

    @property
    def removed(self) -> bool:
        """Whether its client removed the file while it was open: its CLOSE succeeds and publishes nothing."""

    def read(self, offset: int, size: int) -> bytes | Awaitable[bytes]:
        """Return bytes as `Reading.read` does, of what was written until now."""

    def write(self, offset: int, data: bytes, *, at_once: bool = False) -> int | Awaitable[int]:
        """Write all of `data`; return its length. A short write happens at once, and so does any with `at_once`.

        Raises OSError, also EDQUOT for the limits, and is then recorded as `failure`.
        """

    async def resize(self, size: int) -> None:
        """Cut or extend to `size` bytes. Counts as a change even if the length stays the same."""

    async def fill(self, source: BinaryIO) -> None:
        """Copy all of an open file of the server into the empty draft, without a record of a write. Waits."""

    async def link(self, path: Path) -> None:
        """Give the bytes the name `path` in the tenant's folder on this machine, which stays there. Waits.

        The name is on disk on return; `flush` the bytes before. The archive decides whether it outlives the process.
        """

    async def sha256(self) -> str:
        """Return the SHA-256 of all bytes, in hexadecimal. Waits."""

    async def set_times(self, times: Times) -> None:
        """Set the times that the file is published with. A draft without other changes sets those of its path."""

    async def stat(self) -> Stat: ...

    async def flush(self) -> None:
        """Return when the bytes written until now are on disk. May wait."""


class Listed(Protocol):
    """An open folder. Entries are read when they are asked for, so a large folder takes no memory."""

    async def next(self, count: int) -> list[Named]:
        """Return up to `count` more entries, none at the end. The first two are `.` and `..`, with the same facts.

        An entry that is there from open to end comes once. One that is made or removed meanwhile may be left out.
        """

    def close(self) -> None:
        """Close it once. Raises nothing, and does not wait."""


class Files(Protocol):
    """The files of one tenant, shared by all its sessions and pages in this process: see `AllFiles.open`.

    All changes keep to `paths.check_writable`, the folders of hooks (`HookView.fixed`, which are there while the hook
    is on) and the limits. A file that lands at a hook's path goes through `server.files.hooks.Hook`.
    """

    @property
    def tenant(self) -> str: ...

    @property
    def removed(self) -> bool:
        """Whether the tenant of these files was removed. A new tenant may have its name, and must not get them.

        Does not wait, and asks every time. A hook knows tenants by name, so it hears nothing of files of a removed
        tenant: not `arriving`, `landed`, `aborted` or `ignored`. A landing asks again under its lock.
        """

    def is_at(self, root: Path) -> bool:
        """Return whether these are the files of the tenant whose folder is at `root` now. Raises OSError."""

    def enter(self) -> None:
        """Count one more session or page; it must call `leave` once."""

    def leave(self) -> None: ...

    def unused_s(self) -> float:
        """Return for how many seconds nothing has used it; 0 if something does."""

    def retire(self) -> None:
        """Let go of everything when the last user has left. The caller no longer hands it out."""

    async def follow_copies(self) -> None:
        """While a session is open and copies wait, measure these again: imports may end while a client writes."""

    async def recount(self) -> None:
        """Measure the copies that imports need again, after one was made or removed. Raises nothing. May wait."""

    async def room(self, limits: TenantLimits) -> Room:
        """Return what can still be stored. May wait."""

    # Reading

    async def stat(self, path: ClientPath) -> Stat:
        """Return the facts of what is at `path`, of a link itself. Never waits with embedded files."""

    async def open(self, path: ClientPath) -> Reading:
        """Open a regular file. Raises EISDIR for a folder, EACCES for other kinds."""

    async def listing(self, path: ClientPath) -> Listed:
        """Open a folder."""

    # Uploads

    async def begin(
        self, path: ClientPath, limits: Limits, *, truncate: bool, create: bool, exclusive: bool
    ) -> Writing:
        """Open `path` for writing: an empty draft, or a copy of the existing file if that is not to be truncated.

        Raises ENOENT if there is none and not `create`, EEXIST if there is one and `exclusive`. May wait.
        """

    async def begin_apart(self, path: ClientPath, limits: Limits) -> Writing:
        """Open an empty draft that is never published, only linked (`Writing.link`). It does not count as a file.

        `path` is only for its name; nothing needs to be there. May wait.
        """

    async def finish(
        self, draft: Writing, origin: Origin = "close", sender: Sender | None = None, gone: Gone | None = None
    ) -> int | None:
        """Publish a draft that its client closed; return the id of its import or run, None if it made none.

        The draft is gone afterwards in any case. On OSError the old file stays, and the hook of the path has heard of
        it. `gone`: a client that left while a hook decided on the file has interrupted the upload; None: it never
        leaves. May wait; a file without a hook is published in one step before that.
        """

    async def abandon(self, draft: Writing, reason: str, sender: Sender | None = None) -> None:
        """Discard a draft that ended in any other way. If it was changed, report the interrupted upload once.

        Raises nothing. May wait, after the draft is gone.
        """

    async def discard(self, draft: Writing) -> None:
        """Discard a draft without a report. Raises nothing."""

    async def remove_open(self, draft: Writing) -> None:
        """Let the CLOSE of an open draft succeed and publish nothing (`Writing.removed`)."""

    async def move_open(self, draft: Writing, new: ClientPath, *, replace: bool) -> None:
        """Let an open draft be published at `new`. Raises as `rename` does."""

    # Other changes

    async def rename(self, old: ClientPath, new: ClientPath, *, replace: bool, gone: Gone | None = None) -> None:
        """Move a file or folder. Without `replace` the new path must be free, unless a file moves to a hook's path.

        There it lands, and the old name is removed last, if it still names the file. May wait.
        """

    async def remove(self, path: ClientPath) -> None:
        """Remove a file or a link. Raises EISDIR for a folder. May wait."""

    async def make_folder(self, path: ClientPath, limits: TenantLimits) -> None:
        """Make a folder; it counts as one file. Raises EEXIST if anything is there. May wait."""

    async def remove_folder(self, path: ClientPath) -> None:
        """Remove an empty folder. Raises ENOTEMPTY, and ENOTDIR for a file. May wait."""

    async def set_times(self, path: ClientPath, times: Times) -> None:
        """Set the times of what is at `path`; does nothing for a folder of the server."""


class AllFiles(Protocol):
    """The files of all tenants. `root` is the folder of a tenant (`TenantFolder.root`), as `folder_of` gives it."""

    def open(self, tenant: str, root: Path) -> Files:
        """Open the files of a tenant, at most once at a time: with two of them its quota would be counted twice.

        Does not wait. Raises OSError.
        """

    def identity(self, root: Path) -> Hashable | None:
        """Return what stays the same as long as `root` is that of the same tenant; None if there is none now."""

    async def names(self, root: Path, folder: ClientPath) -> list[bytes]:
        """Return the names in a folder, in any order, without opening a session. Waits."""

    async def look(self, root: Path, path: ClientPath) -> BinaryIO:
        """Return the bytes of a file as an open file of this machine, without opening a session. Waits.

        The caller closes it.
        """

    async def left(self) -> set[str]:
        """Return the tenants with drafts of other servers that have gone. Raises TryAgain."""

    async def place_again(self, root: Path, files: Sequence[LandedFile]) -> None:
        """Bring files that landed to the disk under their names, in their order, at a start. Raises OSError."""

    async def clear(self, tenant: str, root: Path) -> int:
        """Remove what a server that has gone left of a tenant's drafts; return how many.

        Those for a hook are reported to it as interrupted. A server that shares its data with no other calls it at
        its start, before a client can upload.
        """

    def close(self) -> None:
        """Let the threads end, once nothing uses the files."""
