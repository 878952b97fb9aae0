"""Lines compared with those of the file before: whom each settles, and which are not known.  Pure."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field


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
    counts the lines that are. `was` has for some unknown lines what stood in their place: whom that settled, and its
    bytes without the line feed.
    """

    line: int
    text: bytes
    users: array[int]
    unknown: list[tuple[int, bytes]]
    known: int
    was: dict[int, tuple[int, bytes]] = field(default_factory=dict)
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


@dataclass(slots=True)
class Walk:
    """What was found of lines that follow each other: their users, and which of them, by place, are not known.

    `was` has for some of these what stood in their place.
    """

    users: array[int]
    lines: dict[int, bytes] = field(default_factory=dict)
    was: dict[int, tuple[int, bytes]] = field(default_factory=dict)

    def pass_same(self, text: bytes, users: array[int]) -> None:
        """Add lines with these `users`, of which `text` is needed only if there is a 0."""
        if text:
            first = len(self.users)
            self.lines.update((at, line) for at, line in enumerate(lines_of(text), first) if not users[at - first])
        self.users += users

    def miss(self, line: bytes, was: tuple[int, bytes] | None = None) -> None:
        """Add a line that is not known."""
        self.lines[len(self.users)] = line
        if was:
            self.was[len(self.users)] = was
        self.users.append(0)

    def block(self, text: bytes, line: int) -> Block | None:
        """Return the block of `text`, which begins on `line`; None if an open quote may take lines together."""
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
    """Whether a number is 0. Looking for its bytes first takes a tenth of looking at each number."""
    return bytes(numbers.itemsize) in numbers.tobytes() and 0 in numbers


def size_of(lines: Sequence[bytes]) -> int:
    """Return how many bytes these lines take, with their line ends."""
    return sum(map(len, lines)) + len(lines)


def lines_of(text: bytes) -> list[bytes]:
    """Return the whole lines of `text`; what comes after the last line end is cut off."""
    lines = text.split(b"\n")
    lines.pop()
    return lines


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
