"""Which encoding of one byte a letter some text is in: guessed, for messages and advice only.  Pure.

The message of a file that fails and the advice beside it ask here about the same bytes, so they say the same. Never
used to read a file: an import takes what the settings say, or a byte order mark.
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
"""Encodings of one byte a letter that spreadsheets write, in words; of equals, the first is likelier."""

GUESSED_FROM = 64 * 1024
"""So many bytes are guessed from, from the first on that is not UTF-8."""

BEFORE = 8
"""So many bytes before that one are looked at, too: what a letter is tells the letter before it."""

GOOD_ENOUGH = 0.6
SAMPLED_LETTERS = 5_000

_COMMON = frozenset("äöüßéèêëàáâãåæçíîïñóôõøúûÄÖÜÉÈÀÁÅÆÇÑÓØ€§°’–")


def decoded_whole(data: bytes, encoding: str) -> str | None:
    """`data` as text; None if it is not in `encoding`."""
    try:
        text = codecs.getincrementaldecoder(encoding)().decode(data, True)
    except UnicodeError:
        return None
    return None if "\0" in text else text


def legacy_of(data: bytes) -> str | None:
    """The likeliest of LEGACY for `data`; None where none is likely."""
    scores = {}
    for encoding in LEGACY:
        text = decoded_whole(data, encoding)
        if text is not None:
            scores[encoding] = _plausible(text)
    best = max(scores, key=scores.__getitem__, default=None)
    return best if best and scores[best] >= GOOD_ENOUGH else None


def _plausible(text: str) -> float:
    """How much of what is not ASCII in `text` looks as if a person had written it, 0 to 1."""
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
