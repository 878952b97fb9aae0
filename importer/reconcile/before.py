"""Record for the next import which user each line of this file settled, and what that depends on.

Theory. A line settles a user if applying its row again would change nothing and give no message.

- This must also hold on any later day: a row whose last day is ahead settles no user.
- It depends on the text and on everything that gives the text its meaning. The salt covers that: the rules, the
  settings, the header, how the file is read, and the revision of all that a row can name (teams, locations, users).
- It is recorded once nothing of the row waits any more, and only if the row got no message.
- So a settled user is deactivated if, and only if, the row is a leaver.
- If anything but an import changes a user, or a correction does, the user is recorded in `touched`, and the row is
  checked again. Renaming or removing a team, a location or a user raises the revision, and so does an undo. Triggers
  do all this, except for the undo.

So the same line in the next file needs no check (sidebyside.py), unless another row has its user too. A needless
check costs only time.

If a line was changed in its place and has the same identifier cell, its unchanged cells are what is stored. Only the
changed ones are checked, provided that they do not decide whether the user has left.

If the meaning of a row changes without a change of the salt, users silently keep the old meaning: hence RULES.
"""

from __future__ import annotations

import asyncio
import codecs
import hashlib
import os
import sys
from array import array
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from pathlib import Path
from typing import IO

from importer.file.blocks import PreviousFile
from importer.file.header import Header
from importer.file.leavers import tells_beside
from importer.model import FileFacts
from importer.rules.settings import ImportSettings
from importer.users.importing.before import FileKept, LinesBefore

ASCII = [chr(code) for code in range(128)]

RULES = 4
"""Increase it when the meaning of a row changes: then nothing counts as settled before."""


def salt_of(revision: int, header: Header, settings: ImportSettings, encoding: str) -> bytes:
    """Return a digest of all that a line depends on besides its text: rules, settings, header, how the file is read.

    It covers unread columns that tell who has left, too: their cells may give warnings.
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
    """Return whether the ASCII bytes mean ASCII characters, and only these, in `encoding`."""
    name = codecs.lookup(encoding).name
    if name in ("utf-8", "ascii"):
        return True
    every = bytes(range(256))
    # Decode each byte by itself: one that gives no character yet changes the meaning of the next ones.
    found = [codecs.getincrementaldecoder(name)("replace").decode(bytes([byte])) for byte in every]
    return [letter for letter in found if letter in ASCII] == ASCII and all(len(letter) == 1 for letter in found)


async def load_before(
    kept: LinesBefore, salt: bytes, past: str, copy_of: Callable[[int], Awaitable[Path]]
) -> PreviousFile | None:
    """Return the previous file, open, with the users that its lines still settle; None if it cannot be used.

    `copy_of` returns the path of the stored copy of an import's file. Last days before `past` are over.
    """
    facts = await kept.file(salt, past)
    if facts is None:
        return None
    file = await asyncio.to_thread(_open_if_same, await copy_of(facts.import_id), facts)
    if file is None:
        return None
    try:
        touched = await kept.touched()
        settled = await asyncio.to_thread(_without, await kept.users(), touched)
        return PreviousFile(settled, partial(_read, file), file.close)
    except BaseException:
        file.close()
        raise


def file_kept(
    import_id: int, status: os.stat_result, facts: FileFacts, salt: bytes | None, past: str
) -> FileKept | None:
    """Return the facts that the next import needs about the file of `status`; None without a `salt`."""
    if salt is None:
        return None
    return FileKept(import_id, status.st_size, status.st_mtime_ns, facts.sha256, salt, past)


def _open_if_same(path: Path, facts: FileKept) -> IO[bytes] | None:
    """Open the file at `path` if it is unchanged since its import was applied; else return None.

    A client may set the times of the file: then its content decides.
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
    changed = set(touched)
    return array("i", [0 if user in changed else user for user in users])
