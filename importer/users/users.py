"""The users of one tenant, as all others ask for them: what is kept of them, wherever that is."""

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
    """Whether there `are` any users; and the custom fields that may be the identifier: by each, all are found."""

    are: bool
    numbered: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Stock:
    """What rounds and metrics need to know of the users of a tenant, and of its settings.

    `inviting`: an invitation waits. `logged` is how long the log for the search index is, in rows.
    """

    active: int
    deactivated: int
    inviting: bool
    logged: int
    settings: Texts


class Users(Protocol):
    """The users of one tenant, and all that is kept with them: nothing is open between two calls.

    What is asked here, and of what is opened here, raises TryAgain (the disk is full, an import writes), and
    DatabaseUnusable. Nobody who reads waits for an import, and no import for who reads.
    """

    async def prepare(self, *, make: bool = False) -> Texts:
        """See to it that the users are as this Headcount keeps them, and return the settings of the tenant.

        What an older Headcount wrote is brought up to date. Only with `make` are users made where there are none.
        Raises SchemaTooNew if a newer one wrote them.
        """

    def directory(self, identity: Identity = BY_ADDRESS) -> AbstractAsyncContextManager[Directory]:
        """Open the users, told apart by `identity`, to be looked up and searched."""

    def snapshot(self, identity: Identity = BY_ADDRESS) -> AbstractAsyncContextManager[Directory]:
        """The same, with all answers of one moment.

        The users may be as an older Headcount left them, and are brought up to date first: for commands, as the
        server has done so when it started.
        """

    def is_indexed(self) -> bool:
        """Whether there is an index of users for searching. Without one, or with one of long ago, it takes longer."""

    def catch_up_index(self, stopping: Callable[[], bool] = lambda: False) -> int:
        """Bring the index for searching up to date, or make it; of few users there is none. Blocks, and for long.

        Returns how much there was to do: users to take in, changes to follow. When `stopping` answers yes it ends
        early; the rest is for the next time. It is for one caller at a time. Raises OSError.
        """

    async def count_by_state(self) -> dict[str, int]:
        """How many users are active and how many deactivated. They are brought up to date as for `snapshot`."""

    async def set_protected(self, identifier: str, protected: bool, identity: Identity) -> bool:
        """From now on imports don't (or do again) deactivate this user; False if there is nobody of that name."""

    def history(self, identity: Identity, *, upgrade: bool = False) -> AbstractAsyncContextManager[History]:
        """Open what imports and undos changed of users, who are told apart by `identity`.

        With `upgrade` they are brought up to date first, as for `snapshot`.
        """

    def invitations(self, wait_s: float) -> AbstractAsyncContextManager[Invitations]:
        """Open the invitations. Where something is written down, an import that runs is waited for so long."""

    def memory(self) -> AbstractAsyncContextManager[Memory]:
        """Open what is remembered of applied imports, to have it forgotten."""

    def undoing(self, import_id: int, identity: Identity) -> AbstractAsyncContextManager[Undoing]:
        """Open an import to undo it, alone among all that write. The users are brought up to date first.

        All that is written is kept when the context is left, and nothing of it if that is by an exception. Raises
        TryAgain, also where users are told apart by something else than `identity` by now.
        """

    def importing(
        self, import_id: int, identity: Identity, left: Callable[[Callable[[], None]], object]
    ) -> AbstractAsyncContextManager[Importing]:
        """Begin an import of users who are told apart by `identity`: nobody else writes until it ends.

        All that it writes is committed when the context is left, and nothing of it if that is by an exception. In
        between, readers see the users as they were. It is for work that runs apart (apart.py): what is asked may
        block where it is awaited. `left` is given what is left to do after the commit: it blocks, and can wait.
        """

    async def outcome_of(self, import_id: int) -> Outcome | None:
        """What an import came to whose effects are here; None if they are not, or if there are no users at all."""

    async def outcome_of_undo(self, import_id: int) -> Outcome | None:
        """The same, of the undo of an import."""

    def look(self, fields: Iterable[str]) -> Look:
        """What users there are, and which of these custom fields may be their identifier. Blocks."""

    def copy_bytes(self) -> int:
        """How many bytes a copy takes, about. Raises OSError."""

    def copy(self, folder: Path, stopping: Callable[[], bool] = lambda: False) -> Users:
        """Copy the users of this moment into `folder`, also while an import writes, to try imports on. Blocks.

        Returns the users there. Raises Stopped when `stopping` says so.
        """

    def read_settings(self, timeout_s: float) -> tuple[Texts, bool]:
        """The settings of the tenant, and whether the users are as an older Headcount left them. Blocks.

        They are read without waiting for an import that runs, also on a full disk; but for a moment where the users
        are held, which is `timeout_s` at most.
        """

    async def change_settings(self, decide: Callable[[Texts], Settled]) -> Settled:
        """Ask `decide` what is to become of the settings, and do that: all of it, or nothing if anything is raised.

        Nobody changes them between what it is shown and what it decides. Raises what it raises, and Refused if users
        can't be told apart so.
        """

    async def settings_changes(
        self, limit: int, before: int = INTEGER_MAX, *, upgrade: bool = False
    ) -> tuple[list[SettingChange], int | None]:
        """Up to `limit` changes of settings, newest first, and the `before` of the next page (None: no more).

        With `upgrade` the users are brought up to date first.
        """

    def why_shut(self) -> str | None:
        """Why what they are kept in cannot be opened, and what to do; None if it can. Blocks, and opens nothing."""

    def read_all(self) -> None:
        """Read all that is kept. Blocks, and for long. Raises DatabaseUnusable unless all of it makes sense."""

    def looks_like(self) -> object:
        """Equal (and of equal `repr`) as long as what they are kept in is not replaced or given to another owner.

        Nothing is opened for it: many tenants are looked at in one go. Blocks.
        """

    def is_plain(self) -> bool:
        """Whether they are as this Headcount keeps them, with nothing to take up, as far as looks tell. The same."""

    def take_stock(self, timeout_s: float) -> Stock:
        """What there is, of users that were brought up to date. Blocks; where users are held, for `timeout_s`."""

    async def highest_import(self) -> int:
        """The highest id of an import that is applied; 0 if there is none. The users are brought up to date first."""


UsersOf = Callable[[str], Users]
"""The users of the tenant of a name."""
