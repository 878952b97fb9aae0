"""Which lines of a block stood in the file before, and what each says.  Pure.

They are looked for where they are expected: bytes beside bytes, where a block is equal; line beside line, where cells
were changed; among the lines near by, where rows have gone or come. Where hardly any is found, the rows are probably
in another order: then every line of the file before is found wherever it stands.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from operator import ne

NEAR_BYTES = 64 * 1024
"""So far before and behind the place where a block is expected it is looked for in the file before."""
FARTHEST_BYTES = 4 * 1024 * 1024
"""So far on it is looked for where many lines before it were not found."""
FIRST_LINES = 8
"""So many lines of a block are looked for, until one is found."""
FEW = 10
"""Of a block fewer than one line in so many are known: then the rows of the file are probably in another order."""
COLD_BLOCKS = 3
MOST_ANYWHERE = 1_500_000
"""Of a file before with at most so many lines each is found wherever it stands: that takes some 110 bytes a line."""
PIECE_BYTES = 1024 * 1024


class Unsure(Exception):  # noqa: N818 - what is the case
    """This file can't be read side by side with the one before it: read it without."""


@dataclass(frozen=True, slots=True)
class FileBefore:
    """The file before: its bytes, and for each line the user whom the row on it settled; 0 for none.

    Of its lines the first is the line 1; `users[0]` is not used. `read` returns the bytes from a place on, so many or
    those up to the end.
    """

    users: array[int]
    read: Callable[[int, int], bytes]
    close: Callable[[], None]


@dataclass(slots=True)
class Block:
    """Whole lines of this file, compared with the file before.

    `users` has for each the user whom it settled there; 0 for one that is not known. Those are in `unknown`: the line
    on which each record begins, and its bytes without the line feed. `records` are the same, once decoded.
    """

    line: int
    text: bytes
    users: array[int]
    unknown: list[tuple[int, bytes]]
    records: list[tuple[int, str]] = field(default_factory=list)

    @property
    def known(self) -> int:
        """How many lines are known."""
        return len(self.users) - self.users.count(0)

    def decode(self, encoding: str) -> None:
        """Let `records` be what is unknown. Raises Unsure where that is not readable."""
        try:
            self.records = [(line, raw.decode(encoding).removesuffix("\r")) for line, raw in self.unknown]
        except UnicodeError as error:
            raise Unsure from error

    def raw(self, line: int) -> bytes:
        """Return the text of the known `line`."""
        return self.text.split(b"\n")[line - self.line].removesuffix(b"\r")


