"""How counts and messages are written for people. Pure."""

from __future__ import annotations

from collections.abc import Sequence


def counted(count: int, one: str, many: str) -> str:
    """Return `1 row`, `1,200 rows`."""
    return f"{count:,} {one if count == 1 else many}"


def listed(parts: Sequence[str]) -> str:
    """Return `a`, `a and b` or `a, b and c`."""
    return " and ".join(part for part in (", ".join(parts[:-1]), parts[-1]) if part)


def as_sentence(message: str) -> str:
    """Return `message` with a capital and a full stop; a name at its beginning stays as it is."""
    first = message.split(" ", 1)[0]
    text = message[:1].upper() + message[1:] if first.isalpha() and first.islower() else message
    return text if text.endswith((".", "!", "?")) else f"{text}."
