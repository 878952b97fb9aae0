"""One batch of rows after the other becomes users: read, look up, judge, write; then links and absent users.

Most rows of most files say what they said last time. A row whose text has the digest that some user remembers is that
user's row, unchanged, and nothing more is done for it: it is not even parsed.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from importer.addresses import Addresses, SetAside
from importer.csvfile import Batch, CsvReader
from importer.fields import CheckedRow, RowChecker
from importer.links import Links, RowLinks, Waiting
from importer.model import Counts, Problem, Severity
from importer.plan import (
    Fate,
    Judgement,
    NameIds,
    User,
    columns_of,
    differences,
    judge,
    names_in,
    protected_user,
    unfinished_last_row,
)
from importer.roster import NEW_USER, Known, Roster
from importer.settings import ImportSettings
from importer.spool import Spool

RULES = 1
"""Raise it when the same row comes to mean something else: every digest of before then counts for nothing."""

WINDOW_BATCHES = 4
COLD_BATCHES = 3


@dataclass(slots=True)
class Entry:
    """A row that has to be looked at, and what is found out about it."""

    line: int
    cells: list[str]
    raw: str
    key: str | None
    digest: bytes
    known: Known | None = None
    user: User | None = None
    row: CheckedRow = field(init=False)
    judgement: Judgement = field(init=False)
    new_id: int = 0
    unfinished: bool = False

    @property
    def user_id(self) -> int:
        """The user this row is about; 0 if there is none."""
        return self.known.id if self.known else self.new_id


def salt_of(revision: int, reader: CsvReader, settings: ImportSettings) -> bytes:
    """What a digest depends on beside the row's text: the rules, the settings, the header."""
    facts = repr((RULES, revision, settings.model_dump(), reader.header.columns))
    return hashlib.blake2b(facts.encode(), digest_size=16).digest()


