"""The lines of the file before, and whom each settled, as an import leaves them to the next.  Pure."""

from __future__ import annotations

from array import array
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class FileKept:
    """The file of an import when it was applied.

    `salt`: what its lines depend on beside their text. `past`: last days before it were over (a date).
    """

    import_id: int
    size: int
    modified_ns: int
    sha256: str | None
    salt: bytes
    past: str


class LinesBefore(Protocol):
    """The file before, inside the transaction of an import."""

    async def file(self, salt: bytes, past: str) -> FileKept | None:
        """The file before, if its lines depended on the same, and no later day than `past` was over; else None."""

    async def users(self) -> array[int]:
        """For each line of that file the user whom it settled, 0 for none. The first is the line 1."""

    async def touched(self) -> list[int]:
        """The users who were changed since by anything but an import, or by a correction."""

    async def note_nobody(self) -> None:
        """Until `keep`, or the end of the transaction, users who are changed are not noted as touched.

        If it is committed, `keep` comes before that: it would forget them.
        """

    async def keep(self, file: FileKept | None, users: array[int]) -> None:
        """Let the next import know this file alone, whose lines settle `users`; None: no file. Nobody is touched."""
