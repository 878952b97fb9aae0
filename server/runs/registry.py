"""The hooks of this server, as they were found: what runs, at which path, and what was refused and why."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from headcount.hooks import Declared
from server.runs.ends import End, Refused


@dataclass(frozen=True, slots=True)
class Attempt:
    """The facts of one attempt, for every kind of hook. `settings` are the tenant's values for it, as JSON."""

    tenant: str
    run_id: int
    hook: str
    path: str
    size: int
    sha256: str
    uploaded_at: str
    attempt: int
    settings: dict[str, Any]
    copy: Path
    reports: Path
    """An empty folder for the files that the hook reports."""


class Runnable(Protocol):
    """A hook that can be run: a Python function, a command or a URL."""

    async def deliver(self, attempt: Attempt) -> End:
        """Run the hook once. Raises nothing but CancelledError (the server stops), after the run has ended."""

    @property
    def asks(self) -> bool:
        """Return whether the hook has an `accept`."""

    async def accept(self, tenant: str, path: str, size: int, file: Path) -> Refused | None:
        """Ask the hook whether it wants this complete file. Return at once if it has no `accept`."""


@dataclass(frozen=True, slots=True)
class RegisteredHook:
    """One line of `headcount hook list`.

    `package` is the distribution, module or file that it is from. `error` is why it does not run: then uploads to
    `path` are refused with it (None: the path is not known). `declared` is None for a command or URL.
    """

    name: str
    path: str | None
    package: str | None
    error: str | None = None
    declared: Declared | None = None
    runnable: Runnable | None = None


@dataclass(frozen=True, slots=True)
class Registry:
    """All hooks but `sync_users`, by name."""

    hooks: Sequence[RegisteredHook] = ()
