"""Rows known by their text: whose digest some user remembers is that user's row, unchanged, and is not even parsed.

Most rows of most files say what they said last time, in the order in which their users were made: so the digests of
users are held a few batches wide, in that order, and slide along with the file.

Theory. A user remembers a digest only if the row with that text, applied now, would change nothing and say nothing.

- Or say and change another thing on a later day: of a row whose last day is ahead no digest is left.
- It is of the text and of all that gives it its meaning: the salt has the rules, the settings, the header, and the
  revision of all that a row can name (teams, locations, other users).
- It is written together with what the row says, once none of it waits any more, and only if nothing was said of the
  row.
- So the user is deactivated if, and only if, the row is a leaver's.
- Any other change of the user clears it. What is renamed or removed, and an undo, raises the revision. Triggers see
  to it, but for the undo.

So a row that is found here needs no look. One that is missed here costs time and nothing else: it is looked up by its
identifier, and compared with the digest of that user. So the window may be narrow, and may give up. A digest is taken
out when it is found, and a user who was named already is not matched again: the second of two equal rows is looked
at, and is the duplicate.

If a row comes to mean something else without a change of the salt, users silently keep what the row used to mean:
hence RULES.
"""

from __future__ import annotations

import hashlib
from bisect import bisect_left

from importer.file.header import Header
from importer.file.leavers import tells_beside
from importer.file.reader import Batch
from importer.reconcile.roster import Roster
from importer.rules.settings import ImportSettings

RULES = 2
"""Raise it when the same row comes to mean something else: every digest of before then counts for nothing."""

WIDTH_BATCHES = 4
COLD_BATCHES = 3


def salt_of(revision: int, header: Header, settings: ImportSettings) -> bytes:
    """What a digest depends on beside the row's text: the rules, the settings, the header.

    Of the header also which columns tell who has left though nothing reads them: a cell of one may be warned of.
    """
    facts = repr((RULES, revision, settings.model_dump(), header.columns, tells_beside(header.raw)))
    return hashlib.blake2b(facts.encode(), digest_size=16).digest()


class Window:
    """The digests of the users that the next rows are probably about."""

    def __init__(self, roster: Roster, salt: bytes) -> None:
        self._roster = roster
        self._salt = salt
        self._ids: dict[bytes, int] = {}  # below 0: of a user who is deactivated
        self._next = 1
        self._cold = 0
        self._batch = Batch([], [])
        self._hits = 0

    async def slide(self, rows: int) -> None:
        """Make room for the next `rows` rows. Gives up where few of the last batches were found here."""
        self._cold = 0 if self._hits * 10 > rows else self._cold + 1
        if self._cold > COLD_BATCHES:
            self._ids.clear()
            return
        room = rows * WIDTH_BATCHES - len(self._ids)
        if room < rows:
            # Users who are not in the file any more: forget the oldest.
            for digest in list(self._ids)[: rows - room]:
                del self._ids[digest]
            room = rows
        found = await self._roster.digests_from(self._next, room)
        if found:
            self._next = abs(found[-1][1]) + 1
            self._ids.update(found)

    def match(self, batch: Batch, but: int = 0) -> list[tuple[int, str, bytes]]:
        """The rows of `batch` that are not known, with their line and digest; users of those known are marked.

        The row on the line `but` counts as not known, whatever it says.
        """
        blake2b, salt, pop = hashlib.blake2b, self._salt, self._ids.pop
        mark_of, mark = self._roster.mark_of, self._roster.mark
        unknown = []
        for line, raw in zip(batch.lines, batch.raws, strict=True):
            digest = blake2b(raw.encode(), digest_size=16, salt=salt).digest()
            user_id = pop(digest, 0)
            if user_id > 0 and not mark_of(user_id) and line != but:
                mark(user_id, line)
            elif user_id < 0 and not mark_of(-user_id) and line != but:
                mark(-user_id, -line)
            else:
                unknown.append((line, raw, digest))
        self._batch = batch
        self._hits = len(batch.raws) - len(unknown)
        return unknown

    def digest(self, raw: str) -> bytes:
        """The digest of a row."""
        return hashlib.blake2b(raw.encode(), digest_size=16, salt=self._salt).digest()

    @property
    def hits(self) -> int:
        """How many rows of the last batch were known."""
        return self._hits

    def raw(self, line: int) -> str:
        """The row of the last batch on `line`."""
        return self._batch.raws[bisect_left(self._batch.lines, line)]
