"""The length of sentences in texts that people read."""

from __future__ import annotations

import re

MOST_WORDS = 30
"""The most words of one sentence of a page or message."""
AVERAGE_WORDS = 15
"""The most words of a sentence on average."""

_END = re.compile(r"(?<=[.!?:])\s+|\n\s*\n|\n-? +")


def sentences(text: str) -> list[str]:
    """Return the sentences, headings and list entries of a text, without those of one word."""
    return [part.strip() for part in _END.split(text) if len(part.split()) > 1]


def assert_short(text: str) -> None:
    """Assert that sentences have at most `MOST_WORDS` words, and `AVERAGE_WORDS` on average."""
    lengths = {part: len(part.split()) for part in sentences(text)}
    assert [part for part, length in lengths.items() if length > MOST_WORDS] == []
    assert sum(lengths.values()) <= AVERAGE_WORDS * len(lengths)
