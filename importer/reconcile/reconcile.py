"""One batch of rows after the other becomes users: read, look up, judge, write; then links and absent users.

Most rows of most files stood in the file before, and are known by that (before.py): such a row stands for its user,
who is unchanged, and nothing more is done for it. It is not even parsed.

Theory. Of all rows with one identifier the first that is not a leaver's stands (the first, where all are leavers').
The others fall: a leaver's row beside one that is not is ignored, any other is rejected as a duplicate. This holds
however a row is treated (known, by column, on its own) and wherever a batch ends. It rests on five things:

1. Who was named is kept in two books. `Roster.mark_of` has users by id, those being created included: they get their
   id when they are judged. `strangers` has identifiers without a user: of rejected and ignored rows, and of new users
   who wait for an address. A known user is looked for in the first book, any other identifier in the second. Both
   hold the line of the row that stands so far, below 0 if that is a leaver's.
2. A batch is written before the next one is looked up. So what one batch created, the next one finds as known. New
   users who wait for an address are the exception, and the reason why `_settle` notes them as strangers.
3. Within a batch all look-ups come first, so `known` is as of before the batch. `_judge` therefore goes in the order
   of the file and keeps the identifiers it has `seen`; `part` hands it all rows whose identifier comes twice.
4. One thing happens out of order. `Sheets` marks the known rows, of the whole batch, before any other row is
   judged. So a row may find its user marked with a later line. `_displace` then takes that later row back: it was
   counted as unchanged, and falls. Its text is at hand, because a row in hand and a row that is marked too early are
   always of one batch.
5. A leaver's row changes nothing before all others are in: it waits in `Later`, and marks its user, so that the next
   leaver's row is not taken as known. One that was known has changed nothing either. So a row that is not a leaver's
   may displace it at any time, in whichever batch it was.

Of a row that was changed in its place only the changed cells are looked at (`RowChecker.check_changed`), if no other
row named its user: the line before settled that user, so all other cells say what is stored.

A row that is treated in a new way has to mark its user or note its identifier, once: strangers take each identifier
only once. A row that falls does neither. A batch that is looked up before the last one is written would create a
user twice.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import cast

from importer.file.reader import Batch, CsvReader
from importer.model import Counts, Problem
from importer.reconcile.addresses import Addresses
from importer.reconcile.beside import Reading
from importer.reconcile.ending import Ending
from importer.reconcile.later import LastRows, Later
from importer.reconcile.leaving import hire_date_after, leaving, past_before, reversed_flags
from importer.reconcile.links import Links
from importer.reconcile.newcomers import Newcomers, mentioned, part
from importer.reconcile.plan import (
    LINK_FIELDS,
    Fate,
    Judgement,
    NameIds,
    judge,
    may_be_any_user,
    said_of_rejected,
    unfinished_last_row,
)
from importer.reconcile.roster import Roster
from importer.reconcile.rows import FirstLines, RowInHand
from importer.reconcile.sheet import Sheet
from importer.reconcile.sheets import Sheets
from importer.reconcile.unread import Unread
from importer.reconcile.writing import Writer
from importer.rules.doubts import Doubts
from importer.rules.emails import email_keys
from importer.rules.rows import CheckedRow, RowChecker
from importer.rules.settings import ImportSettings
from importer.said.repeated import Note, news
from importer.said.spool import Spool
from importer.users.columns import User


class Reconciler:
    """The rows of one file against the users of one tenant, inside one transaction."""

    def __init__(
        self,
        reader: CsvReader,
        roster: Roster,
        links: Links,
        addresses: Addresses,
        later: Later,
        spool: Spool,
        settings: ImportSettings,
        now: datetime,
        again: Callable[[], Iterator[Batch]],
        reading: Reading | None,
    ) -> None:
        """`again` reads the file of `reader` once more from its beginning. `reading` reads it where it is given."""
        self._reader = reader
        self._roster = roster
        self._links = links
        self._addresses = addresses
        self._later = later
        self._spool = spool
        self._settings = settings
        self._past = past_before(now)
        self._by_address = roster.identity.by_address
        self._checker = RowChecker(reader.header, settings, self._past)
        self.unread = Unread(reader.header, settings, self._past)
        self.counts = Counts()
        self._sheets = Sheets(reader, roster, self._checker, self.unread, settings, self.counts, reading)
        self._writer = Writer(roster, links, addresses, spool, self.counts, settings.own)
        self._ending = Ending(reader, roster, addresses, spool, settings, self._writer, self.unread, self.counts)
        self._doubts = Doubts()
        self._last = LastRows(
            later, again, reader, roster, self._checker, settings, self._past, self._write, self._report
        )
        self.unknown_identifiers = FirstLines()
        self._said = 0

    async def open(self, before: Collection[Note] = ()) -> None:
        """Read the first rows, and say what there is to say about the header. Raises FileError.

        `before`: what was said of the header of the last file, and is not said again.
        """
        self._said = len(self._reader.problems)
        self._spool.say(news(self._reader.problems, before))
        self._spool.say(reversed_flags(self._reader.header, self._settings))
        await self._sheets.open()

    async def run_batch(self) -> bool:
        """Reconcile the next batch, last the leavers' rows; False when there was none. Raises FileError."""
        sheet = await self._sheets.next()
        if sheet is None:
            return await self._last.run()
        if sheet.lines or sheet.in_hand:
            await self._settle(sheet)
        return True

    def end_after(self, rows: int) -> None:
        """Let the rows so far be all there are, if there are so many."""
        self._sheets.end_after(rows)

    @property
    def any_waits(self) -> bool:
        """Whether there are rows that wait for an address, and are counted only in the end."""
        return self._addresses.any

    # Settling.

    async def _settle(self, sheet: Sheet) -> None:
        keys = [key for key in sheet.keys if key is not None]
        known = {} if sheet.is_met else await self._roster.meet(keys)
        strangers = await self._roster.strangers(keys)
        unknown = await self._roster.find_unknown(keys)
        apart = known.keys() | strangers.keys() | unknown.keys() | await self._contested(sheet)
        newcomers, rows = await asyncio.to_thread(self._part, sheet, apart)
        for row in rows:
            row.known = known.get(row.key, 0) if row.key is not None else 0
        if sheet.in_hand:
            rows = sorted([*rows, *sheet.in_hand], key=attrgetter("line"))
        users = await self._roster.load(row.known for row in rows if row.known)
        await self._roster.put_days_back(users)  # of rows that fall: none of them is written
        rows = await asyncio.to_thread(self._judge, rows, users, strangers)
        self._give_ids(newcomers, [row for row in rows if row.judgement.fate is Fate.CREATE], unknown)
        writes = [row for row in rows if row.judgement.fate in (Fate.CREATE, Fate.WRITE)]
        problems = await self._write(newcomers, writes)
        nobody: dict[str, int] = {}
        for row in rows:
            # A new user who waits for an address is not in the table yet: another row would create them again.
            waits = not self._by_address and row.judgement.fate is Fate.CREATE
            is_nobody = (waits or not row.user_id) and not row.checked.about_nobody
            if row.key is not None and is_nobody and row.key not in strangers:
                nobody.setdefault(row.key, row.line)
        await self._roster.add_strangers(nobody)
        self.counts.unchanged -= await self._later.write()
        await asyncio.to_thread(self._report, rows, problems)

    async def _write(self, newcomers: Newcomers, writes: Sequence[RowInHand]) -> list[Problem]:
        """Write what these rows come to; return what there is to say of the new people."""
        ids = await self._names(newcomers, writes)
        batch = await asyncio.to_thread(self._writer.plan, newcomers, writes, ids)
        await self._writer.write(batch)
        return batch.problems

    async def _contested(self, sheet: Sheet) -> set[str]:
        """The identifiers of rows whose address somebody else may have or want, where it is not the identifier."""
        if self._by_address:
            return set()
        addresses = email_keys(cast(Sequence[str | None], sheet.checked.values["email"]))
        for at in sheet.checked.odd:
            addresses[at] = self._checker.address(self._reader.cells(sheet.lines[at], sheet.raws[at]))
        addresses += [self._checker.address(row.cells) for row in sheet.in_hand]
        wanted = Counter(addresses)
        free = {address for address in wanted if address and wanted[address] == 1}
        free -= await self._addresses.taken(free)
        return {
            key
            for key, address in zip(sheet.keys, addresses, strict=False)
            if key is not None and address not in free
        }

    def _part(self, sheet: Sheet, apart: Collection[str]) -> tuple[Newcomers, list[RowInHand]]:
        """Tell new people from all others. Rows with an identifier in `apart` have something unusual about them."""
        newcomers, others = part(sheet, apart, self._doubts)
        self.counts.created += len(newcomers.lines)
        return newcomers, [self._sheets.row(sheet, at) for at in others]

    def _give_ids(self, newcomers: Newcomers, created: Sequence[RowInHand], unknown: Mapping[str, int]) -> None:
        """Number those who are created; those who were once have a number. Ids follow the lines, however the rows are
        treated and wherever a batch ends.
        """
        others = []
        for row in created:
            row.new_id = unknown.get(row.key or "", 0)
            if row.new_id:
                self._roster.named.mark(row.new_id, row.line)
            else:
                others.append(row)
        if not others:
            newcomers.ids = self._roster.new_ids(newcomers.lines)
            return
        lines = sorted([*newcomers.lines, *(row.line for row in others)])
        ids = dict(zip(lines, self._roster.new_ids(lines), strict=True))
        newcomers.ids = [ids[line] for line in newcomers.lines]
        for row in others:
            row.new_id = ids[row.line]

    async def _names(self, newcomers: Newcomers, writes: Sequence[RowInHand]) -> NameIds:
        """Find or make the teams and locations that are named, and find those named as manager or coach."""
        texts = {row.checked.values.get(name) for row in writes for name in LINK_FIELDS}
        for name in LINK_FIELDS:
            texts.update(newcomers.column(name))
        await self._links.learn(texts)
        teams = mentioned(newcomers, writes, "primary_team", "secondary_team")
        return await self._roster.name_ids(teams.keys(), mentioned(newcomers, writes, "location").keys())

    def _judge(
        self,
        rows: list[RowInHand],
        users: Mapping[int, User],
        strangers: Mapping[str, int],
    ) -> list[RowInHand]:
        """Decide on every row, in the order of the file; those that wait or fall drop out."""
        seen = dict(strangers)
        judged = []
        for row in rows:
            mark = self._roster.named.mark_of(row.known) if row.known else seen.get(row.key or "", 0)
            row.user = users.get(row.known) if row.known else None
            if not mark and (changed := self._check_changed(row)):
                row.checked, row.judgement = changed, Judgement(Fate.WRITE)
                self._roster.named.mark(row.known, row.line)
                judged.append(row)
                continue
            row.checked = self._checker.check(row.line, row.cells, row.raw)
            if not self._stands(row, mark):
                continue
            row.judgement = judge(row.checked, row.user, self._settings, self._past)
            if row.unfinished and not row.checked.about_nobody:
                row.judgement = Judgement(Fate.REJECT, problems=(unfinished_last_row(row.checked),))
            if not row.known and row.key is not None and not row.checked.about_nobody:
                seen.setdefault(row.key, row.line)
            judged.append(row)
        return judged

    def _check_changed(self, row: RowInHand) -> CheckedRow | None:
        """What a row says that was changed in its place, and is as it was in all that tells what becomes of it: it
        overwrites fields of an active user, and nothing is to be said of it. None for any other row.
        """
        if row.before and row.key is not None and row.user and row.user["state"] == "active":
            return self._checker.check_changed(row.line, row.key, row.cells, row.before)
        return None

    def _stands(self, row: RowInHand, mark: int) -> bool:
        """Whether `row` is to be judged now. If not, it waits, or falls for the row on the line `mark`."""
        if row.key is None or row.checked.about_nobody:
            return True
        leaver = self._leaves(row)
        first = not mark or (mark < -row.line if leaver else not 0 < mark < row.line)
        if first and mark:
            self._displace(mark, row.line, leaver=leaver)
        if first and row.known:
            self._roster.named.mark(row.known, -row.line if leaver else row.line)
        if row.unfinished:
            return True  # rejected whatever it says
        if leaver:
            self._later.add_leaver(row.line, row.raw)
        elif not first:
            self._later.add_double(row.line, row.raw, mark)
        return first and not leaver

    def _leaves(self, row: RowInHand) -> bool:
        """Whether `row` is a leaver's."""
        return leaving(row.checked, row.user, self._settings, self._past).leaver

    def _displace(self, mark: int, line: int, *, leaver: bool) -> None:
        """Take back the row of `mark`, as that on `line` stands. It was known, or is a leaver's."""
        if mark > 0:
            self.counts.unchanged -= 1
            self._later.add_double(mark, self._sheets.known_raw(mark), line)
        elif leaver:
            self.counts.unchanged -= 1
            self._later.add_leaver(-mark, self._sheets.known_raw(-mark))
        else:
            self._later.displace(-mark, line)

    # Saying.

    def _report(self, rows: Sequence[RowInHand], others: Iterable[Problem] = ()) -> None:
        """Count `rows`, and say what there is to say of them and the `others`, in the order of the file."""
        said = list(others)
        for row in rows:
            problems = row.judgement.problems
            if row.judgement.fate is Fate.REJECT:
                self.counts.rejected += 1
                hidden = may_be_any_user(row.checked, row.key) and not row.judgement.leaver
                if hidden or self._may_be_cut(row):
                    self.unknown_identifiers.add(row.line)
                problems = said_of_rejected(row.checked, problems)
                self._spool.reject(self._reader.header, row.line, row.cells, problems)
            elif row.judgement.fate is Fate.IGNORE:
                self.counts.ignored += 1
            elif row.judgement.fate is Fate.LEAVE:
                self.counts.unchanged += 1
            elif row.told and row.judgement.state == "active":
                hire, stays = hire_date_after(row.checked, row.user), bool(row.checked.stays_by)
                self.unread.count(row.told, row.line, row.cells, hire, stays=stays)
            said += self._doubts.sift(problems, row.line)
        self._spool.say(sorted(said, key=lambda problem: problem.line or 0))

    def _may_be_cut(self, row: RowInHand) -> bool:
        """Whether even the identifier of an unfinished row may be half of one, and no guard would see to that."""
        unsure = row.unfinished and not row.known and not row.checked.about_nobody
        return unsure and not self._settings.detect_truncation

    # After all rows.

    async def finish(self) -> None:
        """All rows are in: absent users, changed addresses, links that waited, and links to warn of."""
        await self._ending.deactivate_absent(self.unknown_identifiers)
        await self._ending.settle_addresses()
        async for resolved in self._links.resolve():
            self.counts.unchanged -= resolved.newly_changed
            self.counts.updated += resolved.newly_changed
            self._spool.say(resolved.problems)
        await self._roster.index_links()
        read_wrong = any(problem.code == "perhaps_utf_8" for problem in self._reader.problems)
        self._spool.say(self._doubts.problems(leave_out="garbled_text" if read_wrong else ""))
        self._spool.say_instead("unknown_column", self.unread.problems())
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
