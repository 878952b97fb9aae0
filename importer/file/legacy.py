"""Guess the single-byte encoding of a text, for messages and advice only. Pure.

The message of a failed file and its advice guess from the same bytes, so they agree. The guess never decides how a
file is read: that is up to the settings and the byte order mark.
"""

from __future__ import annotations

import codecs
from itertools import pairwise

LEGACY = {
    "cp1252": "Windows-1252 (“Western European”, what Excel writes as plain “CSV”)",
    "cp1250": "Windows-1250 (“Central European”)",
    "mac_roman": "Mac OS Roman (what Excel for Mac may write as plain “CSV”)",
    "cp437": "the encoding of DOS (cp437)",
    "cp1251": "Windows-1251 (“Cyrillic”)",
}
"""Single-byte encodings that spreadsheets write, and their descriptions. The first of equals is likelier."""

GUESSED_FROM = 64 * 1024
"""The number of bytes used for a guess, beginning with the first that is not UTF-8."""

BEFORE = 8
"""The number of bytes before that one also used: the letter before helps the guess."""

GOOD_ENOUGH = 0.6
SAMPLED_LETTERS = 5_000

_COMMON = frozenset("äöüßéèêëàáâãåæçíîïñóôõøúûÄÖÜÉÈÀÁÅÆÇÑÓØ€§°’–")


def decoded_whole(data: bytes, encoding: str) -> str | None:
    """Return `data` as text; None if it is not valid in `encoding`."""
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(data, True)
    except UnicodeError:
        return None
    return None if "\0" in text else text


def legacy_of(data: bytes) -> str | None:
    """Return the likeliest encoding of LEGACY for `data`; None if none is likely."""
    scores = {}
    for encoding in LEGACY:
        text = decoded_whole(data, encoding)
        if text is not None:
            scores[encoding] = _plausible(text)
    best = max(scores, key=scores.__getitem__, default=None)
    return best if best and scores[best] >= GOOD_ENOUGH else None


def _plausible(text: str) -> float:
    """Return the share of non-ASCII characters in `text` that are plausible where they are, from 0 to 1."""
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
        return 0.0  # no word has a capital there
    cyrillic = "\u0400" <= letter <= "\u04ff"
    if cyrillic:
        return 0.0 if (before.isascii() and before.isalpha()) or (after.isascii() and after.isalpha()) else 1.0
    if inside and not before.isascii() and not after.isascii():
        return 0.3  # three non-ASCII letters in a row are rare
    return 1.0 if letter in _COMMON else 0.9
