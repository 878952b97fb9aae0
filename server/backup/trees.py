"""Copy a folder into a backup while clients change it: each file complete, as it was at some moment of the copying.

A file that was published is never changed in place, so the bytes behind an open file are one version of it. But a
rename during a walk can hide a file from it: it leaves a folder that is not read yet for one that was read already.
So a folder is walked until two walks see the same. Where clients never rest, all files that any of the walks saw are
kept. A file that cannot be read is named, and the rest is copied.

A link to a folder is followed where an operator moves a folder to another disk: at the top of what is copied, and in
the place of a fixed folder of a tenant. All other links may lead anywhere: they are named.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path

from ground.access import no_access
from server.backup.manifest import Entry
from server.backup.objects import Objects, Unreadable
from server.backup.selecting import belongs, is_database, is_place, merged

WALKS_MOST = 8
UNSETTLED_NS = 2_000_000_000
"""A file that was changed within this time may change again without changing its times."""

ATTRIBUTES = "user.headcount."

_FILE = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC


@dataclass(frozen=True, slots=True)
class Seen:
    """A file or folder in a walk. `facts` is the reason if it cannot be read."""

    path: str
    facts: os.stat_result | str

    @property
    def key(self) -> tuple[str, str]:
        if isinstance(self.facts, str):
            return self.path, self.facts
        return self.path, "" if stat.S_ISDIR(self.facts.st_mode) else exact_look(self.facts)


@dataclass(frozen=True, slots=True)
class Tree:
    """The copy of a folder. `faults` has why a path in it, and all below, could not be copied."""

    entries: dict[str, Entry]
    faults: dict[str, str] = field(default_factory=dict)


Reuse = dict[str, Entry]
"""An entry of each file that the backup has, by its look: all but the path holds while the look is the same."""


def exact_look(facts: os.stat_result) -> str:
    """Return the text that changes when the file is changed, replaced, or gets another name."""
    return f"{facts.st_dev:x}.{facts.st_ino:x}.{facts.st_size:x}.{facts.st_mtime_ns:x}.{facts.st_ctime_ns:x}"


class Trees:
    """Copies folders below `root` into `objects`. Every method blocks.

    It raises OSError if the backup cannot be written.
    """

    def __init__(self, root: Path, objects: Objects, reuse: Reuse) -> None:
        self._root = root
        self._objects = objects
        self._reuse = reuse

    def copied(self, folder: str) -> Tree:
        """Copy `folder` and all below it, without databases; no entries and no faults if it is gone."""
        walks: list[dict[str, Entry]] = []
        faults: dict[str, str] = {}
        before: list[tuple[str, str]] | None = None
        for _ in range(WALKS_MOST):
            seen = list(self._walk(folder, follow=True))
            now = [each.key for each in seen]
            if now == before:
                return Tree(walks[-1], faults)
            faults = {}
            walks.append(dict(self._taken(seen, faults)))
            before = now
        return Tree(merged(*walks), faults)

    def file(self, path: str) -> tuple[int, os.stat_result] | None:
        """Open the regular file at `path`; None if there is none. The caller closes it. Raises Unreadable."""
        try:
            file = os.open(self._root / path, _FILE)
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError as error:
            if error.errno in (errno.ELOOP, errno.ENXIO):
                mode = stat.S_IFLNK if error.errno == errno.ELOOP else stat.S_IFSOCK
                raise Unreadable(_no_file(self._root / path, mode)) from error
            raise Unreadable(no_access(self._root / path, error.strerror)) from error
        facts = os.fstat(file)
        if stat.S_ISREG(facts.st_mode):
            return file, facts
        os.close(file)
        if stat.S_ISDIR(facts.st_mode):
            return None
        raise Unreadable(_no_file(self._root / path, facts.st_mode))

    def copied_file(self, path: str) -> Entry | None:
        """Copy the regular file at `path`; return its entry, None if there is none. Raises Unreadable."""
        opened = self.file(path)
        if opened is None:
            return None
        try:
            return self.taken(path, *opened)
        finally:
            os.close(opened[0])

    def taken(self, path: str, file: int, facts: os.stat_result) -> Entry:
        """Copy an open file; return its entry. Raises Unreadable."""
        look = exact_look(facts)
        if known := self._reuse.get(look):
            return replace(known, path=path)
        try:
            sha256, size = self._objects.put(file)
        except Unreadable as error:
            raise Unreadable(f"{self._root / path} cannot be read ({error})") from error
        entry = self._reuse[look] = Entry(
            path,
            mode=stat.S_IMODE(facts.st_mode),
            mtime_ns=facts.st_mtime_ns,
            sha256=sha256,
            size=size,
            look=look,
            attributes=_attributes(file),
        )
        return entry

    def _taken(self, seen: list[Seen], faults: dict[str, str]) -> Iterator[tuple[str, Entry]]:
        for each in seen:
            if isinstance(each.facts, str):
                faults[each.path] = each.facts
            elif stat.S_ISDIR(each.facts.st_mode):
                mode, changed = stat.S_IMODE(each.facts.st_mode), each.facts.st_mtime_ns
                yield each.path, Entry(each.path, mode=mode, mtime_ns=changed)
            elif known := self._reuse.get(exact_look(each.facts)):
                yield each.path, replace(known, path=each.path)
            else:
                try:
                    if entry := self.copied_file(each.path):
                        yield each.path, entry
                except Unreadable as error:
                    faults[each.path] = str(error)

    def _walk(self, folder: str, *, follow: bool = False) -> Iterator[Seen]:
        try:
            facts = os.stat(f"{self._root}/{folder}", follow_symlinks=follow)
            if not stat.S_ISDIR(facts.st_mode):
                return
            yield Seen(folder, facts)
            with os.scandir(f"{self._root}/{folder}") as entries:
                names = sorted(entry.name for entry in entries)
            for name in names:
                path = f"{folder}/{name}"
                if belongs(path) and not is_database(path):
                    yield from self._seen(path)
        except FileNotFoundError:
            return
        except OSError as error:
            yield Seen(folder, no_access(self._root / folder, error.strerror))

    def _seen(self, path: str) -> Iterator[Seen]:
        """Yield what is at `path`. Raises PermissionError if its folder cannot be entered."""
        try:
            found = os.stat(f"{self._root}/{path}", follow_symlinks=False)
        except (FileNotFoundError, NotADirectoryError):
            return
        except PermissionError:
            raise
        except OSError as error:
            yield Seen(path, no_access(self._root / path, error.strerror))
            return
        if stat.S_ISDIR(found.st_mode):
            yield from self._walk(path)
        elif stat.S_ISREG(found.st_mode):
            yield Seen(path, found)
        elif is_place(path) and os.path.isdir(f"{self._root}/{path}"):
            yield from self._walk(path, follow=True)
        else:
            yield Seen(path, _no_file(self._root / path, found.st_mode))


def _no_file(path: Path, mode: int) -> str:
    """Return the words for what is at `path` and is neither a file nor a folder."""
    if stat.S_ISLNK(mode):
        return f"{path} is a symbolic link, which no backup follows; put a copy of what it names in its place"
    return f"{path} is a device, a socket or a pipe, which no backup has; remove it"


def reusable(entries: Iterable[Entry], has: Callable[[str, int], bool], made_ns: int) -> Reuse:
    """Return what the next backup need not read again: files that had rested when the backup of `entries` began."""
    return {
        entry.look: entry
        for entry in entries
        if entry.sha256 and entry.look and not entry.database and _rested(entry.look, made_ns)
        if has(entry.sha256, entry.size)
    }


def _rested(look: str, made_ns: int) -> bool:
    *_, mtime, ctime = look.split(".")
    return made_ns - max(int(mtime, 16), int(ctime, 16)) > UNSETTLED_NS


def _attributes(file: int) -> dict[str, str]:
    """Return what the server has noted with the file."""
    try:
        names = [name for name in os.listxattr(file) if name.startswith(ATTRIBUTES)]
        return {name: os.getxattr(file, name).decode("utf-8", "surrogateescape") for name in names}
    except OSError:  # the file system has no attributes
        return {}
