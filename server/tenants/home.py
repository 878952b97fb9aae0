"""Where the data of an installation is: in a data folder (`local/`), or in a database (`shared/`).

Only these two folders and `server/places/` know which one it is. All other code asks the protocols below:

| part | in a data folder | in a database |
|---|---|---|
| `Home.folder` | everything of the tenant | working files of this process, which end with it |
| `Home.add`, `remove` | a folder is renamed | one transaction; removed rows are kept for a while |
| `Home.secrets`, `host_keys` | files of mode 0600 | sealed rows, and the operator's secret file |
| `Home.marks`, `perhaps_paused` | small files | rows; the settings themselves |
| `Looks.look` | inode, size and times of users.db | the newest transaction that wrote users or settings |
| `Looks.inspect` | the folder, users.db and the keys | the settings |
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol

from engine.marks import MarkStore
from engine.store import Store
from engine.tenants import Tenant
from importer.archive import Archive
from importer.folder import TenantFolder
from importer.users.users import Users
from importer.worker.results_folder import Results
from keys.ring import KeyRing
from server.signing import WebhookSecrets

if TYPE_CHECKING:
    from keys.host import HostKey

Signature = str
"""A text that changes when something of a tenant is replaced, or gets another owner."""


class Look(NamedTuple):
    """How the users and settings of a tenant look from outside: `text` changes when they are written.

    `settled`: so does every change from now on. A file may be written twice within a tick of its clock.
    """

    text: str
    settled: bool


@dataclass(frozen=True, slots=True)
class Found:
    """The result of an inspection. `why` is None if the tenant can be used.

    `outdated`: its users have the schema of an older version.
    """

    why: str | None
    outdated: bool = False


@dataclass(frozen=True, slots=True)
class Glance:
    """The outside of a tenant. `leftovers`: it has something that a clean stop does not leave behind.

    `plain`: its users seem to have the current schema and no leftovers of a crash.
    """

    signature: Signature
    leftovers: bool
    plain: bool


class Looks(Protocol):
    """How tenants look, from outside and inside."""

    async def look(self, name: str) -> Look:
        """Return the look of one tenant. In a data folder this does not suspend."""

    async def looks(self, names: Sequence[str]) -> dict[str, Look]:
        """Return the looks of many tenants, without opening their users."""

    async def signatures(self, names: Sequence[str]) -> dict[str, Signature]:
        """Return the signatures of many tenants, without opening their users."""

    async def glances(self, tenants: Iterable[Tenant], known: Callable[[str], Signature | None]) -> dict[str, Glance]:
        """Look at many tenants from outside. `known` returns the signature with which a tenant was sound."""

    async def inspect(self, name: str, *, whole: bool = False, noting: bool = False) -> Found:
        """Inspect a tenant; with `whole`, read all of its users. Raises TryAgain if they cannot be read now.

        With `noting`, note of a tenant that can be used what it has, so that a loss shows.
        """

    async def unusable_copies(self, needed: dict[str, list[tuple[int, int]]]) -> dict[str, str]:
        """Return the faults of copies that imports need and cannot use: one for each tenant that has any.

        `needed` are the ids of these imports, with the sizes of their files.
        """


class Home(Looks, Protocol):
    """The open data of an installation. Changes are on disk when a method returns."""

    @property
    def store(self) -> Store: ...

    @property
    def archive(self) -> Archive:
        """The files of imports and runs that outlive the process."""

    @property
    def results(self) -> Results:
        """The folders /results of the tenants."""

    @property
    def parts(self) -> Mapping[str, Callable[[], Awaitable[bool]]]:
        """The parts outside of the server and its store that must be up, by name, each with its check."""

    @property
    def root(self) -> Path:
        """The folder in which the folders of the tenants are."""

    def folder(self, name: str) -> TenantFolder:
        """Return the folder of the tenant. Raises TenantRefused for an invalid name."""

    def lasting_folder(self, name: str) -> Path | None:
        """Return the folder of the tenant if it outlives this process."""

    def users(self, name: str) -> Users:
        """Return the tenant's users. Raises TenantRefused for an invalid name."""

    def ring(self, name: str) -> KeyRing:
        """Return the tenant's keys. Raises TenantRefused for an invalid name."""

    @property
    def secrets(self) -> WebhookSecrets:
        """The secrets that sign what the tenants' receivers get."""

    @property
    def marks(self) -> MarkStore:
        """The marks of the installation. In a data folder, they also raise OSError."""

    async def host_keys(self) -> Sequence[HostKey]:
        """Return the host keys of the server, Ed25519 first; the required ones are created.

        Raises HostKeyRefused, and SecretRefused if the secret file that opens them cannot be used.
        """

    async def perhaps_paused(self, names: Sequence[str]) -> Sequence[str]:
        """Return those of these tenants whose settings may have a pause."""

    async def note_pause(self, name: str) -> None:
        """Let `perhaps_paused` return this tenant: called before and after its settings get a pause."""

    async def end_pause(self, name: str) -> None:
        """Let `perhaps_paused` not return this tenant: its settings have no pause."""

    def refuse_absent(self, name: str) -> None:
        """Raise TenantRefused if the data of this tenant, which has a row, is missing."""

    async def exists(self, name: str) -> bool:
        """Return whether there is data of a tenant of this name: it was not removed meanwhile."""

    async def add(self, name: str, keys: Iterable[str]) -> Tenant:
        """Create a tenant as `Tenants.add` does."""

    async def remove(self, name: str) -> Path | None:
        """Remove a tenant as `Tenants.remove` does."""

    @property
    def kept_days(self) -> int | None:
        """For how many days the data of a removed tenant is kept; None: its folder stays."""

    async def tidy(self) -> None:
        """Delete some of what nothing needs any more: called each minute. Raises TryAgain."""

    async def bytes_of(self, name: str) -> int:
        """Return the bytes that the data of a tenant takes. Raises OSError, TryAgain."""
