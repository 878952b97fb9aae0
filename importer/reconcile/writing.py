"""Turn judged rows into writes: users to create and to update, and rows and links that wait for the end.

The writes are planned in a thread without the database, then written inside the import's transaction.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from operator import itemgetter
from typing import cast

from importer.messages.spool import Spool
from importer.model import Counts
from importer.reconcile.ending.addresses import Addresses
from importer.reconcile.ending.links import Links, RowLinks
from importer.reconcile.newcomers import Newcomers, plan_newcomers
from importer.reconcile.plan import NameIds, columns_of, differences
from importer.reconcile.roster import Roster
from importer.reconcile.rows import RowInHand, Writes
from importer.users.columns import NEW_USER, Columns, User
from importer.users.importing.addresses import SetAside
from importer.users.importing.links import Waiting


class Writer:
    """Writes the rows of one import, and counts the users by action."""

    def __init__(
        self,
        roster: Roster,
        links: Links,
        addresses: Addresses,
        spool: Spool,
        counts: Counts,
        own: Collection[str],
    ) -> None:
        self._roster = roster
        self._links = links
        self._addresses = addresses
        self._spool = spool
        self._counts = counts
        self._own = own

    async def write(self, batch: Writes) -> None:
        """Write `batch`; links and addresses that must wait are stored for the end."""
        await self._roster.create(batch.newcomers, batch.newcomers_columns)
        await self._roster.create(batch.created)
        await self._roster.note_created(batch.newcomers_ids, [cast(int, user[0]) for user in batch.created])
        await self._roster.create_again(batch.created_again)
        await self._roster.update(batch.updated)
        self._roster.named.settle_new(batch.newcomers_ids, but=batch.unsettled)
        self._roster.named.settle(batch.settled)
        await self._links.wait(batch.waiting)
        await self._addresses.add(batch.aside)

    def plan(self, newcomers: Newcomers, writes: Sequence[RowInHand], ids: NameIds) -> Writes:
        """Return the writes of these rows, and count the users.

        Messages about links are added to the rows; those about newcomers are in `problems` of the result.
        """
        # Users waiting for an address may be rejected: do not link to them yet.
        by_address, identifying = self._roster.identity.by_address, self._roster.identity.column
        created: dict[str | None, int] = dict(zip(newcomers.keys, newcomers.ids, strict=True))
        if by_address:
            created.update((row.key, row.new_id) for row in writes if row.new_id)
        batch = Writes()
        batch.problems += plan_newcomers(
            newcomers, ids, self._links, created, batch, self._roster.identity, self._own
        )
        for row in writes:
            columns = columns_of(row.checked, row.user, ids, self._own)
            links = self._links.of(row.checked.values, row.line, row.user_id, created)
            columns.update(links.columns)
            if links.problems:
                row.judgement.problems += tuple(links.problems)
            # A row with a message settles no user, so the next import repeats the message.
            settles = row.settles and row.judgement.lasting and not row.judgement.problems
            columns["state"] = row.judgement.state
            if not by_address:
                columns[identifying] = row.key
                if columns.get("email_key") and (not row.user or columns["email_key"] != row.user["email_key"]):
                    batch.aside.append(_set_aside(row, columns, settles, links))
                    continue
            self.apply(batch, row.user_id, row.line, row.user, columns, links.waiting, settles=settles)
        batch.created.sort(key=itemgetter(0))
        return batch

    def apply(
        self,
        batch: Writes,
        user_id: int,
        line: int,
        user: User | None,
        columns: Columns,
        waiting: Mapping[str, str],
        *,
        settles: bool,
    ) -> None:
        """Add to `batch` the write of `columns` for this user (None: a new one), and count it."""
        changed = self._create(batch, user_id, columns) if user is None else self._overwrite(batch, user, columns)
        batch.settled[user_id] = settles and not waiting
        if waiting:
            batch.waiting.append(Waiting(user_id, line, waiting, settles, changed, user is None))

    def _create(self, batch: Writes, user_id: int, columns: Columns) -> bool:
        self._counts.created += 1
        created = batch.created if user_id >= self._roster.first_new_id else batch.created_again
        created.append((user_id, *(NEW_USER | columns).values()))
        return True

    def _overwrite(self, batch: Writes, user: User, columns: Columns) -> bool:
        changed = differences(user, columns)
        if not changed:
            self._counts.unchanged += 1
            return False
        if "state" not in changed:
            self._counts.updated += 1
        elif columns["state"] == "deactivated":
            self._counts.deactivated += 1
        else:
            self._counts.reactivated += 1
        batch.updated.append((user, changed))
        return True


def _set_aside(row: RowInHand, columns: Columns, settles: bool, links: RowLinks) -> SetAside:
    old = row.user or {"email": None, "email_key": None}
    return SetAside(
        row.user_id,
        row.line,
        row.raw,
        columns,
        row.judgement.state,
        settles,
        links.waiting,
        old["email"],
        old["email_key"],
        row.user is None,
    )
