"""The table of hooks: code that runs when a file lands at a path, or at a similar path.

A hook is any object with the five methods of `Hook`. The SFTP side knows nothing else about the imports that follow.
`near_names` decides which paths are similar to a hook's path.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from importer.model import Written
from importer.requests import Sender
from server.files.near_names import describe_difference

Origin = Literal["close", "rename", "resize", "http"]
"""The request that completed a file: CLOSE, a rename to its path, a change of size by path, or one over HTTP."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One file sent by a tenant.

    `path` is the client's path, from "/". `size` is in bytes: of the file, or as received if it was interrupted.
    `written` is None if the server has no record of how the file was written. `sender` is None if it came over SFTP.
    """

    tenant: str
    path: str
    size: int
    written: Written | None
    uploaded_at: datetime
    origin: Origin
    sender: Sender | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """A hook's answer to an upload: the import's id, and the path at which to make the kept copy (a hard link)."""

    id: int
    copy: Path


class HookRefused(Exception):  # noqa: N818 - the field's word
    """The hook refuses the file. The message is a sentence for the client; the old file stays."""


class Hook(Protocol):
    """Code that runs when a file lands at a path. Every method is awaited inside the client's request."""

    async def arriving(self, upload: Upload) -> Arrival:
        """Record an upload whose bytes are on disk but not yet visible. The record is durable on return.

        Raises HookRefused: the client gets a failure with its message, and the old file stays.
        """

    async def landed(self, upload: Upload, arrival: Arrival) -> None:
        """Queue the upload: the copy and the visible file are on disk. Durable on return; then the client gets OK."""

    async def failed(self, upload: Upload, arrival: Arrival, reason: str) -> None:
        """Record that an arriving upload could not be published: the old file stays, without a copy of the new."""

    async def aborted(self, upload: Upload, reason: str) -> None:
        """Record an interrupted upload to this path, or to a path that begins with it. Its bytes were discarded."""

    async def ignored(self, upload: Upload, reason: str) -> None:
        """Record a file completed under a path that is only similar to this one. `reason` is sentences for users."""


@dataclass(frozen=True, slots=True)
class Near:
    """The hook whose path a name resembles, and sentences that say what is wrong and what to do."""

    hook: Hook
    path: str
    reason: str


class HookTable:
    """Paths and their hooks. If several match a similar name, one in the same folder wins, then the first listed."""

    def __init__(self, hooks: Mapping[str, Hook], wide: Iterable[str] = ()) -> None:
        """`wide`: the paths to which the wide rule of `near_names` applies."""
        self._hooks = dict(hooks)
        self._wide = frozenset(wide)

    def __iter__(self) -> Iterator[str]:
        return iter(self._hooks)

    def find(self, path: str) -> Hook | None:
        """Return the hook at exactly this path."""
        return self._hooks.get(path)

    def begins(self, path: str) -> Hook | None:
        """Return the hook at this path, or at the longest path it begins with (`sync_users.csv.filepart`)."""
        fitting = [hooked for hooked in self._hooks if path.startswith(hooked) and "/" not in path[len(hooked) :]]
        return self._hooks[max(fitting, key=len)] if fitting else None

    def near(self, path: str) -> Near | None:
        """Return the hook that `path` was probably meant for; None for a hook's own path and for other files."""
        if path in self._hooks:
            return None
        found = {
            hooked: text
            for hooked in self._hooks
            if (text := describe_difference(path, hooked, wide=hooked in self._wide))
        }
        if not found:
            return None
        folder = path.rsplit("/", 1)[0].lower()
        hooked = next((each for each in found if each.rsplit("/", 1)[0].lower() == folder), next(iter(found)))
        return Near(self._hooks[hooked], hooked, found[hooked])
