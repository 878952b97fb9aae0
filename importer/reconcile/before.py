"""What an import remembers for the next one: whom each line of its file settled, and what that depended on.

Theory. A line settles a user if the row on it, applied now, would change nothing and say nothing.

- Or say and change another thing on a later day: a row whose last day is ahead settles nobody.
- It depends on the text, and on all that gives it its meaning: the salt has the rules, the settings, the header, how
  the file is read, and the revision of all that a row can name (teams, locations, other users).
- It is so once nothing of the row waits any more, and only if nothing was said of it.
- So the user is deactivated if, and only if, the row is a leaver's.
- A user whom anything but an import changes is noted in `touched`, and so is one whom a correction changes: their
  rows are looked at again. What is renamed or removed, and an undo, raises the revision. Triggers see to it, but for
  the undo.

So the row on such a line of the next file needs no look (sidebyside.py), unless another row names its user, too. One
that is looked at in vain costs time and nothing else.

Where a line was changed in its place, and names the same user by the same cell, the cells that are as they were say
what is stored, and only the others are looked at, if they do not tell whether the user has left.

If a row comes to mean something else without a change of the salt, users silently keep what the row used to mean:
hence RULES.
"""

from __future__ import annotations

import asyncio
import codecs
import hashlib
import os
import sys
from array import array
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import IO

from importer.file.blocks import FileBefore
from importer.file.header import Header
from importer.file.leavers import tells_beside
from importer.model import FileFacts
from importer.rules.settings import ImportSettings
from importer.users.importing.before import FileKept, LinesBefore

ASCII = [chr(code) for code in range(128)]

RULES = 3
"""Raise it when the same row comes to mean something else: what was settled before then counts for nothing."""


def salt_of(revision: int, header: Header, settings: ImportSettings, encoding: str) -> bytes:
    """What a line depends on beside its text: the rules, the settings, the header, how the file is read.

    Of the header also which columns tell who has left though nothing reads them: a cell of one may be warned of.
    """
    facts = (
        RULES,
        revision,
        settings.model_dump(),
        header.columns,
        tells_beside(header.raw),
        encoding,
        sys.byteorder,
    )
    return hashlib.blake2b(repr(facts).encode(), digest_size=16).digest()


def can_be_compared(encoding: str) -> bool:
    """Whether line ends and quotes are the same bytes in `encoding` as in ASCII, and these bytes nothing else."""
    name = codecs.lookup(encoding).name
    if name in ("utf-8", "ascii"):
        return True
    every = bytes(range(256))
    # Each byte by itself: one that is kept back, as part of a character or of an escape, gives meaning to others.
    found = [codecs.getincrementaldecoder(name)("replace").decode(bytes([byte])) for byte in every]
    return [letter for letter in found if letter in ASCII] == ASCII and all(len(letter) == 1 for letter in found)


async def load_before(kept: LinesBefore, salt: bytes, past: str, copy_of: Callable[[int], Path]) -> FileBefore | None:
    """Return the file before, open, with the users whom its lines settle by now; None if it tells nothing.

    `copy_of` tells where the kept copy of the file of an import is. Last days before `past` are over.
    """
    facts = await kept.file(salt, past)
    if facts is None:
        return None
    file = await asyncio.to_thread(_open_if_same, copy_of(facts.import_id), facts)
    if file is None:
        return None
    try:
        touched = await kept.touched()
        settled = await asyncio.to_thread(_without, await kept.users(), touched)
        return FileBefore(settled, partial(_read, file), file.close)
    except BaseException:
        file.close()
        raise


def file_kept(
    import_id: int, status: os.stat_result, facts: FileFacts, salt: bytes | None, past: str
) -> FileKept | None:
    """What the next import knows of the file of `status`; None without a `salt`."""
    if salt is None:
        return None
    return FileKept(import_id, status.st_size, status.st_mtime_ns, facts.sha256, salt, past)


def _open_if_same(path: Path, facts: FileKept) -> IO[bytes] | None:
    """Open the file at `path` if it is what it was when its import was applied; else None.

    A client may set the times of the file that it sees, which is this one: then its content decides.
    """
    try:
        file = path.open("rb")
    except FileNotFoundError:
        return None
    status = os.fstat(file.fileno())
    same = status.st_size == facts.size
    if same and status.st_mtime_ns != facts.modified_ns:
        same = hashlib.file_digest(file, "sha256").hexdigest() == facts.sha256
    if not same:
        file.close()
        return None
    return file


def _read(file: IO[bytes], at: int, size: int) -> bytes:
    return os.pread(file.fileno(), size, at)


def _without(users: array[int], touched: Sequence[int]) -> array[int]:
    if not touched:
        return users
    gone = set(touched)
    return array("i", [0 if user in gone else user for user in users])
