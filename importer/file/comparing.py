"""Which lines of a block stood in the file before, and what each says.  Pure.

They are looked for where they are expected: bytes beside bytes, where a block is equal; line beside line, where cells
were changed; among the lines near by, where rows have gone or come. Where many are not found, the rows are probably
in another order: then every line of the file before is found wherever it stands.
"""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate

NEAR_BYTES = 64 * 1024
"""So far before and behind the place where a block is expected it is looked for in the file before."""
FARTHEST_BYTES = 4 * 1024 * 1024
"""So far on it is looked for where many lines before it were not found."""
FIRST_LINES = 8
"""So many lines of a block are looked for, until one is found."""
STEP_BYTES = 2048
"""In pieces of about so much it is seen whether a block is the same line by line."""
FEW = 10
"""Of a block fewer than one line in so many are known: of the file probably no more are."""
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
    on which each record begins, and its bytes without the line feed. `records` are the same, once decoded. `known`
    counts the lines that are.
    """

    line: int
    text: bytes
    users: array[int]
    unknown: list[tuple[int, bytes]]
    known: int
    records: list[tuple[int, str]] = field(default_factory=list)

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
        self._is_shuffled = False
        self._cold = 0

    @property
    def is_cold(self) -> bool:
        """Whether hardly any line was known lately: looking on costs more than it saves."""
        return self._cold >= COLD_BLOCKS

    def block(self, text: bytes, line: int) -> Block:
        """Return the whole lines `text`, the first of which is `line`, compared; without a record that does not
        end in them, and what comes after it.
        """
        if self._before.read(self._at, len(text)) == text:
            users = self._past(len(text), text.count(b"\n"))
        elif not self._is_shuffled or _many_miss(users := self._from_anywhere(_lines(text))):
            users = self._near(text)
        missing = users.count(0)
        self._cold = self._cold + 1 if (len(users) - missing) * FEW < len(users) else 0
        if not missing:
            return Block(line, text, users, [], len(users))
        lines = _lines(text)
        unknown, whole = _unknown(lines, users, line)
        if whole < len(lines):
            text = text[: _size(lines[:whole])]
            del users[whole:]
        return Block(line, text, users, unknown, len(users) - users.count(0))

    def _near(self, text: bytes) -> array[int]:
        """Return the users of a block that is not where it is expected, or not the same."""
        start = max(0, self._at - NEAR_BYTES)
        near = self._before.read(start, self._at - start + len(text) + NEAR_BYTES + min(self._missed, FARTHEST_BYTES))
        self._align(text, near, start)
        begins = self._at, self._line
        users = self._beside(text, near, start)
        self._is_shuffled = False
        if not _many_miss(users):
            return users
        self._at, self._line = begins
        lines = _lines(text)
        users = self._around(near, start, lines)
        if _many_miss(users) and len(self._before.users) <= MOST_ANYWHERE:
            anywhere = self._from_anywhere(lines)
            self._is_shuffled = anywhere.count(0) < users.count(0)
            users = anywhere if self._is_shuffled else users
        return users

    def _align(self, text: bytes, near: bytes, start: int) -> None:
        """Go to the place in `near`, which begins at `start`, of the first line of `text` that is there."""
        gone = 0
        for line in text.split(b"\n", FIRST_LINES)[:FIRST_LINES]:
            place = near.find(b"\n" + line + b"\n") + 1
            if place:
                break
            gone += len(line) + 1
        else:
            return
        # The lines before it are new, or changed.
        expected = self._at - start
        low, high = sorted((place, expected))
        passed = near.count(b"\n", low, high)
        self._line += passed if place == high else -passed
        self._at = start + place

    def _beside(self, text: bytes, near: bytes, start: int) -> array[int]:
        """Return the users by lines in the same order, with some changed, gone or new; go past them."""
        users = array("i")
        at = same = 0  # up to `same` all of `text` is done, up to `at` it is the same
        while same < len(text):
            end = text.find(b"\n", at + STEP_BYTES) + 1 or len(text)
            piece = text[at:end]
            if piece and near.startswith(piece, self._at - start + at - same):
                at = end
                continue
            if at > same:
                users += self._past(at - same, text.count(b"\n", same, at))
            users += self._merged(piece, near, self._at - start)
            at = same = end
        return users

    def _merged(self, piece: bytes, near: bytes, place: int) -> array[int]:
        """Return the users of the lines of `piece` by those at `place` in `near`; go past these."""
        ours = _lines(piece)
        theirs = _lines(near[place : place + len(piece) + STEP_BYTES])
        if (users := self._but_for_one(piece, ours, theirs)) is not None:
            return users
        found, their = [], 0
        for our, line in enumerate(ours):
            at = _place_of(line, ours[our + 1 : our + 2], theirs, their)
            if at >= 0:
                found.append(self._line + at)
                their = at + 1
            else:
                found.append(0)
                is_changed = their < len(theirs) and theirs[their] not in ours[our + 1 : our + 1 + FIRST_LINES]
                their += is_changed
        users = self._users_on(found)
        self._past(_size(theirs[:their]), their)
        return users

    def _but_for_one(self, piece: bytes, ours: Sequence[bytes], theirs: Sequence[bytes]) -> array[int] | None:
        """Return the users of `piece`, and go past them, if but one line was changed, or is gone or new."""
        at = next((at for at, (our, their) in enumerate(zip(ours, theirs, strict=False)) if our != their), -1)
        if at < 0:
            return None
        for new, gone in ((1, 1), (0, 1), (1, 0)):
            rest = len(ours) - at - new
            if ours[at + new :] == theirs[at + gone : at + gone + rest]:
                size = len(piece) - new * (len(ours[at]) + 1) + gone * (len(theirs[at]) + 1)
                users = self._past(size, at + gone + rest)
                users[at : at + gone] = array("i", [0] * new)
                return users
        return None

    def _past(self, size: int, lines: int) -> array[int]:
        """Go on by so many bytes, which are so many lines; return the users of those."""
        users = self._before.users[self._line : self._line + lines]
        users.extend([0] * (lines - len(users)))
        self._at += size
        self._line += lines
        self._missed = 0
        return users

    def _around(self, near: bytes, start: int, lines: Sequence[bytes]) -> array[int]:
        """Return the users of `lines` by those of `near`, in any order; go past the last that is found."""
        place = self._at - start
        begin = near.rfind(b"\n", 0, max(0, place - NEAR_BYTES)) + 1
        if begin == 0 and start:
            begin = near.find(b"\n") + 1
        first = self._line - near.count(b"\n", begin, place)
        theirs = _lines(near[begin:])
        where = dict(zip(reversed(theirs), range(first + len(theirs) - 1, first - 1, -1), strict=True))
        found = [where.get(line, 0) for line in lines]
        last = next((number for number in reversed(found) if number), 0)
        if not last:
            self._missed += _size(lines)
            return array("i", [0]) * len(lines)
        self._at = start + begin + _size(theirs[: last - first + 1])
        self._line = last + 1
        self._missed = 0
        return self._users_on(found)

    def _users_on(self, numbers: Iterable[int]) -> array[int]:
        """Return the users whom these lines of the file before settled; 0 is no line."""
        known = self._before.users
        return array("i", [known[number] if number < len(known) else 0 for number in numbers])

    def _from_anywhere(self, lines: Sequence[bytes]) -> array[int]:
        self._anywhere = self._anywhere or _Anywhere(self._before)
        return self._anywhere.users_of(lines)


def _size(lines: Sequence[bytes]) -> int:
    """Return how many bytes these lines take, with their line ends."""
    return sum(map(len, lines)) + len(lines)


def _lines(text: bytes) -> list[bytes]:
    """Return the whole lines of `text`; what comes after the last line end is cut off."""
    lines = text.split(b"\n")
    lines.pop()
    return lines


def _many_miss(users: array[int]) -> bool:
    return users.count(0) * 4 > len(users)


def _place_of(line: bytes, following: Sequence[bytes], theirs: Sequence[bytes], start: int) -> int:
    """Return where `line` stands in `theirs` from `start` on; below 0 if it does not.

    Further on it is there only if the next line is, too: else it was moved, and nothing before it has gone.
    """
    if start < len(theirs) and theirs[start] == line:
        return start
    if line not in theirs[start:]:
        return -1
    at = theirs.index(line, start)
    return at if not following or theirs[at + 1 : at + 2] in ([], following) else -1


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


def _unknown(lines: Sequence[bytes], users: array[int], line: int) -> tuple[list[tuple[int, bytes]], int]:
    """Return the records without a user, each with the line on which it begins, and how many lines are done with.

    The first of `lines` is on `line`. Lines that an open quote takes with it lose their user; a record that does not
    end in `lines` is not done with.
    """
    found: list[tuple[int, bytes]] = []
    at, last = 0, len(users)
    while at < last:
        try:
            at = users.index(0, at)
        except ValueError:
            break
        end, raw = at + 1, lines[at]
        if raw.count(b'"') & 1:
            while end < last and not lines[end].count(b'"') & 1:
                end += 1
            if end == last:
                return found, at
            end += 1
            users[at:end] = array("i", [0]) * (end - at)
            raw = b"\n".join(lines[at:end])
        found.append((line + at, raw))
        at = end
    return found, last
