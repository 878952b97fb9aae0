"""Record how a file was written: the WRITE requests of one handle, added up. Pure."""

from __future__ import annotations

from importer.model import Written

_MOST_SPANS = 4096


class Trace:
    """The WRITE requests of one handle, added up."""

    __slots__ = ("_merge_at", "_scattered", "_spans", "_tail", "_tail_end", "longest", "received", "writes")

    def __init__(self) -> None:
        self.writes = 0
        self.longest = 0
        self.received = 0
        self._tail = 0
        self._tail_end = 0
        self._spans: list[list[int]] = []
        self._merge_at = 64
        self._scattered = False

    def wrote(self, offset: int, length: int) -> None:
        """Add a write of `length` (at least 1) bytes at `offset`."""
        end = offset + length
        self.writes += 1
        self.received += length
        if length > self.longest:
            self.longest = length
        if end >= self._tail_end:
            self._tail_end = end
            self._tail = length
        spans = self._spans
        if spans and spans[-1][0] <= offset <= spans[-1][1]:
            spans[-1][1] = max(end, spans[-1][1])
        else:
            self._add(offset, end)

    def facts(self, size: int) -> Written:
        """Return the record of a file that is `size` bytes long now."""
        last = self._tail if self._tail_end == size else 0
        return Written(self.writes, self.longest, last, foreign=not self._covers(size))

    def _add(self, start: int, end: int) -> None:
        self._spans.append([start, end])
        if len(self._spans) >= self._merge_at:
            self._spans = _merged(self._spans)
            self._scattered |= len(self._spans) > _MOST_SPANS
            del self._spans[_MOST_SPANS:]
            self._merge_at = 2 * len(self._spans) + 64

    def _covers(self, size: int) -> bool:
        if size == 0:
            return True
        spans = _merged(self._spans)
        return not self._scattered and bool(spans) and spans[0][0] == 0 and spans[0][1] >= size


def _merged(spans: list[list[int]]) -> list[list[int]]:
    merged: list[list[int]] = []
    for start, end in sorted(spans):
        if merged and start <= merged[-1][1]:
            merged[-1][1] = max(merged[-1][1], end)
        else:
            merged.append([start, end])
    return merged
