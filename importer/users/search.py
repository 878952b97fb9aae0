"""The definition of a search for users. Pure.

A search consists of words. Each must be the beginning of a word in a user's first name, last name, address or
identifier; case and accents are ignored. Text without spaces stays together: `anna@exa` is the word `anna` followed
by a word that begins with `exa`.
"""

from __future__ import annotations

import unicodedata

FEW = 500
"""Up to this many users have no stored index: each search makes one, which takes some milliseconds."""

LONGEST = 500


def sort_key(text: str | None) -> str:
    """Return `text` as lists are sorted by it: without case and accents; "" for None."""
    letters = unicodedata.normalize("NFKD", (text or "").casefold())
    return "".join(letter for letter in letters if not unicodedata.combining(letter))


def clean(search: str) -> str:
    """Return `search` as it is compared: in NFC as names are, cut to LONGEST characters, and without NUL."""
    return unicodedata.normalize("NFC", search[:LONGEST].replace("\0", " ")).strip()
