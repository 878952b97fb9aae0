"""All that a server of a test stores, as the test sees and changes it beside the server. The engine is chosen here.

A test that belongs to one engine is marked `only_on("sqlite", "why")`. All others use what this module offers, and no
file or table of an engine.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, AbstractContextManager
from pathlib import Path
from typing import Any, Protocol

import pytest

from engine.store import Store
from importer.archive import Archive
from importer.folder import TenantFolder
from importer.users.users import Users
from importer.worker.results_folder import Results
from server.places.place import Accounts, Place
from server.settings import ServerSettings
from server.tenants.shared.accounts import StoredAccounts
from server.tenants.tenants import Tenants
from tests.support.chosen import EMBEDDED, chosen_engine
from tests.support.embedded import EmbeddedInstallation
from tests.support.engines import COMPANIES
from tests.support.importing import Company
from tests.support.in_postgres import DatabaseInstallation
from tests.support.waiting import DEADLINE_S


class Installation(Protocol):
    """All that one server stores. Its methods block, and work whether or not a server runs.

    A path is that of a tenant, with or without a slash at its beginning.
    """

    data: Path
    """The folder of the test to which it belongs. An engine may have its files there."""

    connections: int
    """So many connections a server may keep open to it while nothing needs them."""

    @property
    def name(self) -> str:
        """The words by which the server and the commands name it."""

    def environment(self) -> dict[str, str]:
        """Return the variables by which a server and the commands find it."""

    def use(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Let commands in this process use it, with no other setting of Headcount."""

    def open(self, *, serving: bool = False, public_url: str | None = None) -> AbstractAsyncContextManager[Tenants]:
        """Open its tenants in this process, as `server.tenants.tenants.open_tenants` does."""

    def store(self, *tenants: str) -> AbstractAsyncContextManager[Store]:
        """Open its store in this process. The tenants of these names exist then, without users, made in no time."""

    def archive(self, store: Store) -> Archive:
        """Return where files of imports and runs are kept, for a `store` that is open."""

    def results(self, store: Store) -> Results:
        """Return the folders /results, for a `store` that is open."""

    def add(self, tenant: str) -> None:
        """Add a tenant without users in no time, beside a store that is open."""

    def remove(self, tenant: str) -> None:
        """Remove a tenant, beside a store that is open. Nothing else is told of it."""

    def users_of(self, tenant: str) -> Users:
        """Return the users of a tenant, for parts of a server in this process."""

    def copy_to(self, data: Path) -> None:
        """Let the installation of the folder `data`, a copy of this one's folder, store the same. No server runs."""

    def settings(self, **chosen: Any) -> ServerSettings:
        """Return the settings of a server in this process that uses it, with those chosen."""

    def folder(self, tenant: str) -> TenantFolder:
        """Return the folder of a tenant in which parts of a server in this process work.

        An engine may store nothing there: what is stored is read by other methods.
        """

    # The files that a tenant sees

    def visible(self, tenant: str, path: str) -> bytes | None:
        """Return the content of the file at `path`, or None if there is no file."""

    def names(self, tenant: str, folder: str = "/") -> list[str]:
        """Return the names in a folder, sorted; also of a tenant of which only the row was removed."""

    def is_folder(self, tenant: str, path: str) -> bool:
        """Return whether there is a folder at `path`."""

    def publish(self, tenant: str, path: str, content: bytes) -> None:
        """Have a file at `path` that no client has sent, with the folders above it."""

    def publish_all(self, tenant: str, names: Sequence[str], content: bytes) -> None:
        """Have files of these names in the folder / with the same content, in little time."""

    def make_folder(self, tenant: str, path: str) -> None:
        """Have a folder at `path` that no client has made, with the folders above it."""

    def unpublish(self, tenant: str, path: str) -> None:
        """Remove the file or the empty folder at `path`, as no client does."""

    def without_results(self, tenant: str) -> AbstractContextManager[None]:
        """Let a file be in the place of the folder /results in the block: no report can be written."""

    def counted(self, tenant: str) -> tuple[int, int]:
        """Return the bytes that count against the quota, and how many files and folders do, counted anew.

        Only an engine that keeps these numbers knows which count.
        """

    def unfinished(self, tenant: str) -> list[int]:
        """Return the sizes so far of the uploads that have not landed."""

    def noted(self, tenant: str) -> int:
        """Return how many bytes of the uploads that have not landed are known after a kill of the server."""

    def land(self, tenant: str, path: str, content: bytes, import_id: int) -> None:
        """Have a file at `path` as if it had landed: the copy of its import is the same one."""

    def show_copy(self, tenant: str, path: str, run_id: int) -> None:
        """Have the copy that a run reads as the file at `path`, too."""

    # Files that are kept of imports and runs

    def kept(self, tenant: str, name: str) -> bytes | None:
        """Return a kept file by its path in `TenantFolder`, such as `messages/7.jsonl`; None if it is not kept."""

    def keep(self, tenant: str, name: str, content: bytes) -> None:
        """Keep `content` as the file with this path."""

    def kept_names(self, tenant: str, place: str) -> set[str]:
        """Return the names of the kept files in `uploads`, `messages` or `runs`."""

    def drop(self, tenant: str, name: str) -> None:
        """Remove a kept file, as no part of the server does."""

    def unreadable(self, tenant: str, place: str) -> AbstractContextManager[None]:
        """Let no kept file in `uploads`, `messages` or `runs` of a tenant be readable in the block."""

    def copy(self, tenant: str, import_id: int) -> bytes | None:
        """Return the copy that an import reads, or None if it is not kept."""

    def keep_copy(self, tenant: str, import_id: int, content: bytes) -> None:
        """Keep `content` as the copy that an import reads."""

    def keep_copies(self, tenant: str, number: int, content: bytes) -> None:
        """Keep `content`, stored once, as the copies of the first `number` imports."""

    def shares(self, tenant: str, path: str, import_id: int) -> bool:
        """Return whether the file at `path` and the copy that an import reads are stored once."""

    def run_copy(self, tenant: str, run_id: int) -> bytes | None:
        """Return the copy that a run reads, or None if it is not kept."""

    def keep_run_copy(self, tenant: str, run_id: int, content: bytes) -> None:
        """Keep `content` as the copy that a run reads."""

    # Rows

    def state(self, tenant: str, import_id: int) -> str | None:
        """Return an import's state; None if there is no such import."""

    def runs(self, tenant: str) -> list[dict[str, Any]]:
        """Return the runs of a tenant's hooks with all columns, the oldest upload first."""

    def users(self, tenant: str) -> dict[str, str]:
        """Return the state of all users of a tenant, by email address, in the order of their creation."""

    def applied(self, tenant: str) -> list[tuple[int, int | None]]:
        """Return the applied imports, each with the number of users that it created, None for none."""

    def invitations(self, tenant: str) -> list[tuple[str, int]]:
        """Return the state of each invitation, and how often it was tried."""

    def sending_is_off(self) -> bool:
        """Return whether an operator has turned sending off."""

    def removed(self) -> list[str]:
        """Return the names of the tenants that were removed, each as often as it was."""

    def sent_bytes(self, tenant: str) -> int:
        """Return the bytes of the files that clients have sent and of their copies, each content once."""

    def check_users(self, tenant: str) -> None:
        """Assert that the users are as the engine needs them after any import."""

    def holds(self, text: str) -> bool:
        """Return whether a text is stored anywhere, whether or not anything shows it."""

    def everything(self) -> str:
        """Return all that is stored, whether or not anything shows it: rows as SQL, other files with their paths."""

    def digests_written(self) -> str | None:
        """Return the newest week, by a day of it, whose digests are all written; None if no week is known."""

    # Acts of another program

    def writing_users(self, tenant: str, statement: str = "") -> AbstractContextManager[None]:
        """Write to a tenant's users without an end, as a long import does, and change nothing at the end.

        Other writers wait for it, at most ten seconds.
        """

    def served(self) -> AbstractContextManager[None]:
        """Let it be as while a server runs on it: commands wait for what the server does."""

    def impatient(self, monkeypatch: pytest.MonkeyPatch, wait_s: float) -> None:
        """Let no writer of this process wait for another one longer than `wait_s`."""

    def company(self, tenant: str) -> Company:
        """Return what imports files into the users of `tenant` without the server."""

    def holding_writes(self) -> AbstractContextManager[None]:
        """Refuse writes of what does not belong to the users of one tenant: tenants, tokens, imports, notices."""

    def writing(self, table: str) -> AbstractContextManager[None]:
        """Write to a table of the server without an end, and change nothing: its other writers wait."""

    def without(self, table: str, tenant: str | None = None) -> AbstractContextManager[None]:
        """Take a table of the server, or of the users of `tenant`, away in the block: readers and writers fail."""

    def broken(self, tenant: str) -> AbstractContextManager[None]:
        """Let a tenant be broken in the block, and no other one: its settings cannot be read."""

    def change_users(self, tenant: str, *statements: str) -> None:
        """Run statements on the tables of the users of `tenant`. No other tenant may have users."""

    def date_tenants(self, created_at: str, *names: str) -> None:
        """Let tenants, without names all, be created at another time."""

    def date_imports(self, at: str, tenant: str, *import_ids: int) -> None:
        """Let imports, without ids all of the tenant, be uploaded and ended at another time."""

    def have_import(self, tenant: str, import_id: int, state: str) -> None:
        """Have an import in a state, however it got there. An older one of this id is replaced."""

    def forget_digests(self) -> None:
        """Let the stopped server not know up to which week the digests are written."""


