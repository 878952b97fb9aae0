"""The table of hooks: which path does something when a file lands there, and which names come near one.

A hook is any object with the five methods of `Hook`. The SFTP side knows nothing else of what follows an upload.
Which names are near one is in `near_names`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from importer.model import Written
from server.files.near_names import what_differs

Origin = Literal["close", "rename", "resize"]
"""What completed the file: the client's CLOSE, a rename onto the path, or a change of its size by path."""


@dataclass(frozen=True, slots=True)
class Upload:
    """One file sent by a tenant.

    `path` is as the tenant sees it, from "/". `size` is in bytes: of the file, or of what came before it broke off.
    `written` is None when nobody knows how it was written.
    """

    tenant: str
    path: str
    size: int
    written: Written | None
    uploaded_at: datetime
    origin: Origin


@dataclass(frozen=True, slots=True)
class Arrival:
    """A hook's promise about an upload: its number, and where the immutable copy (a hard link) has to be made."""

    id: int
    copy: Path


class HookRefused(Exception):  # noqa: N818 - the field's word
    """The hook won't take the file; the message is a sentence for the client, and the old file stays."""


class Hook(Protocol):
    """What happens when a file lands at a path. All of it is awaited inside the client's request."""

    async def arriving(self, upload: Upload) -> Arrival:
        """The bytes are on disk, not yet visible. Durable when it returns.

        Raises HookRefused: the client gets a failure with its message, and the old file stays.
        """

    async def landed(self, upload: Upload, arrival: Arrival) -> None:
        """The copy is made, the file visible, both on disk. Durable when it returns; the client gets its OK then."""

    async def failed(self, upload: Upload, arrival: Arrival, reason: str) -> None:
        """What was arriving could not be published after all; the old file stays and there is no copy."""

    async def aborted(self, upload: Upload, reason: str) -> None:
        """An upload to this path, or to a name beginning with it, broke off. `size` is what came; it is discarded."""

    async def ignored(self, upload: Upload, reason: str) -> None:
        """A file was completed under a name that is only near this path; `reason` is a sentence that says how."""


@dataclass(frozen=True, slots=True)
class Near:
    """The hook a name comes near to without being it, and sentences that say what is wrong and what to do."""

    hook: Hook
    path: str
    reason: str


class HookTable:
    """Paths and their hooks. Of several that fit, one in the same folder wins, then the one named first."""

    def __init__(self, hooks: Mapping[str, Hook], wide: Iterable[str] = ()) -> None:
        """`wide`: the paths whose near names are looked for by the wide rule of `near_names`."""
        self._hooks = dict(hooks)
        self._wide = frozenset(wide)

    def __iter__(self) -> Iterator[str]:
        return iter(self._hooks)

    def find(self, path: str) -> Hook | None:
        """The hook at exactly this path."""
        return self._hooks.get(path)

    def begins(self, path: str) -> Hook | None:
        """The hook at this path, or at the longest path this name begins with (`sync_users.csv.filepart`)."""
        fitting = [hooked for hooked in self._hooks if path.startswith(hooked) and "/" not in path[len(hooked) :]]
        return self._hooks[max(fitting, key=len)] if fitting else None

    def near(self, path: str) -> Near | None:
        """The hook whose name was probably meant, unless the name is right or still that of an unfinished upload."""
        if path in self._hooks:
            return None
        found = {
            hooked: said for hooked in self._hooks if (said := what_differs(path, hooked, wide=hooked in self._wide))
        }
        if not found:
            return None
        folder = path.rsplit("/", 1)[0].lower()
        hooked = next((each for each in found if each.rsplit("/", 1)[0].lower() == folder), next(iter(found)))
        return Near(self._hooks[hooked], hooked, found[hooked])
