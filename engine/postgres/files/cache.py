"""The files of contents at paths in the scratch folder, so that each is fetched once while it is used."""

from __future__ import annotations

import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

MOST_BYTES = 1024 * 1024 * 1024
"""The files that are there take at most so many bytes, if none of them is in use."""

FRESH_S = 300.0
"""A file that was asked for so many seconds ago or less is in use."""


@dataclass(slots=True)
class _File:
    content: int
    size: int
    used_at: float


class Cache:
    """Knows which content is at which path. It opens no file: its user makes and removes them. For one event loop."""

    def __init__(self, most_bytes: int = MOST_BYTES, clock: Callable[[], float] = time.monotonic) -> None:
        self._most_bytes = most_bytes
        self._clock = clock
        self._files: dict[Path, _File] = {}  # the one that was asked for longest ago comes first
        self._held: Counter[Path] = Counter()
        self._bytes = 0

    def has(self, path: Path, content: int) -> bool:
        """Return whether this content is at `path`, which is in use now."""
        file = self._files.get(path)
        if file is None or file.content != content or not os.path.exists(path):
            return False
        self._use(path, file)
        return True

    def put(self, path: Path, content: int, size: int) -> None:
        """Note that this content is at `path` now."""
        self.forget(path)
        self._bytes += size
        self._use(path, _File(content, size, 0.0))

    def forget(self, path: Path) -> bool:
        """Note that nothing is at `path`; return whether something was."""
        file = self._files.pop(path, None)
        self._bytes -= file.size if file else 0
        return file is not None

    @contextmanager
    def holding(self, paths: Iterable[Path]) -> Iterator[None]:
        """Keep what is at these paths during the block."""
        held = Counter(paths)
        self._held += held
        try:
            yield
        finally:
            self._held -= held

    def too_many(self) -> list[Path]:
        """Return files that are not in use, longest unused first: without them the rest takes few enough bytes."""
        found, left, fresh = [], self._bytes, self._clock() - FRESH_S
        for path, file in self._files.items():
            if left <= self._most_bytes or file.used_at > fresh:
                break
            if not self._held[path]:
                found.append(path)
                left -= file.size
        return found

    def _use(self, path: Path, file: _File) -> None:
        file.used_at = self._clock()
        self._files[path] = self._files.pop(path, file)
