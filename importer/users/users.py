"""The protocol of all stored data of one tenant's users. The SQL is in engine/sqlite/tenant/users.py."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from importer.model import INTEGER_MAX, Outcome
from importer.rules.identity import BY_ADDRESS, Identity
from importer.users.directory import Directory
from importer.users.history import History
from importer.users.importing.importing import Importing
from importer.users.invitations import Invitations
from importer.users.memory import Memory
from importer.users.settled import SettingChange, Settled, Texts
from importer.users.undoing import Undoing


@dataclass(frozen=True, slots=True)
class Look:
    """Facts about the stored users. `are`: there are users.

    `numbered`: the custom fields that may be the identifier, because each user has a different value.
    """

    are: bool
    numbered: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Stock:
    """The facts about a tenant's users and settings that periodic tasks and metrics need.

    `inviting`: an invitation waits. `logged` is the number of rows in the log for the search index.
    """

    active: int
    deactivated: int
    inviting: bool
    logged: int
    settings: Texts


class Users(Protocol):
    """The users of one tenant and all data stored with them; nothing stays open between two calls.

    The methods here, and those of what they open, raise TryAgain (the disk is full, an import writes) and
    DatabaseUnusable. Reads never wait for an import, and an import never waits for reads.
    """

    async def prepare(self, *, make: bool = False) -> Texts:
        """Bring the users up to this version of Headcount, and return the tenant's settings.

        Only with `make` are users created if there are none. Raises SchemaTooNew if a newer Headcount wrote them.
        """

    def directory(self, identity: Identity = BY_ADDRESS) -> AbstractAsyncContextManager[Directory]:
        """Open the users, identified by `identity`, to look up and search."""

    def snapshot(self, identity: Identity = BY_ADDRESS) -> AbstractAsyncContextManager[Directory]:
        """Open the users like `directory`, with all answers of one moment.

        The users may be of an older Headcount and are brought up to date first: for commands, which may run before
        the server has done it.
        """

    def is_indexed(self) -> bool:
        """Return whether a search index exists. Without one, or with an outdated one, a search takes longer."""

    def catch_up_index(self, stopping: Callable[[], bool] = lambda: False) -> int:
        """Bring the search index up to date, or create it; few users have none. Blocks, and for long.

        Returns how much was to do: users to index, changes to apply. It ends early when `stopping` returns true; the
        next call does the rest. Only one caller at a time. Raises OSError.
        """

    async def count_by_state(self) -> dict[str, int]:
        """Return how many users are active and how many are deactivated.

        Brings them up to date as `snapshot` does.
        """

    async def set_protected(self, identifier: str, protected: bool, identity: Identity) -> bool:
        """Protect this user from deactivation by imports, or end the protection.

        False if no user has this identifier.
        """

    def history(self, identity: Identity, *, upgrade: bool = False) -> AbstractAsyncContextManager[History]:
        """Open the changes of users, identified by `identity`, by imports and undos.

        With `upgrade` the users are brought up to date first, as by `snapshot`.
        """

    def invitations(self, wait_s: float) -> AbstractAsyncContextManager[Invitations]:
        """Open the invitations. Writes wait for a running import for at most `wait_s`."""

    def memory(self) -> AbstractAsyncContextManager[Memory]:
        """Open the stored data of applied imports, for retention."""

    def undoing(self, import_id: int, identity: Identity) -> AbstractAsyncContextManager[Undoing]:
        """Open an import to undo it, with no other writer. The users are brought up to date first.

        All writes are committed when the context is left, or none of them if it is left by an exception. Raises
        TryAgain, also if the users' identifier is no longer `identity`.
        """

    def importing(
        self, import_id: int, identity: Identity, left: Callable[[Callable[[], None]], object]
    ) -> AbstractAsyncContextManager[Importing]:
        """Begin an import of users who are identified by `identity`; no other writer until it ends.

        All its writes are committed when the context is left, or none of them if it is left by an exception. Until
        then readers see the users as they were. It is for code that runs in a thread of its own (apart.py): awaited
        calls may block.

        `left` receives a function with the work that remains after the commit: it blocks, and may run later.
        """

    async def outcome_of(self, import_id: int) -> Outcome | None:
        """Return the outcome of an import whose effects are stored here.

        None if they are not, or if there are no users.
        """

    async def outcome_of_undo(self, import_id: int) -> Outcome | None:
        """Return the outcome of the undo of an import, as `outcome_of` does."""

    def look(self, fields: Iterable[str]) -> Look:
        """Return whether there are users, and which of these custom fields can be the identifier. Blocks."""

    def copy_bytes(self) -> int:
        """Return about how many bytes a copy takes. Raises OSError."""

    def copy(self, folder: Path, stopping: Callable[[], bool] = lambda: False) -> Users:
        """Copy the users of this moment into `folder`, also while an import writes, to test imports on. Blocks.

        Returns the users there. Raises Stopped when `stopping` returns true.
        """

    def read_settings(self, timeout_s: float) -> tuple[Texts, bool]:
        """Return the tenant's settings, and whether the users are of an older Headcount. Blocks.

        Does not wait for a running import and works on a full disk; waits at most `timeout_s` while the users are
        locked.
        """

    async def change_settings(self, decide: Callable[[Texts], Settled]) -> Settled:
        """Give the settings to `decide` and store its decision: all of it, or nothing if an exception is raised.

        No other change comes between. Raises what `decide` raises, and Refused if the new identifier does not fit the
        users.
        """

    async def settings_changes(
        self, limit: int, before: int = INTEGER_MAX, *, upgrade: bool = False
    ) -> tuple[list[SettingChange], int | None]:
        """Return up to `limit` changes of settings, newest first, and the `before` of the next page (None: no more).

        With `upgrade` the users are brought up to date first.
        """

    def why_shut(self) -> str | None:
        """Return why the storage of the users cannot be opened, and what to do; None if it can.

        Blocks, and opens nothing.
        """

    def read_all(self) -> None:
        """Read all stored data. Blocks, and for long. Raises DatabaseUnusable unless all of it is sound."""

    def looks_like(self) -> object:
        """Return a value that stays equal (also its `repr`) until the storage is written, replaced or newly owned.

        It opens nothing, so many tenants can be checked in one go. Blocks.
        """

    def is_plain(self) -> bool:
        """Return whether the users seem to be of this version, with nothing to recover. Opens nothing. Blocks."""

    def take_stock(self, timeout_s: float) -> Stock:
        """Return the facts of Stock for users that are up to date.

        Blocks; waits at most `timeout_s` while they are locked.
        """

    async def highest_import(self) -> int:
        """Return the highest id of an applied import; 0 if there is none. The users are brought up to date first."""


UsersOf = Callable[[str], Users]
"""Returns the users of the tenant with a name."""
