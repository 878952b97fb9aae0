"""The parts of one import that look users up and decide about them, over the stored users."""

from __future__ import annotations

from dataclasses import dataclass

from importer.reconcile.ending.addresses import Addresses
from importer.reconcile.ending.later import Later
from importer.reconcile.ending.links import Links
from importer.reconcile.ending.pairs import Pairs
from importer.reconcile.roster import Roster
from importer.rules.identity import identity_of
from importer.rules.settings import ImportSettings
from importer.users.importing.importing import Importing


@dataclass(frozen=True, slots=True)
class Tables:
    """The parts of one import, all in one transaction: `keeps` reads and writes users, the others decide."""

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
