"""A row of a result: its values by position and by name of the column, as those of SQLite. And text to store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import psycopg


class Row:
    """One row. `row[0]`, `row["name"]`, and its values in order."""

    __slots__ = ("_places", "_values")

    def __init__(self, places: dict[str, int], values: Sequence[Any]) -> None:
        self._places = places
        self._values = values

    def __getitem__(self, key: int | str) -> Any:
        return self._values[self._places[key] if isinstance(key, str) else key]

    def __iter__(self) -> Iterator[Any]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def keys(self) -> list[str]:
        """Return the names of the columns."""
        return list(self._places)

    def __repr__(self) -> str:
        return f"Row({dict(zip(self._places, self._values, strict=True))})"


def by_position_and_name(cursor: psycopg.AsyncCursor[Any]) -> Callable[[Sequence[Any]], Row]:
    """Return the function that makes a row of this result: a `row_factory` of psycopg."""
    places = {column.name: place for place, column in enumerate(cursor.description or ())}
    return lambda values: Row(places, values)


def stored(text: str | None) -> str | None:
    """Return `text` as PostgreSQL stores it: NUL, which it refuses and a file or a peer may send, becomes U+FFFD."""
    return text.replace("\0", "\ufffd") if text else text
