"""A tenant's keys in one small file, replaced as a whole and read again when it changes.

Writers hold a lock on a file beside it, so that two cannot undo each other's change. They write into the lock file
that a key file exists, so a lost key file differs from a tenant without keys. Readers need no lock: the file they
open is always complete.
"""

from __future__ import annotations

import asyncio
import fcntl
import json
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from ground.addresses import Address
from ground.files import replace_file
from ground.moments import utc_now
from keys.errors import KeyRefused, RingUnreadable
from keys.ring import Key, Verdict, find_key, may_log_in, new_key, unknown_key, with_added

NOTED = b"There is a ring of keys beside this lock.\n"


class FileRing:
    """A `KeyRing` in the file at `path`; a missing file has no keys. Its other methods block."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._keys: tuple[Key, ...] = ()
        self._seen: tuple[int, int, int] | None = None

    async def keys(self) -> tuple[Key, ...]:
        return await asyncio.to_thread(self.read)

    async def find(self, wanted: str) -> Key:
        return find_key(await self.keys(), wanted)

    async def add(
        self,
        text: str,
        comment: str | None = None,
        expires: str | None = None,
        networks: Iterable[str] = (),
        *,
        now: datetime | None = None,
    ) -> Key:
        return await asyncio.to_thread(lambda: self._add(new_key(text, comment, expires, networks, now or utc_now())))

    async def revoke(self, wanted: str) -> Key:
        return await asyncio.to_thread(self._revoke, wanted)

    def read(self) -> tuple[Key, ...]:
        """Return the keys on disk now, oldest first. Raises RingUnreadable."""
        try:
            now = os.stat(self.path)
        except FileNotFoundError:
            self._keys, self._seen = (), None
            return ()
        except OSError as error:
            raise RingUnreadable(f"{self.path} cannot be read: {error.strerror}") from error
        seen = (now.st_ino, now.st_mtime_ns, now.st_size)
        if seen != self._seen:
            self._keys = _read(self.path)
            self._seen = seen
        return self._keys

    def may_log_in(self, kind: str, blob: bytes, address: Address, now: datetime) -> Verdict:
        """Call `may_log_in` with the present keys; if they cannot be read, no login is allowed."""
        try:
            return may_log_in(self.read(), kind, blob, address, now)
        except RingUnreadable as error:
            return Verdict(False, str(error))

    def put(self, keys: Iterable[Key]) -> None:
        """Replace all keys by these. Blocks. Raises OSError."""
        with self._writing():
            _write(self.path, tuple(keys))

    def _add(self, key: Key) -> Key:
        with self._writing() as before:
            _write(self.path, with_added(before, key))
        return key

    def _revoke(self, wanted: str) -> Key:
        if self._is_missing():  # a lock file without a key file would mean that it was lost
            raise unknown_key(wanted)
        with self._writing() as before:
            gone = find_key(before, wanted)
            _write(self.path, tuple(key for key in before if key is not gone))
        return gone

    @contextmanager
    def _writing(self) -> Iterator[tuple[Key, ...]]:
        """Yield the present keys, while no other writer can change them."""
        lock = os.open(self._lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield self.read()
            self._note(lock)
        finally:
            os.close(lock)

    def is_lost(self) -> bool:
        """Return whether there was a key file and is none now.

        One lost before `note` was ever called is not detected.
        """
        return self._is_missing() and self._is_noted()

    def note(self) -> None:
        """Record that the key file exists, if it does, so that its loss can be detected. Raises OSError."""
        if not self._is_missing() and not self._is_noted():
            with self._writing():
                pass

    def _is_noted(self) -> bool:
        try:
            return os.stat(self._lock, follow_symlinks=False).st_size > 0
        except OSError:
            return False

    def _note(self, lock: int) -> None:
        # The key file is on disk before this is written: a lock file with content had a key file beside it.
        if not os.fstat(lock).st_size and not self._is_missing():
            os.write(lock, NOTED)

    def _is_missing(self) -> bool:
        return not os.path.lexists(self.path)

    @property
    def _lock(self) -> Path:
        return self.path.with_suffix(".lock")


def _read(path: Path) -> tuple[Key, ...]:
    try:
        data = json.loads(path.read_bytes())
        return tuple(Key.from_json(entry) for entry in data["keys"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, KeyRefused) as error:
        raise RingUnreadable(f"{path} is not a key file ({type(error).__name__})") from error


def _write(path: Path, keys: tuple[Key, ...]) -> None:
    content = json.dumps({"keys": [key.to_json() for key in keys]}, indent=2, ensure_ascii=False)
    replace_file(path, content.encode() + b"\n")