INSTALLATIONS: dict[str, Callable[[Path], Installation]] = {
    EMBEDDED: EmbeddedInstallation,
    "postgres": DatabaseInstallation,
}
"""The installation that belongs to a folder of a test, by engine."""


def company_in(folder: Path, *options: Any, **more: Any) -> Company:
    """Return a company without a server, whose users belong to `folder`; the options are those of `Company`."""
    return COMPANIES[chosen_engine()](folder, *options, **more)


def installation(data: Path) -> Installation:
    """Return the installation that belongs to the folder `data`. It is made when something first opens it."""
    return INSTALLATIONS[chosen_engine()](data)


def accounts_of(place: Place, tenants: Tenants) -> Accounts:
    """Return the accounts of a place, as its server has them; the caller closes them. A login may wait for long."""
    accounts = place.accounts(tenants, None)  # type: ignore[arg-type]
    if isinstance(accounts, StoredAccounts):
        accounts._store._wait_s = DEADLINE_S  # type: ignore[attr-defined]
    return accounts


def open_tenants(
    data: Path, *, serving: bool = False, public_url: str | None = None
) -> AbstractAsyncContextManager[Tenants]:
    """Open the tenants of the installation that belongs to the folder `data`."""
    return installation(data).open(serving=serving, public_url=public_url)
