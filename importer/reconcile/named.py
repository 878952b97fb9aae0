"""Which row of the file counts for which user, and which of these rows settle their user.  Pure.

One number per user records it: the line of the row. A user without a line is absent.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from itertools import chain, compress

SETTLED, KNOWN = 1, 2
_ARE_SETTLED = bytes(number == SETTLED for number in range(256))
PIECE = 1 << 16
"""The users handled in one call into C. A call over a million of them would block all other threads."""

FEW = 16
"""The number of users recorded one by one where ids are not consecutive."""
LINES_MORE = 1000
"""A file may have this many more lines than users and still record runs of users at once."""


class Named:
    """The users of one import by id, and the lines of the rows that name them."""

    def __init__(self, highest: int = 0) -> None:
        """`highest` is the highest id of a user."""
        # The line of the row that counts for a user; 0: none yet; negative: a leaver's row.
        self._line = array("i", [0]) * (highest + 1)
        # Whether that row settles its user: SETTLED, or KNOWN for a known row, which was not checked.
        self._settled = bytearray(highest + 1)
        self._known: list[tuple[int, array[int]]] = []
        self._fell: list[int] = []
        # 1: the user was deactivated before the import; needed only for known rows.
        self._left = bytearray()
        self._numbers = array("i")  # each at its own place

    def add(self, lines: Sequence[int]) -> None:
        """Add the users that the rows on `lines` create; they get the next ids."""
        self._line.extend(lines)
        self._settled.extend(bytes(len(lines)))

    def line_of(self, user_id: int) -> int:
        """Return the line of the row that counts for this user; 0 if no row has the user."""
        return abs(self._line[user_id])

    def mark_of(self, user_id: int) -> int:
        """Return the same line, negative if that row is a leaver."""
        return self._line[user_id]

    def mark(self, user_id: int, mark: int) -> None:
        """Record that the row on the line `mark` counts for this user (`-mark`: a leaver's row on that line)."""
        self.unsettle(user_id)
        self._line[user_id] = mark

    def unnamed(self, end: int) -> Iterator[int]:
        """Yield the users with an id below `end` that no row has, in the order of their ids."""
        at = 1
        while True:
            try:
                at = self._line.index(0, at, end)
            except ValueError:
                return
            yield at
            at += 1

    def last_but(self, left: Iterable[int]) -> int | None:
        """Return the last user in the file that is not in `left`, or None."""
        lines = self._line[:]
        for user_id in left:
            lines[user_id] = 0
        last = max(max(lines[at : at + PIECE]) for at in range(0, len(lines), PIECE))
        return lines.index(last) if last else None

    # Known rows, which are not checked.

    def expect_known(self, left: Iterable[int]) -> None:
        """Prepare `add_known`: the rows of the deactivated users `left` are leavers."""
        self._left = bytearray(len(self._line))
        for user_id in left:
            self._left[user_id] = 1
        self._numbers = _numbers(len(self._line) + LINES_MORE)

    def add_known(self, line: int, users: array[int]) -> list[int]:
        """Record the rows from `line` on for `users`, one a line, and settle them; 0 for no user.

        Return the lines of rows whose user already has a row: they do not count.
        """
        marks, settled, left, named = self._line, self._settled, self._left, []
        at = 0
        while at < len(users):
            end = at + self._run_length(users, at)
            if not self._add_run(line + at, users[at:end]):
                end = max(end, at + FEW)
                for number, user in enumerate(users[at:end], line + at):
                    if user:
                        if marks[user]:
                            named.append(number)
                        else:
                            marks[user] = -number if left[user] else number
                            settled[user] = KNOWN
            at = end + (end < len(users) and not users[end])
        self._known.append((line, users))
        self._fell += named
        return named

    def _run_length(self, users: array[int], at: int) -> int:
        """Return how many of `users` from `at` on have consecutive ids, as most have in most files."""
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

    def _add_run(self, line: int, users: array[int]) -> bool:
        """Record rows of active users with consecutive ids at once; return whether it did."""
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
        self._settled[first:end] = bytes([KNOWN]) * count
        return True

    # Settled users.

    def settle(self, users: Mapping[int, bool]) -> None:
        """Record whether the rows of these users settle them."""
        for user_id, settles in users.items():
            self.unsettle(user_id)
            self._settled[user_id] = SETTLED if settles else 0

    def settle_new(self, users: Sequence[int], *, but: Set[int]) -> None:
        """Record that the rows of these new users settle them, except those in `but`."""
        if isinstance(users, range):
            self._settled[users.start : users.stop] = bytes([SETTLED]) * len(users)
        else:
            for user_id in users:
                self._settled[user_id] = SETTLED
        for user_id in but:
            self._settled[user_id] = 0

    def unsettle(self, user_id: int) -> None:
        """Record that the row of this user does not settle the user."""
        if self._settled[user_id] == KNOWN:
            self._fell.append(abs(self._line[user_id]))
        self._settled[user_id] = 0

    def settled_lines(self) -> array[int]:
        """Return for each line the user that its row settles; 0 for none. The index is the line."""
        looked_at = list(self._looked_at())
        ends = (line + len(users) - 1 for line, users in self._known)
        last = max(chain((0,), self._fell, ends, (max(lines) for lines, _ in looked_at)))
        settled = array("i", [0]) * (last + 1)
        for line, users in self._known:
            settled[line : line + len(users)] = users
        for line in self._fell:
            settled[line] = 0
        for lines, users in looked_at:
            for line, user_id in zip(lines, users, strict=True):
                settled[line] = user_id
        return settled

    def _looked_at(self) -> Iterator[tuple[array[int], array[int]]]:
        """Yield the lines of checked rows that settle a user, with these users, in pieces."""
        for at in range(0, len(self._settled), PIECE):
            settled = self._settled[at : at + PIECE]
            if settled.find(SETTLED) >= 0:
                users = array("i", compress(range(at, at + len(settled)), settled.translate(_ARE_SETTLED)))
                yield array("i", map(abs, map(self._line.__getitem__, users))), users


def _numbers(count: int) -> array[int]:
    """Return the numbers from 0 on, at least `count` of them, ten times as fast as one by one.

    In one large integer with 32 bits a number, one addition makes the second half from the first.
    """
    numbers, ones, made = 1 << 32, 1 | 1 << 32, 2
    while made < count:
        numbers |= (numbers + made * ones) << (32 * made)
        ones |= ones << (32 * made)
        made *= 2
    found = array("i", numbers.to_bytes(4 * made, "little"))
    if found[1:2] != array("i", [1]):  # a big-endian machine
        found.byteswap()
    return found
