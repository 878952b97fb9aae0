"""What a search for users finds.

A search is words; each has to be the beginning of a word in somebody's first name, last name, address or identifier,
whatever the case and the accents. What is not between spaces belongs together: `anna@exa` is an `anna` followed by
something that begins with `exa`.  Pure.
"""

from __future__ import annotations

import unicodedata

FEW = 500
"""So many users at most have no index: one is made of them for a search, which takes some milliseconds."""

LONGEST = 500


def clean(search: str) -> str:
    """`search` as it is compared: NFC as names are, no longer than anybody types, and without NUL."""
    return unicodedata.normalize("NFC", search[:LONGEST].replace("\0", " ")).strip()
