"""The work after the last row: deactivate absent users, and apply rows whose address another user had or wants."""

from __future__ import annotations

from importer.file.reader import CsvReader
from importer.messages.spool import Spool
from importer.model import Counts, Problem, Severity
from importer.reconcile.ending.addresses import Addresses
from importer.reconcile.plan import protected_user
from importer.reconcile.roster import Roster
from importer.reconcile.rows import FirstLines, Writes
from importer.reconcile.unread import Unread
from importer.reconcile.writing import Writer
from importer.rules.settings import ImportSettings


class Ending:
    """The last steps of one import: absent users and changed addresses."""

    def __init__(
        self,
        reader: CsvReader,
        roster: Roster,
        addresses: Addresses,
        spool: Spool,
        settings: ImportSettings,
        writer: Writer,
        unread: Unread,
        counts: Counts,
    ) -> None:
        self._reader = reader
        self._roster = roster
        self._addresses = addresses
        self._spool = spool
        self._settings = settings
        self._shown = roster.identity.shown_column
        self._writer = writer
        self._unread = unread
        self._counts = counts

    async def deactivate_absent(self, unknown: FirstLines) -> None:
        """Deactivate absent users, unless rejected rows of an `unknown` user may be about them.

        Does nothing if `deactivate_missing` is off or the file is a correction.
        """
        if not self._settings.deactivate_missing or self._reader.header.is_correction:
            return
        if unknown.count:
            self._spool.say([_absent_not_deactivated(unknown)])
            return
        async for users in self._roster.absent():
            leaving = [user for user in users if not user["protected"]]
            self._spool.say(protected_user(None, user[self._shown]) for user in users if user["protected"])
            self._counts.deactivated += len(leaving)
            self._counts.deactivated_absent += len(leaving)
            await self._roster.update([(user, {"state": "deactivated"}) for user in leaving])

    async def settle_addresses(self) -> None:
        """Apply the rows that change an address or wait for one; reject a row if users would share its address."""
        self._spool.say(await self._addresses.settle())
        async for rejected in self._addresses.rejected():
            self._counts.rejected += len(rejected)
            self._spool.say(row.problem for row in rejected)
            for row in rejected:
                cells = self._reader.cells(row.line, row.raw)
                self._unread.rejected(row.line)
                self._spool.reject(self._reader.header, row.line, cells, [row.problem])
        async for leavers in self._addresses.leavers():
            batch = Writes()
            for aside, leaver, problem in leavers:
                self._spool.say([problem])
                columns = {name: value for name, value in aside.columns.items() if name not in ("email", "email_key")}
                self._writer.apply(batch, aside.user_id, aside.line, leaver, columns, aside.waiting, settles=False)
            await self._writer.write(batch)
        async for rows in self._addresses.applicable():
            batch = Writes()
            for aside, user in rows:
                columns = dict(aside.columns)
                self._writer.apply(
                    batch, aside.user_id, aside.line, user, columns, aside.waiting, settles=aside.settles
                )
            await self._writer.write(batch)


def _absent_not_deactivated(unknown: FirstLines) -> Problem:
    one = unknown.count == 1
    which = "1 rejected row does" if one else f"{unknown.count:,} rejected rows do"
    message = (
        f"Absent users were not deactivated: {which} not identify a user ({unknown.named}). "
        f"Fix {'it' if one else 'them'} and send the complete list."
    )
    return Problem(Severity.WARNING, "absent_not_deactivated", message)
