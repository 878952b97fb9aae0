"""The lines of the previous file and the users they settled, as an import stores them for the next one. Pure.

A line that settled a user made the user as the line says, without a problem. The same line need not be applied again.
"""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class FileKept:
    """The file of an import when it was applied.

    `salt`: what the meaning of its lines depends on beside their text. `past`: last days before this date were over.
    """

    import_id: int
    size: int
    modified_ns: int
    sha256: str | None
    salt: bytes
    past: str


class LinesBefore(Protocol):
    """The previous file, inside the transaction of an import."""

    async def file(self, salt: bytes, past: str) -> FileKept | None:
        """Return the previous file, if it has the same `salt`, and its `past` is not after this one.

        Returns None otherwise: then its lines may have another meaning now.
        """

    async def users(self) -> array[int]:
        """Return for each line of that file the user it settled, 0 for none. The first is line 1."""

    async def touched(self) -> list[int]:
        """Return the users changed since then by anything but an import, or by a correction file."""

    async def stop_recording_touched(self) -> None:
        """Stop noting changed users as touched, until `keep` or the end of the transaction.

        Call `keep` before the commit: otherwise changes are missing from `touched`.
        """

    async def keep(self, file: FileKept | None, users: array[int]) -> None:
        """Store `file`, whose lines settle `users`, as the only previous file (None: no file).

        No user is touched then.
        """
