"""Which row of the file stands for which user, and which of these rows settle theirs.  Pure.

One number a user tells it: the line of their row. That is also how an absent user is told from the others.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Mapping, Sequence, Set
from itertools import chain, compress

SETTLED, STOOD = 1, 2
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

    def last_but(self, left: Iterable[int]) -> int | None:
        """Who was named last in the file, but for those in `left`; None if nobody was."""
        lines = self._line[:]
        for user_id in left:
            lines[user_id] = 0
        return lines.index(last) if (last := max(lines)) else None

    # Rows that stand unseen.

    def expect_known(self, left: Iterable[int]) -> None:
        """Make ready for rows that `stand`: those of the deactivated users `left` are leavers'."""
        self._left = bytearray(len(self._line))
        for user_id in left:
            self._left[user_id] = 1
        self._numbers = array("i", range(len(self._line) + LINES_MORE))

    def stand(self, line: int, users: array[int]) -> list[int]:
        """Let the rows on `line` and the next lines stand for `users`, and settle them; 0 for no user.

        Return the lines of those whose user was named by a row before: they stand for nobody.
        """
        if self._stand_in_a_row(line, users):
            return []
        marks, settled, left, named = self._line, self._settled, self._left, []
        for number, user in enumerate(users, line):
            if user:
                if marks[user]:
                    named.append(number)
                else:
                    marks[user] = -number if left[user] else number
                    settled[user] = STOOD
        self._stood.append((line, users))
        self._fell += named
        return named

    def _stand_in_a_row(self, line: int, users: array[int]) -> bool:
        """Do so at once for active users whose ids follow each other, as most do in most files; whether it did."""
        first, count, numbers = users[0], len(users), self._numbers
        end = first + count
        if not (first > 0 and end <= len(numbers) and line + count <= len(numbers)) or users != numbers[first:end]:
            return False
        if any(self._line[first:end]) or self._left.find(1, first, end) >= 0:
            return False
        self._line[first:end] = numbers[line : line + count]
        self._settled[first:end] = bytes([STOOD]) * count
        self._stood.append((line, users))
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
        looked_at = array("i")
        if self._settled.find(SETTLED) >= 0:
            looked_at.extend(compress(range(len(self._settled)), map(SETTLED.__eq__, self._settled)))
        places = array("i", map(abs, map(self._line.__getitem__, looked_at)))
        ends = (line + len(users) - 1 for line, users in self._stood)
        lines = array("i", [0]) * (max(chain((0,), self._fell, ends, places)) + 1)
        for line, users in self._stood:
            lines[line : line + len(users)] = users
        for line in self._fell:
            lines[line] = 0
        for line, user_id in zip(places, looked_at, strict=True):
            lines[line] = user_id
        return lines
