"""The bytes of a file as text: which encoding they are in, and where they stop being readable.  Pure.

A byte order mark wins over the setting (one of UTF-32 only where that is the setting). Nothing is ever replaced or
skipped: bytes that don't decode are a `FileError`, raised after all text before them was handed out, so that the
first fault of a file is the one that is told, however the file was cut into chunks.
"""

from __future__ import annotations

import codecs
from collections.abc import Iterable, Iterator
from contextlib import suppress

from importer.errors import FileError
from importer.file.blocks import Block, Unsure
from importer.file.kinds import SNIFFED, another_kind
from importer.file.legacy import BEFORE, GUESSED_FROM, LEGACY, legacy_of

MARKS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
UTF32_MARKS = ((codecs.BOM_UTF32_LE, "utf-32-le"), (codecs.BOM_UTF32_BE, "utf-32-be"))
END_MARK = b"\x1a"
"""Ctrl-Z, with which old programs end a file."""
SAVE_AS_UTF8 = "Save it as “CSV UTF-8” and send it again."


class DecodedText:
    """Iterates over the text of `chunks`, with the blocks among them as they are; may be iterated once.

    `bytes_read` counts the bytes taken from `chunks` so far. Raises FileError where the bytes don't decode.
    `is_utf_8_too`, at the end: it was read in another encoding because the settings say so, but is valid UTF-8 with
    more than ASCII in it, which hardly ever happens by chance. `read_as` names the encoding, once text was read.
    """

    def __init__(self, chunks: Iterable[bytes | Block], encoding: str) -> None:
        self.bytes_read = 0
        self.read_as = encoding
        self.is_utf_8_too = False
        self._chunks = iter(chunks)
        self._encoding = encoding

    def __iter__(self) -> Iterator[str | Block]:
        first = self._first_bytes()
        _refuse_other_formats(first, self._encoding)
        mark, encoding = mark_of(first, self._encoding) or (b"", self._encoding)
        self.read_as = encoding
        decoder = codecs.getincrementaldecoder(encoding)()
        other = None if mark or _is(encoding, "utf") else _Utf8()
        lines, tail = 0, b""
        for data, final in self._pieces(first[len(mark) :]):
            if other:
                other.read(data.text if isinstance(data, Block) else data, final)
            state = decoder.getstate()
            if isinstance(data, Block):
                if state[0]:
                    raise Unsure
                data.decode(encoding)
                yield data
                continue
            try:
                text = decoder.decode(data, final)
            except UnicodeError as error:
                if final and state[0] + data == END_MARK:
                    yield END_MARK.decode()  # half a character of UTF-16: added by a program that knows bytes only
                    return
                # What an encoding may raise for a damaged file is not always the kind that says where.
                found = error if isinstance(error, UnicodeDecodeError) else _from_the_start(encoding, state[0] + data)
                read = max(0, found.start - len(state[0]))
                decoder.setstate(state)
                good = ""
                if read:
                    with suppress(UnicodeError):  # UTF-16 without its mark is told by a later byte than the first
                        good = decoder.decode(data[:read])
                if good:
                    yield good
                offset = self.bytes_read - len(data) - len(state[0]) + found.start
                line = lines + good.count("\n") + 1
                at = len(tail) - len(state[0]) + found.start
                before = (tail + data)[max(0, at - BEFORE) : max(0, at)]
                raise _undecodable(before + self._from(found), found.reason, encoding, offset, line) from None
            tail = (tail + data[-BEFORE:])[-BEFORE:]
            if text:
                lines += text.count("\n")
                yield text
        self.is_utf_8_too = other is not None and other.fits and not other.is_ascii

    def _from(self, error: UnicodeDecodeError) -> bytes:
        """Some bytes from where the text is not readable, to guess at what they are."""
        found = error.object[error.start :]
        while len(found) < GUESSED_FROM and isinstance(chunk := next(self._chunks, None), bytes):
            found += chunk
        return found[:GUESSED_FROM]

    def _first_bytes(self) -> bytes:
        """Enough bytes to see what the file is, and the rest of the chunk they came in."""
        first = b""
        while len(first) < SNIFFED and isinstance(chunk := next(self._chunks, None), bytes):
            first += chunk
        self.bytes_read = len(first)
        return first

    def _pieces(self, first: bytes) -> Iterator[tuple[bytes | Block, bool]]:
        yield first, False
        for chunk in self._chunks:
            self.bytes_read += len(chunk.text if isinstance(chunk, Block) else chunk)
            yield chunk, False
        yield b"", True


class _Utf8:
    """Whether bytes that go by are valid UTF-8, and whether they are only ASCII."""

    def __init__(self) -> None:
        self.fits = True
        self.is_ascii = True
        self._decoder = codecs.getincrementaldecoder("utf-8")()

    def read(self, data: bytes, final: bool) -> None:
        if not self.fits:
            return
        self.is_ascii = self.is_ascii and data.isascii()
        try:
            self._decoder.decode(data, final)
        except UnicodeDecodeError:
            self.fits = False


def _from_the_start(encoding: str, data: bytes) -> UnicodeDecodeError:
    return UnicodeDecodeError(encoding, data, 0, len(data), "not in this encoding")


def mark_of(first: bytes, setting: str) -> tuple[bytes, str] | None:
    """The byte order mark that `first` begins with, and what it says; None if there is none."""
    marks = (*UTF32_MARKS, *MARKS) if _is(setting, "utf-32") else MARKS
    return next(((mark, encoding) for mark, encoding in marks if first.startswith(mark)), None)


def _is(setting: str, family: str) -> bool:
    return codecs.lookup(setting).name.startswith(family)


def _refuse_other_formats(first: bytes, setting: str) -> None:
    if found := another_kind(first):
        raise found
    if _is(setting, "utf-32") or _is(setting, "utf-16"):
        return
    if first.startswith(tuple(mark for mark, _ in UTF32_MARKS)):
        raise FileError("wrong_encoding", f"The file is in UTF-32, which is not supported. {SAVE_AS_UTF8}", line=1)
    if [byte == 0 for byte in first[:4]] in ([False, True] * 2, [True, False] * 2):
        raise FileError(
            "wrong_encoding", f"The file looks like UTF-16 without a byte order mark. {SAVE_AS_UTF8}", line=1
        )


def _undecodable(data: bytes, reason: str, encoding: str, offset: int, line: int) -> FileError:
    name = encoding.upper().removesuffix("-LE").removesuffix("-BE")
    where = f"Line {line} (byte offset {offset}) is not readable as {name}"
    if reason in ("unexpected end of data", "truncated data"):
        cause = "the file ends in the middle of a character, so its end is missing. Send the whole file again."
    elif name == "UTF-8":
        cause = f"{_likely(data)}. {SAVE_AS_UTF8}"
    else:
        cause = f"the file is damaged, or in another encoding. {SAVE_AS_UTF8}"
    return FileError("wrong_encoding", f"{where}: {cause}", line=line)


def _likely(data: bytes) -> str:
    """A guess at what `data` is in, for the message only: the one that the advice makes."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "it looks like UTF-16"
    found = legacy_of(data)
    if found:
        return f"it looks like {LEGACY[found]}"
    return "it looks like an older encoding of one region (such as Windows-1251, Shift JIS or GBK)"
