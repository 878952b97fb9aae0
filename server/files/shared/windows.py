"""The newest chunks that were read, of all files: contents never change, so no chunk is ever out of date."""

from __future__ import annotations

from collections import OrderedDict

MOST = 64
"""So many chunks are kept, of 256 KiB each: however many files clients have open."""

Key = tuple[int, int, int]
"""Tenant, content, and number of the chunk."""


class Windows:
    """Chunks in memory; the ones unused for longest go first."""

    def __init__(self, most: int = MOST) -> None:
        self._most = most
        self._chunks: OrderedDict[Key, bytes] = OrderedDict()

    def get(self, key: Key) -> bytes | None:
        found = self._chunks.get(key)
        if found is not None:
            self._chunks.move_to_end(key)
        return found

    def put(self, key: Key, chunk: bytes) -> None:
        self._chunks[key] = chunk
        self._chunks.move_to_end(key)
        while len(self._chunks) > self._most:
            self._chunks.popitem(last=False)
