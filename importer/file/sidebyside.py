"""A file read side by side with the one before it: which of its lines are known, and need no look.  Pure.

Most lines of most files stood in the file before. A line is known if the same line there was a whole row that settled
its user. So what is compared is bytes, a block at once where two blocks are equal, and only the other lines are
decoded, split into cells and judged.

Theory. A known line is a whole record in both files: it is the same text, and in both no quote is open where it
begins. In the file before that is so because it settled a user, as only records of one line do. In this file it is so
because the first block begins where the quotes so far come in pairs, and from there on each unknown line with a quote
left open takes the lines up to the one that closes it with it; a block ends before such a line if none does. If the
quotes of a file are broken, that may take lines together that the reader would tell apart; but then the reader finds
the fault in them, and every fault means that the file is read again without the one before it. So quotes, faults and
their lines are the reader's alone.

The first lines of a file, where its header is, and its last ones, where it may be cut off or has lines that the
settings leave out, always go to the reader.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass

from importer.file.blocks import Block, FileBefore
from importer.file.comparing import Comparing

HEAD_BYTES = 4096
BLOCK_BYTES = 512 * 1024
TAIL_BYTES = 4096
NOTHING = b" \t\r\n\x1a"
LONGEST_RECORD = 4 * 1024 * 1024
"""Where the quotes do not come in pairs for so long, the rest of the file goes to the reader."""


@dataclass(frozen=True, slots=True)
class Pieces:
    """How a file is cut: the bytes of its head, which goes to the reader, and those of a block."""

    head_bytes: int = HEAD_BYTES
    block_bytes: int = BLOCK_BYTES


PIECES = Pieces()


class SideBySide:
    """Iterates over `chunks` of a file: as bytes, and once it is told the file before, as blocks compared with it.

    Before `begin` the bytes come in small pieces, so that not much more than the header was read by then.
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

    def begin(self, before: FileBefore | None, *, left_out: int) -> None:
        """Compare what comes from now on with `before`, but for the last `left_out` lines and one more."""
        self._begun = True
        self._comparing = Comparing(before, self._at) if before else None
        self._left_out = left_out

    def __iter__(self) -> Iterator[bytes | Block]:
        rest = b""
        while not self._begun:
            if not rest and not (rest := next(self._chunks, b"")):
                return
            # A record with an open quote goes on in the next piece.
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
        """Yield blocks; return what is left of the file's bytes so far, which goes to the reader as it is."""
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
    """Return the first place from `at` on where a line has ended and the quotes come in pairs; 0 for none."""
    end = text.find(b"\n", at) + 1
    while end and text.count(b'"', 0, end) & 1:
        end = text.find(b"\n", end) + 1
    return end


def _last_end(text: bytes, lines: int) -> int:
    """Return the place where a line has ended and `lines` more come, without blank lines and end marks at the end; 0
    for none.
    """
    tail = text[-TAIL_BYTES:]
    end = len(text) - len(tail) + len(tail.rstrip(NOTHING))
    end = (end if end > len(text) - len(tail) else len(text.rstrip(NOTHING))) + 1
    for _ in range(lines):
        end = text.rfind(b"\n", 0, max(0, end - 1)) + 1
    return end
