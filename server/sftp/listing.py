"""File listings for clients: the entries of an open folder, and the attributes of one file."""

from __future__ import annotations

import stat
import time

from asyncssh import SFTPAttrs, SFTPName

from server.files.files import Listed, Named, Stat
from server.files.paths import ClientPath


class Listing:
    """One open folder, in the words of the protocol."""

    def __init__(self, path: ClientPath, listed: Listed) -> None:
        self._writable = not path.in_results
        self._listed = listed

    async def next(self, count: int) -> list[SFTPName]:
        """Return up to `count` more entries; an empty list at the end."""
        return [self._entry(each) for each in await self._listed.next(count)]

    def close(self) -> None:
        self._listed.close()

    def _entry(self, named: Named) -> SFTPName:
        attrs = attributes(named.stat, writable=self._writable)
        return SFTPName(named.name, long_name(named.name, attrs), attrs)


def attributes(found: Stat, *, writable: bool) -> SFTPAttrs:
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