class Window:
    """The digests of users in the order they were made, which is the order of most files, a few batches wide."""

    def __init__(self, roster: Roster) -> None:
        self._roster = roster
        self._next = 1
        self._cold = 0
        self.ids: dict[bytes, int] = {}

    async def slide(self, rows: int, hits: int) -> None:
        """Make room for the next `rows` rows; `hits` of the last batch were found here. Gives up where few are."""
        self._cold = 0 if hits * 10 > rows else self._cold + 1
        if self._cold > COLD_BATCHES:
            self.ids.clear()
            return
        room = rows * WINDOW_BATCHES - len(self.ids)
        if room < rows:
            # Users who are not in the file any more: forget the oldest.
            for digest in list(self.ids)[: rows - room]:
                del self.ids[digest]
            room = rows
        found = await self._roster.digests_from(self._next, room)
        if found:
            self._next = found[-1][0] + 1
            self.ids.update((digest, user_id) for user_id, digest in found)


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
        self._checker = RowChecker(reader.header, settings)
        self._salt = salt_of(revision, reader, settings)
        self._window = Window(roster)
        self._batches: Iterator[Batch] = reader.batches()
        self._ahead: Batch | None = None
        self._matched: dict[int, str] = {}
        self.counts = Counts()
        self.last_user: int | None = None
        self.unknown_identifiers = 0
        self.rows = 0

    async def open(self) -> None:
        """Read the first rows. Raises FileError."""
        self._ahead = await asyncio.to_thread(next, self._batches, None)

    async def run_batch(self) -> bool:
        """Reconcile the next batch; False when there was none. Raises FileError."""
        if self._ahead is None:
            return False
        await self._window.slide(len(self._ahead.raws), len(self._matched))
        entries = await asyncio.to_thread(self._read, self._ahead)
        if entries:
            await self._settle(entries)
        return True

    # Reading, in a thread.

    def _read(self, batch: Batch) -> list[Entry]:
        """The rows of `batch` that are not known by their text; the others are counted and marked."""
        self._ahead = next(self._batches, None)
        unfinished = self._unfinished_line(batch)
        self.rows += len(batch.raws)
        self._matched = {}
        entries = []
        known, salt, line_of, mark = self._window.ids, self._salt, self._roster.line_of, self._roster.mark
        blake2b = hashlib.blake2b
        for line, raw in zip(batch.lines, batch.raws, strict=True):
            digest = blake2b(raw.encode(), digest_size=16, salt=salt).digest()
            user_id = known.pop(digest, 0) if line != unfinished else 0
            if user_id and not line_of(user_id):
                mark(user_id, line)
                self._matched[line] = raw
                self.last_user = user_id
            else:
                cells = self._reader.cells(line, raw)
                entries.append(
                    Entry(line, cells, raw, self._checker.key(cells), digest, unfinished=line == unfinished)
                )
        self.counts.unchanged += len(self._matched)
        return entries

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
        for entry in entries:
            entry.known = known.get(entry.key) if entry.key is not None else None
        users = await self._roster.load(e.known.id for e in entries if e.known and not self._is_unchanged(e))
        entries = await asyncio.to_thread(self._judge, entries, users, strangers)
        writes = [entry for entry in entries if entry.judgement.fate in (Fate.CREATE, Fate.WRITE)]
        ids = await self._roster.name_ids(_teams(writes), _locations(writes))
        await self._links.learn(entry.row for entry in writes)
        await self._write(await asyncio.to_thread(self._plan, writes, ids))
        nobody = {e.key: e.line for e in entries if e.key is not None and not e.user_id and e.key not in strangers}
        await self._roster.add_strangers(nobody)
        await asyncio.to_thread(self._report, entries)

    @staticmethod
    def _is_unchanged(entry: Entry) -> bool:
        return entry.known is not None and entry.known.digest == entry.digest and not entry.unfinished

    def _judge(self, entries: list[Entry], users: Mapping[int, User], strangers: Mapping[str, int]) -> list[Entry]:
        """Decide on every row, in the order of the file; rows that are unchanged by their digest drop out."""
        seen = dict(strangers)
        judged = []
        for entry in entries:
            seen_on = self._roster.line_of(entry.known.id) if entry.known else seen.get(entry.key or "", 0)
            if self._is_unchanged(entry) and not seen_on:
                self.counts.unchanged += 1
                self._mark(entry, seen)
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
                entry.new_id = self._roster.new_id(entry.line)
            if not seen_on:
                self._mark(entry, seen)
            judged.append(entry)
        return judged

    def _mark(self, entry: Entry, seen: dict[str, int]) -> None:
        """Remember that this row's person was named, and who was on the last row."""
        if entry.user_id:
            self._roster.mark(entry.user_id, entry.line)
            self.last_user = entry.user_id
        if entry.key is not None:
            seen[entry.key] = entry.line

    def _displace(self, line: int, first: Entry) -> Entry:
        """The row on `line`, counted as unchanged before it was known that `first` is about the same person."""
        self.counts.unchanged -= 1
        raw = self._matched[line]
        later = Entry(line, self._reader.cells(line, raw), raw, first.key, b"", first.known)
        later.row = self._checker.check(line, later.cells, raw)
        later.judgement = judge(later.row, None, first.line, self._settings)
        return later

    # Writing.

    async def _write(self, batch: Writes) -> None:
        await self._roster.create(batch.created)
        await self._roster.update(batch.updated, batch.digests)
        await self._roster.remember(batch.remembered)
        await self._links.wait(batch.waiting)
        await self._addresses.add(batch.aside)

    def _plan(self, writes: Sequence[Entry], ids: NameIds) -> Writes:
        created = {entry.key: entry.new_id for entry in writes if entry.new_id and entry.key is not None}
        batch = Writes()
        for entry in writes:
            columns = columns_of(entry.row, entry.user, ids)
            links = self._links.of(entry.row, created)
            columns.update(links.columns)
            if links.problems:
                entry.judgement.problems += tuple(links.problems)
            # A row that gave a warning is remembered by nobody, or its warning would be heard only once.
            digest = None if entry.judgement.problems else entry.digest
            columns["state"] = entry.judgement.state
            if self._roster.identity != "email_key":
                columns[self._roster.identity] = entry.key
                if columns.get("email_key") and (not entry.user or columns["email_key"] != entry.user["email_key"]):
                    batch.aside.append(_set_aside(entry, columns, digest, links))
                    continue
            self._apply(batch, entry.user_id, entry.line, entry.user, columns, digest, links.waiting)
        return batch

    def _apply(
        self,
        batch: Writes,
        user_id: int,
        line: int,
        user: User | None,
        columns: dict[str, Any],
        digest: bytes | None,
        waiting: Mapping[str, str],
    ) -> None:
        written = None if waiting else digest
        if user is None:
            changed = self._create(batch, user_id, columns, written)
        else:
            changed = self._overwrite(batch, user, columns, written)
        if waiting:
            batch.waiting.append(Waiting(user_id, line, waiting, digest, changed, user is None))

    def _create(self, batch: Writes, user_id: int, columns: dict[str, Any], digest: bytes | None) -> bool:
        self.counts.created += 1
        columns["digest"] = digest
        batch.created.append((user_id, *(NEW_USER | columns).values()))
        return True

    def _overwrite(self, batch: Writes, user: User, columns: dict[str, Any], digest: bytes | None) -> bool:
        changed = differences(user, columns)
        if not changed:
            self.counts.unchanged += 1
            if user["digest"] != digest:
                batch.remembered[user["id"]] = digest
            return False
        if "state" not in changed:
            self.counts.updated += 1
        elif columns["state"] == "deactivated":
            self.counts.deactivated += 1
        else:
            self.counts.reactivated += 1
        batch.updated.append((user, changed))
        batch.digests[user["id"]] = digest
        return True

    def _report(self, entries: Sequence[Entry]) -> None:
        for entry in entries:
            problems = entry.judgement.problems
            if entry.judgement.fate is Fate.REJECT:
                self.counts.rejected += 1
                self.unknown_identifiers += entry.key is None
                problems = tuple(problem for problem in problems if problem.severity is Severity.ERROR)
                self._spool.reject(self._reader.header, entry.line, entry.cells, problems)
            elif entry.judgement.fate is Fate.IGNORE:
                self.counts.ignored += 1
            elif entry.judgement.fate is Fate.LEAVE:
                self.counts.unchanged += 1
            self._spool.say(problems)

    # After all rows.

    async def finish(self) -> None:
        """All rows are in: absent users, changed addresses, links that waited, and links to warn of."""
        await self._deactivate_absent()
        await self._settle_addresses()
        async for resolved in self._links.resolve():
            self.counts.unchanged -= resolved.newly_changed
            self.counts.updated += resolved.newly_changed
            self._spool.say(resolved.problems)
        self._spool.say(self._reader.problems)
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
        async for rows in self._addresses.applicable():
            batch = Writes()
            for aside, user in rows:
                self._apply(batch, aside.user_id, aside.line, user, dict(aside.columns), aside.digest, aside.waiting)
            await self._write(batch)

    async def _deactivate_absent(self) -> None:
        if not self._settings.deactivate_missing or self._reader.header.is_correction:
            return
        if self.unknown_identifiers:
            self._spool.say([_absent_left(self.unknown_identifiers)])
            return
        async for users in self._roster.absent():
            leaving = [user for user in users if not user["protected"]]
            self._spool.say(protected_user(None, user["email"]) for user in users if user["protected"])
            self.counts.deactivated += len(leaving)
            self.counts.deactivated_absent += len(leaving)
            await self._roster.update([(user, {"state": "deactivated"}) for user in leaving], {})


