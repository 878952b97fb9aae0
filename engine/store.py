"""What the server remembers of itself: tenants, imports, tokens and more, behind one door."""

from __future__ import annotations

from typing import Protocol

from engine.accounts import AccountStore
from engine.bans import BanStore
from engine.figures import FigureStore
from engine.hints import Hints
from engine.key_uses import KeyUseStore
from engine.outbox import OutboxStore
from engine.sign_ins import SignInStore
from engine.tenants import TenantStore
from engine.tokens import TokenStore
from importer.queue.queue import Queue


class Store(Protocol):
    """The store of one server. Its parts are values: ask for one as often as you like, but for `accounts`.

    Every part raises TryAgain when nothing can be read or written now (disk full, database busy); then nothing was
    changed. It raises DatabaseUnusable when the database is damaged, DatabaseFault for a fault of ours, and never an
    error of its driver.
    """

    def imports(self) -> Queue:
        """The imports of all tenants: always the same object, for it wakes those that wait for its changes."""

    def tenants(self) -> TenantStore:
        """The tenants."""

    def outbox(self) -> OutboxStore:
        """What is to be told outside."""

    def tokens(self) -> TokenStore:
        """The access tokens."""

    def sign_ins(self) -> SignInStore:
        """Who is signed in on the page."""

    def key_uses(self) -> KeyUseStore:
        """When and from where keys were last used."""

    def bans(self) -> BanStore:
        """The bans of source addresses."""

    def figures(self) -> FigureStore:
        """What is known of each tenant without opening its users."""

    def accounts(self) -> AccountStore:
        """What logins ask, until it is closed by the caller."""

    def hints(self) -> Hints:
        """What tells that something of an import has changed."""

    async def ask_to_write(self) -> None:
        """Begin a change and make none. Raises TryAgain if nothing can be changed."""

    def looking(self) -> Store:
        """The same, for those that only read and must wait for no change. No change may be asked of it."""
