"""The table of hooks: which path does something when a file lands there, and which names come near one.

A hook is any object with the five methods of `Hook`. The SFTP side knows nothing else of what follows an upload.
The rules for near and unfinished names live here, as plain functions of the name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, Protocol

from importer.model import Written

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
    """The hook a name comes near to without being it, and a sentence that says what is wrong with the name."""

    hook: Hook
    path: str
    reason: str


class HookTable:
    """Paths and their hooks. Of several that fit, one in the same folder wins, then the one named first."""

    def __init__(self, hooks: Mapping[str, Hook]) -> None:
        self._hooks = dict(hooks)
        self._stems = {path: _stem(_name(path)) for path in self._hooks}

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
        if self.begins(path) and not _MISTAKEN_ENDING.search(path):
            return None
        stem = _stem(_name(path))
        fitting = [hooked for hooked, its in self._stems.items() if its == stem]
        if not fitting or path in self._hooks:
            return None
        hooked = next((each for each in fitting if _folder(each).lower() == _folder(path).lower()), fitting[0])
        return Near(self._hooks[hooked], hooked, _reason(path, hooked))


_MISTAKEN_ENDING = re.compile(r"\.csv\.(?:txt|csv)$", re.IGNORECASE)
"""Endings that programs which hide endings add; others after the whole name (`.filepart`, `.tmp`) are meant."""

_ENDING = re.compile(r"(?:\.csv)*(?:\.txt|\.xlsx?|\.csv)?$")
_COPY = re.compile(r"^copy of |(?:[ _-]*\(\d+\)|[ _-]+(?:copy|kopie)(?: \d+)?)+$")
_BETWEEN = re.compile(r"[\s_.\-]+")


def _stem(name: str) -> str:
    """What is left of a file name without what people, spreadsheets and browsers do to one."""
    name = unicodedata.normalize("NFKC", name).casefold().strip()
    name = _ENDING.sub("", name).rstrip()
    return _BETWEEN.sub("", _COPY.sub("", name))


def _reason(path: str, hooked: str) -> str:
    name, meant = _name(path), _name(hooked)
    if name == meant:
        fault = "it is in another folder"
    elif name.lower() == meant.lower():
        fault = "upper and lower case differ"
    else:
        fault = "the name is not quite the same"
    return f"{path} starts no import, only {hooked} does ({fault}); send it again as {hooked}"


def _name(path: str) -> str:
    return path.rsplit("/", 1)[-1]


def _folder(path: str) -> str:
    return path.rsplit("/", 1)[0]
