"""Files and folders in the database that are open for reading."""

from __future__ import annotations

import time
from collections.abc import Awaitable
from dataclasses import replace

from engine.shared.files import CHUNK, ContentGone, Entry
from server.files.files import Named
from server.files.paths import ClientPath
from server.files.shared.facts import Facts, facts_of
from server.files.shared.reaching import reaching
from server.files.shared.space import Space

AHEAD = 4
"""The most chunks that one statement reads, for a client that reads on."""
HELD_EVERY_S = 300.0
"""How often the deletion of a content that is read is put off."""


class Reader:
    """One file open for reading, as `server.files.files.Reading`: its content, whatever its name refers to now."""

    __slots__ = ("_content", "_entry", "_held_at", "_space", "path", "size")

    def __init__(self, space: Space, path: ClientPath, entry: Entry) -> None:
        assert entry.content is not None
        self.path = path
        self.size = entry.size
        self._content = entry.content
        self._entry = entry
        self._space = space
        self._held_at = time.monotonic()

    def read(self, offset: int, size: int) -> bytes | Awaitable[bytes]:
        """See `Reading.read`."""
        end = offset + min(size, self._space.house.longest_read, self.size - offset)
        if end <= offset:
            return b""
        found = self._in_memory(offset, end)
        return self._read(offset, end) if found is None else found

    async def stat(self) -> Facts:
        """Return the facts of the file as it was opened, and the times that were set since."""
        return facts_of(self._entry)

    async def set_times(self, times: tuple[int, int]) -> None:
        """Set access and modification time, in nanoseconds since 1970."""
        async with self._space.changing() as names:
            await names.set_times(self._entry, times)
        self._entry = replace(self._entry, accessed=times[0], modified=times[1])

    async def flush(self) -> None:
        """Do nothing: what can be read is on disk."""

    async def close(self) -> None:
        """Do nothing: other readers may use its chunks."""

    def _in_memory(self, offset: int, end: int) -> bytes | None:
        parts = []
        for number in range(offset // CHUNK, (end - 1) // CHUNK + 1):
            chunk = self._space.house.windows.get(self._key(number))
            if chunk is None:
                return None
            parts.append(chunk[max(0, offset - number * CHUNK) : end - number * CHUNK])
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def _read(self, offset: int, end: int) -> bytes:
        windows, first, last = self._space.house.windows, offset // CHUNK, (end - 1) // CHUNK
        goes_on = first > 0 and windows.get(self._key(first - 1)) is not None
        last = max(last, first + AHEAD - 1) if goes_on else last
        start, stop = first * CHUNK, min((last + 1) * CHUNK, self.size)
        with reaching():
            await self._hold()
            data = await self._space.store.contents.read(self._space.tenant, self._content, start, stop - start)
        for at in range(0, len(data), CHUNK):
            windows.put(self._key(first + at // CHUNK), data[at : at + CHUNK])
        return data[offset - start : end - start]

    async def _hold(self) -> None:
        """Put off the deletion of the content, if it was not done lately."""
        if time.monotonic() - self._held_at >= HELD_EVERY_S:
            self._held_at = time.monotonic()
            if not await self._space.store.contents.keep_for_reader(self._space.tenant, self._content):
                raise ContentGone

    def _key(self, number: int) -> tuple[int, int, int]:
        return self._space.number, self._content, number


class OpenFolder:
    """One open folder, as `server.files.files.Listed`. It reads entries in the order of their names."""

    def __init__(self, space: Space, folder: Entry) -> None:
        self._space = space
        self._folder = folder
        self._after = b""
        self._begun = False

    async def next(self, count: int) -> list[Named]:
        """Return up to `count` more entries; an empty list at the end."""
        found = []
        if not self._begun:
            # ".." gets the facts of ".": those above the root are private, and elsewhere only the name matters.
            self._begun = True
            found = [Named(name, facts_of(self._folder)) for name in (b".", b"..")][:count]
        if wanted := count - len(found):
            with reaching():
                entries = await self._space.names.page(self._folder.id, self._after, wanted)
            found += [Named(each.name, facts_of(each)) for each in entries]
            self._after = entries[-1].name if entries else self._after
        return found

    def close(self) -> None:
        """Do nothing: nothing is held between two calls."""
