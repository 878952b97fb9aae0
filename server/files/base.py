"""The base of all implementations of `Files`: a tenant's hooks, the rules of its paths, and who uses its files."""

from __future__ import annotations

import errno
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

from importer.errors import TryAgain
from server.files.contracts import Metrics
from server.files.disk import Disk
from server.files.hooks import Hook, HookTable, HookView
from server.files.paths import ClientPath, check_writable, is_fixed
from server.seldom import Seldom

WhyNotStored = Callable[[str], str | None]


def never_refused(tenant: str) -> str | None:
    """The `WhyNotStored` of a disk that is never full."""
    return None


@dataclass(frozen=True, slots=True, kw_only=True)
class House:
    """The parts that all tenants share."""

    hooks: HookTable
    metrics: Metrics
    disk: Disk
    why_not_stored: WhyNotStored = never_refused
    """Return why a tenant cannot store anything now; None if it can."""


class BaseFiles(ABC):
    """The files of one tenant, apart from where they are. `_free` lets go of them at the end."""

    def __init__(self, tenant: str, house: House) -> None:
        self.tenant = tenant
        self.house = house
        self._sessions = 0
        self._left_at = time.monotonic()
        self._retired = False
        self.refused = Seldom()
        """How often the log has an upload that could not begin."""

    @property
    @abstractmethod
    def removed(self) -> bool:
        """Return whether the tenant was removed. A new tenant may have its name."""

    @abstractmethod
    def _free(self) -> None: ...

    def check_storage(self) -> None:
        """Raise OSError (ENOSPC) with a message for the client if nothing can be stored now."""
        why = self.house.why_not_stored(self.tenant)
        if why:
            full = TryAgain("disk_full", why)
            raise OSError(errno.ENOSPC, f"{why}, so no upload can be stored now; try again later") from full

    @property
    def hooks(self) -> HookView:
        """Return the hooks that are on for the tenant now."""
        return self.house.hooks.of(self.tenant)

    def hook_at(self, path: ClientPath) -> Hook | None:
        """Return the hook that gets a file completed at `path`; None if there is none.

        Raises OSError (EINVAL) if the path cannot be written as text for the hook.
        """
        hook = self.hooks.find(str(path))
        if hook is not None and not path.printable:
            raise OSError(errno.EINVAL, "a hook takes only names of printable UTF-8 characters; rename the file")
        return hook

    def is_fixed(self, path: ClientPath) -> bool:
        """Return whether the server makes this folder for the tenant."""
        return is_fixed(path) or self.hooks.is_fixed(path)

    def check_writable(self, path: ClientPath) -> None:
        """Raise OSError (EACCES) if clients may not change `path`, by `paths.check_writable` or because of a hook."""
        check_writable(path)
        if self.is_fixed(path):
            raise OSError(errno.EACCES, f"{path} belongs to a hook and cannot be replaced, renamed or removed")

    def enter(self) -> None:
        """Count one more session; it must call `leave` once."""
        self._sessions += 1

    def leave(self) -> None:
        self._sessions -= 1
        self._left_at = time.monotonic()
        self._free_if_unused()

    def unused_s(self) -> float:
        """Return for how many seconds no session has used it; 0 if one does."""
        return 0.0 if self._sessions else time.monotonic() - self._left_at

    def retire(self) -> None:
        """Let go of the files when the last session has left. The caller no longer hands them out."""
        self._retired = True
        self._free_if_unused()

    def _free_if_unused(self) -> None:
        if self._retired and not self._sessions:
            self._free()
