"""The server's own data: tenants, imports, tokens and more, behind one interface."""

from __future__ import annotations

from typing import Protocol

from engine.accounts import AccountStore
from engine.bans import BanStore
from engine.figures import FigureStore
from engine.hints import Hints
from engine.key_uses import KeyUseStore
from engine.nodes import Node
from engine.outbox import OutboxStore
from engine.runs import RunStore
from engine.sessions import SessionStore
from engine.sign_ins import SignInStore
from engine.tenants import TenantStore
from engine.tokens import TokenStore
from importer.queue.queue import Queue


class Store(Protocol):
    """The store of one server. Call a method as often as needed; only the result of `accounts` must be closed.

    Every part raises TryAgain if nothing can be read or written now (disk full, database busy); then nothing was
    changed. It raises DatabaseUnusable if the database is damaged, and DatabaseFault for a bug in Headcount. It never
    raises an error of its driver.
    """

    @property
    def node(self) -> Node:
        """This server among those that share the store."""

    def imports(self) -> Queue:
        """Return the imports of all tenants.

        It is always the same object, because it wakes those that wait for its changes.
        """

    def runs(self) -> RunStore:
        """Return the runs of hooks other than `sync_users`, of all tenants.

        It is always the same object, as for imports.
        """

    def tenants(self) -> TenantStore:
        """Return the tenants."""

    def outbox(self) -> OutboxStore:
        """Return the notifications to send."""

    def tokens(self) -> TokenStore:
        """Return the access tokens."""

    def sign_ins(self) -> SignInStore:
        """Return the sign-ins on the page."""

    def key_uses(self) -> KeyUseStore:
        """Return when and from where keys were last used."""

    def sessions(self) -> SessionStore:
        """Return the SFTP sessions that are open. It is always the same object."""

    def bans(self) -> BanStore:
        """Return the bans of source addresses."""

    def figures(self) -> FigureStore:
        """Return the facts of each tenant that are known without opening its users."""

    def accounts(self) -> AccountStore:
        """Return the data that logins need; the caller closes it."""

    def hints(self) -> Hints:
        """Return the hints that an import has changed."""

    async def ask_to_write(self) -> None:
        """Check that something can be written: begin a change, and change nothing. Raises TryAgain if it fails."""

    def is_away(self) -> bool:
        """Return whether the database did not answer a moment ago: a read would only wait. Does not wait itself."""

    def looking(self) -> Store:
        """Return the same store for readers, which must not wait for writes. Nothing may be changed through it."""
