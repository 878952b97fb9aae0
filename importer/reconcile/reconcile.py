"""Turn the rows of a file into users, batch by batch: read, look up, judge, write; then links and absent users.

Most rows of most files were in the previous file and are known by their text (before.py). A known row means that its
user is unchanged. Nothing more is done for it; it is not even parsed.

Theory. One of all rows with one identifier *counts*: the first that is not a leaver, or the first if all are leavers,
by what each row says (`says_left`).
The others *fall*: a leaver beside a row that is not one is ignored; any other is rejected as a duplicate. This holds
for every path of a row (known, by column, on its own) and wherever a batch ends. It rests on five facts:

1. Two books record the identifiers that had a row. `Named.mark_of` has users by id, with new ones: they get their id
   when they are judged. `strangers` has identifiers without a user: of rejected and ignored rows, and of new users
   who wait for an address. An existing user is looked up in the first book, any other identifier in the second. Both
   hold the line of the row that counts so far, negative if that row is a leaver.
2. A batch is written before the next one is looked up. So the next one finds users that a batch created. New users
   who wait for an address are the exception: `_settle` records them as strangers.
3. Within a batch all look-ups come first, so `known` is the state before the batch. `_judge` therefore goes in the
   order of the file and records the identifiers it has `seen`; `part` gives it all rows whose identifier is repeated.
4. One thing happens out of order: `Sheets` marks all known rows of the batch before any other row is judged. So a row
   may find its user marked with a later line. Then `_displace` makes that later row fall; it was counted as
   unchanged. Its text is available: both rows are always in the same batch.
5. A leaver's row changes nothing before all others are in. It waits in `Later` and marks its user, so that the next
   leaver's row is not treated as known. A known leaver's row has changed nothing either. So a row that is not a
   leaver can displace it at any time, from any batch.

If a row was changed in its place, only its changed cells are checked (`RowChecker.check_changed`), unless another row
has the same user: the previous line settled that user, so the other cells are what is stored.

Any new path of a row must mark its user or record its identifier, exactly once: strangers accept each identifier only
once. A row that falls does neither. Looking up a batch before the previous one is written would create a user twice.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from operator import attrgetter
from typing import cast

from importer.file.reader import Batch, CsvReader
from importer.messages.repeated import Note, news
from importer.messages.spool import Spool
from importer.model import Counts, Problem
from importer.reconcile.beside import Reading
from importer.reconcile.ending.addresses import Addresses
from importer.reconcile.ending.ending import Ending
from importer.reconcile.ending.later import LastRows, Later
from importer.reconcile.ending.links import Links
from importer.reconcile.leaving import hire_date_after, past_before, reversed_flags, says_left
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
        """`again` reads the file of `reader` once more from its beginning. `reading`, if given, reads it instead."""
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
        """Read the first rows, and add the messages about the header. Raises FileError.

        `before`: the notes of the previous header; their messages are not repeated.
        """
        self._said = len(self._reader.problems)
        self._spool.say(news(self._reader.problems, before))
        self._spool.say(reversed_flags(self._reader.header, self._settings))
        await self._sheets.open()

    async def run_batch(self) -> bool:
        """Reconcile the next batch; the leavers' rows come last. Return False if there was none. Raises FileError."""
        sheet = await self._sheets.next()
        if sheet is None:
            return await self._last.run()
        if sheet.lines or sheet.in_hand:
            await self._settle(sheet)
        return True

    def end_after(self, rows: int) -> None:
        """Read no further if at least that many rows were read."""
        self._sheets.end_after(rows)

    @property
    def any_waits(self) -> bool:
        """Whether rows wait for an address; they are counted only at the end."""
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
        rows = await asyncio.to_thread(self._judge, rows, users, strangers)
        self._give_ids(newcomers, [row for row in rows if row.judgement.fate is Fate.CREATE], unknown)
        writes = [row for row in rows if row.judgement.fate in (Fate.CREATE, Fate.WRITE)]
        problems = await self._write(newcomers, writes)
        found: dict[str, int] = {}
        for row in rows:
            # A new user who waits for an address is not in the table yet: another row would create the user again.
            waits = not self._by_address and row.judgement.fate is Fate.CREATE
            is_stranger = (waits or not row.user_id) and not row.checked.not_a_user
            if row.key is not None and is_stranger and row.key not in strangers:
                found.setdefault(row.key, row.line)
        await self._roster.add_strangers(found)
        self.counts.unchanged -= await self._later.write()
        await asyncio.to_thread(self._report, rows, problems)

    async def _write(self, newcomers: Newcomers, writes: Sequence[RowInHand]) -> list[Problem]:
        """Write the result of these rows; return the messages about the new users."""
        ids = await self._names(newcomers, writes)
        batch = await asyncio.to_thread(self._writer.plan, newcomers, writes, ids)
        await self._writer.write(batch)
        return batch.problems

    async def _contested(self, sheet: Sheet) -> set[str]:
        """Return the identifiers of rows whose address another user may have or want; empty if it identifies."""
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
        """Separate usual new users from all other rows. Rows with an identifier in `apart` are not usual."""
        newcomers, others = part(sheet, apart, self._doubts)
        self.counts.created += len(newcomers.lines)
        return newcomers, [self._sheets.row(sheet, at) for at in others]

    def _give_ids(self, newcomers: Newcomers, created: Sequence[RowInHand], unknown: Mapping[str, int]) -> None:
        """Give ids to new users; a user whose creation was undone has one. Ids follow the lines, on every path."""
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
        """Find or create the named teams and locations, and find the users named as manager or coach."""
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
        """Judge every row, in the order of the file. Return those that neither wait nor fall."""
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
            if not self._is_judged_now(row, mark):
                continue
            row.judgement = judge(row.checked, row.user, self._settings, self._past)
            if row.unfinished and not row.checked.not_a_user:
                row.judgement = Judgement(Fate.REJECT, problems=(unfinished_last_row(row.checked),))
            if not row.known and row.key is not None and not row.checked.not_a_user:
                seen.setdefault(row.key, row.line)
            judged.append(row)
        return judged

    def _check_changed(self, row: RowInHand) -> CheckedRow | None:
        """Return the values of a row that was changed in its place, if it needs no other check; else None.

        Such a row overwrites fields of an active user, without messages: the cells that decide on it are unchanged.
        """
        if row.before and row.key is not None and row.user and row.user["state"] == "active":
            return self._checker.check_changed(row.line, row.key, row.cells, row.before)
        return None

    def _is_judged_now(self, row: RowInHand, mark: int) -> bool:
        """Return whether `row` is judged now. If not, it waits, or falls: the row on the line `mark` counts."""
        if row.key is None or row.checked.not_a_user:
            return True
        leaver = says_left(row.checked, row.user, self._settings, self._past, self._checker.days)
        first = not mark or (mark < -row.line if leaver else not 0 < mark < row.line)
        if first and mark:
            self._displace(mark, row.line, leaver=leaver)
        if first and row.known:
            self._roster.named.mark(row.known, -row.line if leaver else row.line)
        if row.unfinished:
            return True  # rejected in any case
        if leaver:
            self._later.add_leaver(row.line, row.raw)
        elif not first:
            self._later.add_double(row.line, row.raw, mark)
        return first and not leaver

    def _displace(self, mark: int, line: int, *, leaver: bool) -> None:
        """Make the row of `mark` fall, because that on `line` counts. It was known, or is a leaver."""
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
        """Count `rows`, and add their messages and the `others`, in the order of the file."""
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
            elif row.signs and row.judgement.state == "active":
                hire, stays = hire_date_after(row.checked, row.user), bool(row.checked.stays_by)
                self.unread.count(row.signs, row.line, row.cells, hire, stays=stays)
            said += self._doubts.sift(problems, row.line)
        self._spool.say(sorted(said, key=lambda problem: problem.line or 0))

    def _may_be_cut(self, row: RowInHand) -> bool:
        """Return whether the identifier of an unfinished row may be cut, and the guard is off for that."""
        unsure = row.unfinished and not row.known and not row.checked.not_a_user
        return unsure and not self._settings.detect_truncation

    # After all rows.

    async def finish(self) -> None:
        """Do the work after the last row: absent users, changed addresses, waiting links, warnings about links."""
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
        """Add the messages about the file that are known only after its end."""
        self._spool.say(self._reader.problems[self._said :])