@dataclass(slots=True)
class Writes:
    """What one batch of rows comes to."""

    created: list[tuple[Any, ...]] = field(default_factory=list)
    updated: list[tuple[User, Mapping[str, Any]]] = field(default_factory=list)
    digests: dict[int, bytes | None] = field(default_factory=dict)
    remembered: dict[int, bytes | None] = field(default_factory=dict)
    waiting: list[Waiting] = field(default_factory=list)
    aside: list[SetAside] = field(default_factory=list)


def _set_aside(entry: Entry, columns: dict[str, Any], digest: bytes | None, links: RowLinks) -> SetAside:
    old = entry.user or {"email": None, "email_key": None}
    return SetAside(
        entry.user_id,
        entry.line,
        entry.raw,
        columns,
        entry.judgement.state,
        digest,
        links.waiting,
        old["email"],
        old["email_key"],
        entry.user is None,
    )


def _teams(writes: Sequence[Entry]) -> Iterator[str]:
    for entry in writes:
        primary = entry.row.values.get("primary_team")
        if isinstance(primary, str):
            yield primary
        yield from names_in(entry.row.values.get("secondary_team"))


def _locations(writes: Sequence[Entry]) -> Iterator[str]:
    for entry in writes:
        location = entry.row.values.get("location")
        if isinstance(location, str):
            yield location


def _absent_left(rows: int) -> Problem:
    message = (
        f"Nobody was deactivated for being absent, because {rows} rejected rows don't tell whom they are about. "
        "Correct them and send the file again."
    )
    return Problem(Severity.WARNING, "absent_not_deactivated", message)
