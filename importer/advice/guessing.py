"""What bytes are written in: guessed, to be proposed to a person.  Pure.

Never used to read a file: an import takes what the settings say, or a byte order mark.
"""

from __future__ import annotations

import codecs
from itertools import pairwise

from importer.file.decoding import mark_of

LEGACY = ("cp1252", "cp1250", "mac_roman", "cp437", "cp1251")
"""Encodings of one byte a letter that spreadsheets write; of equals, the first is likelier."""

GOOD_ENOUGH = 0.6
SAMPLED_LETTERS = 5_000

_COMMON = frozenset("äöüßéèêëàáâãåæçíîïñóôõøúûÄÖÜÉÈÀÁÅÆÇÑÓØ€§°’–")


def decoded(content: bytes, encoding: str, *, whole: bool = True) -> str | None:
    """`content` as text; None if it is not in `encoding`. Not `whole`: it may end within a character."""
    mark, encoding = mark_of(content, encoding) or (b"", encoding)
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(content[len(mark) :], whole)
    except UnicodeError:
        return None
    return None if "\0" in text else text


def guess_encoding(content: bytes, setting: str, *, whole: bool = True) -> str | None:
    """The encoding `content` is in, as far as can be told: `setting` if that will do; None if nobody can say."""
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
    return wide if wide and decoded(content, wide, whole=whole) is not None else _legacy(content)


def _wide(content: bytes) -> str | None:
    """UTF-16 without a mark: every other byte of Western text is 0."""
    half = max(1, len(content) // 2)
    if content[1::2].count(0) > half * 0.7:
        return "utf-16-le"
    return "utf-16-be" if content[::2].count(0) > half * 0.7 else None


def _legacy(content: bytes) -> str | None:
    scores = {}
    for encoding in LEGACY:
        text = decoded(content, encoding)
        if text is not None:
            scores[encoding] = _plausible(text)
    best = max(scores, key=scores.__getitem__, default=None)
    return best if best and scores[best] >= GOOD_ENOUGH else None


def _plausible(text: str) -> float:
    """How much of what is not ASCII in `text` looks as if somebody had written it, 0 to 1."""
    found, total = 0.0, 0
    padded = f" {text} "
    for (before, letter), after in zip(pairwise(padded), padded[2:], strict=False):
        if letter.isascii():
            continue
        found += _weight(before, letter, after)
        total += 1
        if total == SAMPLED_LETTERS:
            break
    return found / total if total else 0.0


def _weight(before: str, letter: str, after: str) -> float:
    inside = before.isalpha() and after.isalpha()
    if not letter.isalpha():
        return (letter == "’") if inside else 0.7
    if letter.isupper() and before.isalpha() and after.islower():
        return 0.0  # no word has its capital there
    cyrillic = "\u0400" <= letter <= "\u04ff"
    if cyrillic:
        return 0.0 if (before.isascii() and before.isalpha()) or (after.isascii() and after.isalpha()) else 1.0
    if inside and not before.isascii() and not after.isascii():
        return 0.3  # three in a row: not in many languages
    return 1.0 if letter in _COMMON else 0.9
