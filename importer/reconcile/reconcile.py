"""One batch of rows after the other becomes users: read, look up, judge, write; then links and absent users.

Most rows of most files say what they said last time. A row whose text has the digest that some user remembers is that
user's row, unchanged, and nothing more is done for it: it is not even parsed.

Theory. Of all rows with one identifier the first in the file counts; each later one is rejected as its duplicate.
This holds however a row is treated (by its text, by column, on its own) and wherever a batch ends. It rests on four
things:

1. Who was named is kept in two books. `Roster.line_of` has users by id, those being created included: they get their
   id when they are judged. `strangers` has identifiers without a user: of rejected and ignored rows, and of new users
   who wait for an address. A known user is looked for in the first book, any other identifier in the second.
2. A batch is written before the next one is looked up. So what one batch created, the next one finds as known. New
   users who wait for an address are the exception, and the reason why `_settle` notes them as strangers.
3. Within a batch all look-ups come first, so `known` is as of before the batch. `_judge` therefore goes in the order
   of the file and keeps the identifiers it has `seen`; `part` hands it the whole batch if one of them comes twice.
4. One thing happens out of order. `Window.match` marks the rows it knows, of the whole batch, before any other row is
   judged. So a row may find its user marked with a later line. `_displace` then takes that later row back: it was
   counted as unchanged, and is judged anew as the duplicate. Its text is at hand, because a row in hand and a row
   that is marked too early are always of one batch.

A row that is treated in a new way has to mark its user or note its identifier, once: strangers take each identifier
only once. A batch that is looked up before the last one is written would create a user twice.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime

from importer.file.reader import Batch, CsvReader
from importer.model import Counts, Problem, Severity
from importer.reconcile.addresses import Addresses
from importer.reconcile.leaving import hire_date_after, past_before, reversed_flags
from importer.reconcile.links import Links
from importer.reconcile.newcomers import Newcomers, part
from importer.reconcile.plan import (
    LINK_FIELDS,
    Fate,
    Judgement,
    NameIds,
    footer_missing,
    hides_who_is_meant,
    judge,
    protected_user,
    said_of_rejected,
    unfinished_last_row,
)
from importer.reconcile.repeated import Note, news
from importer.reconcile.roster import Roster
from importer.reconcile.rows import RowInHand, Writes, names_of
from importer.reconcile.spool import Spool
from importer.reconcile.unread import Unread
from importer.reconcile.window import Window, salt_of
from importer.reconcile.writing import Writer
from importer.rules.cells import FieldValue
from importer.rules.doubts import Doubts
from importer.rules.rows import RowChecker
from importer.rules.settings import ImportSettings
from importer.users.columns import User


class Reconciler:
    """The rows of one file against the users of one tenant, inside one transaction."""

    def __init__(
        self,
        reader: CsvReader,
        roster: Roster,
        links: Links,
        addresses: Addresses,
        spool: Spool,
        settings: ImportSettings,
        now: datetime,
    ) -> None:
        self._reader = reader
        self._roster = roster
        self._links = links
        self._addresses = addresses
        self._spool = spool
        self._settings = settings
        self._past = past_before(now)
        self._by_address = roster.identity.by_address
        self._shown = roster.identity.shown_column
        self._checker = RowChecker(reader.header, settings, self._past)
        self.unread = Unread(reader.header, settings, self._past)
        self._window = Window(roster, salt_of(roster.revision, reader.header, settings))
        self._batches: Iterator[Batch] = reader.batches(self._refuse_person)
        self._ahead: Batch | None = None
        self.counts = Counts()
        self._writer = Writer(roster, links, addresses, spool, self.counts, settings.own)
        self._doubts = Doubts()
        self.unknown_identifiers = 0
        self._said = 0

    async def open(self, before: Collection[Note] = ()) -> None:
        """Read the first rows, and say what there is to say about the header. Raises FileError.

        `before`: what was said of the header of the last file, and is not said again.
        """
        self._said = len(self._reader.problems)
        self._spool.say(news(self._reader.problems, before))
        self._spool.say(reversed_flags(self._reader.header, self._settings))
        self._ahead = await asyncio.to_thread(next, self._batches, None)

    async def run_batch(self) -> bool:
        """Reconcile the next batch; False when there was none. Raises FileError."""
        if self._ahead is None:
            return False
        await self._window.slide(len(self._ahead.raws))
        rows = await asyncio.to_thread(self._read, self._ahead)
        if rows:
            await self._settle(rows)
        return True

    # Reading, in a thread.

    def _read(self, batch: Batch) -> list[RowInHand]:
        """The rows of `batch` that are not known by their text; the others are counted."""
        self._ahead = next(self._batches, None)
        unfinished = self._unfinished_line(batch)
        unknown = self._window.match(batch, unfinished)
        self.counts.unchanged += self._window.hits
        parse, key = self._reader.cells, self._checker.key
        rows = []
        for line, raw, digest in unknown:
            cells = parse(line, raw)
            rows.append(RowInHand(line, cells, raw, key(cells), digest, unfinished=line == unfinished))
        if self.unread.any:
            for row in rows:
                row.told = self.unread.told(row.cells)
                row.digest = None if row.told else row.digest
        return rows

    @property
    def any_waits(self) -> bool:
        """Whether there are rows that wait for an address, and are counted only in the end."""
        return self._addresses.any

    def _refuse_person(self, line: int, cells: list[str]) -> None:
        """Raise FileError if this last line, which the settings leave out, is the row of a person."""
        if self._checker.is_person(line, cells, ""):
            raise footer_missing(line, self._settings.skip_last_lines)

    def _unfinished_line(self, batch: Batch) -> int:
        """The line of the row that must not be applied because the file ends in it; 0 for none."""
        if self._ahead or not self._reader.last_row_unfinished or not self._settings.require_final_newline:
            return 0
        return batch.lines[-1]

    # Settling.

    async def _settle(self, rows: list[RowInHand]) -> None:
        keys = [row.key for row in rows if row.key is not None]
        known = await self._roster.find(keys)
        strangers = await self._roster.strangers(keys)
        unknown = await self._roster.find_unknown(keys)
        for row in rows:
            row.known = known.get(row.key) if row.key is not None else None
        users = await self._roster.load(row.known.id for row in rows if row.known and not row.is_unchanged)
        apart = strangers.keys() | unknown.keys() | await self._contested(rows)
        newcomers, rows = await asyncio.to_thread(self._part, rows, users, strangers, unknown, apart)
        writes = [row for row in rows if row.judgement.fate in (Fate.CREATE, Fate.WRITE)]
        ids = await self._names(newcomers, writes)
        await self._writer.write(await asyncio.to_thread(self._writer.plan, newcomers, writes, ids))
        nobody: dict[str, int] = {}
        for row in rows:
            # A new user who waits for an address is not in the table yet: another row would create them again.
            is_nobody = not row.user_id or (not self._by_address and row.judgement.fate is Fate.CREATE)
            if row.key is not None and is_nobody and row.key not in strangers:
                nobody.setdefault(row.key, row.line)
        await self._roster.add_strangers(nobody)
        await asyncio.to_thread(self._report, rows)

    async def _contested(self, rows: list[RowInHand]) -> set[str]:
        """The identifiers of rows whose address somebody else may have or want, where it is not the identifier."""
        if self._by_address:
            return set()
        addresses = [(row.key, self._checker.address(row.cells)) for row in rows]
        wanted = Counter(address for _, address in addresses)
        free = {address for address in wanted if address and wanted[address] == 1}
        free -= await self._addresses.taken(free)
        return {key for key, address in addresses if key is not None and address not in free}

    def _part(
        self,
        rows: list[RowInHand],
        users: Mapping[int, User],
        strangers: Mapping[str, int],
        unknown: Mapping[str, int],
        apart: Collection[str],
    ) -> tuple[Newcomers, list[RowInHand]]:
        """Tell new people without anything unusual from the others, and decide on those.

        Rows with an identifier in `apart` are unusual.
        """
        newcomers, others = part(rows, apart, self._checker)
        self._doubts.sift(newcomers.doubts)
        for row in newcomers.rows:
            row.new_id = self._roster.new_id(row.line)
        self.counts.created += len(newcomers.rows)
        return newcomers, self._judge(others, users, strangers, unknown)

    async def _names(self, newcomers: Newcomers, writes: Sequence[RowInHand]) -> NameIds:
        """Find or make the teams and locations that are named, and find those named as manager or coach."""
        texts = {row.checked.values.get(name) for row in writes for name in LINK_FIELDS}
        for name in LINK_FIELDS:
            texts.update(newcomers.column(name))
        await self._links.learn(texts)
        teams = _mentioned(newcomers, writes, "primary_team", "secondary_team")
        return await self._roster.name_ids(teams.keys(), _mentioned(newcomers, writes, "location").keys())

    def _judge(
        self,
        rows: list[RowInHand],
        users: Mapping[int, User],
        strangers: Mapping[str, int],
        unknown: Mapping[str, int],
    ) -> list[RowInHand]:
        """Decide on every row, in the order of the file; rows that are unchanged by their digest drop out."""
        seen = dict(strangers)
        judged = []
        for row in rows:
            seen_on = self._roster.line_of(row.known.id) if row.known else seen.get(row.key or "", 0)
            if row.known and row.is_unchanged and not seen_on:
                self.counts.unchanged += 1
                self._roster.mark(row.known.id, row.line)
                continue
            if seen_on > row.line:
                judged.append(self._displace(seen_on, row))
                seen_on = 0
            row.user = users.get(row.known.id) if row.known else None
            row.checked = self._checker.check(row.line, row.cells, row.raw)
            row.judgement = judge(row.checked, row.user, seen_on, self._settings, self._past)
            if row.unfinished and not row.checked.about_nobody:
                row.judgement = Judgement(Fate.REJECT, problems=(unfinished_last_row(row.checked),))
            if row.judgement.fate is Fate.CREATE:
                row.new_id = self._id_for(row, unknown)
            if row.known and not seen_on:
                self._roster.mark(row.known.id, row.line)
            elif row.key is not None:
                seen.setdefault(row.key, row.line)
            judged.append(row)
        return judged

    def _id_for(self, row: RowInHand, unknown: Mapping[str, int]) -> int:
        """The id of a user who is created: that of before, if they were once."""
        user_id = unknown.get(row.key or "")
        if user_id is None:
            return self._roster.new_id(row.line)
        self._roster.mark(user_id, row.line)
        return user_id

    def _displace(self, line: int, first: RowInHand) -> RowInHand:
        """Take back the row on `line`, which was known by its text; return it as the duplicate of `first`."""
        self.counts.unchanged -= 1
        raw = self._window.raw(line)
        later = RowInHand(line, self._reader.cells(line, raw), raw, first.key, None, first.known)
        later.checked = self._checker.check(line, later.cells, raw)
        later.judgement = judge(later.checked, None, first.line, self._settings, self._past)
        return later

    # Saying.

    def _report(self, rows: Sequence[RowInHand]) -> None:
        for row in rows:
            problems = row.judgement.problems
            if row.judgement.fate is Fate.REJECT:
                self.counts.rejected += 1
                hidden = hides_who_is_meant(row.checked, row.key) and not row.judgement.leaver
                self.unknown_identifiers += hidden or self._may_be_cut(row)
                problems = said_of_rejected(row.checked, problems)
                self._spool.reject(self._reader.header, row.line, row.cells, problems)
            elif row.judgement.fate is Fate.IGNORE:
                self.counts.ignored += 1
            elif row.judgement.fate is Fate.LEAVE:
                self.counts.unchanged += 1
            elif row.told and row.judgement.state == "active":
                self.unread.count(row.told, row.line, row.cells, hire_date_after(row.checked, row.user))
            self._spool.say(self._doubts.sift(problems))

    def _may_be_cut(self, row: RowInHand) -> bool:
        """Whether even the identifier of an unfinished row may be half of one, and no guard would see to that."""
        unsure = row.unfinished and row.known is None and not row.checked.about_nobody
        return unsure and not self._settings.detect_truncation

    # After all rows.

    async def finish(self) -> None:
        """All rows are in: absent users, changed addresses, links that waited, and links to warn of."""
        await self._deactivate_absent()
        await self._settle_addresses()
        async for resolved in self._links.resolve():
            self.counts.unchanged -= resolved.newly_changed
            self.counts.updated += resolved.newly_changed
            self._spool.say(resolved.problems)
        self._spool.say(self._doubts.problems())
        self._spool.say(self.unread.problems())
        self.say_of_the_file()
        if self.counts.changed:
            async for problems in self._links.to_deactivated():
                self._spool.say(problems)
            self._spool.say(await self._links.loops())
        self.counts.warnings = self._spool.warnings
        self.counts.teams_created = self._roster.teams_created
        self.counts.locations_created = self._roster.locations_created

    def say_of_the_file(self) -> None:
        """Say what only reading to the end has shown of the file."""
        self._spool.say(self._reader.problems[self._said :])

    async def _settle_addresses(self) -> None:
        self._spool.say(await self._addresses.settle())
        async for rejected in self._addresses.rejected():
            self.counts.rejected += len(rejected)
            self._spool.say(row.problem for row in rejected)
            for row in rejected:
                cells = self._reader.cells(row.line, row.raw)
                self.unread.rejected(row.line)
                self._spool.reject(self._reader.header, row.line, cells, [row.problem])
        async for leavers in self._addresses.leavers():
            batch = Writes()
            for aside, leaver, problem in leavers:
                self._spool.say([problem])
                columns = {name: value for name, value in aside.columns.items() if name not in ("email", "email_key")}
                self._writer.apply(batch, aside.user_id, aside.line, leaver, columns, None, aside.waiting)
            await self._writer.write(batch)
        async for rows in self._addresses.applicable():
            batch = Writes()
            for aside, user in rows:
                self._writer.apply(
                    batch, aside.user_id, aside.line, user, dict(aside.columns), aside.digest, aside.waiting
                )
            await self._writer.write(batch)

    async def _deactivate_absent(self) -> None:
        if not self._settings.deactivate_missing or self._reader.header.is_correction:
            return
        if self.unknown_identifiers:
            self._spool.say([_absent_left(self.unknown_identifiers)])
            return
        async for users in self._roster.absent():
            leaving = [user for user in users if not user["protected"]]
            self._spool.say(protected_user(None, user[self._shown]) for user in users if user["protected"])
            self.counts.deactivated += len(leaving)
            self.counts.deactivated_absent += len(leaving)
            await self._roster.update([(user, {"state": "deactivated"}) for user in leaving], {})


def _mentioned(newcomers: Newcomers, writes: Sequence[RowInHand], *names: str) -> dict[str, None]:
    """The teams or locations in these fields, each once, in the order of the file."""
    first: dict[FieldValue, int] = {}
    for name in names:
        lines = newcomers.first_lines(name)
        for row in writes:
            value = row.checked.values.get(name)
            lines[value] = min(row.line, lines.get(value, row.line))
        first |= lines  # one field has a name as its value, the other a tuple of names
    return names_of(sorted(first, key=first.__getitem__))


def _absent_left(rows: int) -> Problem:
    which = "a rejected row does" if rows == 1 else f"{rows:,} rejected rows do"
    message = (
        f"Nobody was deactivated for being absent, because {which} not tell who is meant. "
        "Correct that, and send the whole list again."
    )
    return Problem(Severity.WARNING, "absent_not_deactivated", message)
