"""File listings for clients: the entries of an open folder, and the attributes of one file."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Iterator

from asyncssh import SFTPAttrs, SFTPName

from server.files.local.space import Space
from server.files.paths import ClientPath


class Listing:
    """One open folder. It reads entries when the client asks for them, so a large folder takes no memory."""

    def __init__(self, space: Space, path: ClientPath) -> None:
        self._path = path
        self._fd = space.folder.open_folder(path.parts)
        try:
            self._entries = os.scandir(self._fd)  # opens another descriptor
        except OSError:
            os.close(self._fd)
            raise
        self._names = self._all_names()

    def next(self, count: int) -> list[SFTPName]:
        """Return up to `count` more entries; an empty list at the end."""
        found: list[SFTPName] = []
        for name in self._names:
            try:
                found.append(self._entry(name))
            except FileNotFoundError:
                continue
            if len(found) == count:
                break
        return found

    def close(self) -> None:
        self._entries.close()
        os.close(self._fd)

    def _all_names(self) -> Iterator[bytes]:
        yield b"."
        yield b".."
        for entry in self._entries:
            yield os.fsencode(entry.name)

    def _entry(self, name: bytes) -> SFTPName:
        # ".." gets the attributes of ".": those above the root are private, and elsewhere only the name matters.
        found = os.stat(b"." if name == b".." else name, dir_fd=self._fd, follow_symlinks=False)
        attrs = attributes(found, writable=not self._path.in_results)
        return SFTPName(name, long_name(name, attrs), attrs)


def attributes(found: os.stat_result, *, writable: bool) -> SFTPAttrs:
    """Return the attributes of a file for a client: never its owner or mode on this machine."""
    mode = stat.S_IFMT(found.st_mode) | (0o700 if stat.S_ISDIR(found.st_mode) else 0o600)
    return SFTPAttrs(
        size=found.st_size,
        uid=0,
        gid=0,
        permissions=mode if writable else mode & ~0o222,
        atime=int(found.st_atime),
        mtime=int(found.st_mtime),
    )


def long_name(name: bytes, attrs: SFTPAttrs) -> bytes:
    """Return a line like those of `ls -l`, in UTC."""
    mtime = attrs.mtime or 0
    recent = -3600 < time.time() - mtime < 182 * 86400
    when = time.strftime("%b %e %H:%M" if recent else "%b %e  %Y", time.gmtime(mtime))
    mode = stat.filemode(attrs.permissions or 0)
    return f"{mode}    1 tenant   tenant   {attrs.size:>12} {when} ".encode() + name
