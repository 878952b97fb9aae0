"""Find new users who may be the same person as a deactivated user: with a new number or a new address.

Compares the users that this import creates with those that it deactivates or takes an address from, before the guard.
With a custom identifier, the address is compared. With email as identifier, a custom field is compared that no two
active users share, or else the full name. Each user is in one pair.
"""

from __future__ import annotations

from collections.abc import AsyncIterator

from importer.messages.oneperson import Pair, Renamed
from importer.model import Counts
from importer.reconcile.roster import Roster
from importer.rules.settings import ImportSettings
from importer.users.importing.pairs import FoundPair, FoundPairs


class Pairs:
    """The pairs of one import, after all rows are in."""

    def __init__(self, found: FoundPairs, roster: Roster, settings: ImportSettings) -> None:
        self._found = found
        self._roster = roster
        self._settings = settings
        self._any = False

    async def find(self, counts: Counts) -> Renamed:
        """Find the pairs, and return their counts."""
        renamed = Renamed()
        if not counts.created or not self._roster.users_before:
            return renamed
        if not self._roster.identity.by_address:
            await self._found.find_by_address(self._roster.first_new_id)
        elif counts.deactivated:
            fields = [field.key for field in self._settings.custom_fields if field.type in ("text", "number")]
            await self._found.find_by_fields(fields, self._roster.first_new_id)
        else:
            return renamed
        self._any = True
        async for pairs in self.each():
            for pair in pairs:
                renamed.count(pair)
        return renamed

    async def has(self, user_id: int | None) -> bool:
        """Return whether the deactivated user may be in the file as a new one."""
        return self._any and await self._found.has(user_id)

    async def each(self) -> AsyncIterator[list[Pair]]:
        """Yield the pairs that were found, in the order in which the new users were created."""
        after = 0
        while self._any:
            page = await self._found.page(after)
            if not page:
                return
            after = page[-1].new_id
            yield [self._said(found) for found in page]

    def _said(self, found: FoundPair) -> Pair:
        line = self._roster.named.line_of(found.new_id) or None
        return Pair(line, found.new, found.old, found.shared, found.value, found.now)
