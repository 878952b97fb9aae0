"""Find which lines of a block were in the previous file, and the users of those. Pure.

Lines are searched where they are expected: as equal bytes if a block is equal, and line by line if cells changed. If
rows were added or removed, they are searched among the lines nearby. If many are not found, the rows are probably in
another order: then each line is searched in the whole previous file.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Sequence
from itertools import accumulate

from importer.file.blocks import Block, PreviousFile, Walk, block_of, has_zero, lines_of, size_of

NEAR_BYTES = 64 * 1024
"""A block is searched this far before and after its expected place in the previous file."""
FARTHEST_BYTES = 4 * 1024 * 1024
"""The search goes up to this much further if many lines before were not found."""
FIRST_LINES = 8
"""The number of first lines of a block that are searched, until one is found."""
STEP_BYTES = 4096
"""The size of the first piece compared to see how far a block is equal; each next piece is twice as long."""
MERGED_BYTES = 2048
"""The bytes that are compared line by line at once if more than one line differs."""
FEW = 10
"""If fewer than one in FEW lines of a block are known, most of the file is probably new."""
COLD_BLOCKS = 3
"""After so many blocks in a row with few known lines, comparing stops."""
MOST_ANYWHERE = 1_500_000
"""The most lines of a previous file that is indexed as a whole, which takes some 110 bytes a line."""
PIECE_BYTES = 1024 * 1024


class Comparing:
    """Finds the lines of one block after the other in the file `before`, from its byte `at` on.

    The next block is expected at `_at`, the beginning of line `_line`. `_missed` is the size of the blocks just
    before it of which no line was found.
    """

    def __init__(self, before: PreviousFile, at: int) -> None:
        self._before = before
        past = before.read(0, at)
        self._at = past.rfind(b"\n") + 1
        self._line = 1 + past.count(b"\n")
        self._missed = 0
        self._anywhere: _Anywhere | None = None
        self._is_shuffled = False
        self._cold = 0

    @property
    def is_cold(self) -> bool:
        """Whether so few lines were known lately that comparing costs more than it saves."""
        return self._cold >= COLD_BLOCKS

    def block(self, text: bytes, line: int) -> Block:
        """Return the compared block of the whole lines `text`, which begins on `line`.

        A record that does not end in `text` is left out.
        """
        theirs = self._before.read(self._at, len(text) + MERGED_BYTES)
        walk = None
        if theirs.startswith(text):
            users = self._past(len(text), text.count(b"\n"))
            walk = None if has_zero(users) else Walk(users)
        elif not self._is_shuffled or _many_miss(users := self._from_anywhere(lines_of(text))):
            walk = self._in_place(text, theirs)
            users = walk.users if walk else self._near(text)
        block = walk.block(text, line) if walk else None
        block = block or block_of(text, line, users)
        self._cold = self._cold + 1 if block.known * FEW < len(block.users) else 0
        return block

    def _in_place(self, text: bytes, theirs: bytes) -> Walk | None:
        """Return the walk over a changed block at its expected place; None if too many lines differ."""
        begins = self._at, self._line, self._missed
        walk = self._beside(text, theirs, self._at)
        if len(walk.lines) * 4 > len(walk.users):
            self._at, self._line, self._missed = begins
            return None
        self._is_shuffled = False
        return walk

    def _near(self, text: bytes) -> array[int]:
        """Return the users of a block that is at another place or in another order."""
        start = max(0, self._at - NEAR_BYTES)
        near = self._before.read(start, self._at - start + len(text) + NEAR_BYTES + min(self._missed, FARTHEST_BYTES))
        self._align(text, near, start)
        begins = self._at, self._line, self._missed
        users = self._beside(text, near, start).users
        self._is_shuffled = False
        if not _many_miss(users):
            return users
        self._at, self._line, self._missed = begins
        lines = lines_of(text)
        users = self._around(near, start, lines)
        if _many_miss(users) and len(self._before.users) <= MOST_ANYWHERE:
            anywhere = self._from_anywhere(lines)
            self._is_shuffled = anywhere.count(0) < users.count(0)
            users = anywhere if self._is_shuffled else users
        return users

    def _align(self, text: bytes, near: bytes, start: int) -> None:
        """Move to the first line of `text` that is in `near`, which begins at `start`."""
        gone = 0
        for line in text.split(b"\n", FIRST_LINES)[:FIRST_LINES]:
            place = near.find(b"\n" + line + b"\n") + 1
            if place:
                break
            gone += len(line) + 1
        else:
            return
        # The lines before it are new or changed.
        expected = self._at - start
        low, high = sorted((place, expected))
        passed = near.count(b"\n", low, high)
        self._line += passed if place == high else -passed
        self._at = start + place

    def _beside(self, text: bytes, theirs: bytes, start: int) -> Walk:
        """Match the lines of `text` with those of `theirs`, which begins at `start`. The order is the same, but lines
        may be changed, removed or new.
        """
        walk = Walk(array("i"))
        at = 0
        while at < len(text):
            place = self._at - start
            differs = at + _same(text, at, theirs, place)
            line = text.rfind(b"\n", at, differs) + 1 or at if differs < len(text) else differs
            if line > at:
                users = self._past(line - at, text.count(b"\n", at, line))
                walk.pass_same(text[at:line] if has_zero(users) else b"", users)
                place = self._at - start
            at = line
            if at < len(text):
                at = self._past_one(walk, text, at, theirs, place, differs - at)
        return walk

    def _past_one(self, walk: Walk, text: bytes, at: int, theirs: bytes, place: int, differs: int) -> int:
        """Pass the line at `at` in `text`, which differs from that at `place` in `theirs`: changed, new, or the other
        was removed. If more than one line differs, pass several. Return the place after it in `text`.
        """
        end = text.find(b"\n", at + differs) + 1
        their_end = theirs.find(b"\n", place + differs) + 1
        following = text[end : text.find(b"\n", end) + 1]
        ours = text[at : end - 1]
        if their_end and theirs.startswith(text[at:end], their_end):
            self._past(their_end - place, 1)
            return at
        if following and theirs.startswith(following, place):
            walk.miss(ours)
        elif their_end and theirs.startswith(following, their_end):
            (user,) = self._past(their_end - place, 1)
            walk.miss(ours, (user, theirs[place : their_end - 1]) if user else None)
        else:
            return self._merged(walk, text, at, theirs, place)
        return end

    def _merged(self, walk: Walk, text: bytes, at: int, theirs: bytes, place: int) -> int:
        """Match some lines from `at` in `text` with those from `place` in `theirs`; return the place after them."""
        end = text.find(b"\n", at + MERGED_BYTES) + 1 or len(text)
        ours, others = lines_of(text[at:end]), lines_of(theirs[place : place + end - at + MERGED_BYTES])
        found, their = [], 0
        for our, line in enumerate(ours):
            where = _place_of(line, ours[our + 1 : our + 2], others, their)
            if where >= 0:
                found.append(self._line + where)
                their = where + 1
            else:
                found.append(0)
                is_changed = their < len(others) and others[their] not in ours[our + 1 : our + 1 + FIRST_LINES]
                their += is_changed
        walk.pass_same(text[at:end], self._users_on(found))
        self._past(size_of(others[:their]), their)
        return end

    def _past(self, size: int, lines: int) -> array[int]:
        """Move on by `size` bytes, which are `lines` lines; return their users."""
        users = self._before.users[self._line : self._line + lines]
        users.extend([0] * (lines - len(users)))
        self._at += size
        self._line += lines
        self._missed = 0
        return users

    def _around(self, near: bytes, start: int, lines: Sequence[bytes]) -> array[int]:
        """Return the users of `lines`, found in `near` in any order; move past the last one found."""
        place = self._at - start
        begin = near.rfind(b"\n", 0, max(0, place - NEAR_BYTES)) + 1
        if begin == 0 and start:
            begin = near.find(b"\n") + 1
        first = self._line - near.count(b"\n", begin, place)
        theirs = lines_of(near[begin:])
        where = dict(zip(reversed(theirs), range(first + len(theirs) - 1, first - 1, -1), strict=True))
        found = [where.get(line, 0) for line in lines]
        last = next((number for number in reversed(found) if number), 0)
        if not last:
            self._missed += size_of(lines)
            return array("i", [0]) * len(lines)
        self._at = start + begin + size_of(theirs[: last - first + 1])
        self._line = last + 1
        self._missed = 0
        return self._users_on(found)

    def _users_on(self, numbers: Iterable[int]) -> array[int]:
        """Return the users that these lines of the previous file settled. Line 0 means none."""
        known = self._before.users
        return array("i", [known[number] if number < len(known) else 0 for number in numbers])

    def _from_anywhere(self, lines: Sequence[bytes]) -> array[int]:
        self._anywhere = self._anywhere or _Anywhere(self._before)
        return self._anywhere.users_of(lines)


def _many_miss(users: array[int]) -> bool:
    return users.count(0) * 4 > len(users)


def _place_of(line: bytes, following: Sequence[bytes], theirs: Sequence[bytes], start: int) -> int:
    """Return the index of `line` in `theirs` from `start` on; below 0 if it is not there.

    A later index counts only if the next line follows there too. Otherwise the line was moved, and no line before it
    was removed.
    """
    if start < len(theirs) and theirs[start] == line:
        return start
    if line not in theirs[start:]:
        return -1
    at = theirs.index(line, start)
    return at if not following or theirs[at + 1 : at + 2] in ([], following) else -1


def _same(ours: bytes, at: int, theirs: bytes, place: int) -> int:
    """Return how many bytes are equal in `ours` from `at` on and `theirs` from `place` on."""
    begin, size = at, STEP_BYTES
    while (piece := ours[at : at + size]) and theirs.startswith(piece, place + at - begin):
        at += size
        size *= 2
    size = len(piece)
    while size > 1:  # they differ within so many bytes
        half = size // 2
        if theirs.startswith(ours[at : at + half], place + at - begin):
            at += half
            size -= half
        else:
            size = half
    return min(at, len(ours)) - begin


class _Anywhere:
    """An index of all lines of the previous file that settled a user."""

    def __init__(self, before: PreviousFile) -> None:
        self._before = before
        self._begins = array("Q", [0, 0])
        self._where: dict[int, int] = {}
        at, line, rest = 0, 1, b""
        users = before.users
        while more := before.read(at, PIECE_BYTES):
            at += len(more)
            lines = (rest + more).split(b"\n")
            rest = lines.pop()
            settled = zip(lines, users[line : line + len(lines)], strict=False)
            self._where.update((hash(text), number) for number, (text, user) in enumerate(settled, line) if user)
            self._begins.extend(accumulate((len(text) + 1 for text in lines), initial=self._begins.pop()))
            line += len(lines)

    def users_of(self, lines: Iterable[bytes]) -> array[int]:
        """Return the users of these lines; 0 for a line that the previous file does not have."""
        return array("i", [self._user(line) for line in lines])

    def _user(self, line: bytes) -> int:
        number = self._where.get(hash(line), 0)
        same = number and self._before.read(self._begins[number], len(line) + 1) == line + b"\n"
        return self._before.users[number] if same else 0
