"""The users of one tenant while an import changes them: all in one transaction. Pure."""

from __future__ import annotations

from typing import Protocol

from importer.users.importing.addresses import RowsAside
from importer.users.importing.applied import Applied
from importer.users.importing.before import LinesBefore
from importer.users.importing.later import RowsForLater
from importer.users.importing.links import StoredLinks
from importer.users.importing.pairs import FoundPairs
from importer.users.importing.roster import StoredUsers


class Importing(Protocol):
    """The reads and writes of one import. Each part sees at once what any part has written; no other reader does.

    The parts raise TryAgain (the disk is full) and DatabaseUnusable: then nothing is stored. Read a result that comes
    in batches to its end in one go: the import does not write between two batches.
    """

    @property
    def users(self) -> StoredUsers:
        """The stored users."""

    @property
    def links(self) -> StoredLinks:
        """Managers and coaches: those that wait, and those that are stored."""

    @property
    def addresses(self) -> RowsAside:
        """The rows that change an address."""

    @property
    def later(self) -> RowsForLater:
        """The rows that wait until all others are written."""

    @property
    def pairs(self) -> FoundPairs:
        """New users who may be the same person as a deactivated one."""

    @property
    def applied(self) -> Applied:
        """The stored data of the import and of the one before it."""

    @property
    def before(self) -> LinesBefore:
        """The lines of the previous file, and the users they settled."""
