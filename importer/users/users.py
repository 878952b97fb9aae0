"""The users of one tenant, as all others ask for them: what is kept of them, wherever that is."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Protocol

from importer.rules.identity import BY_ADDRESS, Identity
from importer.users.directory import Directory
from importer.users.history import History


class Users(Protocol):
    """The users of one tenant, and all that is kept with them. Nothing is open between two calls.

    What is asked here, and of what is opened here, raises TryAgain (the disk is full, an import writes), and
    DatabaseUnusable. Nobody who reads waits for an import, and no import for who reads.
    """

    def directory(self, identity: Identity = BY_ADDRESS) -> AbstractAsyncContextManager[Directory]:
        """Open the users, told apart by `identity`, to be looked up and searched."""

    def snapshot(self, identity: Identity = BY_ADDRESS) -> AbstractAsyncContextManager[Directory]:
        """The same, with all answers of one moment.

        The users may be as an older Headcount left them, and are brought up to date first: for commands, as the
        server has done so when it started.
        """

    async def count_by_state(self) -> dict[str, int]:
        """How many users are active and how many deactivated. They are brought up to date as for `snapshot`."""

    async def set_protected(self, identifier: str, protected: bool, identity: Identity) -> bool:
        """From now on imports don't (or do again) deactivate this user; False if there is nobody of that name."""

    def history(self, identity: Identity, *, upgrade: bool = False) -> AbstractAsyncContextManager[History]:
        """Open what imports and undos changed of users, who are told apart by `identity`.

        With `upgrade` they are brought up to date first, as for `snapshot`.
        """


UsersOf = Callable[[str], Users]
"""The users of the tenant of a name."""
