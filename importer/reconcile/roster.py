"""The users of one tenant during an import: look them up, write a batch, record which ones have a row.

Everything here happens inside the import's one transaction (users/importing). Ids are assigned here, so that a row
can name a new user before that user is written.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence, Set
from itertools import islice

from importer.reconcile.named import Named
from importer.reconcile.plan import NameIds, custom_changes
from importer.reconcile.seen import Seen, slots_for
from importer.rules.cells import name_key
from importer.rules.identity import Identity
from importer.users.columns import User, Value
from importer.users.importing.roster import Names, StoredUsers

NAMES_CACHED = 100_000


class Roster:
    """The users of one tenant during one import."""

    def __init__(self, stored: StoredUsers, identity: Identity) -> None:
        self._stored = stored
        self.identity = identity
        self.first_new_id = 1
        self.revision = 0
        self._next_id = 1
        self.active_before = 0
        self.users_before = 0
        self.named = Named()
        self._strangers = 0
        self._unknown = 0
        self._seen: Seen | None = None  # while there was no user before the import
        self.teams_created = 0
        self.locations_created = 0
        self._names: dict[Names, dict[str, int]] = {"teams": {}, "locations": {}}
        self.load = stored.load
        self.create = stored.create
        self.note_created = stored.note_created
        self.create_again = stored.create_again
        self.index_links = stored.index_links

    @property
    def is_first(self) -> bool:
        """Whether there was no user record before the import, not even one whose creation was undone."""
        return self._seen is not None

    async def open(self, size: int) -> None:
        """Read the counts of users before the import of a file of `size` bytes."""
        found = await self._stored.beginning()
        self.first_new_id = self._next_id = found.highest_id + 1
        self.revision = found.revision
        self.users_before = found.total - found.unknown
        self._unknown = found.unknown
        self.active_before = found.total - found.deactivated
        self.named = Named(found.highest_id)
        if not found.total:
            self._seen = Seen(slots_for(size))
            await self._stored.expect_all_new()

    # Identifiers with a row.

    async def last_active(self) -> int | None:
        """Return the last user in the file who is active now, or None.

        Not a leaver: the next file may leave the row of a leaver out.
        """
        return self.named.last_but(await self._stored.deactivated())

    async def strangers(self, keys: Iterable[str]) -> dict[str, int]:
        """Return those of `keys` that had a row without a user, with its line (negative for a leaver's row).

        Such a row is rejected or ignored, but it counts for its identifier.
        """
        return await self._stored.strangers(keys) if self._strangers else {}

    async def add_strangers(self, found: Mapping[str, int]) -> None:
        """Record these keys and lines; none of them may be a stranger already."""
        if found:
            self._strangers += len(found)
            await self._stored.add_strangers(found)

    # Looking up.

    async def expect_known(self) -> None:
        """Prepare `Named.add_known`: rows of deactivated users are leavers."""
        self.named.expect_known(await self._stored.deactivated())

    async def meet(self, keys: Sequence[str]) -> dict[str, int]:
        """Return what `find` returns, for rows of the file. Call it for each row before its user is created."""
        if self._seen:
            keys = self._seen.meet(keys)
        return await self._stored.find(keys)

    async def find(self, keys: Iterable[str]) -> dict[str, int]:
        """Return the users with these identifiers; identifiers without a user are left out."""
        return await self._stored.find(self._seen.among(list(keys)) if self._seen else keys)

    async def find_unknown(self, keys: Iterable[str]) -> dict[str, int]:
        """Return the records with these `keys` whose creation was undone; they are not users until created again."""
        return await self._stored.find_unknown(keys) if self._unknown else {}

    async def absent(self, batch: int = 2000) -> AsyncIterator[list[User]]:
        """Yield the absent users, in batches: active, and on no row of the file."""
        unnamed = self.named.unnamed(self.first_new_id)
        while ids := list(islice(unnamed, batch)):
            if users := await self._stored.load(ids, active=True):
                yield list(users.values())

    # Teams and locations.

    async def name_ids(self, teams: Set[str], locations: Set[str]) -> NameIds:
        """Return the ids of these names. Create missing teams and locations in this order, in the first spelling."""
        team_ids, new_teams = await self._ids_of("teams", teams)
        location_ids, new_locations = await self._ids_of("locations", locations)
        self.teams_created += new_teams
        self.locations_created += new_locations
        return NameIds(team_ids, location_ids)

    async def _ids_of(self, table: Names, names: Set[str]) -> tuple[dict[str, int], int]:
        cache = self._names[table]
        if cache.keys() >= names:
            return cache, 0
        if len(cache) + len(names) > NAMES_CACHED:
            cache = self._names[table] = {}
        spellings = {name: name_key(name) for name in names if name not in cache}
        ids = await self._stored.ids_of(table, spellings.values())
        missing: dict[str, str] = {}
        for name, key in spellings.items():
            if key not in ids:
                missing.setdefault(key, name)
        if missing:
            await self._stored.make(table, missing)
            ids |= await self._stored.ids_of(table, missing)
        cache.update((name, ids[key]) for name, key in spellings.items())
        return cache, len(missing)

    # Writing.

    def new_ids(self, lines: Sequence[int]) -> range:
        """Return ids for the users that the rows on `lines` create, in that order."""
        ids = range(self._next_id, self._next_id + len(lines))
        self._next_id = ids.stop
        self.named.add(lines)
        return ids

    async def update(self, changes: Sequence[tuple[User, Mapping[str, Value]]]) -> None:
        """Write the changes of each user, with the history. This unsettles the users; call `settle` after it."""
        for user, _ in changes:
            self.named.unsettle(user["id"])
        await self._stored.update(changes)


def records_of(user: User, changed: Mapping[str, Value]) -> Iterator[tuple[str, object, object]]:
    """Yield each field of `user` that `changed` changes, with its old and new value."""
    before: Mapping[str, object] = user
    for name, value in changed.items():
        if name == "custom" and isinstance(value, str):
            for field, (old, new) in custom_changes(user["custom"], value).items():
                yield field, old, new
        else:
            yield name, before[name], value
