"""Decode the bytes of a file, and report where they cannot be decoded. Pure.

A byte order mark overrides the setting (one of UTF-32 only if the setting is UTF-32). No byte is replaced or skipped:
bytes that do not decode raise `FileError`, after all text before them was yielded. So the first fault of a file is
reported, however the file was cut into chunks.
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
"""Ctrl-Z, which old programs write at the end of a file."""
SAVE_AS_UTF8 = "Save it as “CSV UTF-8” and send it again."


class DecodedText:
    """Iterates once over the text of `chunks`; blocks among them are yielded as they are.

    `bytes_read` counts the bytes read from `chunks` so far. `read_as` names the encoding, once text was read.
    `is_utf_8_too` is true, after the iteration, if the setting names another encoding and the file is valid UTF-8
    with more than ASCII in it, which is hardly ever chance. Raises FileError at bytes that do not decode.
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
                    yield END_MARK.decode()  # half a UTF-16 character, from a program that knows only bytes
                    return
                # Not every codec raises UnicodeDecodeError, which has the position.
                found = error if isinstance(error, UnicodeDecodeError) else _from_the_start(encoding, state[0] + data)
                read = max(0, found.start - len(state[0]))
                decoder.setstate(state)
                good = ""
                if read:
                    with suppress(UnicodeError):  # UTF-16 without its mark may fail at a later byte
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
        """Return bytes from the first that does not decode, to guess their encoding."""
        found = error.object[error.start :]
        while len(found) < GUESSED_FROM and isinstance(chunk := next(self._chunks, None), bytes):
            found += chunk
        return found[:GUESSED_FROM]

    def _first_bytes(self) -> bytes:
        """Return at least `SNIFFED` bytes, up to the end of a chunk."""
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
    """Checks whether the bytes it reads are valid UTF-8, and whether they are only ASCII."""

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
    """Return the byte order mark at the beginning of `first` and its encoding; None if there is none."""
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
    where = f"Line {line} (byte offset {offset}) cannot be read as {name}"
    if reason in ("unexpected end of data", "truncated data"):
        cause = "the file ends in the middle of a character, so its end is missing. Send the complete file."
    elif name == "UTF-8":
        cause = f"{_likely(data)}. {SAVE_AS_UTF8}"
    else:
        cause = f"the file is damaged or in another encoding. {SAVE_AS_UTF8}"
    return FileError("wrong_encoding", f"{where}: {cause}", line=line)


def _likely(data: bytes) -> str:
    """Return a guess at the encoding of `data`, for the message only. The advice makes the same guess."""
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        return "it looks like UTF-16"
    found = legacy_of(data)
    if found:
        return f"it looks like {LEGACY[found]}"
    return "it looks like an older encoding of one region (such as Windows-1251, Shift JIS or GBK)"
