"""Which row of the file stands for which user, and which of these rows settle theirs.  Pure.

One number a user tells it: the line of their row. That is also how an absent user is told from the others.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from itertools import chain, compress

SETTLED, STOOD = 1, 2
_ARE_SETTLED = bytes(number == SETTLED for number in range(256))
PIECE = 1 << 16
"""So many users are gone through at once: while one call into C does a million, no other thread has its turn."""

FEW = 16
"""So many users stand one by one where their ids do not follow each other."""
LINES_MORE = 1000
"""So many more lines than users a file may have for its users to stand at once."""


class Named:
    """The users of one import by id, and the lines of the rows that name them."""

    def __init__(self, highest: int = 0) -> None:
        """There are users up to the id `highest`."""
        # The line of the row that stands for a user; 0: none yet. Below 0 it is a leaver's row.
        self._line = array("i", [0]) * (highest + 1)
        # Whether that row settles its user: SETTLED, or STOOD, which it does unseen.
        self._settled = bytearray(highest + 1)
        self._stood: list[tuple[int, array[int]]] = []
        self._fell: list[int] = []
        # 1: the user was deactivated before the import; needed where rows are to stand unseen.
        self._left = bytearray()
        self._numbers = array("i")  # each at its own place

    def add(self, lines: Sequence[int]) -> None:
        """The next users are created by the rows on `lines`."""
        self._line.extend(lines)
        self._settled.extend(bytes(len(lines)))

    def line_of(self, user_id: int) -> int:
        """The line of the row that stands for this user; 0 if no row names them."""
        return abs(self._line[user_id])

    def mark_of(self, user_id: int) -> int:
        """The same, below 0 if that row is a leaver's."""
        return self._line[user_id]

    def mark(self, user_id: int, mark: int) -> None:
        """Let the row on the line `mark` stand for this user (`-mark`: a leaver's row on that line)."""
        self.unsettle(user_id)
        self._line[user_id] = mark

    def unnamed(self, end: int) -> Iterator[int]:
        """Yield the users with an id below `end` whom no row names, in the order of their ids."""
        at = 1
        while True:
            try:
                at = self._line.index(0, at, end)
            except ValueError:
                return
            yield at
            at += 1

    def last_but(self, left: Iterable[int]) -> int | None:
        """Who was named last in the file, but for those in `left`; None if nobody was."""
        lines = self._line[:]
        for user_id in left:
            lines[user_id] = 0
        last = max(max(lines[at : at + PIECE]) for at in range(0, len(lines), PIECE))
        return lines.index(last) if last else None

    # Rows that stand unseen.

    def expect_known(self, left: Iterable[int]) -> None:
        """Make ready for rows that `stand`: those of the deactivated users `left` are leavers'."""
        self._left = bytearray(len(self._line))
        for user_id in left:
            self._left[user_id] = 1
        self._numbers = _numbers(len(self._line) + LINES_MORE)

    def stand(self, line: int, users: array[int]) -> list[int]:
        """Let the rows on `line` and the next lines stand for `users`, and settle them; 0 for no user.

        Return the lines of those whose user was named by a row before: they stand for nobody.
        """
        marks, settled, left, named = self._line, self._settled, self._left, []
        at = 0
        while at < len(users):
            end = at + self._in_a_row(users, at)
            if not self._stand_in_a_row(line + at, users[at:end]):
                end = max(end, at + FEW)
                for number, user in enumerate(users[at:end], line + at):
                    if user:
                        if marks[user]:
                            named.append(number)
                        else:
                            marks[user] = -number if left[user] else number
                            settled[user] = STOOD
            at = end + (end < len(users) and not users[end])
        self._stood.append((line, users))
        self._fell += named
        return named

    def _in_a_row(self, users: array[int], at: int) -> int:
        """Return how many of `users` from `at` on have ids that follow each other, as most do in most files."""
        numbers, shift = self._numbers, users[at] - at
        if users[at] <= 0 or users[at : at + FEW] != numbers[at + shift : at + shift + FEW]:
            return 0
        if users[at:] == numbers[at + shift : len(users) + shift]:
            return len(users) - at
        end, size = at + FEW, FEW
        while users[end : end + size] == numbers[end + shift : end + shift + size]:
            end += size
            size *= 2
        while size > 1:  # they stop within so many
            half = size // 2
            if users[end : end + half] == numbers[end + shift : end + shift + half]:
                end += half
                size -= half
            else:
                size = half
        return end - at

    def _stand_in_a_row(self, line: int, users: array[int]) -> bool:
        """Do so at once for active users whose ids follow each other; whether it did."""
        count, numbers = len(users), self._numbers
        if not count:
            return False
        first = users[0]
        end = first + count
        if end > len(numbers) or line + count > len(numbers):
            return False
        if self._line[first:end] != array("i", bytes(users.itemsize * count)) or self._left.find(1, first, end) >= 0:
            return False
        self._line[first:end] = numbers[line : line + count]
        self._settled[first:end] = bytes([STOOD]) * count
        return True

    # Who is settled.

    def settle(self, users: Mapping[int, bool]) -> None:
        """Note whether the rows that stand for these users settle them."""
        for user_id, settles in users.items():
            self.unsettle(user_id)
            self._settled[user_id] = SETTLED if settles else 0

    def settle_new(self, users: Sequence[int], *, but: Set[int]) -> None:
        """Note that the rows of these new users settle them, `but` for some."""
        if isinstance(users, range):
            self._settled[users.start : users.stop] = bytes([SETTLED]) * len(users)
        else:
            for user_id in users:
                self._settled[user_id] = SETTLED
        for user_id in but:
            self._settled[user_id] = 0

    def unsettle(self, user_id: int) -> None:
        """Note that the row that stands for this user does not settle them."""
        if self._settled[user_id] == STOOD:
            self._fell.append(abs(self._line[user_id]))
        self._settled[user_id] = 0

    def settled_lines(self) -> array[int]:
        """Return for each line the user whom the row on it settles; 0 for none. The first is the line 1."""
        looked_at = list(self._looked_at())
        ends = (line + len(users) - 1 for line, users in self._stood)
        last = max(chain((0,), self._fell, ends, (max(lines) for lines, _ in looked_at)))
        settled = array("i", [0]) * (last + 1)
        for line, users in self._stood:
            settled[line : line + len(users)] = users
        for line in self._fell:
            settled[line] = 0
        for lines, users in looked_at:
            for line, user_id in zip(lines, users, strict=True):
                settled[line] = user_id
        return settled

    def _looked_at(self) -> Iterator[tuple[array[int], array[int]]]:
        """Yield the lines of rows that were looked at and settle a user, with their users, some at a time."""
        for at in range(0, len(self._settled), PIECE):
            settled = self._settled[at : at + PIECE]
            if settled.find(SETTLED) >= 0:
                users = array("i", compress(range(at, at + len(settled)), settled.translate(_ARE_SETTLED)))
                yield array("i", map(abs, map(self._line.__getitem__, users))), users


def _numbers(count: int) -> array[int]:
    """Return the numbers from 0 on, at least so many, in a tenth of the time that each by itself takes.

    In an integer of 32 bits a number all are made of the first half by one addition.
    """
    numbers, ones, made = 1 << 32, 1 | 1 << 32, 2
    while made < count:
        numbers |= (numbers + made * ones) << (32 * made)
        ones |= ones << (32 * made)
        made *= 2
    found = array("i", numbers.to_bytes(4 * made, "little"))
    if found[1:2] != array("i", [1]):  # the machine writes numbers the other way round
        found.byteswap()
    return found
