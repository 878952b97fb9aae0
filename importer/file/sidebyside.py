"""Read a file side by side with the previous one, and find the known lines, which need no parsing. Pure.

Most lines of most files were in the previous file. A line is known if the same line there was a whole row that
settled its user. So bytes are compared, an equal block at once, and only unknown lines are decoded, split into cells
and checked.

Why this is correct: a known line is a whole record in both files, because it has the same text and no quote is open
where it begins. In the previous file that holds because the line settled a user, and only records of one line do. In
this file it holds because the first block begins where all quotes so far are paired. From there on, an unknown line
with an open quote is joined with the lines up to the one that closes it; if none does, the block ends before it. If
the quotes of a file are broken, this may join lines that the reader would separate. But then the reader finds a fault
in them, and after any fault the file is read again, alone. So quotes, faults and their lines are up to the reader.

The first lines of a file, with its header, and its last lines always go to the reader: the file may be cut off, or
end in lines that the settings leave out.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass

from importer.file.blocks import Block, PreviousFile
from importer.file.comparing import Comparing

HEAD_BYTES = 4096
"""At least this much of a file goes to the reader."""
BLOCK_BYTES = 512 * 1024
TAIL_BYTES = 4096
NOTHING = b" \t\r\n\x1a"
LONGEST_RECORD = 4 * 1024 * 1024
"""If no record ends within so many bytes, the rest of the file goes to the reader."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """The sizes of the pieces of a file, in bytes: its head, which goes to the reader, and a block."""

    head_bytes: int = HEAD_BYTES
    block_bytes: int = BLOCK_BYTES


PIECES = Pieces()


class SideBySide:
    """Iterates over the `chunks` of a file: as bytes, and after `begin` as blocks compared with the previous file.

    Before `begin` it yields small pieces, so little more than the header was read by then.
    """

    def __init__(self, chunks: Iterable[bytes], pieces: Pieces = PIECES) -> None:
        self._chunks = iter(chunks)
        self._head_bytes = pieces.head_bytes
        self._block_bytes = pieces.block_bytes
        self._line = 1
        self._at = 0
        self._begun = False
        self._is_open = False  # in the middle of a record
        self._comparing: Comparing | None = None
        self._left_out = 0

    def begin(self, before: PreviousFile | None, *, left_out: int) -> None:
        """Compare the rest with `before`, except the last `left_out` lines and one more. None: compare nothing."""
        self._begun = True
        self._comparing = Comparing(before, self._at) if before else None
        self._left_out = left_out

    def __iter__(self) -> Iterator[bytes | Block]:
        rest = b""
        while not self._begun:
            if not rest and not (rest := next(self._chunks, b"")):
                return
            # A record with an open quote continues in the next piece.
            end = _end_of_records(rest, self._head_bytes) or len(rest)
            piece, rest = rest[:end], rest[end:]
            self._pass(piece)
            self._is_open ^= bool(piece.count(b'"') & 1) or not piece.endswith(b"\n")
            yield piece
        if self._comparing is not None and not self._is_open:
            rest = yield from self._blocks(self._comparing, rest)
        if rest:
            yield rest
        yield from self._chunks

    def _blocks(self, comparing: Comparing, held: bytes) -> Generator[bytes | Block, None, bytes]:
        """Yield blocks; return the bytes read but not compared, which go to the reader."""
        wanted = self._block_bytes
        while not comparing.is_cold:
            parts, size = [held], len(held)
            while size < wanted and (chunk := next(self._chunks, b"")):
                parts.append(chunk)
                size += len(chunk)
            more = size >= wanted
            held = b"".join(parts)
            end = _last_end(held, self._left_out + 1)
            if end > 2 * self._block_bytes:
                end = held.find(b"\n", self._block_bytes) + 1
            block = comparing.block(held[:end], self._line) if end else None
            if block and block.text:
                held, wanted = held[len(block.text) :], self._block_bytes
                self._line += len(block.users)
                yield block
            elif more and len(held) < LONGEST_RECORD:
                wanted = len(held) + self._block_bytes
            else:
                break
        return held

    def _pass(self, piece: bytes) -> None:
        self._at += len(piece)
        self._line += piece.count(b"\n")


def _end_of_records(text: bytes, at: int) -> int:
    """Return the first place from `at` on after a line end and paired quotes; 0 if there is none."""
    end = text.find(b"\n", at) + 1
    while end and text.count(b'"', 0, end) & 1:
        end = text.find(b"\n", end) + 1
    return end


def _last_end(text: bytes, lines: int) -> int:
    """Return the place after a line end that `lines` more lines follow; 0 if there is none.

    Blank lines and end marks at the end do not count.
    """
    tail = text[-TAIL_BYTES:]
    end = len(text) - len(tail) + len(tail.rstrip(NOTHING))
    end = (end if end > len(text) - len(tail) else len(text.rstrip(NOTHING))) + 1
    for _ in range(lines):
        end = text.rfind(b"\n", 0, max(0, end - 1)) + 1
    return end
