"""One place of an installation that is moved: what a move reads there, and what it writes."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from engine.marks import MarkStore
from engine.moving.stored import StoredTables
from engine.tenants import Tenant
from ground.words import counted
from keys.ring import Key
from server.moving.files import Fact
from server.notify.weekly import WRITTEN
from server.tenants.sending import MARK

if TYPE_CHECKING:
    from keys.host import HostKey


KEPT_MARKS = (MARK, WRITTEN)
"""The marks of an installation that are moved with it."""


@dataclass(frozen=True, slots=True)
class Outside:
    """Objects with the bytes of files: how many, where, and with what their keys begin."""

    count: int
    where: str
    start: str

    def __str__(self) -> str:
        return f"{counted(self.count, 'object', 'objects')} in {self.where}, with keys that begin with {self.start}"


class Side(Protocol):
    """A place that is open. No server starts on a data folder meanwhile.

    Every method raises OSError, TryAgain, DatabaseUnusable; those of keys and secrets what these raise.
    """

    @property
    def name(self) -> str:
        """The place in words, without a password."""

    @property
    def tables(self) -> StoredTables: ...

    @property
    def marks(self) -> MarkStore: ...

    async def server_runs(self) -> bool: ...

    async def unfinished(self) -> int:
        """Return how many imports, runs and uploads a killed server had begun."""

    async def is_empty(self) -> bool:
        """Return whether there are no data of an installation."""

    async def outside(self) -> Outside | None:
        """Return the bytes of files that are neither in a folder nor in a database; None: there are none."""

    async def prepare(self, tenant: str) -> None:
        """Bring the data of a tenant to the schema of this version. Raises TenantRefused if they cannot be used."""

    # Beside the tables

    async def keys(self, tenant: str) -> Sequence[Key]: ...

    async def webhook_secret(self, tenant: str) -> str | None:
        """Return the secret of a tenant's webhooks; None if there is none."""

    async def host_keys(self) -> Sequence[HostKey]: ...

    async def facts(self, tenant: str) -> list[Fact]:
        """Return the files and folders of a tenant. Raises TenantRefused for an entry that is neither."""

    def opened(self, tenant: str, file: Fact, into: int | None = None) -> AbstractAsyncContextManager[int]:
        """Open a file to be read, and yield its descriptor.

        If its bytes have to be fetched, they are written to the descriptor `into`, which is yielded then.
        """

    async def digest(self, tenant: str, file: Fact) -> str:
        """Return the SHA-256 of the bytes of a file."""

    # For a target

    async def refuse_files(self, tenant: str, facts: Sequence[Fact]) -> None:
        """Raise TenantRefused if files of a tenant cannot be stored here as they are."""

    async def open_secrets(self) -> None:
        """Check that secrets can be stored. Raises SecretRefused."""

    async def is_whole(self, tenant: str) -> bool:
        """Return whether all of a tenant is here."""

    async def add(self, tenant: Tenant, source: Side) -> None:
        """Copy a tenant with everything. If that was interrupted, go on."""

    async def put_host_keys(self, keys: Sequence[HostKey]) -> None: ...
