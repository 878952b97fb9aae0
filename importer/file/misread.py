"""Find out why a file has no header where it is expected, for the error message. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from ground.words import counted
from importer.errors import FileError
from importer.file.columns import perhaps_meant
from importer.file.edges import Batch, end_of, excerpt
from importer.file.header import (
    DELIMITERS,
    Names,
    heading,
    known_columns,
    makes_header,
    match_columns,
    seems_header,
)

PEEKED = 10
"""The number of records after the first that are searched for the header."""

ENOUGH_LINES = 3
"""The number of lines with equally many of another delimiter that show that it is the delimiter."""

MOST_SKIPPED = 100
"""The maximum of `skip_first_lines`."""

_QUOTES = "'\u2018\u2019\u201a`\u00b4\u201c\u201d\u201e\u00ab\u00bb"


@dataclass(frozen=True, slots=True)
class Line:
    """One record at the beginning of a file."""

    number: int
    raw: str
    cells: Sequence[str]


@dataclass(frozen=True, slots=True)
class Beginning:
    """The first records of a file. `lines[header]` is read as the header.

    `left_out` counts the records skipped before them, blank ones too. The first line not skipped is `begins_on`.
    """

    lines: Sequence[Line]
    header: int
    left_out: int
    begins_on: int

    def before(self, number: int) -> int:
        """Return how many records are before `lines[number]`, skipped and blank ones too."""
        found, line = self.left_out, self.begins_on
        for each in self.lines[:number]:
            found += each.number - line + 1
            line = end_of(each.number, each.raw)
        return found + self.lines[number].number - line


def why_no_header(error: FileError, beginning: Beginning, left_out: Batch, known: Names, delimiter: str) -> FileError:
    """Return `error` with a message that explains the cause, if the cause can be found; else `error`."""
    if error.code != "missing_column":
        return error
    first = beginning.lines[beginning.header]
    return (
        _lines_in_quotes(first, known)
        or _other_quotes(first, known, delimiter)
        or _header_left_out(error, first, beginning.left_out, left_out, known, delimiter)
        or _header_below(error, beginning, known, delimiter)
        or _no_header(error, first, known)
        or _other_delimiter(beginning, delimiter)
        or error
    )


def is_line_in_quotes(cells: Sequence[str], raw: str) -> bool:
    """Return whether the record `raw` is a single cell in quotes that contains delimiters."""
    filled = [cell for cell in cells if cell.strip()]
    return '"' in raw and len(filled) == 1 and any(each in filled[0] for each in DELIMITERS)


def _lines_in_quotes(first: Line, known: Names) -> FileError | None:
    """Return an error if each line is one cell in quotes that contains all columns."""
    text = "".join(first.cells).replace('"', "")
    if not is_line_in_quotes(first.cells, first.raw):
        return None
    if not any(known_columns(text.split(each), known) >= 2 for each in DELIMITERS):
        return None
    return FileError(
        "lines_in_quotes",
        f"Line {first.number} is one cell: the whole line is in quotes. Remove the quotes around whole lines. "
        "Put only a cell that contains a delimiter in quotes.",
        line=first.number,
    )


def _other_quotes(first: Line, known: Names, delimiter: str) -> FileError | None:
    """Return an error if the cells are in quotes that CSV does not use."""
    stripped = [cell.strip().strip(_QUOTES) for cell in first.cells]
    found = next((cell.strip()[:1] for cell in first.cells if cell.strip()[:1] in tuple(_QUOTES)), "")
    if not found or known_columns(stripped, known) < max(2, known_columns(first.cells, known) + 1):
        return None
    name = "single quotes" if found == "'" else f"quotes of another kind ({found})"
    return FileError(
        "other_quotes",
        f"The cells on line {first.number} are in {name}, which are read as text. Remove them. "
        f'Put only a cell that contains {_one(delimiter)} in double quotes (").',
        line=first.number,
    )


def _one(delimiter: str) -> str:
    return {",": "a comma", ";": "a semicolon", "\t": "a tab"}.get(delimiter, "a vertical bar")


def _header_left_out(
    error: FileError, first: Line, skipped: int, left_out: Batch, known: Names, delimiter: str
) -> FileError | None:
    """Return an error if the header is among the lines that `skip_first_lines` leaves out."""
    line = 1
    before = 0
    for number, raw in zip(left_out.lines, left_out.raws, strict=True):
        before += number - line
        if makes_header(raw.replace('"', "").split(delimiter), known):
            above = counted(skipped, "line", "lines")
            return _missing(
                error,
                first,
                f"The header is on line {number}, but skip_first_lines leaves out the {first_lines(skipped)}. "
                f"Send the file with {above} above the header, or set skip_first_lines to {before}.",
            )
        before += 1
        line = end_of(number, raw)
    return None


def _header_below(error: FileError, beginning: Beginning, known: Names, delimiter: str) -> FileError | None:
    """Return an error if one of the next lines is the header."""
    first = beginning.lines[beginning.header]
    below = list(enumerate(beginning.lines[beginning.header + 1 :], beginning.header + 1))
    for makes in (makes_header, seems_header):
        if makes(first.cells, known):
            return None  # it is the header, with other names
        for at, each in below:
            if makes(each.cells, known):
                before = beginning.before(at)
                what = f"The header is on line {each.number}, not on line {first.number} (“{excerpt(first.raw)}”)."
                setting = f", or set skip_first_lines to {before}" if before <= MOST_SKIPPED else ""
                do = f"Delete the lines above line {each.number}{setting}.{_renamed(each.cells, known)}"
                return _missing(error, first, f"{what} {do}")
            for other in DELIMITERS:
                cells = each.raw.replace('"', "").split(other)
                if other != delimiter and makes(cells, known):
                    return _separated_below(first, each.number, other, delimiter, _renamed(cells, known))
    return None


def _separated_below(first: Line, line: int, other: str, delimiter: str, renamed: str) -> FileError:
    """Return the error for a header on `line` with the delimiter `other`."""
    return FileError(
        "wrong_delimiter",
        f"The columns are separated by {DELIMITERS[other]}, but {DELIMITERS[delimiter]} are expected. The header is "
        f"on line {line}, not on line {first.number} (“{excerpt(first.raw)}”). Delete the lines above it and save "
        f"the file with {DELIMITERS[delimiter]}, or change the settings delimiter and skip_first_lines.{renamed}",
        line=line,
    )


def _renamed(cells: Sequence[str], known: Names) -> str:
    """Return questions about cells of this header that may be meant as a required column."""
    columns = match_columns([heading(cell) for cell in cells], known)
    return perhaps_meant(cells, [name for name in known.required if name not in columns], known)


def _other_delimiter(beginning: Beginning, delimiter: str) -> FileError | None:
    """Return an error if no line has the expected delimiter, and all have equally many of another."""
    lines = beginning.lines[beginning.header :]
    if len(lines) < ENOUGH_LINES or any(len(line.cells) > 1 for line in lines):
        return None
    for other in DELIMITERS:
        columns = {line.raw.count(other) for line in lines}
        if other != delimiter and len(columns) == 1 and columns.pop() >= ENOUGH_LINES - 1:
            return separated_by(other, delimiter, lines[0].number)
    return None


def separated_by(other: str, delimiter: str, line: int) -> FileError:
    """Return the error for a header on `line` with the delimiter `other`."""
    return FileError(
        "wrong_delimiter",
        f"The columns are separated by {DELIMITERS[other]}, but {DELIMITERS[delimiter]} are expected. Save the file "
        f"with {DELIMITERS[delimiter]}, or change the delimiter setting.",
        line=line,
    )


def _no_header(error: FileError, first: Line, known: Names) -> FileError | None:
    """Return an error if the first line is already the row of a user."""
    if known_columns(first.cells, known) or not _has_address(first.cells):
        return None
    names = ", ".join(known.required)
    return _missing(
        error,
        first,
        f"Line {first.number}, “{excerpt(first.raw)}”, looks like the row of a user: the file has no header. "
        f"Insert a first line that names every column. Required: {names}.",
    )


def _has_address(cells: Iterable[str]) -> bool:
    for cell in cells:
        name, at, domain = cell.strip().partition("@")
        if name and at and "." in domain and " " not in cell.strip():
            return True
    return False


def _missing(error: FileError, first: Line, message: str) -> FileError:
    return FileError("missing_column", message, line=first.number, column=error.column, value=excerpt(first.raw))


def first_lines(number: int) -> str:
    """Return `first line` or `first 3 lines`."""
    return "first line" if number == 1 else f"first {number} lines"
