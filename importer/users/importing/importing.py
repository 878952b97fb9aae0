"""The users of one tenant while an import changes them: all in one transaction.  Pure."""

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
    """What one import asks and writes. Each part sees at once what any of them has written, and nobody else does.

    What is asked of the parts raises TryAgain (the disk is full), and DatabaseUnusable: then nothing is kept. What is
    given here in batches is to be asked for in one go: the import does not write between two of them.
    """

    @property
    def users(self) -> StoredUsers:
        """The users as they are stored."""

    @property
    def links(self) -> StoredLinks:
        """Managers and coaches: those that wait, and those that are stored."""

    @property
    def addresses(self) -> RowsAside:
        """The rows that change an address."""

    @property
    def later(self) -> RowsForLater:
        """The rows that wait until all others are in."""

    @property
    def pairs(self) -> FoundPairs:
        """New users who may be deactivated ones."""

    @property
    def applied(self) -> Applied:
        """What is kept of the import, and of the one before it."""

    @property
    def before(self) -> LinesBefore:
        """The lines of the file before, and whom they settle."""
