"""Check one record against RFC 4180, strictly, and report where it breaks the rules. Pure."""

from __future__ import annotations

import re
from functools import cache

from importer.errors import FileError

MAX_ROW = 1024 * 1024
"""The most characters of a row."""


def is_sound(raw: str, delimiter: str) -> bool:
    """Return whether the quotes and line ends of one record are correct. Time and memory are linear in its length.

    If the record is split at its quotes, every second piece is inside quotes. A piece outside may touch a quote only
    with a delimiter, or is empty: it lies between two quotes that mean one.
    """
    everyday, fault_outside = _patterns(delimiter)
    if everyday.fullmatch(raw):
        return True
    pieces = raw.split('"')
    return len(pieces) % 2 == 1 and not fault_outside.search('"'.join(pieces[::2]))


@cache
def _patterns(delimiter: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    """Return a pattern of common records, of at most 100 cells, and one of what is never valid outside quotes.

    No group repeats without limit, which takes memory for every turn, nor possessively, which Python before 3.11.5
    matches wrongly (CPython gh-106052).
    """
    cell = f'(?:"[^"]*+(?:""[^"]*+){{0,9}}"(?!")|[^"{delimiter}\r\n]*+)'
    other = f'[^"{delimiter}]'
    return re.compile(f"{cell}(?:[{delimiter}]{cell}){{0,99}}"), re.compile(f'{other}"|"{other}|[\r\n]')


def quote_fault(line: int, raw: str, delimiter: str) -> FileError | None:
    """Return the first quoting fault of a record that begins on `line`; None if there is none."""
    plain = re.compile(f'[^"{delimiter}\r\n]*')
    at = 0
    while True:
        quoted = raw.startswith('"', at)
        end = _end_of_quoted(raw, at) if quoted else plain.match(raw, at).end()  # type: ignore[union-attr]
        if end is None:
            return _unterminated(line + raw.count("\n", 0, at))
        if end == len(raw):
            return None
        if raw[end] != delimiter:
            break
        at = end + 1
    line += raw.count("\n", 0, at)
    if quoted:
        return _lone_cr(line, raw, delimiter) if raw[end] == "\r" else _text_after_quote(line)
    fault = re.compile('[\r"]').search(raw, at)
    if not fault:
        return None
    return _lone_cr(line, raw, delimiter) if fault[0] == "\r" else _stray_quote(line)


def _end_of_quoted(raw: str, at: int) -> int | None:
    """Return the end of the quoted cell at `at`, after its first quote that is not doubled; None if it never ends."""
    return next((quote.end() for quote in re.compile('""?').finditer(raw, at + 1) if quote[0] == '"'), None)


def _unterminated(line: int) -> FileError:
    return FileError(
        "unterminated_quote",
        f'The quote that opens on line {line} is never closed. Add the closing " or remove the opening one. '
        'Write a " inside text as "".',
        line=line,
    )


def _text_after_quote(line: int) -> FileError:
    return FileError(
        "misplaced_quote",
        f"Text follows the quoted cell that opens on line {line}. End the cell with a delimiter after its closing "
        "quote. "
        'Write a " inside text as "".',
        line=line,
    )


def _stray_quote(line: int) -> FileError:
    return FileError(
        "misplaced_quote",
        f'On line {line}, a " is inside a cell that does not begin with one. Put the whole cell in quotes and write '
        'the " twice (""), or remove it. An opening quote must not have a space before it.',
        line=line,
    )


def _lone_cr(line: int, raw: str, delimiter: str) -> FileError:
    rows = raw.rstrip("\r").split("\r")
    if len({row.count(delimiter) for row in rows}) == 1:
        what = "has the line ends of an old Macintosh. Save the file as “CSV UTF-8”, which has Windows line ends."
    else:
        what = (
            "has a carriage return inside a cell. Remove this line end in the spreadsheet, or put the cell in "
            "quotes. If it ends the row, save the file with Windows (CRLF) or Unix (LF) line ends."
        )
    return FileError("lone_carriage_return", f"Line {line} {what}", line=line)


def nul(line: int) -> FileError:
    return FileError(
        "nul_character",
        f"Line {line} contains a NUL character: the file is damaged or in an unexpected encoding. "
        "Save it as “CSV UTF-8” and send it again.",
        line=line,
    )


def row_too_long(line: int) -> FileError:
    return FileError(
        "row_too_long",
        f"The row on line {line} has more than {MAX_ROW:,} characters. Check that the file has line ends.",
        line=line,
    )
