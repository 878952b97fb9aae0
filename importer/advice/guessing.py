"""Guess the encoding of bytes, to suggest it to a person.  Pure.

A guess never reads a file: an import uses the setting, or a byte order mark.
"""

from __future__ import annotations

import codecs

from importer.file.decoding import mark_of
from importer.file.legacy import BEFORE, GUESSED_FROM, legacy_of


def decoded(content: bytes, encoding: str, *, whole: bool = True) -> str | None:
    """Return `content` as text; None if it is not in `encoding`. Not `whole`: it may end within a character."""
    mark, encoding = mark_of(content, encoding) or (b"", encoding)
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(content[len(mark) :], whole)
    except UnicodeError:
        return None
    return None if "\0" in text else text


def guess_encoding(content: bytes, setting: str, *, whole: bool = True) -> str | None:
    """Return the likely encoding of `content`: `setting` if that reads it; None if none can be told."""
    if mark_of(content, setting):
        return setting if decoded(content, setting, whole=whole) is not None else None
    is_utf_8 = decoded(content, "utf-8", whole=whole) is not None
    if is_utf_8 and not content.isascii():
        # Letters of another encoding hardly ever happen to be valid UTF-8.
        return setting if codecs.lookup(setting).name == "utf-8" else "utf-8"
    if decoded(content, setting, whole=whole) is not None:
        return setting
    if is_utf_8:
        return "utf-8"
    wide = _wide(content)
    return wide if wide and decoded(content, wide, whole=whole) is not None else _legacy(content, whole=whole)


def _wide(content: bytes) -> str | None:
    """Return the UTF-16 without a mark that this is, if it is: every other byte of Western text is 0."""
    half = max(1, len(content) // 2)
    if content[1::2].count(0) > half * 0.7:
        return "utf-16-le"
    return "utf-16-be" if content[::2].count(0) > half * 0.7 else None


def _legacy(content: bytes, *, whole: bool) -> str | None:
    """Return the encoding that the import's message names too: guessed from the first bytes that are not UTF-8."""
    try:
        codecs.getincrementaldecoder("utf-8")().decode(content, whole)
    except UnicodeDecodeError as error:
        found = legacy_of(content[max(0, error.start - BEFORE) : error.start + GUESSED_FROM])
        return found if found and decoded(content, found, whole=whole) is not None else None
    return None