class Comparing:
    """Finds the lines of one block after the other in the file `before`, of which the first `at` bytes are past.

    `_at` is where the next block is expected there, at the beginning of its line `_line`; so many bytes of blocks of
    which nothing was found may stand before it are `_missed`.
    """

    def __init__(self, before: FileBefore, at: int) -> None:
        self._before = before
        past = before.read(0, at)
        self._at = past.rfind(b"\n") + 1
        self._line = 1 + past.count(b"\n")
        self._missed = 0
        self._anywhere: _Anywhere | None = None
        self._cold = 0

    @property
    def is_cold(self) -> bool:
        """Whether hardly any line was known lately: looking on costs more than it saves."""
        return self._cold >= COLD_BLOCKS

    def block(self, text: bytes, line: int) -> Block:
        """Return the whole lines `text`, the first of which is `line`, compared."""
        if self._before.read(self._at, len(text)) == text:
            self._cold = 0
            users = self._past(len(text), text.count(b"\n"))
            return Block(line, text, users, _unknown(text.split(b"\n"), users, line) if 0 in users else [])
        lines = text.split(b"\n")
        lines.pop()
        users = self._nearby(text, lines)
        if self._is_few(users):
            users = self._from_anywhere(lines) or users
        self._cold = self._cold + 1 if self._is_few(users) else 0
        return Block(line, text, users, _unknown(lines, users, line))

    @staticmethod
    def _is_few(users: array[int]) -> bool:
        return (len(users) - users.count(0)) * FEW < len(users)

    def _from_anywhere(self, lines: Sequence[bytes]) -> array[int] | None:
        if self._anywhere is None and len(self._before.users) <= MOST_ANYWHERE:
            self._anywhere = _Anywhere(self._before)
        return self._anywhere.users_of(lines) if self._anywhere else None

    def _past(self, size: int, lines: int) -> array[int]:
        """Go on by so many bytes, which are so many lines; return the users of those."""
        users = self._before.users[self._line : self._line + lines]
        users.extend([0] * (lines - len(users)))
        self._at += size
        self._line += lines
        self._missed = 0
        return users

    def _nearby(self, text: bytes, lines: Sequence[bytes]) -> array[int]:
        start = max(0, self._at - NEAR_BYTES)
        near = self._before.read(start, self._at - start + len(text) + NEAR_BYTES + min(self._missed, FARTHEST_BYTES))
        found = _first_found(near, lines)
        if found is None:
            first, place = 0, self._at - start
        else:
            first, place = found
        if place != self._at - start:
            low, high = sorted((place, self._at - start))
            passed = near.count(b"\n", low, high)
            self._line += passed if place == high else -passed
            self._at = start + place
        if first == 0 and near.startswith(text, place):
            return self._past(len(text), len(lines))
        theirs = near[place : place + len(text) + NEAR_BYTES].split(b"\n")
        theirs.pop()  # it may be cut off
        differ = list(map(ne, lines[first:], theirs))
        if differ and sum(differ) * 4 <= len(lines):
            users = self._past(sum(map(len, theirs[: len(differ)])) + len(differ), len(differ))
            for at, differs in enumerate(differ):
                if differs:
                    users[at] = 0
            left = len(lines) - first - len(differ)
            return array("i", [0]) * first + users + array("i", [0]) * left
        return self._around(near, place, start, lines)

    def _around(self, near: bytes, place: int, start: int, lines: Sequence[bytes]) -> array[int]:
        """Return the users of `lines` by those of `near`, in any order; the block is expected at `place` in it."""
        begin = near.rfind(b"\n", 0, max(0, place - NEAR_BYTES)) + 1 if place > NEAR_BYTES else 0
        if begin == 0 and start:
            begin = near.find(b"\n") + 1
        first_line = self._line - near.count(b"\n", begin, place)
        theirs = near[begin:].split(b"\n")
        theirs.pop()
        where = dict(zip(reversed(theirs), range(first_line + len(theirs) - 1, first_line - 1, -1), strict=True))
        found = [where.get(line, 0) for line in lines]
        known = self._before.users
        last = next((number for number in reversed(found) if number), 0)
        if not last:
            self._missed += sum(map(len, lines)) + len(lines)
            return array("i", [0]) * len(lines)
        passed = theirs[: last - first_line + 1]
        self._at = start + begin + sum(map(len, passed)) + len(passed)
        self._line = last + 1
        self._missed = 0
        highest = len(known)
        return array("i", [known[number] if number < highest else 0 for number in found])


def _first_found(near: bytes, lines: Sequence[bytes]) -> tuple[int, int] | None:
    """Return which of the first `lines` stands in `near`, and where; None if none does."""
    for number, line in enumerate(lines[:FIRST_LINES]):
        place = near.find(b"\n" + line + b"\n")
        if place >= 0:
            return number, place + 1
    return None


class _Anywhere:
    """The lines of a file before that settled a user, to be found wherever they stand."""

    def __init__(self, before: FileBefore) -> None:
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
        """Return the users of these lines: 0 for those that the file before does not have."""
        return array("i", [self._user(line) for line in lines])

    def _user(self, line: bytes) -> int:
        number = self._where.get(hash(line), 0)
        same = number and self._before.read(self._begins[number], len(line) + 1) == line + b"\n"
        return self._before.users[number] if same else 0


def _unknown(lines: Sequence[bytes], users: array[int], line: int) -> list[tuple[int, bytes]]:
    """Return the records without a user, each with the line on which it begins; `line` is the first.

    The lines that an open quote takes with it lose theirs.
    """
    found = []
    at, last = 0, len(users)
    for _ in range(users.count(0)):
        try:
            at = users.index(0, at)
        except ValueError:
            break
        end = at + 1
        raw = lines[at]
        if raw.count(b'"') & 1:
            while end < last and not lines[end].count(b'"') & 1:
                end += 1
            end = min(end + 1, last)
            users[at:end] = array("i", [0]) * (end - at)
            raw = b"\n".join(lines[at:end])
        found.append((line + at, raw))
        at = end
    return found
