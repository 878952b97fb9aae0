"""The table of hooks: code that runs when a file lands at a path, or at a similar path.

A hook is any object with the methods of `Hook`. The SFTP side knows nothing else about the imports and runs that
follow. `near_names` decides which paths are similar to a hook's path, and `patterns` which match one with `*`.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal, Protocol

from engine.landing import Outcome, Placing
from importer.model import Written
from importer.requests import Sender
from server.files.near_names import describe_difference, describe_difference_from_pattern
from server.files.paths import ClientPath
from server.files.patterns import Pattern

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
    """A hook's answer to an upload: the id of its import or run, and where to make the kept copy (a hard link)."""

    id: int
    copy: Path


Record = Callable[[], Awaitable[None]]
"""Lists a refused upload. Raises nothing."""


class HookRefused(Exception):  # noqa: N818 - the field's word
    """The hook refuses the file. The message is a sentence for the client; the old file stays."""

    def __init__(self, message: str, record: Record | None = None) -> None:
        """`record` of a decision is called unless the tenant was removed meanwhile: a new one may have its name."""
        super().__init__(message)
        self.record = record


Decide = Callable[[Upload, Path], Coroutine[Any, Any, None]]
"""Decides on a complete file, on disk at a path, before it lands. Other uploads of the tenant land meanwhile.

Raises HookRefused as `Hook.arriving` does, with what records the upload.
"""


Land = Callable[[Upload, Placing], Awaitable[Outcome]]
"""Does what `Hook.arriving` and `Hook.landed` do in one call, with the placing.

Raises HookRefused as `Hook.arriving` does, or what the placing raises: then nothing is recorded or placed.
"""


class Hook(Protocol):
    """Code that runs when a file lands at a path. Every method is awaited inside the client's request."""

    @property
    def decide(self) -> Decide | None:
        """Return what decides on files; None if the hook accepts every file."""

    @property
    def land(self) -> Land | None:
        """Return what lands a short file in one call; None if `arriving` and `landed` must be called."""

    async def arriving(self, upload: Upload) -> Arrival:
        """Record a complete upload that is not visible yet. The record is durable on return; the bytes may not be.

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


@dataclass(frozen=True, slots=True)
class Hooked:
    """A hook with a name. Its path may have `*`."""

    name: str
    pattern: Pattern
    hook: Hook


On = Callable[[str], Collection[str] | None]
"""Return the names of the hooks that are on for a tenant; None: all are."""


def all_on(tenant: str) -> None:
    """The `On` of tenants without a choice."""


class HookTable:
    """Paths and their hooks. Those of imports are on for every tenant; others can be off for a tenant."""

    def __init__(
        self,
        imports: Mapping[str, Hook],
        wide: Iterable[str] = (),
        others: Iterable[Hooked] = (),
        on: On = all_on,
    ) -> None:
        """`wide`: the paths of imports to which the wide rule of `near_names` applies.

        `others`: of two that match a path equally exactly, the first one gets it. One that needs a folder at a
        path of imports is left out.
        """
        self._imports = dict(imports)
        self._wide = frozenset(wide)
        files = {tuple(path[1:].split("/")) for path in self._imports}
        others = [each for each in others if files.isdisjoint(each.pattern.fixed)]
        self._others = sorted(others, key=lambda each: each.pattern.exactness, reverse=True)
        self._on = on
        self._names = frozenset(each.name for each in self._others)
        self._views: dict[frozenset[str], HookView] = {}

    def of(self, tenant: str) -> HookView:
        """Return the hooks that are on for `tenant` now: the same object while they are the same."""
        on = self._on(tenant) if self._names else None
        names = self._names if on is None else self._names.intersection(on)
        view = self._views.get(names)
        if view is None:
            others = [each for each in self._others if each.name in names]
            view = self._views[names] = HookView(self._imports, self._wide, others)
        return view


class HookView:
    """The hooks of one tenant. The paths of imports come before all others, then the most exact path wins."""

    def __init__(self, imports: Mapping[str, Hook], wide: Collection[str], others: Iterable[Hooked]) -> None:
        """`others`: the most exact first."""
        self._imports = imports
        self._wide = wide
        self._others = list(others)
        self.fixed = frozenset(
            tuple(part.encode() for part in folder) for each in self._others for folder in each.pattern.fixed
        )
        """The folders that are made for the tenant, and cannot be renamed or removed: the parts of their paths."""

    def find(self, path: str) -> Hook | None:
        """Return the hook that gets a file completed at `path`."""
        found = self._imports.get(path)
        return found or next((each.hook for each in self._others if each.pattern.matches(path)), None)

    def begins(self, path: str) -> Hook | None:
        """Return the hook at this path, or at the longest path it begins with (`sync_users.csv.filepart`)."""
        if found := self.find(path):
            return found
        fitting = [each for each in self._imports if path.startswith(each) and "/" not in path[len(each) :]]
        if fitting:
            return self._imports[max(fitting, key=len)]
        return next((each.hook for each in self._others if each.pattern.begins(path)), None)

    def near(self, path: str) -> Near | None:
        """Return the hook that `path` was probably meant for; None for a hook's own path and for other files.

        A hook in the same folder wins, then imports, then the most exact path.
        """
        if self.find(path):
            return None
        found = [*self._near(path)]
        folder = path.rsplit("/", 1)[0].lower()
        beside = [each for each in found if each.path.rsplit("/", 1)[0].lower() == folder]
        return next(iter([*beside, *found]), None)

    def is_fixed(self, path: ClientPath) -> bool:
        """Return whether the server makes this folder for the tenant because of a hook."""
        return path.parts in self.fixed

    def anything_below(self, path: ClientPath) -> bool:
        """Return whether a file somewhere in the folder `path` can have the path of a hook."""
        folder = str(path)
        return any(each.startswith(f"{folder}/") for each in self._imports) or any(
            each.pattern.above(folder) for each in self._others
        )

    def _near(self, path: str) -> Iterator[Near]:
        for hooked, hook in self._imports.items():
            if text := describe_difference(path, hooked, wide=hooked in self._wide):
                yield Near(hook, hooked, text)
        for each in self._others:
            pattern = each.pattern.text
            if "*" in pattern:
                text = describe_difference_from_pattern(path, pattern)
            else:
                text = describe_difference(path, pattern, wide=False, done="processed")
            if text:
                yield Near(each.hook, pattern, text)
