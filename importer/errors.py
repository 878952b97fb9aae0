"""Every exception of the importer: a code, the facts, and what to do.

A row that can't be applied is data (`model.Problem`), never an exception. Exceptions are for files that
can't be imported as a whole, for the world being in the way (disk, locks), and for our own faults.
"""

from __future__ import annotations

from collections.abc import Sequence

from ground.refusals import Refusal

MAX_FAULTS = 20
"""So many faults of one file are told at once."""


class ImporterError(Exception):
    """Something the importer refuses or can't do. `str(error)` is a sentence a person can act on."""

    code = "internal_error"


class FileError(ImporterError):
    """The file as a whole can't be imported; nothing was changed.

    `line` is the physical line (from 1) and `column` the header name where it went wrong, where known. `further` has
    what else is wrong with the same file, in the order of its lines.
    """

    def __init__(
        self,
        code: str,
        message: str,
        *,
        line: int | None = None,
        column: str | None = None,
        value: str | None = None,
    ) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.line = line
        self.column = column
        self.value = value
        self.further: tuple[FileError, ...] = ()

    def __reduce__(self) -> tuple[object, ...]:
        """For another process: as it is, without where it was raised."""
        return _file_error, (self.code, self.message, self.line, self.column, self.value, self.further)

    def with_further(self, others: Sequence[FileError]) -> FileError:
        """Return this fault as the one that is raised for all of these, at most `MAX_FAULTS` in all."""
        self.further = (*self.further, *others)[: MAX_FAULTS - 1]
        return self


def _file_error(
    code: str, message: str, line: int | None, column: str | None, value: str | None, further: tuple[FileError, ...]
) -> FileError:
    error = FileError(code, message, line=line, column=column, value=value)
    error.further = further
    return error


class TryAgain(Refusal, ImporterError):  # noqa: N818 - it is an instruction, not a fault
    """Nothing was changed and nobody is at fault: the same import may succeed later (disk full, database busy)."""


class Refused(Refusal, ImporterError):  # noqa: N818 - the field's word
    """A decision that can't be taken in the state the import is in (approve a dry run, discard one applied)."""


class Stopped(ImporterError):  # noqa: N818 - the field's word
    """The server is stopping: the import was rolled back and stays queued."""


class DatabaseUnusable(ImporterError):  # noqa: N818 - what it is
    """A database that is missing, empty, damaged or unreadable. Nothing was changed, and nothing was made anew."""


class DatabaseDamaged(DatabaseUnusable):
    """What came up while a database was in use: it seems to be damaged, and all of it should be read to know."""


class DatabaseFault(Exception):  # noqa: N818 - what it is
    """What an engine says of a statement of ours: no such table, a rule of one is broken. Nothing was changed."""


class SchemaTooNew(DatabaseUnusable):
    """The database was written by a newer Headcount than this one."""
