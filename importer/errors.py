"""The exceptions of the importer: a code, the facts, and what to do.

A row that cannot be applied is data (`model.Problem`), never an exception. An exception means that a file cannot be
imported, that a resource is not available (disk, lock), or that Headcount has a bug.
"""

from __future__ import annotations

from collections.abc import Sequence

from ground.refusals import Refusal

MAX_FAULTS = 20
"""The most faults of one file that are reported."""


class ImporterError(Exception):
    """A request or file that the importer cannot handle. `str(error)` is a sentence that says what to do."""

    code = "internal_error"


class FileError(ImporterError):
    """The whole file cannot be imported; nothing was changed.

    `line` is the physical line of the fault, from 1, and `column` its column; None if unknown. `further` has the
    other faults of the file, in the order of its lines.
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
        """Pickle the error for another process, without its traceback."""
        return _file_error, (self.code, self.message, self.line, self.column, self.value, self.further)

    def with_further(self, others: Sequence[FileError]) -> FileError:
        """Add `others` to `further`, up to `MAX_FAULTS` in all; return this error."""
        self.further = (*self.further, *others)[: MAX_FAULTS - 1]
        return self


def _file_error(
    code: str, message: str, line: int | None, column: str | None, value: str | None, further: tuple[FileError, ...]
) -> FileError:
    error = FileError(code, message, line=line, column=column, value=value)
    error.further = further
    return error


class TryAgain(Refusal, ImporterError):  # noqa: N818 - it is an instruction, not a fault
    """A temporary failure (disk full, database busy); nothing was changed.

    `why` is the cause in the words of the system, only for the log and for commands: it may name a host or a user.
    """

    told = False
    """Whether the log has a line about it already, so that a line of the part that met it adds nothing."""

    def __init__(self, code: str, message: str, why: str = "") -> None:
        super().__init__(code, message)
        self.why = why

    @property
    def in_full(self) -> str:
        """The message with its cause."""
        return f"{self.message}: {self.why}" if self.why else self.message


class DatabaseAway(TryAgain):
    """The database of the whole server cannot be reached or written now. One line of the log says so for all."""

    told = True

    def __init__(self, why: str, message: str = "the database cannot be reached") -> None:
        super().__init__("database_busy", message, why)


class OutcomeUnknown(DatabaseAway):
    """The database was lost during a commit: what was to be committed has happened, or not."""


class FilesAway(DatabaseAway):
    """The storage of files outside of the database cannot be used now. One line of the log says so, too."""

    def __init__(self, why: str) -> None:
        super().__init__(why, "the storage of files cannot be used")


class Refused(Refusal, ImporterError):  # noqa: N818 - the field's word
    """A request that the state of the import does not allow, such as to approve a dry run."""


class Stopped(ImporterError):  # noqa: N818 - the field's word
    """The server is stopping. The import was rolled back and stays queued."""


class DatabaseUnusable(ImporterError):  # noqa: N818 - what it is
    """A database is missing, empty, damaged or unreadable. Nothing was changed and no database was created."""


class DatabaseDamaged(DatabaseUnusable):
    """A database in use seems damaged. Only a full check can confirm it."""


class DatabaseFault(Exception):  # noqa: N818 - what it is
    """The database rejected a statement: no such table, or a constraint failed. Nothing was changed."""


class SchemaTooNew(DatabaseUnusable):
    """A newer version of Headcount wrote the database."""
