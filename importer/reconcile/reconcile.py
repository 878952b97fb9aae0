"""One batch of rows after the other becomes users: read, look up, judge, write; then links and absent users.

Most rows of most files say what they said last time. A row whose text has the digest that some user remembers is that
user's row, unchanged, and nothing more is done for it: it is not even parsed.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence

from importer.file.reader import Batch, CsvReader
from importer.model import Counts, Problem, Severity
from importer.reconcile.addresses import Addresses
from importer.reconcile.links import Links
from importer.reconcile.newcomers import Newcomers, part
from importer.reconcile.plan import LINK_FIELDS, Fate, Judgement, NameIds, judge, protected_user, unfinished_last_row
from importer.reconcile.roster import Roster
from importer.reconcile.rows import Entry, Writes, names_of
from importer.reconcile.spool import Spool
from importer.reconcile.window import Window, salt_of
from importer.reconcile.writing import Writer
from importer.rules.cells import FieldValue
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
        revision: int,
    ) -> None:
        self._reader = reader
        self._roster = roster
        self._links = links
        self._addresses = addresses
        self._spool = spool
        self._settings = settings
        self._by_address = roster.identity.by_address
        self._shown = roster.identity.shown_column
        self._checker = RowChecker(reader.header, settings)
        self._window = Window(roster, salt_of(revision, reader.header, settings))
        self._batches: Iterator[Batch] = reader.batches()
        self._ahead: Batch | None = None
        self.counts = Counts()
        self._writer = Writer(roster, links, addresses, spool, self.counts)
        self.unknown_identifiers = 0
        self._said = 0

    async def open(self) -> None:
        """Read the first rows, and say what there is to say about the header. Raises FileError."""
        self._said = len(self._reader.problems)
        self._spool.say(self._reader.problems)
        self._ahead = await asyncio.to_thread(next, self._batches, None)

    async def run_batch(self) -> bool:
        """Reconcile the next batch; False when there was none. Raises FileError."""
        if self._ahead is None:
            return False
        await self._window.slide(len(self._ahead.raws))
        entries = await asyncio.to_thread(self._read, self._ahead)
        if entries:
            await self._settle(entries)
        return True

    # Reading, in a thread.

    def _read(self, batch: Batch) -> list[Entry]:
        """The rows of `batch` that are not known by their text; the others are counted."""
        self._ahead = next(self._batches, None)
        unfinished = self._unfinished_line(batch)
        unknown = self._window.match(batch, unfinished)
        self.counts.unchanged += self._window.hits
        parse, key = self._reader.cells, self._checker.key
        entries = []
        for line, raw, digest in unknown:
            cells = parse(line, raw)
            entries.append(Entry(line, cells, raw, key(cells), digest, unfinished=line == unfinished))
        return entries

    @property
    def any_waits(self) -> bool:
        """Whether there are rows that wait for an address, and are counted only in the end."""
        return self._addresses.any

    def _unfinished_line(self, batch: Batch) -> int:
        """The line of the row that must not be applied because the file ends in it; 0 for none."""
        if self._ahead or not self._reader.last_row_unfinished or not self._settings.require_final_newline:
            return 0
        return batch.lines[-1]

    # Settling.

    async def _settle(self, entries: list[Entry]) -> None:
        keys = [entry.key for entry in entries if entry.key is not None]
        known = await self._roster.find(keys)
        strangers = await self._roster.strangers(keys)
        unknown = await self._roster.find_unknown(keys)
        for entry in entries:
            entry.known = known.get(entry.key) if entry.key is not None else None
        users = await self._roster.load(entry.known.id for entry in entries if entry.known and not entry.is_unchanged)
        apart = strangers.keys() | unknown.keys() | await self._contested(entries)
        newcomers, entries = await asyncio.to_thread(self._part, entries, users, strangers, unknown, apart)
        writes = [entry for entry in entries if entry.judgement.fate in (Fate.CREATE, Fate.WRITE)]
        ids = await self._names(newcomers, writes)
        await self._writer.write(await asyncio.to_thread(self._writer.plan, newcomers, writes, ids))
        nobody: dict[str, int] = {}
        for entry in entries:
            # Somebody new whose address has to wait is not among the users yet: another row would make them again.
            is_nobody = not entry.user_id or (not self._by_address and entry.judgement.fate is Fate.CREATE)
            if entry.key is not None and is_nobody and entry.key not in strangers:
                nobody.setdefault(entry.key, entry.line)
        await self._roster.add_strangers(nobody)
        await asyncio.to_thread(self._report, entries)

    async def _contested(self, entries: list[Entry]) -> set[str]:
        """The identifiers of rows whose address somebody else may have or want, where it is not the identifier."""
        if self._by_address:
            return set()
        addresses = [(entry.key, self._checker.address(entry.cells)) for entry in entries]
        wanted = Counter(address for _, address in addresses)
        free = {address for address in wanted if address and wanted[address] == 1}
        free -= await self._addresses.taken(free)
        return {key for key, address in addresses if key is not None and address not in free}

    def _part(
        self,
        entries: list[Entry],
        users: Mapping[int, User],
        strangers: Mapping[str, int],
        unknown: Mapping[str, int],
        apart: Collection[str],
    ) -> tuple[Newcomers, list[Entry]]:
        """Tell new people without anything unusual from the others, and decide on those.

        Rows with an identifier in `apart` are unusual.
        """
        newcomers, others = part(entries, apart, self._checker)
        for entry in newcomers.entries:
            entry.new_id = self._roster.new_id(entry.line)
        self.counts.created += len(newcomers.entries)
        return newcomers, self._judge(others, users, strangers, unknown)

    async def _names(self, newcomers: Newcomers, writes: Sequence[Entry]) -> NameIds:
        """Find or make the teams and locations that are named, and find those named as manager or coach."""
        texts = {entry.row.values.get(name) for entry in writes for name in LINK_FIELDS}
        for name in LINK_FIELDS:
            texts.update(newcomers.column(name))
        await self._links.learn(texts)
        teams = _mentioned(newcomers, writes, "primary_team", "secondary_team")
        return await self._roster.name_ids(teams.keys(), _mentioned(newcomers, writes, "location").keys())

    def _judge(
        self,
        entries: list[Entry],
        users: Mapping[int, User],
        strangers: Mapping[str, int],
        unknown: Mapping[str, int],
    ) -> list[Entry]:
        """Decide on every row, in the order of the file; rows that are unchanged by their digest drop out."""
        seen = dict(strangers)
        judged = []
        for entry in entries:
            seen_on = self._roster.line_of(entry.known.id) if entry.known else seen.get(entry.key or "", 0)
            if entry.known and entry.is_unchanged and not seen_on:
                self.counts.unchanged += 1
                self._roster.mark(entry.known.id, entry.line)
                continue
            if seen_on > entry.line:
                # A later row of this batch was known by its text. The first one stands: that one is the duplicate.
                judged.append(self._displace(seen_on, entry))
                seen_on = 0
            entry.user = users.get(entry.known.id) if entry.known else None
            entry.row = self._checker.check(entry.line, entry.cells, entry.raw)
            entry.judgement = judge(entry.row, entry.user, seen_on, self._settings)
            if entry.unfinished:
                entry.judgement = Judgement(Fate.REJECT, problems=(unfinished_last_row(entry.row),))
            if entry.judgement.fate is Fate.CREATE:
                entry.new_id = self._id_for(entry, unknown)
            if entry.known and not seen_on:
                self._roster.mark(entry.known.id, entry.line)
            elif entry.key is not None:
                seen.setdefault(entry.key, entry.line)
            judged.append(entry)
        return judged

    def _id_for(self, entry: Entry, unknown: Mapping[str, int]) -> int:
        """The id of a user who is created: that of before, if they were once."""
        user_id = unknown.get(entry.key or "")
        if user_id is None:
            return self._roster.new_id(entry.line)
        self._roster.mark(user_id, entry.line)
        return user_id

    def _displace(self, line: int, first: Entry) -> Entry:
        """The row on `line`, counted as unchanged before it was known that `first` is about the same person."""
        self.counts.unchanged -= 1
        raw = self._window.raw(line)
        later = Entry(line, self._reader.cells(line, raw), raw, first.key, b"", first.known)
        later.row = self._checker.check(line, later.cells, raw)
        later.judgement = judge(later.row, None, first.line, self._settings)
        return later

    # Saying.

    def _report(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            problems = entry.judgement.problems
            if entry.judgement.fate is Fate.REJECT:
                self.counts.rejected += 1
                self.unknown_identifiers += entry.key is None or self._may_be_cut(entry)
                problems = tuple(problem for problem in problems if problem.severity is Severity.ERROR)
                self._spool.reject(self._reader.header, entry.line, entry.cells, problems)
            elif entry.judgement.fate is Fate.IGNORE:
                self.counts.ignored += 1
            elif entry.judgement.fate is Fate.LEAVE:
                self.counts.unchanged += 1
            self._spool.say(problems)

    def _may_be_cut(self, entry: Entry) -> bool:
        """Whether even the identifier of an unfinished row may be half of one, and no guard would see to that."""
        return entry.unfinished and entry.known is None and not self._settings.detect_truncation

    # After all rows.

    async def finish(self) -> None:
        """All rows are in: absent users, changed addresses, links that waited, and links to warn of."""
        await self._deactivate_absent()
        await self._settle_addresses()
        async for resolved in self._links.resolve():
            self.counts.unchanged -= resolved.newly_changed
            self.counts.updated += resolved.newly_changed
            self._spool.say(resolved.problems)
        self._spool.say(self._reader.problems[self._said :])
        if self.counts.changed:
            async for problems in self._links.to_deactivated():
                self._spool.say(problems)
            self._spool.say(await self._links.loops())
        self.counts.warnings = self._spool.warnings
        self.counts.teams_created = self._roster.teams_created
        self.counts.locations_created = self._roster.locations_created

    async def _settle_addresses(self) -> None:
        self._spool.say(await self._addresses.settle())
        async for rejected in self._addresses.rejected():
            self.counts.rejected += len(rejected)
            self._spool.say(row.problem for row in rejected)
            for row in rejected:
                cells = self._reader.cells(row.line, row.raw)
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


def _mentioned(newcomers: Newcomers, writes: Sequence[Entry], *names: str) -> dict[str, None]:
    """The teams or locations in these fields, each once, in the order of the file."""
    first: dict[FieldValue, int] = {}
    for name in names:
        lines = newcomers.first_lines(name)
        for entry in writes:
            value = entry.row.values.get(name)
            lines[value] = min(entry.line, lines.get(value, entry.line))
        first |= lines  # one field has a name as its value, the other a tuple of names
    return names_of(sorted(first, key=first.__getitem__))


def _absent_left(rows: int) -> Problem:
    which = "a rejected row does" if rows == 1 else f"{rows:,} rejected rows do"
    message = (
        f"Nobody was deactivated for being absent, because {which} not tell who is meant. "
        "Correct that, and send the whole list again."
    )
    return Problem(Severity.WARNING, "absent_not_deactivated", message)
