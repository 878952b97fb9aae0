"""Lines compared with the previous file: the user of each known line, and the unknown lines. Pure."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


class Unsure(Exception):  # noqa: N818 - what is the case
    """This file cannot be read side by side with the previous one: read it alone."""


@dataclass(frozen=True, slots=True)
class PreviousFile:
    """The previous file: its bytes, and for each line the id of the user that its row settled; 0 for none.

    Lines count from 1; `users[0]` is unused. `read(at, size)` returns `size` bytes from `at`, or fewer at the end.
    """

    users: array[int]
    read: Callable[[int, int], bytes]
    close: Callable[[], None]


@dataclass(slots=True)
class Block:
    """Whole lines of this file, compared with the previous file.

    `users` has for each line the user that it settled there; 0 for an unknown line. `unknown` has, for each unknown
    record, the line on which it begins and its bytes without the line feed; `records` has them decoded. `known`
    counts the known lines. `was` has, for some unknown lines, the line that was in their place: the user it settled,
    and its bytes without the line feed.
    """

    line: int
    text: bytes
    users: array[int]
    unknown: list[tuple[int, bytes]]
    known: int
    was: dict[int, tuple[int, bytes]] = field(default_factory=dict)
    records: list[tuple[int, str]] = field(default_factory=list)

    def decode(self, encoding: str) -> None:
        """Decode `unknown` into `records`. Raises Unsure if that fails."""
        try:
            self.records = [(line, raw.decode(encoding).removesuffix("\r")) for line, raw in self.unknown]
        except UnicodeError as error:
            raise Unsure from error

    def raw(self, line: int) -> bytes:
        """Return the text of the known `line`."""
        return self.text.split(b"\n")[line - self.line].removesuffix(b"\r")


@dataclass(slots=True)
class Walk:
    """Consecutive lines: their users, and the unknown ones by place.

    `was` has, for some unknown lines, the line that was in their place.
    """

    users: array[int]
    lines: dict[int, bytes] = field(default_factory=dict)
    was: dict[int, tuple[int, bytes]] = field(default_factory=dict)

    def pass_same(self, text: bytes, users: array[int]) -> None:
        """Add lines with these `users`. `text` is needed only if one of them is 0."""
        if text:
            first = len(self.users)
            self.lines.update((at, line) for at, line in enumerate(lines_of(text), first) if not users[at - first])
        self.users += users

    def miss(self, line: bytes, was: tuple[int, bytes] | None = None) -> None:
        """Add an unknown line."""
        self.lines[len(self.users)] = line
        if was:
            self.was[len(self.users)] = was
        self.users.append(0)

    def block(self, text: bytes, line: int) -> Block | None:
        """Return the block of `text`, which begins on `line`; None if an open quote may join lines."""
        if any(raw.count(b'"') & 1 for raw in self.lines.values()):
            return None
        unknown = [(line + at, raw) for at, raw in self.lines.items()]
        was = {line + at: what for at, what in self.was.items()}
        return Block(line, text, self.users, unknown, len(self.users) - len(unknown), was)


def block_of(text: bytes, line: int, users: array[int]) -> Block:
    """Return the block of the whole records in `text`, the first of which is on `line`, by the users of its lines."""
    if not users.count(0):
        return Block(line, text, users, [], len(users))
    lines = lines_of(text)
    unknown, whole = _unknown(lines, users, line)
    if whole < len(lines):
        text = text[: size_of(lines[:whole])]
        del users[whole:]
    return Block(line, text, users, unknown, len(users) - users.count(0))


def has_zero(numbers: array[int]) -> bool:
    """Return whether a number is 0. Searching for its bytes first takes a tenth of the time."""
    return bytes(numbers.itemsize) in numbers.tobytes() and 0 in numbers


def size_of(lines: Sequence[bytes]) -> int:
    """Return the size of these lines in bytes, line ends included."""
    return sum(map(len, lines)) + len(lines)


def lines_of(text: bytes) -> list[bytes]:
    """Return the whole lines of `text`, without what follows the last line end."""
    lines = text.split(b"\n")
    lines.pop()
    return lines


def _unknown(lines: Sequence[bytes], users: array[int], line: int) -> tuple[list[tuple[int, bytes]], int]:
    """Return the unknown records, each with the line on which it begins, and how many of `lines` are done.

    The first of `lines` is on `line`. Lines that an open quote joins lose their user. A record that does not end in
    `lines` is not done.
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
