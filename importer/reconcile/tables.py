"""The parts of one import that look users up and decide about them, over what is kept of the users."""

from __future__ import annotations

from dataclasses import dataclass

from importer.reconcile.addresses import Addresses
from importer.reconcile.later import Later
from importer.reconcile.links import Links
from importer.reconcile.pairs import Pairs
from importer.reconcile.roster import Roster
from importer.rules.identity import identity_of
from importer.rules.settings import ImportSettings
from importer.users.importing.importing import Importing


@dataclass(frozen=True, slots=True)
class Tables:
    """What one import asks and writes, all in one transaction: it `keeps` that, and the others decide about it."""

    keeps: Importing
    roster: Roster
    links: Links
    addresses: Addresses
    later: Later
    pairs: Pairs

    @classmethod
    def over(cls, keeps: Importing, settings: ImportSettings) -> Tables:
        roster = Roster(keeps.users, identity_of(settings))
        links, addresses = Links(keeps.links, roster), Addresses(keeps.addresses, roster)
        return cls(keeps, roster, links, addresses, Later(keeps.later), Pairs(keeps.pairs, roster, settings))
