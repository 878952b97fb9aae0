"""How many of something, as it is said. Pure."""

from __future__ import annotations


def counted(count: int, one: str, many: str) -> str:
    """`1 row`, `1,200 rows`."""
    return f"{count:,} {one if count == 1 else many}"
